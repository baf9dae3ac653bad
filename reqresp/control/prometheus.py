"""
Prometheus: the counters of a server, or of several services, as metrics.

Reads a factory and its counters when metrics are collected.  It must not know HTTP.  No label
contains data of clients.  Each label has a few fixed values, except ``service``, and all series of
a service exist from its start.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from math import inf
from operator import attrgetter

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

import twisted
from reqresp import __version__
from reqresp.faults.faults import KINDS as FAULTS
from reqresp.server.admission import KINDS as REFUSALS
from reqresp.server.counters import BUCKET_BOUNDS, MALFORMED, UPSTREAM_FAILURES, Counters
from reqresp.server.front_factory import FrontFactory
from reqresp.services.registry import Services

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

#: The label value for all unknown kinds, such as a fault that a user wrote.
OTHER = "other"

#: How long a text is served before the metrics are collected again, in seconds.
MAX_AGE = 1.0

_OPEN_METRICS_TYPE = "application/openmetrics-text"
_MEDIA_TYPES = (_OPEN_METRICS_TYPE, "text/plain")
#: Of each format: the function that writes it, and its content type.
_OPEN_METRICS = exposition.choose_encoder(f"{_OPEN_METRICS_TYPE}; version=1.0.0")
_PLAIN = exposition.choose_encoder("")

#: The metrics that show one number of `Counters`: name, help text, and how to read the number.
_TOTALS: Sequence[tuple[str, str, Callable[[Counters], float]]] = (
    ("requests", "Requests passed to the responder.", attrgetter("requests")),
    ("replies", "Replies completed.", attrgetter("replies")),
    ("received_bytes", "Bytes received from clients.", attrgetter("received")),
    ("sent_bytes", "Bytes sent to clients.", attrgetter("sent")),
    ("misses", "Requests that no rule of the script matched.", attrgetter("misses")),
    (
        "frame_errors",
        "Connections closed because of a malformed request.",
        attrgetter("frame_errors"),
    ),
    (
        "responder_errors",
        "Connections reset because of an error in a responder.",
        attrgetter("responder_errors"),
    ),
)


@frozen
class _Measured:
    """A service whose metrics have these values of their first *labels*."""

    labels: tuple[str, ...]
    factory: FrontFactory
    counters: Counters


class ServerCollector(Collector):
    """
    Collects the metrics of a server.

    :param factory: the server's factory.
    :param counters: the counters of *factory*.
    :param is_ready: returns whether new clients are accepted.
    """

    def __init__(
        self, factory: FrontFactory, counters: Counters, is_ready: Callable[[], bool]
    ) -> None:
        self._measured = [_Measured((), factory, counters)]
        self._is_ready = is_ready

    def collect(self) -> Iterator[Metric]:
        """Return the current values of all metrics."""
        yield from _process_metrics(self._is_ready)
        yield from _service_metrics([], self._measured)


class ServicesCollector(Collector):
    """
    Collects the metrics of several services, each with the label ``service``.

    :param is_ready: returns whether new clients are accepted.
    """

    def __init__(self, services: Services, is_ready: Callable[[], bool]) -> None:
        self._services = services
        self._is_ready = is_ready

    def collect(self) -> Iterator[Metric]:
        """Return the current values of all metrics."""
        measured = [_Measured((it.name,), it.factory, it.counters) for it in self._services]
        yield from _process_metrics(self._is_ready)
        yield from _service_metrics(["service"], measured)


def _process_metrics(is_ready: Callable[[], bool]) -> Iterator[Metric]:
    yield InfoMetricFamily(
        "reqresp_build",
        "Versions of the running software.",
        value={
            "version": __version__,
            "twisted": twisted.__version__,
            "python": platform.python_version(),
        },
    )
    yield GaugeMetricFamily(
        "reqresp_ready", "1 if new clients are accepted, else 0.", value=int(is_ready())
    )


def _service_metrics(labels: Sequence[str], measured: Sequence[_Measured]) -> Iterator[Metric]:
    """Yield the metrics of services, whose *labels* have the values of each."""
    connections = GaugeMetricFamily("reqresp_connections_open", "Open connections.", labels=labels)
    accepted = CounterMetricFamily(
        "reqresp_connections_accepted",
        "Connections accepted, including open ones.",
        labels=labels,
    )
    for it in measured:
        connections.add_metric(it.labels, it.factory.open)
        accepted.add_metric(it.labels, it.factory.accepted)
    yield connections
    yield accepted
    yield _by(
        "reqresp_connections_refused",
        "Connections refused, by limit.",
        [*labels, "limit"],
        {it.labels: _counts(REFUSALS, it.factory.refusals) for it in measured},
    )
    for name, documentation, read in _TOTALS:
        total = CounterMetricFamily(f"reqresp_{name}", documentation, labels=labels)
        for it in measured:
            total.add_metric(it.labels, read(it.counters))
        yield total
    yield _by(
        "reqresp_malformed",
        "Connections closed because of something malformed, by kind.",
        [*labels, "kind"],
        {it.labels: _counts(MALFORMED, it.counters.malformed) for it in measured},
    )
    yield _by(
        "reqresp_faults",
        "Faults injected, by kind.",
        [*labels, "kind"],
        {it.labels: _counts(FAULTS, it.counters.faults) for it in measured},
    )
    yield _by(
        "reqresp_upstream_failures",
        "Clients for which the service of a relay could not be reached, by reason.",
        [*labels, "reason"],
        {it.labels: _counts(UPSTREAM_FAILURES, it.counters.upstream_failures) for it in measured},
    )
    times = HistogramMetricFamily(
        "reqresp_reply_seconds",
        "Time from a request to its complete reply, in seconds.",
        labels=labels,
    )
    for it in measured:
        times.add_metric(it.labels, _buckets(it.counters), it.counters.seconds)
    yield times


def make_registry(
    factory: FrontFactory, counters: Counters, is_ready: Callable[[], bool]
) -> CollectorRegistry:
    """Return a registry with the metrics of a server, of its process and of Python."""
    return _make_registry(ServerCollector(factory, counters, is_ready))


def make_services_registry(services: Services, is_ready: Callable[[], bool]) -> CollectorRegistry:
    """Return a registry with the metrics of several services, of their process and of Python."""
    return _make_registry(ServicesCollector(services, is_ready))


def _make_registry(collector: Collector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


class Exposition:
    """
    The metrics as text, collected at most once in `MAX_AGE` for each format.

    :param clock: measures that time.
    """

    def __init__(self, registry: CollectorRegistry, clock: IReactorTime) -> None:
        self._registry = registry
        self._clock = clock
        #: By content type: the text, and when it was made.
        self._made: dict[str, tuple[bytes, float]] = {}

    def render(self, accept: str) -> tuple[bytes, str]:
        """
        Return the text, and its content type.

        :param accept: the header ``Accept`` of the request, which selects the format.
        """
        # Only two formats: a client could ask for any number of versions, and none would be kept.
        encode, content_type = _OPEN_METRICS if _prefers_open_metrics(accept) else _PLAIN
        now = self._clock.seconds()
        text, made = self._made.get(content_type, (b"", -inf))
        if now - made >= MAX_AGE:
            text = encode(self._registry)
            self._made[content_type] = text, now
        return text, content_type


def _prefers_open_metrics(accept: str) -> bool:
    types = (it.partition(";")[0].strip() for it in accept.split(","))
    return next((it for it in types if it in _MEDIA_TYPES), None) == _OPEN_METRICS_TYPE


def _by(
    name: str,
    documentation: str,
    labels: Sequence[str],
    counts: Mapping[tuple[str, ...], Mapping[str, int]],
) -> Metric:
    """Return a metric whose last label is a kind; *counts* has those of each service."""
    family = CounterMetricFamily(name, documentation, labels=labels)
    for values, kinds in counts.items():
        for kind, count in kinds.items():
            family.add_metric([*values, kind], count)
    return family


def _counts(kinds: Iterable[str], counted: Mapping[str, int]) -> dict[str, int]:
    """Return the count of each of *kinds*, and the sum of all others as `OTHER`."""
    counts = {kind: counted.get(kind, 0) for kind in kinds}
    return counts | {OTHER: sum(counted.values()) - sum(counts.values())}


def _buckets(counters: Counters) -> list[tuple[str, float]]:
    bounds = (*map(floatToGoString, BUCKET_BOUNDS), "+Inf")
    return list(zip(bounds, accumulate(counters.times), strict=True))
