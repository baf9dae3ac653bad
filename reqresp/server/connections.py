"""
Connections: the front of a server, which all its connections have in common.

Admits and numbers connections, notifies observers, closes the idle ones, shares the reactor among
those with much to do, and ends all of them when the server stops.  It must not know what a
connection carries: a relay has the same front.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter, time
from types import MappingProxyType
from typing import Any, Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp._log_limit import LogLimit
from reqresp._text import format_address, printable
from reqresp.server._refused import RefusedClients, Reset
from reqresp.server._sweeper import Sweeper
from reqresp.server._turns import Turns
from reqresp.server.admission import STOPPING, Admission, Refusal
from reqresp.server.counters import Counters
from reqresp.server.host import HostedConnection, TLSStart
from reqresp.server.limits import Limits
from reqresp.server.observers import Events, Observer
from reqresp.server.stream_faults import StreamFault
from reqresp.server.triggers import Trigger
from reqresp.transport.access import Access


class Arrival(Protocol):
    """A connection that was accepted, and whose client is not known yet."""

    def finish(self) -> None:
        """End the connection.  All received data was read, and did not name the client."""

    def reset(self) -> None:
        """Reset the connection now."""


class Connections:
    """
    The connections of one server; iterate over those that are open, or take their `len`.

    It is the `ConnectionHost` of each.

    :param observers: notified of what happens, in this order.
    :param clock: times waits and timeouts; the global reactor unless given.
    :param access: which clients may connect; all of them unless given.
    :param counters: counts what connections do; nothing is counted unless given.
    :param first: the number of the first connection.
    :param now: returns seconds of a monotonic clock, which measures how long connections work.
    :param wall: returns the time of day, in seconds since the epoch.
    """

    _log = Logger()
    first_trigger = Trigger.CONNECT

    def __init__(
        self,
        *,
        observers: Iterable[Observer] = (),
        clock: IReactorTime | None = None,
        access: Access | None = None,
        counters: Counters | None = None,
        first: int = 1,
        now: Callable[[], float] = perf_counter,
        wall: Callable[[], float] = time,
    ) -> None:
        self.events = Events(observers)
        self.counters = counters
        #: Adds TLS to connections that ask for it; None: the server has no certificate for that.
        self.start_tls: TLSStart | None = None
        #: The faults that apply to what connections receive.
        self.stream_faults: Sequence[StreamFault] = ()
        #: The name of the service, which begins lines of the log; empty: the process has no other.
        self.name = ""
        self.now = now
        self._clock = clock
        self._wall = wall
        self._open: dict[HostedConnection, float] = {}  # and since when
        self._arrivals: set[Arrival] = set()  # they take as much place
        self._limits = Limits()
        self._admission = Admission(access)
        self._refusals: Counter[str] = Counter()
        self._log_limit = LogLimit(lambda: self.clock, self._log)
        self._first = self._next = first
        self.everyone: Iterable[HostedConnection] = self
        self.turns = Turns(lambda: self.clock, lambda: self.now())
        self._sweepers = [
            Sweeper(lambda: self.clock, sweep) for sweep in (self._sweep_idle, self._sweep_requests)
        ]
        #: The host of the refused clients that are answered.
        self.refused = RefusedClients(self)
        self._answered_refusals = 0
        # Of connections that have an idle timeout of their own.
        self._own_sweepers: dict[HostedConnection, Sweeper] = {}
        self._draining: list[Deferred[None]] = []
        self._deadlines: list[IDelayedCall] = []
        self._is_finishing = False

    def __len__(self) -> int:
        """Return how many connections are open whose client is known."""
        return len(self._open)

    def __iter__(self) -> Iterator[HostedConnection]:
        """Iterate over the open connections as they are now."""
        return iter([*self._open])

    def since(self, connection: HostedConnection) -> float:
        """Return when *connection*, which is open, was opened, in seconds since the epoch."""
        return self._open[connection]

    @property
    def arriving(self) -> int:
        """How many connections were accepted whose client is not known yet."""
        return len(self._arrivals)

    @property
    def accepted(self) -> int:
        """How many connections there were, the open ones included, without refused clients."""
        return self._next - self._first - self._answered_refusals

    @property
    def refusals(self) -> Mapping[str, int]:
        """How many clients were refused, for each kind of refusal."""
        return MappingProxyType(self._refusals)

    @property
    def clock(self) -> IReactorTime:
        """The clock that times waits and timeouts."""
        if self._clock is None:
            # Late: to import the reactor is to install it.
            from twisted.internet import reactor

            self._clock = cast(IReactorTime, reactor)
        return self._clock

    def limit(self, limits: Limits) -> None:
        """Apply *limits* to the number of connections and to their time from now on."""
        self._limits = limits
        self._admission.recount(connection.peer for connection in self._open)
        timeouts = limits.idle_timeout, limits.request_timeout
        for sweeper, timeout in zip(self._sweepers, timeouts, strict=True):
            sweeper.set(timeout)
            if self._open:
                sweeper.start()

    # Admission

    def why_refuse(self, peer: IAddress) -> Refusal | None:
        """Return why a client with the address *peer* may not connect now; None: it may."""
        if self._is_finishing:
            return STOPPING
        connected = len(self._open) + len(self._arrivals)
        return self._admission.why_refuse(peer, self._limits, connected)

    def refuse(
        self,
        peer: IAddress,
        refusal: Refusal,
        build: Callable[[IAddress], Any] | None = None,
    ) -> Any:
        """
        Count and report that *peer* is refused; return the protocol that does so.

        :param build: returns a connection of `refused` that answers *peer*; None: nothing is sent.
        """
        self._refusals[refusal.kind] += 1
        if self._log_limit.suffix("refused") is not None:
            self.events.before_log_line()
            self._log.warn(
                "{peer}: refused, {reason} ({refused} refused in all)",
                peer=self.label(peer),
                reason=refusal.reason,
                refused=self._refusals.total(),
            )
        self.events.refused(peer, refusal.reason)
        if build is None or self.refused.is_full or refusal is STOPPING:
            return Reset()
        self._answered_refusals += 1
        return build(peer)

    def malformed(self, kind: str, peer: IAddress, reason: str) -> None:
        """
        Count that *peer* sent something malformed, and log it: of each kind one line a second.

        :param kind: one of `reqresp.server.counters.MALFORMED`.
        :param reason: what is wrong, for a person.
        """
        if self.counters is not None:
            self.counters.malformed[kind] += 1
        suffix = self._log_limit.suffix(kind)
        if suffix is not None:
            self.events.before_log_line()
            self._log.warn(
                "{peer}: {reason}; closing{suffix}",
                peer=self.label(peer),
                reason=printable(reason),
                suffix=suffix,
            )

    def label(self, peer: IAddress) -> str:
        """Return *peer* as lines of the log name it: after the service, if it has a name."""
        shown = format_address(peer)
        return f"{self.name} {shown}" if self.name else shown

    def flush_log(self) -> None:
        """Log now how many events were not logged, since there was one a second of their kind."""
        self._log_limit.flush()

    def arrived(self, arrival: Arrival) -> None:
        """Count a connection whose client is not known yet."""
        self._arrivals.add(arrival)

    @contextmanager
    def settling(self, arrival: Arrival) -> Iterator[None]:
        """Stop counting *arrival*, which becomes a connection or ends within this block."""
        self._arrivals.discard(arrival)
        try:
            yield
        finally:
            self.settle()  # no sooner: a drain is not over within the block

    # What a connection needs

    def opened(self, connection: HostedConnection) -> int:
        """Count a new *connection*, and return its number."""
        number = self._next
        self._next += 1
        if not self._open:
            for sweeper in self._sweepers:
                sweeper.start()
        self._open[connection] = self._wall()
        if self._limits.max_per_peer:
            self._admission.enter(connection.peer)
        return number

    def take_number(self) -> int:
        """Return the number of the next connection."""
        self._next += 1
        return self._next - 1

    def lost(self, connection: HostedConnection, reason: Failure) -> None:
        """Stop counting *connection*, and notify the observers."""
        self._open.pop(connection, None)
        if connection in self._own_sweepers:
            self.set_idle_timeout(connection, None)
        if self._limits.max_per_peer:
            self._admission.leave(connection.peer)
        self.events.disconnected(connection.peer, connection.number, reason)
        self.settle()

    # Timeouts

    def set_idle_timeout(self, connection: HostedConnection, seconds: float | None) -> None:
        """Close *connection* once it is idle for *seconds*; None: as long as the limit says."""
        sweeper = self._own_sweepers.pop(connection, None)
        if sweeper is not None:
            sweeper.stop()
        if seconds is not None:
            sweeper = self._own_sweepers[connection] = Sweeper(lambda: self.clock, connection.sweep)
            sweeper.set(seconds)
            sweeper.start()

    def _sweep_idle(self) -> None:
        for connection in self:
            if connection not in self._own_sweepers:
                connection.sweep()

    def _sweep_requests(self) -> None:
        for connection in self:
            connection.sweep_request()

    # The end

    def reset(self) -> None:
        """Reset all connections now."""
        for each in [*self._arrivals, *self._open, *self.refused]:
            each.reset()

    def drain(self, seconds: float) -> Deferred[None]:
        """Answer what was received, then close, as `ReqRespFactory.drain` says."""
        drained: Deferred[None] = Deferred()
        self._draining.append(drained)
        if not self._open and not self._arrivals and not self.refused:
            self.settle()
            return drained
        # A turn later: what has arrived by now is read first.
        self._deadlines.append(self.clock.callLater(0, self._finish))
        self._deadlines.append(self.clock.callLater(seconds, self.reset))
        return drained

    def _finish(self) -> None:
        self._is_finishing = True
        for each in [*self._arrivals, *self._open, *self.refused]:
            each.finish()

    def settle(self) -> None:
        """End a drain if nothing is left that it waits for."""
        if self._open:
            return
        for sweeper in self._sweepers:
            sweeper.stop()
        if self._arrivals or self.refused:
            return
        if self._draining:
            self.flush_log()
        for deadline in self._deadlines:
            if deadline.active():
                deadline.cancel()
        self._deadlines.clear()
        self._is_finishing = False
        draining, self._draining = self._draining, []
        for drained in draining:
            drained.callback(None)
