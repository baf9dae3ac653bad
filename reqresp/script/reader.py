"""
Reader: TOML values converted to attrs classes, with every problem collected.

Knows the names and types that the classes declare.  Must not know what a key means.
"""

from collections.abc import Callable, Iterable
from datetime import date, time
from functools import partial
from types import UnionType
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

import attrs
from attrs import field, frozen

from reqresp._errors import MAX_FLOAT, MAX_PROBLEMS, FieldError, Problem
from reqresp._text import quote, unknown
from reqresp.script.toml_positions import join

#: The largest integer of TOML, which has 64 bits.
MAX_INTEGER = 2**63 - 1
#: Levels of tables and lists, at most: each level makes the paths of problems longer.
MAX_DEPTH = 50

_TYPE_NAMES = {
    str: "a string",
    int: "a 64-bit integer",
    float: f"a number up to {MAX_FLOAT}",
    bool: "true or false",
}


@frozen
class Notation:
    """
    What values are called in messages, as they are written.

    :param has_headers: whether a list of tables is written with a header for each.
    """

    table: str
    list: str
    tables: str
    has_headers: bool = False


TOML = Notation("a table", "a list", "a list of tables", has_headers=True)
JSON = Notation("an object", "an array", "an array of objects")


class TooManyProblemsError(Exception):
    """There are more than `MAX_PROBLEMS`."""


@frozen
class Reader:
    """
    Converts values, and collects the `problems` that they have.

    :param file: the file's name in problems.
    :param locate: returns the line of a key path, or None.
    :param notation: how the values are written.
    """

    file: str
    locate: Callable[[str], int | None]
    notation: Notation = TOML
    problems: list[Problem] = field(factory=list, init=False)
    #: The paths of the problems, and of everything that encloses them.
    _bad_paths: set[str] = field(factory=set, init=False)

    def report(self, path: str, message: str) -> None:
        """
        Add a problem at *path*.

        :raises TooManyProblemsError: there are `MAX_PROBLEMS` already; the caller gives up.
        """
        self.add(self.problem(path, message))
        ends = (end for end, sign in enumerate(f"{path}.") if sign in ".[")
        self._bad_paths.update(("", *(path[:end] for end in ends)))

    def add(self, problem: Problem) -> None:
        """
        Add a problem of a part of the file that is a text of its own.

        :raises TooManyProblemsError: as for `report`.
        """
        if len(self.problems) == MAX_PROBLEMS:
            raise TooManyProblemsError
        self.problems.append(problem)

    def problem(self, path: str, message: str) -> Problem:
        """Return a problem at *path* without adding it."""
        return Problem(self.file, self.locate(path), path, message)

    def is_clean(self, path: str) -> bool:
        """Return whether no problem was reported at or below *path*."""
        return path not in self._bad_paths

    def read(self, kind: Any, value: object, path: str) -> Any:
        """
        Return *value* as a *kind*: an attrs class, a list, a union, a literal or a plain type.

        Return None if *value* has problems and cannot be converted at all.  A table that has
        problems is converted without the keys that have them.
        """
        options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
        fitting = [option for option in options if _fits(option, value)]
        if not fitting:
            hint = self._hint(options, value, path)
            expected = describe(kind, self.notation)
            found = show_value(value, self.notation)
            self.report(path, f"expected {expected}, found {found}{hint}")
            return None
        # Of several kinds of tables, the one that knows most of the keys.
        return self._read_as(max(fitting, key=partial(_known_keys, value)), value, path)

    def _hint(self, kinds: Iterable[Any], value: object, path: str) -> str:
        if not isinstance(value, dict) or not any(map(_is_tables, kinds)):
            return ""
        is_header = self.notation.has_headers and "." not in path
        return f"; write [[{path}]]" if is_header else "; put it in brackets: [{ ... }]"

    def _read_as(self, kind: Any, value: Any, path: str) -> Any:
        if attrs.has(kind):
            return self._table(kind, value, path)
        if get_origin(kind) is list:
            (item,) = get_args(kind)
            return [self.read(item, it, join(path, at)) for at, it in enumerate(value)]
        if get_origin(kind) is dict:
            _, item = get_args(kind)
            if item is not Any:
                read = ((name, self.read(item, it, join(path, name))) for name, it in value.items())
                return {name: it for name, it in read if it is not None}
        return value

    def _table(self, kind: Any, table: dict[str, object], path: str) -> Any:
        fields = _fields(kind)
        values = {}
        for name, value in table.items():
            place = join(path, name)
            if name not in fields:
                self.report(place, unknown("key", name, fields))
            elif (found := self.read(fields[name].type, value, place)) is not None:
                values[fields[name].name] = found
        for name, it in fields.items():
            if it.default is attrs.NOTHING and name not in table:
                self.report(join(path, name), "the key is missing")
        return self._make(kind, values, path)

    def _make(self, kind: Any, values: dict[str, Any], path: str) -> Any:
        try:
            return kind(**values)
        except TypeError:  # a required key is missing or unreadable, which has been reported
            return None
        except FieldError as error:
            if error.field not in values:
                self.report(path, str(error))
                return None
            self.report(join(path, error.field.removesuffix("_")), error.problem)
            others = {key: value for key, value in values.items() if key != error.field}
            return self._make(kind, others, path)  # the others may have problems, too
        except ValueError as error:
            self.report(path, str(error))
            return None


def is_too_deep(tables: Any, most: int = MAX_DEPTH) -> bool:
    """Return whether *tables* has more than *most* levels of dicts and lists."""
    depth = 0
    level = [tables] if isinstance(tables, dict | list) else []
    while level and depth <= most:
        depth += 1
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return depth > most


def _is_tables(kind: Any) -> bool:
    return get_origin(kind) is list and _is_table(get_args(kind)[0])


def _is_table(kind: Any) -> bool:
    return attrs.has(kind) or get_origin(kind) is dict


def _fits(kind: Any, value: object) -> bool:
    if get_origin(kind) is Annotated:
        kind = kind.__origin__
    if kind is Any:
        return True
    if _is_table(kind):
        return isinstance(value, dict)
    if get_origin(kind) is list:
        return isinstance(value, list)
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind is float:
        return _is_number(value, int | float) and abs(value) <= MAX_FLOAT
    if kind is int:
        return _is_number(value, int) and abs(value) <= MAX_INTEGER
    return kind is not type(None) and isinstance(value, kind)


def _known_keys(value: Any, kind: Any) -> int:
    return len(value.keys() & _fields(kind)) if attrs.has(kind) else 0


def _fields(kind: Any) -> "dict[str, attrs.Attribute[Any]]":
    return {it.name.removesuffix("_"): it for it in attrs.fields(kind) if it.init}


def _is_number(value: object, kind: Any) -> TypeGuard[float]:
    return isinstance(value, kind) and not isinstance(value, bool)


def describe(kind: Any, notation: Notation = TOML) -> str:
    """Return what values of *kind* are called in messages."""
    if get_origin(kind) in (Union, UnionType):
        kinds = [it for it in get_args(kind) if it is not type(None)]
        *names, last = dict.fromkeys(describe(it, notation) for it in kinds)
        return f"{', '.join(names)} or {last}" if names else last
    if get_origin(kind) is Annotated:
        return str(kind.__metadata__[0])
    if get_origin(kind) is Literal:
        return " or ".join(f'"{it}"' for it in get_args(kind))
    if get_origin(kind) is list:
        return notation.tables if _is_tables(kind) else notation.list
    return notation.table if _is_table(kind) else _TYPE_NAMES[kind]


def show_value(value: object, notation: Notation = TOML) -> str:
    """Return *value* for a message: close to what was written, and shortened."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return notation.table
    if isinstance(value, list):
        return notation.list
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return "a number of more than 64 bits"  # Python may refuse to convert it to text
    if isinstance(value, date | time):
        return value.isoformat()
    return quote(value) if isinstance(value, str) else repr(value)
