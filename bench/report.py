"""
Report: the results as reStructuredText, which is also readable on a terminal.

Knows results, parts, servers and targets.  It must not measure anything or write files.
"""

from collections.abc import Sequence

from bench.parts import PARTS, TURNS, LoadPart
from bench.peers import PEERS
from bench.targets import TARGETS
from bench.values import Results

Row = Sequence[str]

_NONE = "-"


def report(results: Results, runs: int) -> str:
    """Return all tables that are not empty."""
    sections = (
        ("Under load", load_table(results), _load_notes(results, runs)),
        ("At rest", rest_table(results), ""),
        ("Targets", target_table(results), _TARGET_NOTE),
        ("Not measured", missing_table(results), ""),
    )
    return "\n".join(
        f"{title}\n{'-' * len(title)}\n\n{table}{note}" for title, table, note in sections if table
    )


def load_table(results: Results) -> str:
    """Return the main table: CPU per request, its ratio to the floor, throughput, latency."""
    header = (
        "load", "server", "user us", "sys us", "CPU us", "x floor", "requests/s", "p50 ms", "p99 ms"
    )  # fmt: skip
    rows = [
        _load_row(results, part, peer)
        for part in PARTS.values()
        if isinstance(part, LoadPart)
        for peer in results.peers(part.name)
    ]
    return simple_table(header, rows)


def _load_row(results: Results, part: LoadPart, peer: str) -> Row:
    def figure(name: str, factor: float = 1.0) -> str:
        value = results.median(part.name, peer, name)
        return _NONE if value is None else number(value * factor)

    ratio = results.ratio(part.name, peer, part.floor, "total")
    rate = results.median(part.name, peer, "rate")
    return (
        part.name,
        PEERS[peer].label,
        *(figure(name, 1e6) for name in ("user", "system", "total")),
        _NONE if ratio is None else f"{ratio:.2f}",
        _NONE if rate is None else f"{rate:,.0f}",
        figure("p50"),
        figure("p99"),
    )


def _load_notes(results: Results, runs: int) -> str:
    shown = [
        part for part in PARTS.values() if isinstance(part, LoadPart) and results.peers(part.name)
    ]
    slow = [peer.name for peer in PEERS.values() if peer.slow]
    lines = [
        "CPU is microseconds per request.  Figures are medians: of each server, "
        f"{runs} starts with {TURNS} turns each",
        f"(one turn of {' and '.join(slow)}).  The loads, and the server that is the floor (1.00):",
        "",
    ]
    lines += [f"- ``{part.name}``: {part.title}; {PEERS[part.floor].label}." for part in shown]
    return "\n" + "\n".join(lines) + "\n"


def rest_table(results: Results) -> str:
    """Return the table of idle connections, start-up and commands."""
    figures = (
        ("resident", "{:,.0f} bytes", 1.0),
        ("seconds", "{:,.0f} ms", 1000.0),
        ("cpu", "{:,.0f} ms of CPU", 1000.0),
    )
    rows = [
        (part.title, PEERS[peer].label, form.format(value * factor))
        for part in PARTS.values()
        for figure, form, factor in figures
        for peer in results.peers(part.name)
        if (value := results.median(part.name, peer, figure)) is not None
    ]
    return simple_table(("what", "server", "each"), rows)


_TARGET_NOTE = """
A ratio is the median of the ratios of each turn.
"""


def target_table(results: Results) -> str:
    """Return the table of targets, without those of parts that did not run."""
    rows = [
        (
            target.what,
            f"<= {target.bar:.2f} {target.unit}",
            f"{measured:.2f} {target.unit}",
            target.verdict(results),
        )
        for target in TARGETS
        if (measured := target.measure(results)) is not None
    ]
    return simple_table(("what", "bar", "measured", "verdict"), rows)


def missing_table(results: Results) -> str:
    """Return the table of servers that could not run, with the reasons."""
    rows = [(part, PEERS[peer].label, why) for (part, peer), why in results.missing.items()]
    return simple_table(("load", "server", "why"), rows)


def number(value: float) -> str:
    """Return *value* with three significant digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.{0 if value == 0 else 1 if value >= 10 else 2 if value >= 1 else 3}f}"


def simple_table(header: Row, rows: Sequence[Row]) -> str:
    """Return a simple table in reStructuredText; an empty text if there are no rows."""
    if not rows:
        return ""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule, ""])
