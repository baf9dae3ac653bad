"""
JSON values: requests that are JSON, compared in part, and values in them by their pointers.

Must not know rules or templates.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import isfinite
from typing import Any, NoReturn
from urllib.parse import unquote

from attrs import field, frozen

from reqresp._text import quote
from reqresp.script.reader import is_too_deep

#: Characters of a value that a difference shows.
MAX_SHOWN_CHARACTERS = 60
#: How deep arrays and objects can stand in one another; what is deeper counts as no JSON.
MAX_JSON_DEPTH = 200

_HEAD_END = b"\r\n\r\n"
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_ESCAPE = re.compile(r"~[01]?")


class _Nothing:
    """Stands for a value that does not exist."""

    def __repr__(self) -> str:
        return "nothing"


#: There is no value, or the request is not JSON.
NOTHING = _Nothing()

#: The keys and the positions that lead to a value.
Pointer = tuple[str, ...]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _float(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):  # JSON could not write it
        raise ValueError(digits)
    return number


def parse(data: bytes) -> Any:
    """
    Return the value of *data* in JSON, or of what follows an empty line in it; or `NOTHING`.

    It is not deeper than `MAX_JSON_DEPTH`.  It is shared: it must not be changed.
    """
    found = _parse(data)
    if found is NOTHING and _HEAD_END in data:
        return _parse(data.partition(_HEAD_END)[2])
    return found


@lru_cache(maxsize=4)  # several rules look at one request
def _parse(data: bytes) -> Any:
    try:
        value = json.loads(data.decode(), parse_constant=_refuse, parse_float=_float)
    except (ValueError, RecursionError):
        return NOTHING
    can_be_deep = data.count(b"[") + data.count(b"{") > MAX_JSON_DEPTH
    return NOTHING if can_be_deep and is_too_deep(value, MAX_JSON_DEPTH) else value


def dump(value: Any) -> bytes:
    """Return *value* as JSON; `NOTHING` is null."""
    value = None if value is NOTHING else value
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="surrogatepass")


def text(value: Any) -> bytes:
    """Return the text of a string, else *value* as JSON; `NOTHING` is empty."""
    if isinstance(value, str):
        return value.encode(errors="surrogatepass")
    return b"" if value is NOTHING else dump(value)


def read_pointer(written: str) -> Pointer:
    """
    Return the pointer that is *written* as in RFC 6901, also as a fragment: ``#/a%7Cb``.

    :raises ValueError: it is not one.
    :source: RFC 6901, section 3 to 6
    """
    path = unquote(written[1:]) if written.startswith("#") else written
    if path and not path.startswith("/"):
        raise ValueError(f"expected a JSON pointer such as /user/name, found {quote(written)}")
    return tuple(map(_token, path.split("/")[1:]))


def _token(written: str) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[0] == "~":
            raise ValueError(f"expected ~0 or ~1 in a JSON pointer, found {quote(written)}")
        return "/" if match[0] == "~1" else "~"

    return _ESCAPE.sub(replace, written)


def write_pointer(pointer: Pointer) -> str:
    """Return *pointer* as in RFC 6901."""
    return "".join(f"/{it.replace('~', '~0').replace('/', '~1')}" for it in pointer)


def find(value: Any, pointer: Pointer) -> Any:
    """Return the value in *value* to which *pointer* leads, or `NOTHING`."""
    for token in pointer:
        if isinstance(value, dict):
            value = value.get(token, NOTHING)
        elif isinstance(value, list) and _INDEX.fullmatch(token) and int(token) < len(value):
            value = value[int(token)]
        else:
            return NOTHING
    return value


@frozen
class Difference:
    """
    The first place at which a value differs from what is wanted.

    :param same: how many values before it are as wanted.
    """

    pointer: Pointer
    wanted: Any
    found: Any
    same: int

    def __str__(self) -> str:
        place = write_pointer(self.pointer) or "the whole value"
        return f"{place}: expected {_shown(self.wanted)}, found {_shown(self.found)}"


def _shown(value: Any) -> str:
    if value is NOTHING:
        return "nothing"
    written = dump(value).decode(errors="replace")
    short = written[: MAX_SHOWN_CHARACTERS - 3]
    return written if len(written) <= MAX_SHOWN_CHARACTERS else f"{short}..."


@frozen
class PartialJson:
    """
    A value that another one must have, at least in part.

    An object must have each key of *value*, with a value that has that in part, and may have more.
    An array must have as many elements, each of which has the one in *value* in part.  Anything
    else must be equal; ``true`` is not 1, but 1.0 is.

    :raises ValueError: *value* is not JSON.
    """

    value: Any = field(eq=False)
    #: How it is written, which tells equal ones.
    written: str = field(init=False, repr=False)

    @written.default
    def _write(self) -> str:
        return json.dumps(_checked(self.value), sort_keys=True)

    def holds(self, data: bytes) -> bool:
        """Return whether the request *data* is JSON that has it in part."""
        found = parse(data)
        return found is not NOTHING and _has(self.value, found)

    def difference(self, data: bytes) -> Difference | None:
        """Return where the request *data* differs first; None: nowhere, or it is not JSON."""
        found = parse(data)
        if found is NOTHING:
            return None
        for same, (pointer, wanted, got) in enumerate(_pairs(self.value, found, ())):
            if not _is_same(wanted, got):
                return Difference(pointer, wanted, got, same)
        return None


def _checked(value: Any) -> Any:
    """
    Return *value*.

    :raises ValueError: it is not JSON.
    """
    if isinstance(value, Mapping):
        for key, it in value.items():
            _check_plain(key, str)
            _checked(it)
    elif isinstance(value, list | tuple):
        for it in value:
            _checked(it)
    else:
        _check_plain(value, str | int | float | bool | None)
    return value


def _check_plain(value: Any, kinds: Any) -> None:
    if not isinstance(value, kinds) or (isinstance(value, float) and not isfinite(value)):
        raise ValueError(f"expected a value of JSON, found {value!s}")


def _has(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(got, dict) and all(
            key in got and _has(it, got[key]) for key, it in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return isinstance(got, list) and len(got) == len(wanted) and all(map(_has, wanted, got))
    return _is_same(wanted, got)


def _is_same(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, Mapping | list | tuple):
        return False  # a pair of these is a difference
    if isinstance(wanted, bool) or isinstance(got, bool):
        return wanted is got
    return (type(wanted) is type(got) and wanted == got) or _are_numbers(wanted, got)


def _are_numbers(wanted: Any, got: Any) -> bool:
    return isinstance(wanted, int | float) and isinstance(got, int | float) and wanted == got


def _pairs(wanted: Any, got: Any, pointer: Pointer) -> Iterator[tuple[Pointer, Any, Any]]:
    """Yield the values within *wanted*, each with its counterpart; containers that differ whole."""
    if isinstance(wanted, Mapping) and isinstance(got, dict):
        for key, it in wanted.items():
            yield from _pairs(it, got.get(key, NOTHING), (*pointer, key))
    elif isinstance(wanted, list | tuple) and isinstance(got, list) and len(got) == len(wanted):
        for at, (it, that) in enumerate(zip(wanted, got, strict=True)):
            yield from _pairs(it, that, (*pointer, str(at)))
    else:
        yield pointer, wanted, got
