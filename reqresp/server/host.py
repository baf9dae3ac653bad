"""
ConnectionHost: what a connection needs of the server that it belongs to.

A Protocol, so that a connection depends on no factory.  `reqresp.server.connections.Connections`
is the only host.  A connection uses nothing of its server but what is declared here.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.python.failure import Failure

from reqresp.framing import Unfinished
from reqresp.server._turns import Turns
from reqresp.server.counters import Counters
from reqresp.server.observers import Events
from reqresp.server.stream_faults import StreamFault
from reqresp.server.triggers import Trigger

#: How often a connection is swept in one idle timeout.
SWEEPS_PER_TIMEOUT = 4


class Cancellable(Protocol):
    """A call or a result that is due later."""

    def cancel(self) -> Any:
        """Cancel the call or the result."""


class HostedConnection(Protocol):
    """A connection, whatever it carries, as its host sees it."""

    #: Bytes received from the client, and handed to its transport; counted with the counters of
    #: the host only.
    received: int
    sent: int
    #: How many requests were taken up; 0 if it knows none.
    taken: int

    @property
    def peer(self) -> IAddress:
        """The client's address."""

    @property
    def number(self) -> int:
        """The connection's number, which `ConnectionHost.opened` has returned."""

    @property
    def is_busy(self) -> bool:
        """Whether a reply is awaited, or requests wait for their turn."""

    @property
    def unfinished(self) -> Unfinished | None:
        """The request that the client has begun and not finished, as far as is known."""

    def push(self, data: bytes) -> None:
        """
        Send *data* to the client, as it is, after the reply that is under way.

        It does not end what the connection waits for.  Faults do not apply to it.

        :raises PushError: the connection sends no more, or its client does not receive what was
            sent before.
        """

    def close(self) -> None:
        """Answer no more, deliver what was sent, and close, as the step `Close` does."""

    def finish(self) -> None:
        """Read no more, answer what was received, then close."""

    def reset(self) -> None:
        """Reset the connection now."""

    def sweep(self) -> None:
        """Close the connection if it is idle; called several times in an idle timeout."""

    def sweep_request(self) -> None:
        """Close the connection if a request takes too long to arrive; called likewise."""


class TLSStart(Protocol):
    """What adds TLS to connections: `reqresp.transport.tls.TLSStarter` is one."""

    def start(
        self, transport: Any, protocol: Any, peer: IAddress, attach: Callable[[Any], object]
    ) -> None:
        """Put TLS between *transport* and *protocol*; call *attach* with what replaces it."""


class ConnectionHost(Protocol):
    """What the connections of a server share."""

    #: Adds TLS to connections that ask for it; None: the server has no certificate for that.
    start_tls: TLSStart | None

    #: The faults that apply to what connections receive.
    stream_faults: Sequence[StreamFault]
    #: Notifies the observers.
    events: Events
    #: The open connections of the server; those of clients that are refused are not among them.
    everyone: Iterable[HostedConnection]
    #: What makes the responder answer a client that connects.
    first_trigger: Trigger
    #: Counts what connections do; None: nothing is counted.
    counters: Counters | None
    #: Returns seconds of a monotonic clock, which measures how long a connection works.
    now: Callable[[], float]
    #: The connections that have given way to others.
    turns: Turns

    @property
    def clock(self) -> IReactorTime:
        """The clock that times waits and endings."""

    def opened(self, connection: HostedConnection) -> int:
        """
        Count a new *connection*, and return its number.

        The connection notifies the observers itself, once it knows its number.
        """

    def lost(self, connection: HostedConnection, reason: Failure) -> None:
        """Stop counting *connection*, and notify the observers."""

    def set_idle_timeout(self, connection: HostedConnection, seconds: float | None) -> None:
        """Close *connection* once it is idle for *seconds*; None: as long as the limit says."""

    def label(self, peer: IAddress) -> str:
        """Return *peer* as lines of the log name it: after the service, if it has a name."""

    def malformed(self, kind: str, peer: IAddress, reason: str) -> None:
        """
        Count that *peer* sent something malformed, and log it: of each kind one line a second.

        :param kind: one of `reqresp.server.counters.MALFORMED`.
        :param reason: what is wrong, for a person.
        """
