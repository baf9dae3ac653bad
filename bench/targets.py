"""
Targets: the performance goals of reqresp, and whether a run meets them.

Knows results and thresholds.  It must not know how they are shown.
"""

from collections.abc import Callable
from functools import partial

from attrs import frozen

from bench.scripts import INDEXED
from bench.values import Results

KILOBYTE = 1000


@frozen
class Target:
    """
    One upper limit.

    :param asked: the first goal.
    :param bar: the result of a prototype with all features; it decides.
    """

    what: str
    asked: float
    bar: float
    unit: str
    measure: Callable[[Results], float | None]

    def verdict(self, results: Results) -> str:
        """Return ``met`` or ``missed``, for both limits if they differ."""
        measured = self.measure(results)
        if measured is None:
            return "not measured"
        asked, bar = measured <= self.asked, measured <= self.bar
        if asked == bar:
            return _word(bar)
        return f"{_word(bar)} (as first asked: {_word(asked)})"


def _word(met: bool) -> str:
    return "met" if met else "missed"


def _cpu(part: str, peer: str, other: str) -> Callable[[Results], float | None]:
    return lambda results: results.ratio(part, peer, other, "total")


def _idle(results: Results) -> float | None:
    resident = results.median("idle", "reqresp", "resident")
    return None if resident is None else resident / KILOBYTE


def _times(
    what: str, asked: float, measure: Callable[[Results], float | None], bar: float | None = None
) -> Target:
    return Target(what, asked, asked if bar is None else bar, "x", measure)


_closed = partial(_cpu, "closed-50", "reqresp")

TARGETS = (
    _times("closed loop, 50 connections: CPU relative to asyncio", 1.05, _closed("asyncio")),
    _times("closed loop, 50 connections: CPU relative to the C floor", 1.4, _closed("c"), bar=1.6),
    _times("closed loop, 50 connections: CPU relative to bare Twisted", 2 / 3, _closed("twisted")),
    _times(
        "lines 16 deep, 1,000 replies: CPU relative to redis-server",
        1.15,
        _cpu("pipeline-16", "table-1000", "redis"),
        bar=1.45,
    ),
    _times(
        "lines 100 deep, 1,000 replies: CPU relative to redis-server",
        1.0,
        _cpu("pipeline-100", "table-1000", "redis"),
        bar=0.8,
    ),
    _times(
        "16 deep, the last 10,000 kept: CPU relative to none kept",
        1.05,
        _cpu("pipeline-16", "journal", "table-1000"),
    ),
    _times(
        "100 deep, the last 10,000 kept: CPU relative to none kept",
        1.05,
        _cpu("pipeline-100", "journal", "table-1000"),
    ),
    _times(
        "closed loop, counters: CPU relative to no counters",
        1.05,
        _cpu("metrics", "metered", "table-1000"),
    ),
    _times(
        "16 deep, counters: CPU relative to no counters",
        1.05,
        _cpu("metrics-16", "metered", "table-1000"),
    ),
    _times(
        "request log: CPU relative to --quiet", 1.3, _cpu("request-log", "request-log", "reqresp")
    ),
    Target("an idle connection, resident", 2.2, 1.5, "kB", _idle),
    _times(
        "accept and one request: CPU relative to redis-server",
        1.3,
        _cpu("accept", "reqresp", "redis"),
        bar=1.1,
    ),
    _times(
        "10,000 exact replies, ten of them requested: CPU relative to 10 replies",
        1.05,
        _cpu("table", "table-10000", "table-10"),
    ),
    _times(
        "10,000 exact replies, all requested equally: CPU relative to 10 replies",
        1.05,
        _cpu("replies", "table-10000", "table-10"),
    ),
    *(
        _times(
            f"{how}, a script of 10,000 rules ({kind}): CPU relative to 10 rules",
            1.3,
            _cpu(part, f"{kind}-10000", f"{kind}-10"),
        )
        for part, how in (("scripts", "closed loop"), ("scripts-16", "16 deep"))
        for kind in INDEXED
    ),
)
