"""
Refused clients: those that are answered before their connection ends, and those that are not.

It bounds how many are answered at once, and for how long: a client that was refused must not take
what the limits are there to save.  It must not know why a client is refused.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol as Interface
from typing import cast

from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from reqresp.server._turns import Turns
from reqresp.server.counters import Counters
from reqresp.server.host import HostedConnection, TLSStart
from reqresp.server.observers import Events
from reqresp.server.stream_faults import StreamFault
from reqresp.server.triggers import Trigger

#: Refused clients that are answered at a time; those beyond are reset at once.
MAX_ANSWERED = 100
#: Seconds after which a refused client is reset, however long its answer takes.
MAX_SECONDS = 10.0


class Front(Interface):
    """What refused clients need of the front of a server."""

    counters: Counters | None
    events: Events
    everyone: Iterable[HostedConnection]
    now: Callable[[], float]
    turns: Turns

    @property
    def clock(self) -> IReactorTime:
        """The clock that times waits and timeouts."""

    def take_number(self) -> int:
        """Return the number of the next connection."""

    def label(self, peer: IAddress) -> str:
        """Return *peer* as lines of the log name it."""

    def malformed(self, kind: str, peer: IAddress, reason: str) -> None:
        """Count and log that *peer* sent something malformed."""

    def settle(self) -> None:
        """End a drain if nothing is left that it waits for."""


class RefusedClients:
    """
    The host of the connections of refused clients; iterate over them, or take their `len`.

    :param front: of the server that refuses them.
    """

    first_trigger = Trigger.REFUSED

    def __init__(self, front: Front) -> None:
        self._front = front
        self.everyone = front.everyone
        self.counters = front.counters
        self.events = front.events
        self.now = front.now
        self.turns = front.turns
        #: They are not worth a handshake.
        self.start_tls: TLSStart | None = None
        #: Faults of what is received make no difference to them.
        self.stream_faults: Sequence[StreamFault] = ()
        self._open: dict[HostedConnection, IDelayedCall] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[HostedConnection]:
        return iter([*self._open])

    @property
    def clock(self) -> IReactorTime:
        """The clock that times waits and endings."""
        return self._front.clock

    @property
    def is_full(self) -> bool:
        """Whether no other client is answered now."""
        return len(self._open) >= MAX_ANSWERED

    def opened(self, connection: HostedConnection) -> int:
        """Have *connection* end in time, and return its number."""
        self._open[connection] = self.clock.callLater(MAX_SECONDS, connection.reset)
        return self._front.take_number()

    def lost(self, connection: HostedConnection, reason: Failure) -> None:
        """Forget *connection*, and notify the observers."""
        deadline = self._open.pop(connection)
        if deadline.active():
            deadline.cancel()
        self.events.disconnected(connection.peer, connection.number, reason)
        self._front.settle()

    def set_idle_timeout(self, connection: HostedConnection, seconds: float | None) -> None:
        """Do nothing: refused clients have `MAX_SECONDS` in all."""

    def label(self, peer: IAddress) -> str:
        """Return *peer* as lines of the log name it."""
        return self._front.label(peer)

    def malformed(self, kind: str, peer: IAddress, reason: str) -> None:
        """Count and log that *peer* sent something malformed."""
        self._front.malformed(kind, peer, reason)


class Reset(Protocol):
    """
    A refused client that gets no answer: accepted, then reset.

    Twisted's other way to refuse is to build no protocol; ``haproxy:`` crashes then.
    """

    def connectionMade(self) -> None:
        cast(ITCPTransport, self.transport).abortConnection()
