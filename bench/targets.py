"""
Targets: the performance goals of reqresp, and whether a run meets them.

Knows results and thresholds.  It must not know how they are shown.
"""

from collections.abc import Callable

from attrs import frozen

from bench.parts import PARTS, LoadPart
from bench.scripts import INDEXED
from bench.values import Results

KILOBYTE = 1000
# The server of the notebook that this project started from, in either form.
_THREADS = ("threads", "threads-1000")
_OURS = ("reqresp", "table-1000")


@frozen
class Target:
    """One upper limit, in *unit*; *measure* returns the figure, None if it was not measured."""

    what: str
    bar: float
    unit: str
    measure: Callable[[Results], float | None]

    def verdict(self, results: Results) -> str:
        """Return ``met``, ``missed`` or ``not measured``."""
        measured = self.measure(results)
        if measured is None:
            return "not measured"
        return "met" if measured <= self.bar else "missed"


def _cpu(what: str, bar: float, part: str, peer: str, other: str) -> Target:
    return Target(
        f"{what}: CPU relative to {_NAMES[other]}",
        bar,
        "x",
        lambda results: results.ratio(part, peer, other, "total"),
    )


_NAMES = {
    "asyncio": "asyncio",
    "asyncio-relay": "asyncio",
    "portforward": "portforward",
    "haproxy": "HAProxy",
    "relay": "the relay",
    "uvloop": "uvloop",
    "redis": "redis-server",
    "twisted": "bare Twisted",
    "threads": "threads",
    "threads-1000": "threads",
    "reqresp": "--quiet",
    "steered": "the journal alone",
    "table-10": "10 replies",
    "template": "one without",
    "table-1000": "no counters",
    **{f"{kind}-10": "10 rules" for kind in INDEXED},
}


def _idle(results: Results) -> float | None:
    resident = results.median("idle", "reqresp", "resident")
    return None if resident is None else resident / KILOBYTE


def _relay_idle(results: Results) -> float | None:
    resident = results.median("relay-idle", "relay", "resident")
    return None if resident is None else resident / KILOBYTE


def _cheaper_than_threads() -> list[Target]:
    """Return a target for each load that a server with threads gets, too."""
    return [
        _cpu(part.title, 1.0, part.name, ours, threads)
        for part in PARTS.values()
        if isinstance(part, LoadPart)
        for ours in _OURS
        for threads in _THREADS
        if ours in part.loads and threads in part.loads
    ]


TARGETS = (
    _cpu("closed loop, 50 connections", 1.1, "closed-50", "reqresp", "uvloop"),
    _cpu("closed loop, 1 connection", 1.0, "closed-1", "reqresp", "asyncio"),
    _cpu("closed loop, 50 connections", 1.0, "closed-50", "reqresp", "asyncio"),
    _cpu("closed loop, 200 connections", 1.0, "closed-200", "reqresp", "asyncio"),
    _cpu("closed loop, 50 connections", 2 / 3, "closed-50", "reqresp", "twisted"),
    _cpu("lines 16 deep, 1,000 replies", 1.0, "pipeline-16", "table-1000", "redis"),
    _cpu("lines 16 deep, the last 10,000 recorded", 1.2, "pipeline-16", "journal", "redis"),
    _cpu("lines 100 deep, 1,000 replies", 0.6, "pipeline-100", "table-1000", "redis"),
    _cpu("accept and one request", 1.65, "accept", "reqresp", "redis"),
    Target("an idle connection, resident", 1.5, "kB", _idle),
    _cpu("request log", 1.15, "request-log", "request-log", "reqresp"),
    *_cheaper_than_threads(),
    *(
        _cpu(f"relay, {how}", bar, part, "relay", other)
        for part, how in (("relay-1", "1 connection"), ("relay-20", "20 connections"))
        for other, bar in (("portforward", 0.8), ("asyncio-relay", 1.0))
    ),
    _cpu("relay, replies of 1 MB", 1.3, "relay-bulk", "relay", "haproxy"),
    _cpu("relay, 20 connections, recorded", 1.6, "relay-record", "relay-recorded", "relay"),
    _cpu("16 deep, requests that are forwarded", 3.0, "forward-16", "spy", "relay"),
    _cpu("2,000 entries a second, three pages open", 1.1, "pages", "paged", "steered"),
    Target("an idle connection through a relay, resident", 3.5, "kB", _relay_idle),
    _cpu("closed loop, counters", 1.05, "metrics", "metered", "table-1000"),
    _cpu("16 deep, counters", 1.05, "metrics-16", "metered", "table-1000"),
    _cpu("10,000 exact replies, ten of them requested", 1.05, "table", "table-10000", "table-10"),
    _cpu("10,000 exact replies, all requested equally", 1.05, "replies", "table-10000", "table-10"),
    *(
        _cpu(f"{how}, a script of 10,000 rules ({kind})", 1.3, part, f"{kind}-10000", f"{kind}-10")
        for part, how in (("scripts", "closed loop"), ("scripts-16", "16 deep"))
        for kind in INDEXED
    ),
    _cpu("16 deep, a template with filters", 2.0, "scripts-16", "filters", "template"),
)
