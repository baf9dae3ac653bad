"""
Usage: the text of ``twistd reqresp --help``, grouped by purpose, and names for misspelt options.

It formats any options.  It must not know what they mean.
"""

import textwrap
from collections.abc import Mapping, Sequence
from getopt import GetoptError
from typing import Protocol

from reqresp._text import similar

#: Columns of an option's name and value; the explanation follows.
_NAME_COLUMNS = 30
#: Defaults of at most this length, brackets included, stay on one line.
_MAX_UNBROKEN = 24
#: Stands for a space at which a line is not broken.
_NO_BREAK = "\N{NO-BREAK SPACE}"


class Documented(Protocol):
    """What the help prints of an option."""

    @property
    def name(self) -> str:
        """Return the name, without dashes."""

    @property
    def letter(self) -> str | None:
        """Return the short name, if there is one."""

    @property
    def value(self) -> str | None:
        """Return a word for the value, such as ``FILE``; None: the option takes no value."""

    @property
    def help(self) -> str:
        """Return what the option does."""

    @property
    def default(self) -> str | None:
        """Return what is used if the option is not given; None: the help does not mention it."""


def usage_text(
    summary: str,
    groups: Mapping[str, Sequence[Documented]],
    notes: Sequence[str],
    width: int,
) -> str:
    """Return the help in lines of at most *width* columns, unless a word is longer."""
    parts = [textwrap.fill(summary, width)]
    for title, options in groups.items():
        lines = [line for option in options for line in _option_lines(option, width)]
        parts.append("\n".join([f"{title}:", *lines]))
    parts += [_fill(note, width, subsequent_indent="  ") for note in notes]
    return "\n\n".join(parts) + "\n"


def did_you_mean(error: object, names: Sequence[str]) -> str:
    """
    Return a text such as ``; did you mean --port?``, to append to the message of *error*.

    It is empty unless *error* reports an unknown option, and one of *names* is similar.
    """
    if not isinstance(error, GetoptError):
        return ""
    if any(name.startswith(error.opt) for name in names):  # it is known, or could be several
        return ""
    near = similar(error.opt, names)
    return "" if near is None else f"; did you mean --{near}?"


def _option_lines(option: Documented, width: int) -> list[str]:
    letter = f"-{option.letter}, " if option.letter else "    "
    value = f"={option.value}" if option.value else ""
    name = f"  {letter}--{option.name}{value}"
    default = f" [default: {option.default}]" if option.default else ""
    if len(default) <= _MAX_UNBROKEN:
        default = default[:1] + default[1:].replace(" ", _NO_BREAK)
    indent = " " * _NAME_COLUMNS
    # Names that leave no room for two spaces have a line of their own.
    first = f"{name:<{_NAME_COLUMNS}}" if len(name) <= _NAME_COLUMNS - 2 else indent
    text = _fill(
        option.help + default,
        max(width, _NAME_COLUMNS + 20),
        initial_indent=first,
        subsequent_indent=indent,
    )
    return text.splitlines() if first != indent else [name, *text.splitlines()]


def _fill(text: str, width: int, *, initial_indent: str = "", subsequent_indent: str = "") -> str:
    filled = textwrap.fill(
        text,
        width,
        initial_indent=initial_indent,
        subsequent_indent=subsequent_indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled.replace(_NO_BREAK, " ")
