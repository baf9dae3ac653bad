"""
Plot: the CPU time of a request as horizontal bars, in SVG.

Knows results and shapes.  It uses no plotting library: their output is ten times as long, and
differs between versions.
"""

from collections.abc import Iterator, Sequence
from statistics import median
from xml.sax.saxutils import escape

from attrs import frozen

from bench.parts import PARTS, LoadPart
from bench.peers import PEERS
from bench.report import number
from bench.values import Results

_WIDTH, _LEFT, _RIGHT, _MARGIN = 760, 270, 150, 24
_ROW, _BAR, _HEADING = 26, 16, 52
_FIELD = _WIDTH - _LEFT - _RIGHT
# A bar longer than so many medians is cut, to keep the others visible.
_CUT = 3.0
_OURS = ("#1d4ed8", "#93b4f5")
_OTHERS = ("#6b7280", "#c9cdd4")
_TEXT, _FAINT = "#1f2937", "#6b7280"

_PANELS = ("closed-50", "pipeline-16", "pipeline-100", "accept")
_NOTES = (
    "x C: CPU relative to a loop of epoll_wait, recv and send in C, under the same load.",
    "It is the median of the ratios of each turn: the turns of one round have the same other load.",
    "Bars are sorted by the median time.  A median of ratios can have another order.",
)
_LINE = 18
_OUR_PEERS = frozenset({"reqresp", "table-1000", "journal"})


@frozen
class Bar:
    """One server: CPU seconds per request, the share of user time, the ratio to the floor."""

    label: str
    total: float
    user_share: float
    ratio: float
    ours: bool


@frozen
class Panel:
    """One load and its bars, shortest first."""

    title: str
    bars: Sequence[Bar]

    @property
    def height(self) -> int:
        return _HEADING + _ROW * len(self.bars)


def draw(results: Results) -> str:
    """Return an SVG of all loads that have results."""
    parts = (PARTS[name] for name in _PANELS)
    panels = [_panel(results, part) for part in parts if isinstance(part, LoadPart)]
    panels = [panel for panel in panels if panel.bars]
    notes = _LINE * len(_NOTES)
    height = 2 * _MARGIN + 44 + sum(panel.height for panel in panels) + notes
    return "\n".join(_svg(panels, height)) + "\n"


def _panel(results: Results, part: LoadPart) -> Panel:
    return Panel(part.title, [_bar(results, part, peer) for peer in results.peers(part.name)])


def _bar(results: Results, part: LoadPart, peer: str) -> Bar:
    user, system, total = (
        results.median(part.name, peer, figure) or 0.0 for figure in ("user", "system", "total")
    )
    return Bar(
        PEERS[peer].label,
        total,
        # The medians of user and system do not add up to the total: only their ratio is used.
        user / (user + system) if user + system else 0.0,
        results.ratio(part.name, peer, part.floor, "total") or 0.0,
        peer in _OUR_PEERS,
    )


def _svg(panels: Sequence[Panel], height: int) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="Server CPU for each request" '
        'font-family="system-ui, \'DejaVu Sans\', sans-serif" font-size="13">'
    )
    # A white background, since the page may be dark.
    yield (
        f'<rect x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="8" '
        'fill="#ffffff" stroke="#e5e7eb"/>'
    )
    top = _MARGIN + 16
    yield _text(_MARGIN, top, "Server CPU for each request", size=18, weight="600")
    yield _text(_MARGIN, top + 22, "microseconds; shorter is better", fill=_FAINT)
    yield from _legend(top + 22)
    top += 28
    for panel in panels:
        yield from _draw_panel(panel, top)
        top += panel.height
    for row, note in enumerate(_NOTES, 1):
        yield _text(_MARGIN, top + _LINE * row, note, size=12, fill=_FAINT)
    yield "</svg>"


def _legend(base: int) -> Iterator[str]:
    left = _WIDTH - _MARGIN - 210
    for shades, name in zip(zip(_OURS, _OTHERS, strict=True), ("user", "system"), strict=True):
        for offset, shade in enumerate(shades):
            yield _rect(left + 14 * offset, base - 11, 12, shade, height=12)
        yield _text(left + 34, base, name, fill=_FAINT)
        left += 110


def _draw_panel(panel: Panel, top: int) -> Iterator[str]:
    yield _text(_MARGIN, top + 32, panel.title, weight="600")
    longest = max(bar.total for bar in panel.bars)
    full = min(longest, _CUT * median(bar.total for bar in panel.bars)) or 1.0
    for index, bar in enumerate(panel.bars):
        yield from _draw_bar(bar, top + _HEADING - 8 + index * _ROW, full)


def _draw_bar(bar: Bar, top: int, full: float) -> Iterator[str]:
    dark, light = _OURS if bar.ours else _OTHERS
    weight = "600" if bar.ours else "400"
    base = top + _BAR - 4
    whole = min(bar.total / full, 1.0) * _FIELD
    user = whole * bar.user_share
    yield _text(_LEFT - 10, base, bar.label, anchor="end", weight=weight)
    yield _rect(_LEFT, top, user, dark)
    yield _rect(_LEFT + user, top, whole - user, light)
    if bar.total > full:
        at = _LEFT + _FIELD - 22
        yield f'<path d="M{at} {top + _BAR + 2} l6 {-_BAR - 4} h6 l-6 {_BAR + 4} z" fill="#fff"/>'
    ratio = f"   {bar.ratio:.2f} x C" if bar.ratio else ""
    yield _text(_LEFT + whole + 8, base, f"{number(bar.total * 1e6)} us{ratio}", weight=weight)


def _rect(left: float, top: float, width: float, fill: str, height: float = _BAR) -> str:
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill="{fill}"/>'
    )


def _text(
    left: float,
    base: float,
    text: str,
    *,
    size: int = 13,
    weight: str = "400",
    fill: str = _TEXT,
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{left:.1f}" y="{base:.1f}" font-size="{size}" font-weight="{weight}" '
        f'fill="{fill}" text-anchor="{anchor}" xml:space="preserve">{escape(text)}</text>'
    )
