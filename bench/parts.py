"""
Parts: the parts of the benchmark, which ``--only`` selects by name.

Knows which servers get which load.  It must not know how either is run.
"""

from collections.abc import Mapping

from attrs import frozen

from bench.load import Bulk, Keys, Load, Paced, RedisBenchmark, Wrk
from bench.scripts import INDEXED, TEMPLATES

PONG = "+PONG\r\n"
#: How often each server that was started for a load is measured.
TURNS = 3
HTTP = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nresponse"


@frozen
class LoadPart:
    """
    Servers under load: CPU per request, throughput, latency; *floor* is the ratio's base.

    :param service: the server that those under load are relays to; None: they answer themselves.
    """

    name: str
    title: str
    loads: Mapping[str, Load]
    reply: str = PONG
    floor: str = "c"
    service: str | None = None


@frozen
class IdlePart:
    """
    Servers with idle connections: resident bytes for each.

    :param service: as for `LoadPart`.
    """

    name: str
    title: str
    peers: tuple[str, ...]
    connections: int = 8_000
    reply: str = PONG
    service: str | None = None


@frozen
class CommandPart:
    """Commands that end by themselves: seconds and CPU seconds from start to end."""

    name: str
    title: str
    peers: tuple[str, ...]
    starts: int = 5
    reply: str = PONG


@frozen
class StartPart:
    """The start of servers: seconds until they listen."""

    name: str
    title: str
    peers: tuple[str, ...]
    starts: int = 3
    reply: str = PONG


Part = LoadPart | IdlePart | StartPart | CommandPart


def _all(load: Load, *peers: str) -> dict[str, Load]:
    return dict.fromkeys(peers, load)


def _scripts(requests: int, depth: int) -> dict[str, Load]:
    """Return loads that send every request of a server equally often."""
    replies = {"table-10": 10, "function": 10, "script-1": 1}
    replies |= dict.fromkeys(TEMPLATES, 10)
    replies |= {f"{kind}-{rules}": rules for kind in INDEXED for rules in (10, 10_000)}
    return {peer: Keys(requests, keys, depth) for peer, keys in replies.items()}


_RELAYS = ("relay", "portforward", "asyncio-relay", "socat", "haproxy")
_PYTHON = ("asyncio", "uvloop", "gevent", "twisted", "twisted-eager", "threads", "socketserver")
_FEW = ("reqresp", "c", "asyncio", "uvloop", "redis", "twisted", "threads")
_LINES = ("table-1000", "journal", "c-lines", "redis", "twisted-lines", "threads-1000")

_ALL = (
    LoadPart(
        "closed-50",
        "one request at a time, 50 connections",
        _all(
            RedisBenchmark(100_000),
            *("reqresp", "c", *_PYTHON, "node", "go", "redis", "ncat", "mountebank"),
        ),
    ),
    LoadPart(
        "closed-1",
        "one request at a time, 1 connection",
        _all(RedisBenchmark(30_000, connections=1), *_FEW),
    ),
    LoadPart(
        "closed-200",
        "one request at a time, 200 connections",
        _all(RedisBenchmark(100_000, connections=200), *_FEW),
    ),
    LoadPart(
        "pipeline-16",
        "lines, 16 deep, 50 connections",
        _all(RedisBenchmark(1_600_000, depth=16), *_LINES),
        floor="c-lines",
    ),
    LoadPart(
        "pipeline-100",
        "lines, 100 deep, 50 connections",
        _all(RedisBenchmark(4_000_000, depth=100), *_LINES),
        floor="c-lines",
    ),
    LoadPart(
        "http",
        "a canned HTTP reply (wrk), 50 connections",
        _all(Wrk(2), "reqresp", "c", "asyncio", "uvloop", "twisted", "threads"),
        reply=HTTP,
    ),
    LoadPart(
        "accept",
        "a connection for each request, 50 at once",
        _all(
            RedisBenchmark(15_000, keep_alive=False),
            *("reqresp", "c", "redis", "asyncio", "twisted", "threads"),
        ),
    ),
    LoadPart(
        "request-log",
        "with the request log, against --quiet",
        _all(RedisBenchmark(100_000), "reqresp", "request-log"),
        floor="reqresp",
    ),
    LoadPart(
        "metrics",
        "one request at a time, 50 connections: with counters, against without",
        _all(RedisBenchmark(100_000), "table-1000", "metered"),
        floor="table-1000",
    ),
    LoadPart(
        "metrics-16",
        "lines, 16 deep, 50 connections: with counters, against without",
        _all(RedisBenchmark(1_600_000, depth=16), "table-1000", "metered"),
        floor="table-1000",
    ),
    LoadPart(
        "table",
        "lines, 16 deep, the same ten keys: 10,000 exact replies against 10",
        {"table-10": Keys(1_000_000, keys=10), "table-10000": Keys(1_000_000, keys=10)},
        floor="table-10",
    ),
    LoadPart(
        "replies",
        "lines, 16 deep, all keys equally often: 10,000 exact replies against 10",
        {"table-10": Keys(1_000_000, keys=10), "table-10000": Keys(1_000_000, keys=10_000)},
        floor="table-10",
    ),
    LoadPart(
        "scripts",
        "one request at a time, all keys equally often: a table, a function, and scripts",
        _scripts(30_000, depth=1),
        floor="table-10",
    ),
    LoadPart(
        "scripts-16",
        "lines, 16 deep, all keys equally often: a table, a function, and scripts",
        _scripts(480_000, depth=16),
        floor="table-10",
    ),
    LoadPart(
        "scripts-same",
        "lines, 16 deep, the same ten keys: a script of 10,000 patterns against one of 10",
        {peer: Keys(160_000, keys=10) for peer in ("matches-10", "matches-10000")},
        floor="matches-10",
    ),
    LoadPart(
        "pages",
        "2,000 requests a second, 20 connections, in the journal: with three pages open",
        {"steered": Paced(100, rate=2_000), "paged": Paced(100, rate=2_000, pages=3)},
        floor="steered",
    ),
    LoadPart(
        "relay-1",
        "through a relay to a server in C, one request at a time, 1 connection",
        _all(RedisBenchmark(20_000, connections=1), *_RELAYS),
        floor="haproxy",
        service="c",
    ),
    LoadPart(
        "relay-20",
        "through a relay to a server in C, one request at a time, 20 connections",
        _all(RedisBenchmark(40_000, connections=20), *_RELAYS),
        floor="haproxy",
        service="c",
    ),
    LoadPart(
        "relay-bulk",
        "through a relay, replies of 1 MB, 4 connections; 1,000 us for each are 1 s for 1 GB",
        _all(Bulk(1_000), *_RELAYS),
        floor="haproxy",
        service="bulk",
    ),
    LoadPart(
        "forward-16",
        "lines, 16 deep, 20 connections, forwarded as requests, against bytes that a relay passes",
        _all(RedisBenchmark(320_000, connections=20, depth=16), "relay", "spy"),
        floor="relay",
        service="c-lines",
    ),
    LoadPart(
        "relay-record",
        "through a relay, one request at a time, 20 connections: recorded, against not recorded",
        _all(RedisBenchmark(40_000, connections=20), "relay", "relay-recorded"),
        floor="relay",
        service="c",
    ),
    IdlePart(
        "idle",
        "8,000 idle connections",
        ("reqresp", "c", "redis", "asyncio", "twisted", "go", "node", "threads"),
    ),
    IdlePart(
        "relay-idle",
        "2,000 idle connections through a relay",
        ("relay", "portforward", "asyncio-relay", "haproxy"),
        connections=2_000,
        service="c",
    ),
    StartPart("startup", "start-up, until listening", ("plugin-reqresp", "plugin-bare")),
    CommandPart(
        "commands",
        "a command, from start to end",
        (
            *("python", "import-reactor", "help", "check", "twistd-help"),
            *("import-testing", "fixture", "first-reply", "first-reply-worker"),
        ),
    ),
)
PARTS: Mapping[str, Part] = {part.name: part for part in _ALL}
