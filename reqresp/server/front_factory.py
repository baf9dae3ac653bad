"""
FrontFactory: a factory of Twisted whose connections share one front.

Request servers and relays derive from it.  It must not know what connections carry.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory

from reqresp.server.connection_table import ConnectionTable
from reqresp.server.connections import Connections
from reqresp.server.counters import Counters
from reqresp.server.host import TLSStart


class FrontFactory(Factory, ABC):
    """
    Builds protocols for the clients that *front* admits.
    """

    noisy = False

    def __init__(self, front: Connections) -> None:
        self._front = front

    @property
    def accepted(self) -> int:
        """How many connections there were, the open ones included."""
        return self._front.accepted

    @property
    def open(self) -> int:
        """How many connections are open, with those whose PROXY header has not come yet."""
        return len(self._front) + self._front.arriving

    @property
    def refused(self) -> int:
        """How many clients were refused."""
        return sum(self.refusals.values())

    @property
    def refusals(self) -> Mapping[str, int]:
        """How many clients were refused, for each kind of `Refusal`."""
        return self._front.refusals

    @property
    def counters(self) -> Counters | None:
        """Counts what connections do, if that was asked for."""
        return self._front.counters

    @property
    def connections(self) -> ConnectionTable:
        """The open connections: what they have done, and how to push to them or end them."""
        return ConnectionTable(self._front)

    @property
    def clock(self) -> IReactorTime:
        """The clock that times waits and timeouts."""
        return self._front.clock

    @property
    def start_tls(self) -> TLSStart | None:
        """
        What adds TLS to a connection that a reply with `StartTLS` asks for; None: nothing can.

        Set it to a `reqresp.transport.tls.TLSStarter`.
        """
        return self._front.start_tls

    @start_tls.setter
    def start_tls(self, start: TLSStart | None) -> None:
        self._front.start_tls = start

    def note(self, what: str) -> None:
        """Notify the observers that the server is changed while it runs; *what* says how."""
        self._front.events.changed(what)

    def drain(self, seconds: float) -> Deferred[None]:
        """
        Answer what was received, then close; reset what is not done after *seconds*.

        Clients that connect from the next turn of the reactor on are refused; stop listening first.
        Call it again, with less, to drain faster.  Once no connection is left, clients are admitted
        again.

        :param seconds: by the clock of the server, >= 0; 0 resets in the next turn.
        :returns: fires when no connection is left.
        """
        return self._front.drain(seconds)

    def stopFactory(self) -> None:
        self._front.flush_log()
        super().stopFactory()

    def buildProtocol(self, addr: Any) -> Any:
        refusal = self._front.why_refuse(addr)
        if refusal is not None:
            return self._front.refuse(addr, refusal, self.refused_builder)
        return self.build_connection(addr)

    @property
    def refused_builder(self) -> Callable[[IAddress], Any] | None:
        """What returns the protocol that answers a refused client; None: nothing is sent to it."""
        return None

    @abstractmethod
    def build_connection(self, peer: IAddress) -> Any:
        """Return the protocol of a client that was admitted, with the address *peer*."""


def front_of(factory: FrontFactory) -> Connections:
    """Return the front of *factory*, for a part of the same server that admits or ends clients."""
    return factory._front
