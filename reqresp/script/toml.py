"""
TOML text and its tables, and what is wrong with text that is not TOML.

Adds to an error of ``tomllib`` what was probably meant.  Must not know the keys of a script.
"""

import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

from reqresp._errors import Problem
from reqresp._text import quote, unescape
from reqresp.script.reader import is_too_deep

#: Bytes of a string that a hint writes in hex.
MAX_HEX_BYTES = 16

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_BARE_TEXT = re.compile(r"""[^\s,\]}#="'\[{][^,\]}#="'\[{]*""")
_PLACE = re.compile(r" \(at (?:end of document|line (\d+), column (\d+))\)$")


def parse_toml(text: str, name: str) -> dict[str, Any] | Problem:
    """Return the tables in *text*, or what is wrong with it; *name* is the file's."""
    try:
        tables = tomllib.loads(text)
        return tables if not is_too_deep(tables) else Problem(name, None, "", "nested too deeply")
    except RecursionError:
        return Problem(name, None, "", "nested too deeply")
    except tomllib.TOMLDecodeError as error:
        return _problem(str(error), text, name)
    except ValueError:  # Python limits the digits of an integer
        return Problem(name, None, "", "a number has too many digits")


def _problem(message: str, text: str, name: str) -> Problem:
    place = _PLACE.search(message)
    if place is None:
        return Problem(name, None, "", f"invalid TOML: {message}")
    message = f"invalid TOML: {message[: place.start()]}"
    if place[2] is None:
        return Problem(name, text.rstrip().count("\n") + 1, "", f"{message}, at the end")
    number, column = int(place[1]), int(place[2])
    line = text.split("\n")[number - 1]
    hint = _hint(message, line, column - 1)
    return Problem(name, number, "", f"{message}, at column {column}{hint and f'; {hint}'}")


def _hint(message: str, line: str, at: int) -> str:
    return next((give(line, at) for start, give in _HINTS.items() if start in message), "")


def _about_escape(line: str, at: int) -> str:
    if not re.match(r"\\x[0-9A-Fa-f]{2}", line[at - 2 :]):
        return "in 'single quotes', a backslash is a backslash"
    written = next((it for it in _STRING.finditer(line) if it.start() < at < it.end()), None)
    data = bytes.fromhex(line[at : at + 2])
    try:
        whole = data if written is None else unescape(written[1])
    except ValueError:
        whole = data
    if len(whole) <= MAX_HEX_BYTES:
        data = whole
    return f'write bytes as {{ hex = "{data.hex(" ")}" }}'


def _about_character(line: str, at: int) -> str:
    code = ord(line[at]) if at < len(line) else ord("\n")
    if code == ord("\n"):
        return 'the string has no closing quote (for several lines, use """)'
    return f'write bytes as {{ hex = "{code:02x}" }}'


def _about_value(line: str, at: int) -> str:
    found = _BARE_TEXT.match(line, at)
    if found is None:
        return ""
    text = found[0].strip()
    if text.lower() in ("true", "false"):
        return f"write {text.lower()}"
    return f"text needs quotes: {json.dumps(text, ensure_ascii=False)}"


def _about_rest(line: str, at: int) -> str:
    number = re.search(r"[0-9][0-9_.]*\Z", line[:at])
    if number is None or not re.match("[A-Za-z]", line[at:]):
        return ""
    return f"a number has no unit: {quote(number[0])[1:-1]}"


#: What was probably meant, by a part of the message of ``tomllib``.  Called with the line and the
#: place in it.
_HINTS: dict[str, Callable[[str, int], str]] = {
    "Unescaped '\\' in a string": _about_escape,
    "Illegal character": _about_character,
    "Invalid value": _about_value,
    "after a statement": _about_rest,
}
