"""
Metrics: a server's counters as Prometheus reads them.

Reads a factory and its meter when it is asked, and changes neither; knows no web.  No label holds
what clients send or users name: each has one of a few values, all of which are there from the
start.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate

import twisted
from reqresp import __version__
from reqresp.faults.faults import KINDS as FAULTS
from reqresp.server.admission import KINDS as REFUSALS
from reqresp.server.counters import BOUNDS, Counters
from reqresp.server.factory import ReqRespFactory

try:
    from prometheus_client import (
        CollectorRegistry,
        PlatformCollector,
        ProcessCollector,
        exposition,
    )
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        InfoMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector
    from prometheus_client.utils import floatToGoString
except ImportError as error:
    raise ImportError(f"{error} (pip install 'reqresp[metrics]')") from error

#: The label's value for kinds that are none of ours: a fault that a user wrote, for one.
OTHER = "other"


class ServerCollector(Collector):
    """
    Gives the metrics of a server.

    :param factory: whose connections are counted.
    :param counters: the factory's.
    :param is_ready: tells whether new clients are welcome.
    """

    def __init__(
        self, factory: ReqRespFactory, counters: Counters, is_ready: Callable[[], bool]
    ) -> None:
        self._factory = factory
        self._counters = counters
        self._is_ready = is_ready

    def collect(self) -> Iterator[Metric]:
        """Give all as it is now."""
        factory, counters = self._factory, self._counters
        yield InfoMetricFamily(
            "reqresp_build",
            "What runs.",
            value={
                "version": __version__,
                "twisted": twisted.__version__,
                "python": platform.python_version(),
            },
        )
        yield GaugeMetricFamily(
            "reqresp_ready", "1: new clients are welcome; 0: not.", value=int(self._is_ready())
        )
        yield GaugeMetricFamily(
            "reqresp_connections_open",
            "Connections that are open.",
            value=len(factory.connections) + len(factory.arrivals),
        )
        yield CounterMetricFamily(
            "reqresp_connections_accepted",
            "Connections that there were, those open included.",
            value=factory.accepted,
        )
        yield _by(
            "reqresp_connections_refused",
            "Clients turned away, by the limit that they met.",
            "limit",
            _counts(REFUSALS, factory.admission.refused),
        )
        for name, documentation, value in (
            ("requests", "Requests taken up.", counters.requests),
            ("replies", "Replies whose last step was performed.", counters.replies),
            ("received_bytes", "Bytes read from clients.", counters.received),
            ("sent_bytes", "Bytes handed to the transports of clients.", counters.sent),
            ("misses", "Requests that no rule of the script answered.", counters.misses),
            ("frame_errors", "Connections closed over what is no request.", counters.frame_errors),
            (
                "responder_errors",
                "Connections reset over what a responder raised.",
                counters.responder_errors,
            ),
        ):
            yield CounterMetricFamily(f"reqresp_{name}", documentation, value=value)
        yield _by(
            "reqresp_faults",
            "Faults that struck, by their kind.",
            "kind",
            _counts(FAULTS, counters.faults),
        )
        yield HistogramMetricFamily(
            "reqresp_reply_seconds",
            "Time from a request being taken up until the last step of its reply.",
            buckets=_buckets(counters),
            sum_value=counters.seconds,
        )


def registry(
    factory: ReqRespFactory, counters: Counters, is_ready: Callable[[], bool]
) -> CollectorRegistry:
    """Make a registry of a server's metrics, and those of its process and of Python."""
    made = CollectorRegistry()
    made.register(ServerCollector(factory, counters, is_ready))
    ProcessCollector(registry=made)
    PlatformCollector(registry=made)
    return made


def expose(made: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """
    Write metrics in the best format that the header *accept* of a request allows.

    :returns: the text, and its content type.
    """
    try:
        encode, content_type = exposition.choose_encoder(accept)
        return encode(made), content_type
    except (TypeError, ValueError):  # what it makes of a version that is none
        encode, content_type = exposition.choose_encoder("")
        return encode(made), content_type


def _by(name: str, documentation: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=[label])
    for kind, count in counts.items():
        family.add_metric([kind], count)
    return family


def _counts(kinds: Iterable[str], counted: Mapping[str, int]) -> dict[str, int]:
    """Give the count of each of *kinds*, and of all others together."""
    counts = {kind: counted.get(kind, 0) for kind in kinds}
    return counts | {OTHER: sum(counted.values()) - sum(counts.values())}


def _buckets(counters: Counters) -> list[tuple[str, float]]:
    bounds = (*map(floatToGoString, BOUNDS), "+Inf")
    return list(zip(bounds, accumulate(counters.times), strict=True))
