"""
RelayFactory: what Twisted's endpoints need to forward clients to a real service.

Says where clients are forwarded to; everything else that connections have in common is their
front's job (`Connections`).  It listens on nothing: that is the job of an endpoint.
"""

from collections.abc import Callable, Iterable
from time import perf_counter

from twisted.internet.interfaces import IAddress, IReactorTime

from reqresp.relay.relay import Relay, Side
from reqresp.relay.upstream import Unreachable, Upstream
from reqresp.server.connections import Connections
from reqresp.server.counters import Counters
from reqresp.server.front_factory import FrontFactory
from reqresp.server.limits import Limits
from reqresp.server.observers import Observer
from reqresp.transport.access import Access


class RelayFactory(FrontFactory):
    """
    Connects each client to a service, and passes all bytes, on any number of listening ports.

    :param upstream: the service.
    :param unreachable: how a client's connection ends if the service cannot be reached.
    :param limits: what clients may use of the server; the size of requests is not limited.
    :param observers: notified of what happens, in this order.
    :param clock: times waits and timeouts; the global reactor unless given.
    :param access: which clients may connect; all of them unless given.
    :param first: the number of the first connection; the next ones count on.
    :param counters: counts what connections do; nothing is counted unless given.
    :param now: returns seconds of a monotonic clock, which measures how long connections work.
    """

    def __init__(
        self,
        upstream: Upstream,
        *,
        unreachable: Unreachable = Unreachable.RESET,
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
        self.upstream = upstream
        self.unreachable = unreachable
        self._front.limit(limits or Limits())

    def build_connection(self, peer: IAddress) -> Side:
        return Relay(self._front, self.upstream, self.unreachable, peer).client
