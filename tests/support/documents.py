"""Documents: the root of the project, and the code blocks of its docs."""

import re
from itertools import dropwhile, takewhile
from pathlib import Path
from textwrap import dedent

from attrs import frozen

ROOT = Path(__file__).parent.parent.parent


def indented(lines: list[str], *, deeper_than: int) -> str:
    """Return the code at the start of *lines*, after the options of its directive."""

    def inside(line: str) -> bool:
        return not line or line[: deeper_than + 1].isspace()

    def option(line: str) -> bool:
        return line.lstrip().startswith(":")

    return dedent("\n".join(dropwhile(option, takewhile(inside, lines)))).strip("\n")


@frozen
class Block:
    """The code of a ``code-block`` for *language*; *line* is the number of its directive."""

    line: int
    language: str
    code: str


def blocks(text: str) -> list[Block]:
    """Return all code blocks of *text*."""
    lines = text.splitlines()
    return [
        Block(number, directive[2], indented(lines[number:], deeper_than=len(directive[1])))
        for number, line in enumerate(lines, 1)
        if (directive := re.match(r"( *)\.\. code-block:: (\w+) *$", line))
    ]
