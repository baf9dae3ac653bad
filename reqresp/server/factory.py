"""
Factory: what all connections of a server share.

Holds the responder, framing and limits; numbers connections and turns away those over a limit;
passes events to observers.  It listens on nothing: that is an endpoint's job.
"""

from collections.abc import Callable, Iterable, Sequence
from secrets import randbits
from typing import TYPE_CHECKING, Any, cast

from attrs import evolve
from twisted.internet.interfaces import IAddress, IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp._text import format_address
from reqresp.faults.faults import Fault, PlacedFault
from reqresp.framing import Framing
from reqresp.server.admission import STOPPING, Admission, Refusal
from reqresp.server.config import Source, resolve
from reqresp.server.connection import Connection
from reqresp.server.connections import Gathering
from reqresp.server.limits import Limits
from reqresp.server.observers import Observer
from reqresp.transport.access import Access

if TYPE_CHECKING:
    from reqresp.server.counters import Counters

#: Seconds between log lines about clients turned away.
REFUSALS_EVERY = 1.0

_EVENTS = ("connected", "refused", "received", "answered", "failed", "disconnected")


class ReqRespFactory(Gathering):
    """
    Answers requests on any number of listening ports.

    :param respond: a `Responder`, or a function of a `Request` that returns bytes, a step, a tuple
        of these, or None for silence; plain, ``async def``, or returning a Deferred.  Or a
        `ConfigSource`, such as a `Script`: what it says of framing, limits, faults and seed holds
        where they are not given here.  The default answers ``response`` to everything, and closes
        after ``close``.
    :param framing: where a request ends; `Chunk` unless given.
    :param limits: what clients may use of the server.
    :param faults: strike each reply, or, `PlacedFault` so, connections; in this order.
    :param seed: all chance in faults comes from it, so that the same seed makes the same run; one
        that was not given is chosen, and logged.
    :param observers: are told what happens, in this order.
    :param clock: keeps the time of waits and time-outs; the global reactor unless given.
    :param access: who may connect at all; everybody unless given.
    :param first: the number of the first connection; those that follow count on.
    :param counters: counts what connections do; nothing is counted unless given.
    :raises FrameError: a constant reply cannot be expressed in *framing*.
    :raises ValueError: no request of *framing* could be within *limits*.
    """

    protocol = Connection  # type: ignore[assignment]  # Factory's type variable is its own
    noisy = False
    _log = Logger()

    def __init__(
        self,
        respond: Source | None = None,
        *,
        framing: Framing | None = None,
        limits: Limits | None = None,
        faults: Sequence[Fault | PlacedFault] | None = None,
        seed: int | None = None,
        observers: Iterable[Observer] = (),
        clock: IReactorTime | None = None,
        first: int = 1,
        access: Access | None = None,
        counters: "Counters | None" = None,
    ) -> None:
        super().__init__(clock)
        observers = tuple(observers)
        #: Who hears each event.
        self.hearers = {event: _hearers(event, observers) for event in _EVENTS}
        #: Whether anybody hears of requests.
        self.observed = bool(self.hearers["received"] or self.hearers["answered"])
        self.admission = Admission(access)
        #: Counts what connections do.
        self.counters = counters
        self._first = self._next = first
        self._refusal_logged = -REFUSALS_EVERY
        self.reconfigure(respond, framing=framing, limits=limits, faults=faults, seed=seed)

    def reconfigure(
        self,
        respond: Source | None = None,
        *,
        framing: Framing | None = None,
        limits: Limits | None = None,
        faults: Sequence[Fault | PlacedFault] | None = None,
        seed: int | None = None,
    ) -> None:
        """
        Answer clients that connect from now on like this, as if the factory had been made so.

        Connections that are open go on as they began; only the limits on their number and on idle
        time are the new ones for all.  Where this raises, nothing has changed.
        """
        config = resolve(respond, framing=framing, limits=limits, faults=faults, seed=seed)
        if config.is_faulty and config.seed is None:
            config = evolve(config, seed=randbits(32))
            self._log.info("seed of the faults: {seed}", seed=config.seed)
        #: How new connections are answered.
        self.config = config
        self.admission.recount(connection.peer for connection in self.connections)
        self._sweep_each(config.limits.idle_timeout)

    def tell(self, event: str, *details: object) -> None:
        """Call the observers that hear *event*."""
        for hear in self.hearers[event]:
            try:
                hear(*details)
            except BaseException:  # as the reactor does: whatever it is, the server goes on
                self._log.failure("an observer failed to hear {event}", event=event)

    # Connections come and go

    @property
    def accepted(self) -> int:
        """How many connections there were, those that are open included."""
        return self._next - self._first

    @property
    def refused(self) -> int:
        """How many clients were turned away."""
        return self.admission.refused.total()

    def buildProtocol(self, addr: Any) -> Protocol | None:
        refusal = self.why_refuse(addr)
        if refusal is not None:
            return self.refuse(addr, refusal)
        connection: Connection = self.protocol()
        connection.factory = self
        connection.config = self.config
        connection.peer = addr
        return connection

    def why_refuse(self, peer: IAddress) -> Refusal | None:
        """Tell why a client with this address may not connect now."""
        if self._is_finishing:
            return STOPPING
        connected = len(self.connections) + len(self.arrivals)
        return self.admission.why_refuse(peer, self.config.limits, connected)

    def refuse(self, peer: IAddress, refusal: Refusal) -> Protocol:
        """Count and tell that *peer* is turned away; give the protocol that does it."""
        self.admission.refused[refusal.kind] += 1
        now = self.clock.seconds()
        if now - self._refusal_logged >= REFUSALS_EVERY:
            self._refusal_logged = now
            self._log.warn(
                "{peer}: refused, {reason} ({refused} refused in all)",
                peer=format_address(peer),
                reason=refusal.reason,
                refused=self.refused,
            )
        self.tell("refused", peer, refusal.reason)
        return _Refused()

    def opened(self, connection: Connection) -> None:
        """Count a new *connection* and number it."""
        connection.number = self._next
        self._next += 1
        self._add(connection)
        if self.config.limits.max_per_peer:
            self.admission.enter(connection.peer)
        if self.hearers["connected"]:
            self.tell("connected", connection.peer, connection.number)

    def lost(self, connection: Connection, reason: Failure) -> None:
        """Count a *connection* no more."""
        self.connections.discard(connection)
        if self.config.limits.max_per_peer:
            self.admission.leave(connection.peer)
        if self.hearers["disconnected"]:
            self.tell("disconnected", connection.peer, connection.number, reason)
        self._end_if_alone()


class _Refused(Protocol):
    """
    A client over a limit: accepted, then reset.

    (To build no protocol at all, Twisted's other way to refuse, crashes under ``haproxy:``.)
    """

    def connectionMade(self) -> None:
        cast(ITCPTransport, self.transport).abortConnection()


def _hearers(event: str, observers: Iterable[Observer]) -> tuple[Callable[..., None], ...]:
    deaf = getattr(Observer, event)
    return tuple(
        getattr(observer, event)
        for observer in observers
        if getattr(type(observer), event) is not deaf
    )
