"""
Tables: TOML's values, read into attrs classes, with every problem found on the way.

Knows names and types, as the classes declare them; nothing of what they mean.
"""

from collections.abc import Callable, Iterable
from datetime import date, time
from difflib import get_close_matches
from functools import partial
from types import UnionType
from typing import Any, Literal, TypeGuard, Union, get_args, get_origin

import attrs
from attrs import field, frozen

from reqresp.script.toml_positions import join

#: Whole numbers of TOML have 64 bits.
LARGEST = 2**63 - 1
#: Other numbers are seconds or probabilities: thirty years of the former.
LONGEST = 10**9
#: What is shown of a value that is not what was expected, at most.
SHOWN = 60
#: How many names are listed where none was meant.
NAMED = 30

_NAMES = {
    str: "a string",
    int: "a whole number of 64 bits",
    float: f"a number up to {LONGEST}",
    bool: "true or false",
}


@frozen
class Problem:
    """
    What is wrong in a *file* at a key *path*, such as ``rule[3].reply``.

    The *line* is None where it is not known, and the path empty where it is the whole file.
    """

    file: str
    line: int | None
    path: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


@frozen
class Reader:
    """
    Reads values, and gathers the `problems` that they have.

    :param file: what they stand in.
    :param locate: gives the line of a key path.
    """

    file: str
    locate: Callable[[str], int | None]
    problems: list[Problem] = field(factory=list, init=False)
    #: The paths of these, and of all that encloses them.
    _spoilt: set[str] = field(factory=set, init=False)

    def blame(self, path: str, message: str) -> None:
        """Note a problem."""
        self.problems.append(self.problem(path, message))
        self._spoilt.update(path[:end] for end, sign in enumerate(f"{path}.") if sign in ".[")

    def problem(self, path: str, message: str) -> Problem:
        """Make a problem of what stands at *path*."""
        return Problem(self.file, self.locate(path), path, message)

    def is_clean(self, path: str) -> bool:
        """Tell whether nothing at or below *path* has a problem."""
        return path not in self._spoilt

    def read(self, kind: Any, value: object, path: str) -> Any:
        """
        Give *value* as a *kind*: an attrs class, a list, a union, a literal, or a plain type.

        None if it has problems and nothing can be made of it.  What can be made of a table with
        problems lacks the keys that have them.
        """
        options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
        fitting = [option for option in options if _fits(option, value)]
        if not fitting:
            self.blame(path, f"expected {describe(kind)}, found {show_value(value)}")
            return None
        # Of several kinds of tables, the one that knows most of the keys.
        return self._read_as(max(fitting, key=partial(_known, value)), value, path)

    def _read_as(self, kind: Any, value: Any, path: str) -> Any:
        if attrs.has(kind):
            return self._table(kind, value, path)
        if get_origin(kind) is list:
            (item,) = get_args(kind)
            return [self.read(item, it, join(path, at)) for at, it in enumerate(value)]
        return value

    def _table(self, kind: Any, table: dict[str, object], path: str) -> Any:
        fields = _fields(kind)
        values = {}
        for name, value in table.items():
            place = join(path, name)
            if name not in fields:
                self.blame(place, unknown("key", name, fields))
            elif (found := self.read(fields[name].type, value, place)) is not None:
                values[fields[name].name] = found
        for name, it in fields.items():
            if it.default is attrs.NOTHING and name not in table:
                self.blame(path, f"the key {name} is missing")
        return self._made(kind, values, path)

    def _made(self, kind: Any, values: dict[str, Any], path: str) -> Any:
        try:
            return kind(**values)
        except TypeError:  # a key is missing, which was said, or could not be read
            return None
        except ValueError as error:
            message = str(error.args[0])
            name = message.split(" ", 1)[0].strip("'")  # what it is about comes first
            if name not in values:
                self.blame(path, message)
                return None
            self.blame(join(path, name), message)
            others = {key: value for key, value in values.items() if key != name}
            return self._made(kind, others, path)  # which may have problems, too


def _fits(kind: Any, value: object) -> bool:
    if attrs.has(kind) or get_origin(kind) is dict:
        return isinstance(value, dict)
    if get_origin(kind) is list:
        return isinstance(value, list)
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind is float:
        return _is_number(value, int | float) and abs(value) <= LONGEST
    if kind is int:
        return _is_number(value, int) and abs(value) <= LARGEST
    return kind is not type(None) and isinstance(value, kind)


def _known(value: Any, kind: Any) -> int:
    return len(value.keys() & _fields(kind)) if attrs.has(kind) else 0


def _fields(kind: Any) -> "dict[str, attrs.Attribute[Any]]":
    return {it.name.removesuffix("_"): it for it in attrs.fields(kind) if it.init}


def _is_number(value: object, kind: Any) -> TypeGuard[float]:
    return isinstance(value, kind) and not isinstance(value, bool)


def describe(kind: Any) -> str:
    """Say in words what values of *kind* are."""
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(describe(it) for it in get_args(kind) if it is not type(None))
    if get_origin(kind) is Literal:
        return " or ".join(f'"{it}"' for it in get_args(kind))
    if get_origin(kind) is list:
        (item,) = get_args(kind)
        tables = attrs.has(item) or get_origin(item) is dict
        return "a list of tables" if tables else "a list"
    if attrs.has(kind) or get_origin(kind) is dict:
        return "a table"
    return _NAMES[kind]


def show_value(value: object) -> str:
    """Write *value* as TOML would, more or less, and not at length."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and abs(value) > LARGEST:
        return "a number of more than 64 bits"  # Python may refuse to write it
    if isinstance(value, date | time):
        return value.isoformat()
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def unknown(what: str, name: str, names: Iterable[str]) -> str:
    """Say that *name* names no *what*, and which of *names* is meant, or else what they are."""
    names = list(names)
    near = get_close_matches(name, names, 1)
    some = [it if it and it.isprintable() else show_value(it) for it in near or names[:NAMED]]
    more = ", ..." if len(names) > NAMED else ""
    hint = f"did you mean {some[0]}?" if near else f"there are: {', '.join(some)}{more}"
    return f"unknown {what} {show_value(name)}" + (f"; {hint}" if names else "")
