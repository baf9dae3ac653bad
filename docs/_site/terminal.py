"""
Terminal: a picture of text as a terminal shows it.

``python -m docs._site.terminal`` draws the message of a failing test, from the guide, where a test
checks it.
"""

import re
from html import escape
from textwrap import dedent

from docs._site.pages import DOCS

#: Pixels of a character, and around the text.
_WIDTH, _HEIGHT, _MARGIN = 8.45, 20, 16
PICTURE = DOCS / "failing-test.svg"


def failing_test() -> str:
    """Return the picture of the first message in the guide, as SVG."""
    guide = (DOCS / "testing.rst").read_text(encoding="utf-8")
    found = re.search(r"\.\. code-block:: text\n\n((?: +.*\n)+)", guide)
    if found is None:
        raise LookupError("docs/testing.rst shows no message")
    return draw(dedent(found[1]).rstrip())


def draw(text: str) -> str:
    """Return a picture of *text*; its first line is that of an error."""
    lines = text.splitlines()
    width = round(max(map(len, lines)) * _WIDTH + 2 * _MARGIN)
    height = len(lines) * _HEIGHT + 2 * _MARGIN
    shown = [
        f'<text x="{_MARGIN}" y="{_MARGIN + 15 + at * _HEIGHT}" fill="{_color(at, line)}" '
        f'xml:space="preserve">{escape(line)}</text>'
        for at, line in enumerate(lines)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" font-family="monospace" font-size="14">',
            f'<rect width="{width}" height="{height}" rx="8" fill="#1e1e1e"/>',
            *shown,
            "</svg>",
            "",
        ]
    )


def _color(at: int, line: str) -> str:
    if at == 0 or line.startswith("unmet"):
        return "#f48771"
    return "#d4d4d4"


if __name__ == "__main__":
    PICTURE.write_text(failing_test(), encoding="utf-8")
