r"""
TOML positions: the line of each key of a TOML text, which ``tomllib`` does not report.

Recognizes keys, strings, comments and brackets.  Checks nothing: ``tomllib`` has accepted the text.
Must not know the keys of a script.

A key is named by its path, as in error messages: ``rule[0].do[2].send``.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping

from reqresp._text import basic_string

_BASIC = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_PART = rf"(?:[\w-]+|{_BASIC}|'[^']*')"
_KEY = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_FLAGS = re.ASCII | re.DOTALL

#: No repetition can match the same text in two ways, so a failing match takes linear time.
_TOKEN = re.compile(
    r"[ \t\r\n,]+|\#[^\n]*"
    rf"|(?P<key>{_KEY})[ \t]*="
    rf"|(?P<array>\[)?\[[ \t]*(?P<header>{_KEY})[ \t]*\](?(array)\])"
    r"|(?P<open>[\[{])"
    r"|(?P<close>[\]}])"
    r'|(?P<value>"{3}[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"{3,5}'
    rf"|'{{3}}.*?'{{3,5}}|{_BASIC}|'[^']*'|[^,\]}}\#\n]+)",
    _FLAGS,
)
_BARE = re.compile(r"[\w-]+", _FLAGS)
_PARTS = re.compile(_PART, _FLAGS)
_STEPS = re.compile(rf"\[\d+\]|[\w-]+|{_BASIC}", _FLAGS)


def join(path: str, key: str | int) -> str:
    """
    Return the path of *key* in the table or array at *path* (``""`` is the whole document).

    An integer is an index, from 0.  A key with characters other than ASCII letters, digits, ``_``
    and ``-`` is quoted as in TOML, where characters that are not printable are escaped.
    """
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not is_bare(key):
        key = basic_string(key)
    return f"{path}.{key}" if path else key


def is_bare(key: str) -> bool:
    """Return whether *key* needs no quotes."""
    return bool(_BARE.fullmatch(key))


def line_of(lines: Mapping[str, int], path: str) -> int | None:
    """Return the line of *path*, else of the innermost path around it that has one, else None."""
    ends = [step.end() for step in _STEPS.finditer(path)]
    return next((lines[path[:end]] for end in reversed(ends) if path[:end] in lines), None)


def locate(text: str) -> Mapping[str, int]:
    """
    Return the line, from 1, of each table, key and array element in *text*, by its path.

    The line of a table is that of its header.  A table without a header, and an array of tables,
    has the line where it is first named.  If ``tomllib.loads(text)`` refuses *text*, the result is
    meaningless.  Takes time and space in proportion to the text and to all paths together.
    """
    lines: dict[str, int] = {}
    sizes = Counter[str]()  # of arrays, by path
    around = [""]  # the table of the last header, then the open brackets
    due = ""  # the key whose value has not come yet
    position, line = 0, 1

    def named(path: str, key: str) -> str:
        for part in _PARTS.findall(key):
            if path in sizes:  # in a header, the name of an array of tables means its last table
                path = join(path, sizes[path] - 1)
            path = join(path, _unquoted(part))
            lines.setdefault(path, line)
        return path

    def element(path: str) -> str:
        place = join(path, sizes[path])
        sizes[path] += 1
        lines[place] = line
        return place

    while token := _TOKEN.match(text, position):
        end = token.end()
        match token.lastgroup:
            case "key":
                due = named(around[-1], token["key"])
            case "header" if not due and around[-1] not in sizes:
                table = named("", token["header"])
                around = [element(table) if token["array"] else table]
                lines[around[0]] = line
            case "value" if due:
                due = ""
            case "value":
                element(around[-1])
            case "header" | "open":  # an array may look like a header: continue after its bracket
                around.append(due or element(around[-1]))
                if text[position] == "[":
                    sizes[around[-1]] = 0
                due, end = "", position + 1
            case "close":
                around.pop()
        line += text.count("\n", position, end)
        position = end
    return lines


def _unquoted(part: str) -> str:
    """Return one part of a key as TOML reads it."""
    if is_bare(part):
        return part
    return str(tomllib.loads(f"key = {part}")["key"])
