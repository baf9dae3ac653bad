"""
RelayFactory: what Twisted's endpoints need to forward clients to a real service.

Says where clients are forwarded to; everything else that connections have in common is their
front's job (`Connections`).  It listens on nothing: that is the job of an endpoint.
"""

from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

from twisted.internet.interfaces import IAddress, IReactorTime

from reqresp.faults import DirectedFault, Direction, Fault
from reqresp.relay.relay import Relay, Side
from reqresp.relay.upstream import Unreachable, Upstream
from reqresp.server.connections import Connections
from reqresp.server.counters import Counters
from reqresp.server.front_factory import FrontFactory
from reqresp.server.limits import Limits
from reqresp.server.live_faults import LiveFaults
from reqresp.server.observers import Observer
from reqresp.server.stream_faults import StreamFault, StreamFaults, make_directed
from reqresp.transport.access import Access


class RelayFactory(FrontFactory):
    """
    Connects each client to a service, and passes all bytes, on any number of listening ports.

    :param upstream: the service.
    :param unreachable: how a client's connection ends if the service cannot be reached.
    :param faults: what goes wrong with what passes, in this order.
    :param seed: determines everything that is random in faults, as for ``ReqRespFactory``.
    :param limits: what clients may use of the server; the size of requests is not limited.
    :param observers: notified of what happens, in this order.
    :param clock: times waits and timeouts; the global reactor unless given.
    :param access: which clients may connect; all of them unless given.
    :param first: the number of the first connection; the next ones count on.
    :param counters: counts what connections do; nothing is counted unless given.
    :param now: returns seconds of a monotonic clock, which measures how long connections work.
    :raises ValueError: two faults have the same name.
    """

    def __init__(
        self,
        upstream: Upstream,
        *,
        unreachable: Unreachable = Unreachable.RESET,
        faults: Iterable[DirectedFault] = (),
        seed: int | None = None,
        limits: Limits | None = None,
        observers: Iterable[Observer] = (),
        clock: IReactorTime | None = None,
        first: int = 1,
        access: Access | None = None,
        counters: Counters | None = None,
        now: Callable[[], float] = perf_counter,
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
        self._faults: StreamFaults = LiveFaults(self._use_faults, StreamFault)
        self.reconfigure(upstream, unreachable=unreachable, faults=faults, seed=seed, limits=limits)

    def reconfigure(
        self,
        upstream: Upstream,
        *,
        unreachable: Unreachable = Unreachable.RESET,
        faults: Iterable[DirectedFault] = (),
        seed: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        """
        Forward new clients to *upstream*; open connections keep theirs.

        *faults* replace those that the factory was made or configured with before, also on open
        connections.  Those that are the same continue, as do those that `fault` has added.

        :raises ValueError: two faults have the same name; nothing has changed.
        """
        if seed is not None:
            self._faults.seed = seed
        self._faults.configure([*faults])
        self.upstream = upstream
        self.unreachable = unreachable
        self._front.limit(limits or Limits())

    @property
    def faults(self) -> tuple[StreamFault, ...]:
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
        stream: str | Direction,
        name: str | None = None,
        after: float = 0.0,
        after_bytes: int = 0,
        for_: float | None = None,
        shared: bool = False,
        **parameters: Any,
    ) -> StreamFault:
        """
        Let something go wrong from now on, on open connections, too, after what goes wrong already.

        The result changes and removes it; as a context manager, it removes it at the end.

        :param kind: as in a script, with its *parameters*; or a `Fault`.
        :param name: its name in logs; the kind, with a number if there is one, unless given.
        :raises ValueError: *kind* is unknown, a value is out of range, or the name is taken.
        :raises TypeError: a parameter is unknown or missing.

        The other parameters are those of `DirectedFault`.
        """
        window = {"name": name, "after": after, "after_bytes": after_bytes, "for_": for_}
        arguments = {**window, "shared": shared, **parameters}
        return self._faults.add(make_directed(kind, stream, self._faults.names(), arguments))

    def reset_faults(self) -> None:
        """Have the faults that were configured, as they were then, and no others."""
        self._faults.reset()

    def build_connection(self, peer: IAddress) -> Side:
        return Relay(self._front, self.upstream, self.unreachable, peer, self._faults).client

    def _use_faults(self) -> None:
        for connection in self._front:
            if isinstance(connection, Relay):
                connection.use_faults()
