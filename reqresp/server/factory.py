"""
ReqRespFactory: what Twisted's endpoints need to serve requests.

Says how new connections are answered; everything else that connections have in common is their
front's job (`Connections`).  It listens on nothing: that is the job of an endpoint.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from secrets import randbits
from time import perf_counter
from typing import Any

from attrs import evolve
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger

from reqresp._errors import FieldError
from reqresp.faults import (
    KINDS,
    DirectedFault,
    Direction,
    Fault,
    PlacedFault,
    change_fault,
    make_fault,
    unique_name,
)
from reqresp.faults.directed import check_upstream
from reqresp.framing import NO_END, Framing, complete_framing
from reqresp.server._intake import use_stream_faults
from reqresp.server.broadcasts import broadcast, check_unasked
from reqresp.server.config import (
    UNORDERED_FORWARDS,
    AnyFault,
    ServerConfig,
    Source,
    resolve,
)
from reqresp.server.connection import Connection
from reqresp.server.connections import Connections
from reqresp.server.counters import Counters
from reqresp.server.front_factory import FrontFactory
from reqresp.server.limits import Limits
from reqresp.server.live_faults import LiveFault, LiveFaults
from reqresp.server.observers import Observer
from reqresp.server.service import Service
from reqresp.server.stream_faults import StreamFault, make_directed
from reqresp.steps import Send
from reqresp.transport.access import Access

#: A fault of replies, or of what clients send, as it is configured.
_Placed = PlacedFault | DirectedFault

#: Where faults of replies are drawn, by name: whether that is when a client connects.
_PLACES = {"reply": False, "connect": True}


class ReqRespFactory(FrontFactory):
    """
    Answers requests on any number of listening ports.

    :param respond: a `Responder`, or a function of a `Request` that returns bytes, a step, a tuple
        of these, or None for silence; plain, ``async def``, or returning a Deferred.  Or a
        `ConfigSource`, such as a `Script`: its framing, limits, faults and seed apply unless they
        are given here.  The default answers ``response`` to everything, and closes after ``close``.
    :param framing: where a request ends; `Chunk` unless given.
    :param limits: what clients may use of the server.  A mapping replaces only the limits of the
        source that it names.
    :param faults: injected into each reply, in this order; a `PlacedFault` may apply to
        connections.  A `DirectedFault` with the stream ``upstream`` applies to what clients send,
        before a request is found in it.
    :param seed: determines everything that is random in faults: the same seed makes the same run.
        One that was not given is chosen and logged.
    :param ordered: whether replies leave in the order of their requests.  If not, a reply that
        waits is overtaken by those to later requests, as in protocols whose messages have an id.
    :param observers: notified of what happens, in this order.
    :param clock: times waits and timeouts; the global reactor unless given.
    :param access: which clients may connect; all of them unless given.
    :param first: the number of the first connection; the next ones count on.
    :param counters: counts what connections do; nothing is counted unless given.
    :param now: returns seconds of a monotonic clock, which measures how long connections work.
    :param service: where requests are forwarded to that are answered with `Forward`, such as
        `reqresp.relay.Forwarding`; each client gets a connection of its own to it.  None: nowhere.
    :raises FrameError: a constant reply cannot be expressed in *framing*.
    :raises FieldError: a limit is out of range, no request of *framing* is within *limits*, a fault
        has another stream, or *ordered* is false where requests are forwarded.
    """

    _log = Logger()

    def __init__(
        self,
        respond: Source | None = None,
        *,
        framing: Framing | None = None,
        limits: Limits | Mapping[str, Any] | None = None,
        faults: Sequence[AnyFault] | None = None,
        seed: int | None = None,
        ordered: bool | None = None,
        observers: Iterable[Observer] = (),
        clock: IReactorTime | None = None,
        first: int = 1,
        access: Access | None = None,
        counters: Counters | None = None,
        now: Callable[[], float] = perf_counter,
        service: Service | None = None,
    ) -> None:
        super().__init__(
            Connections(
                observers=observers,
                clock=clock,
                access=access,
                counters=counters,
                first=first,
                now=now,
            )
        )
        self._faults: LiveFaults[_Placed, LiveFault[Any]] = LiveFaults(self._use_faults, _make_live)
        self.reconfigure(
            respond,
            framing=framing,
            limits=limits,
            faults=faults,
            seed=seed,
            ordered=ordered,
            service=service,
        )

    def reconfigure(
        self,
        respond: Source | None = None,
        *,
        framing: Framing | None = None,
        limits: Limits | Mapping[str, Any] | None = None,
        faults: Sequence[AnyFault] | None = None,
        seed: int | None = None,
        ordered: bool | None = None,
        service: Service | None = None,
    ) -> None:
        """
        Answer clients that connect from now on like this, as if the factory had been made so.

        Open connections continue as they began, but the new faults, and the new limits on their
        number and on idle time, apply to all.  Faults that are the same continue, as do those that
        `fault` has added.  If this raises, nothing has changed.

        The parameters, and the errors that are raised, are those of the class.
        """
        config = resolve(
            respond, framing=framing, limits=limits, faults=faults, seed=seed, ordered=ordered
        )
        _check_service(service, config)
        if config.is_faulty and config.seed is None:
            config = evolve(config, seed=randbits(32))
            self._log.info("seed of the faults: {seed}", seed=config.seed)
        if config.seed is not None:
            self._faults.seed = config.seed
        #: How new connections are answered.
        self.config = config
        #: Where new connections forward requests to.
        self.service = service
        self._front.limit(config.limits)
        self._faults.configure(self._named([*config.faults, *config.stream_faults]))

    def adapt(self, change: Callable[[ServerConfig], ServerConfig] = evolve) -> None:
        """
        Change how the next request of every client is answered, of open connections as well.

        A copy of a config has asked its responder anew which replies are constants, so without
        *change* this is for a responder that has changed.

        :param change: returns another config for each that is in use, with the same framing and
            limits.  If it raises, nothing has changed.
        """
        users = self._connections()
        used = {id(it): it for it in (self.config, *(user.config for user in users))}
        changed = {key: change(config) for key, config in used.items()}
        for connection in users:
            connection.reconfigure(changed[id(connection.config)])
        self.config = changed[id(self.config)]

    # Faults

    @property
    def faults(self) -> tuple[LiveFault[Any], ...]:
        """The faults as they are now, in the order in which they apply."""
        return tuple(self._faults)

    @property
    def seed(self) -> int | None:
        """The source of all randomness in faults; None: it is chosen with the first fault."""
        return self._faults.seed

    def fault(
        self,
        kind: str | Fault,
        *,
        on: str | None = None,
        stream: str | Direction | None = None,
        name: str | None = None,
        after: float = 0.0,
        after_bytes: int = 0,
        **parameters: Any,
    ) -> LiveFault[Any]:
        """
        Let something go wrong from now on, on open connections, too.

        It applies after the faults that there are: to replies, from the next one of every client
        on, or to what clients send.  The result changes and removes it; as a context manager, it
        removes it at the end.

        :param kind: as in a script, with its *parameters*; or a `Fault`.
        :param on: of a fault of replies, where the dice are thrown: ``reply``, the default, for
            each reply, or ``connect``, once for each connection.
        :param stream: ``upstream``: it applies to what clients send, before a request is found in
            it, and has the parameters of a `DirectedFault`, too.  None: it applies to replies.
        :param name: seeds what is random; the kind, with a number if there is one, unless given.
        :param after: seconds until it begins on a connection, as for `PlacedFault`.
        :param after_bytes: bytes of replies, or of *stream*, that pass before it begins, likewise.
        :raises ValueError: *kind* is unknown, a value is out of range, or the name is taken.
        :raises TypeError: a parameter is unknown or missing.
        """
        window = {"name": name, "after": after, "after_bytes": after_bytes}
        if stream is not None:
            if on is not None:
                raise FieldError("on", f"expected one of on and stream, found on={on!r} and stream")
            arguments = {**window, **parameters}
            directed = make_directed(kind, stream, self._faults.names(), arguments)
            check_upstream(directed)
            return self._faults.add(directed)
        on = "reply" if on is None else on
        if not isinstance(on, str) or on not in _PLACES:
            raise FieldError("on", f"expected {' or '.join(_PLACES)}, found {on!r}")
        if isinstance(kind, str):
            fault = make_fault(kind, parameters, ("on", "stream", *window), KINDS)
        else:
            fault = change_fault(kind, parameters)
        if name is None:
            name = unique_name(fault.kind, self._faults.names())
        return self._faults.add(PlacedFault(name, fault, _PLACES[on], name, after, after_bytes))

    def reset_faults(self) -> None:
        """Have the faults that were configured, as they were then, and no others."""
        self._faults.reset()

    def _named(self, faults: Iterable[_Placed]) -> list[_Placed]:
        """Return *faults*, each with a name of its own."""
        named: list[_Placed] = []
        names = [it.name for it in self._faults.added]
        for each in faults:
            named.append(evolve(each, name=unique_name(each.name, names)))
            names.append(named[-1].name)
        return named

    def _use_faults(self) -> None:
        """Inject the faults as they are now, on open connections as well."""
        self.adapt(self._with_faults)
        self._front.stream_faults = [it for it in self._faults if isinstance(it, StreamFault)]
        for connection in self._front:
            if isinstance(connection, Connection):
                use_stream_faults(connection)

    def _with_faults(self, config: ServerConfig) -> ServerConfig:
        faults = tuple(it.placed for it in self._faults if isinstance(it.placed, PlacedFault))
        if faults == config.faults:
            return config
        seed = self._faults.seed if config.seed is None else config.seed
        return evolve(config, faults=faults, seed=seed)

    def broadcast(self, data: bytes, to: str = "all", *, raw: bool = False) -> int:
        """
        Send *data* to clients that are connected, between the frames of each; return to how many.

        A client that does not receive what was sent before is left out.

        :param to: ``all``, or ``state:NAME``: those in a state.
        :param raw: send *data* as it is, without a frame.
        :raises FieldError: *to* is none of these.
        :raises FrameError: the framing cannot express *data*.
        """
        check_unasked(to)
        return broadcast(self._front, to, [Send(data, raw)])

    def send(self, number: int, data: bytes) -> None:
        """
        Send *data* to a client in a frame of its connection, after the reply that is under way.

        :raises KeyError: no connection with this *number* is open.
        :raises FrameError: the framing cannot express *data*.
        :raises PushError: it sends no more, or its client does not receive what was sent before.
        """
        found = next((it for it in self._connections() if it.number == number), None)
        if found is None:
            raise KeyError(number)
        found.send(data)

    def states(self) -> dict[int, str]:
        """Return the state of the conversation on each open connection, by their numbers."""
        return {it.number: it.config.responder.state(it) for it in self._connections()}

    def framings(self) -> dict[int, Framing]:
        """Return the framing that is in force on each open connection, by their numbers."""
        return {it.number: it.framing for it in self._connections()}

    def _connections(self) -> list[Connection]:
        return [it for it in self._front if isinstance(it, Connection)]

    def build_connection(self, peer: IAddress) -> Connection:
        return Connection(self._front, self.config, peer, self.service)

    @property
    def refused_builder(self) -> Callable[[IAddress], Connection] | None:
        return self._build_refused if self.config.responder.answers_refused else None

    def _build_refused(self, peer: IAddress) -> Connection:
        return Connection(self._front.refused, self.config, peer)


def _make_live(faults: LiveFaults[Any, Any], placed: _Placed) -> LiveFault[Any]:
    if isinstance(placed, DirectedFault):
        return StreamFault(faults, placed)
    return LiveFault(faults, placed)


def _check_service(service: Service | None, config: ServerConfig) -> None:
    if service is None:
        if config.responder.forwards:
            raise FieldError("forward", "expected a service to forward to, found none")
        return
    if any(it.framing is not None for it in config.responder.state_properties):
        raise FieldError("state", "expected no framing of a state where requests are forwarded")
    if not config.ordered:
        raise FieldError("ordered", UNORDERED_FORWARDS)
    framing = complete_framing(config.framing)
    if not framing.ends_replies:
        raise FieldError("framing", f"{NO_END}, found {framing.replies.name}")
