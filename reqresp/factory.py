"""
Factory: what all connections of a server share.

Holds the responder, framing and limits; counts connections and turns away those over a limit;
passes events to observers; drains.  It listens on nothing: that is an endpoint's job.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from secrets import randbits
from typing import Any, cast

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime, ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp.behaviour import Behaviour, Plan
from reqresp.faults import Fault, Placed
from reqresp.framing import Framing
from reqresp.limits import Limits
from reqresp.messages import Request, show
from reqresp.observer import Observer
from reqresp.protocol import SWEEPS, ReqResp
from reqresp.responders import Answer, Function, Responder, fixed

#: Seconds between log lines about clients turned away.
REFUSALS_EVERY = 1.0

_EVENTS = ("connected", "refused", "received", "answered", "failed", "disconnected")


class ReqRespFactory(Factory):
    """
    Answers requests on any number of listening ports.

    :param respond: a `Responder`, or a function of a `Request` that returns bytes, a step, a tuple
        of these, or None for silence; plain, ``async def``, or returning a Deferred.  Or a `Plan`,
        such as a `Script`: what it says of framing, limits, faults and seed holds where they are
        not given here.  The default answers as the notebook does: ``response``, and closes after
        ``close``.
    :param framing: where a request ends; `Chunk` unless given.
    :param limits: what clients may use of the server.
    :param faults: strike each reply, or, `Placed` so, connections; in this order.
    :param seed: all chance in faults comes from it, so that the same seed makes the same run; one
        that was not given is chosen, and logged.
    :param observers: are told what happens, in this order.
    :param clock: keeps the time of waits and time-outs; the global reactor unless given.
    :raises FrameError: a constant reply cannot be expressed in *framing*.
    :raises ValueError: no request of *framing* could be within *limits*.
    """

    protocol = ReqResp  # type: ignore[assignment]  # Factory's type variable is its own
    noisy = False
    _log = Logger()

    def __init__(
        self,
        respond: Plan | Responder | Callable[[Request], Answer] | None = None,
        *,
        framing: Framing | None = None,
        limits: Limits | None = None,
        faults: Sequence[Fault | Placed] | None = None,
        seed: int | None = None,
        observers: Iterable[Observer] = (),
        clock: IReactorTime | None = None,
    ) -> None:
        observers = tuple(observers)
        #: Who hears each event.
        self.hearers = {event: _hearers(event, observers) for event in _EVENTS}
        #: Whether anybody hears of requests.
        self.observed = bool(self.hearers["received"] or self.hearers["answered"])
        #: How many clients were turned away over a limit.
        self.refused = 0
        self.connections: set[ReqResp] = set()
        self._clock = clock
        self._numbered = 0
        self._refusal_logged = -REFUSALS_EVERY
        self._sweeps: LoopingCall | None = None
        self._draining: list[Deferred[None]] = []
        self._deadlines: list[IDelayedCall] = []
        self.behave(respond, framing=framing, limits=limits, faults=faults, seed=seed)

    def behave(
        self,
        respond: Plan | Responder | Callable[[Request], Answer] | None = None,
        *,
        framing: Framing | None = None,
        limits: Limits | None = None,
        faults: Sequence[Fault | Placed] | None = None,
        seed: int | None = None,
    ) -> None:
        """
        Answer clients that connect from now on like this, as if the factory had been made so.

        Connections that are open go on as they began; only the limits on their number and on idle
        time are the new ones for all.  Where this raises, nothing has changed.
        """
        plan = respond.behaviour() if isinstance(respond, Plan) else _plain(respond)
        given = {"framing": framing, "limits": limits, "faults": faults, "seed": seed}
        behaviour = evolve(plan, **{name: it for name, it in given.items() if it is not None})  # type: ignore[arg-type]  # each has its own type
        if behaviour.is_faulty and behaviour.seed is None:
            behaviour = evolve(behaviour, seed=randbits(32))
            self._log.info("seed of the faults: {seed}", seed=behaviour.seed)
        #: How new connections are answered.
        self.behaviour = behaviour
        self._per_peer = Counter(
            host for connection in self.connections if (host := _host(connection.peer))
        )
        if self._sweeps is not None:
            self._sweeps.stop()
            self._sweeps = None
        if self.connections:
            self._start_sweeping()

    @property
    def clock(self) -> IReactorTime:
        """What keeps the time."""
        if self._clock is None:
            # Late: to import the reactor is to install it.
            from twisted.internet import reactor

            self._clock = cast(IReactorTime, reactor)
        return self._clock

    def tell(self, event: str, *details: object) -> None:
        """Call the observers that hear *event*."""
        for hear in self.hearers[event]:
            try:
                hear(*details)
            except BaseException:  # as the reactor does: whatever it is, the server goes on
                self._log.failure("an observer failed to hear {event}", event=event)

    # Connections come and go

    def buildProtocol(self, addr: Any) -> Protocol | None:
        reason = self._why_refuse(addr)
        if reason is None:
            connection: ReqResp = self.protocol()
            connection.factory = self
            connection.behaviour = self.behaviour
            connection.peer = addr
            return connection
        self.refused += 1
        now = self.clock.seconds()
        if now - self._refusal_logged >= REFUSALS_EVERY:
            self._refusal_logged = now
            self._log.warn(
                "{peer}: refused, {reason} ({refused} refused in all)",
                peer=show(addr),
                reason=reason,
                refused=self.refused,
            )
        self.tell("refused", addr, reason)
        return _Refusal()

    def _why_refuse(self, peer: IAddress) -> str | None:
        limits = self.behaviour.limits
        if self._draining:
            return "the server is stopping"
        if len(self.connections) >= limits.max_connections:
            return f"{limits.max_connections} connections are open, the limit"
        if limits.max_per_peer and self._per_peer[_host(peer)] >= limits.max_per_peer:
            return f"it has {limits.max_per_peer} connections open, the limit for a peer"
        return None

    def opened(self, connection: ReqResp) -> None:
        """Count a new *connection* and number it."""
        self._numbered += 1
        connection.number = self._numbered
        self.connections.add(connection)
        limits = self.behaviour.limits
        if limits.max_per_peer and (host := _host(connection.peer)):
            self._per_peer[host] += 1
        if self._sweeps is None:
            self._start_sweeping()
        if self.hearers["connected"]:
            self.tell("connected", connection.peer, connection.number)

    def lost(self, connection: ReqResp, reason: Failure) -> None:
        """Count a *connection* no more."""
        self.connections.discard(connection)
        if self.behaviour.limits.max_per_peer and (host := _host(connection.peer)):
            self._per_peer[host] -= 1
            if not self._per_peer[host]:
                del self._per_peer[host]
        if self.hearers["disconnected"]:
            self.tell("disconnected", connection.peer, connection.number, reason)
        if not self.connections:
            self._all_lost()

    def _all_lost(self) -> None:
        if self._sweeps is not None:
            self._sweeps.stop()
            self._sweeps = None
        for deadline in self._deadlines:
            if deadline.active():
                deadline.cancel()
        self._deadlines.clear()
        draining, self._draining = self._draining, []
        for drained in draining:
            drained.callback(None)

    def _start_sweeping(self) -> None:
        idle_timeout = self.behaviour.limits.idle_timeout
        if not idle_timeout:
            return
        self._sweeps = LoopingCall(self._sweep)
        self._sweeps.clock = self.clock
        self._sweeps.start(idle_timeout / SWEEPS, now=False)

    def _sweep(self) -> None:
        for connection in [*self.connections]:
            connection.sweep()

    # Draining

    def drain(self, seconds: float) -> Deferred[None]:
        """
        Answer what was received, then close; reset what is not done after *seconds*.

        Clients that connect meanwhile are refused; stop listening first.  Call it again, with less,
        to hasten it.

        :returns: fires when no connection is left.
        """
        drained: Deferred[None] = Deferred()
        self._draining.append(drained)
        if not self.connections:
            self._all_lost()
            return drained
        # A turn later: what has arrived by now is read first.
        self._deadlines.append(self.clock.callLater(0, self._finish))
        self._deadlines.append(self.clock.callLater(seconds, self._abort))
        return drained

    def _finish(self) -> None:
        for connection in [*self.connections]:
            connection.finish()

    def _abort(self) -> None:
        for connection in [*self.connections]:
            connection.transport.abortConnection()


class _Refusal(Protocol):
    """
    A client over a limit: accepted, then reset.

    (To build no protocol at all, Twisted's other way to refuse, crashes under ``haproxy:``.)
    """

    def connectionMade(self) -> None:
        cast(ITCPTransport, self.transport).abortConnection()


def _plain(respond: Responder | Callable[[Request], Answer] | None) -> Behaviour:
    if respond is None:
        return Behaviour(fixed())
    return Behaviour(respond if isinstance(respond, Responder) else Function(respond))


def _hearers(event: str, observers: Iterable[Observer]) -> tuple[Callable[..., None], ...]:
    deaf = getattr(Observer, event)
    return tuple(
        getattr(observer, event)
        for observer in observers
        if getattr(type(observer), event) is not deaf
    )


def _host(peer: IAddress) -> str:
    """What tells a client from others; the clients of a UNIX socket have nothing that does."""
    return getattr(peer, "host", "")
