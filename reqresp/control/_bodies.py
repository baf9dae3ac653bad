"""
Bodies: the JSON and the query of a request, converted to what a route expects.

Knows JSON and attrs classes.  Must not know routes.  Whatever a client sends, `ApiError` is the
only error.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite
from types import NoneType
from typing import Annotated, Any, NoReturn, TypeVar, get_args, get_origin

import attrs

from reqresp._errors import MAX_PROBLEMS, Problem
from reqresp._text import quote, unknown
from reqresp.control._schemas import Time
from reqresp.control.errors import ApiError, problems_error
from reqresp.script.reader import JSON, Reader, TooManyProblemsError, is_too_deep, show_value

#: Integers in a query have so many digits at most.
MAX_DIGITS = 18
#: How much of a number that is too large is shown, in characters.
_MAX_SHOWN_DIGITS = 40

_INTEGER = re.compile(rf"-?[0-9]{{1,{MAX_DIGITS}}}")
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_TIME = re.compile(r"[0-9]{1,11}(\.[0-9]{1,18})?")

T = TypeVar("T")


def parse_json(data: bytes) -> Any:
    """
    Return the value in the JSON text *data*.

    :raises ApiError: it is not JSON, has a number that JSON does not have or that is too large, a
        surrogate alone, a key twice in one object, or too many levels.
    """
    try:
        text = data.decode()
        value = json.loads(
            text, parse_float=_number, parse_constant=_refuse_constant, object_pairs_hook=_object
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise ApiError(400, "expected JSON in UTF-8") from None
    except UnicodeEncodeError:
        raise ApiError(400, "expected JSON without surrogates that stand alone") from None
    except RecursionError:
        raise ApiError(400, "expected JSON, found too many levels") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ApiError(400, f"invalid JSON: {error.msg}, at {place}") from None
    except ValueError as error:  # a number: Python limits its digits
        raise ApiError(400, f"invalid JSON: {error}") from None
    if is_too_deep(value):
        raise ApiError(400, "expected JSON, found too many levels")
    return value


def read_body(kind: type[T], value: Any) -> T:
    """
    Return *value* as a *kind*, an attrs class.

    :raises ApiError: it has problems; the error has all of them.
    """
    reader = Reader("request", lambda _path: None, JSON)
    return _read(reader, kind, value)


def read_table(value: Any) -> dict[str, Any]:
    """
    Return *value*, a JSON object.

    :raises ApiError: it is another value.
    """
    if isinstance(value, dict):
        return value
    message = f"expected {JSON.table}, found {show_value(value, JSON)}"
    raise problems_error([Problem("request", None, "", message)])


def read_query(kind: type[T], arguments: Mapping[bytes, Sequence[bytes]]) -> T:
    """
    Return the *arguments* of a query as a *kind*, an attrs class.

    :raises ApiError: they have problems; the error has all of them.
    """
    reader = Reader("query", lambda _path: None, JSON)
    types = {it.name.removesuffix("_"): it.type for it in attrs.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for raw, texts in arguments.items():
        name = raw.decode("utf-8", "backslashreplace")
        if len(reader.problems) == MAX_PROBLEMS:
            break
        if name not in types:
            reader.report(name, unknown("parameter", name, types))
        elif len(texts) > 1:
            reader.report(name, f"expected one value, found {len(texts)}")
        else:
            values[name] = _from_text(types[name], texts[0].decode("utf-8", "backslashreplace"))
    return _read(reader, kind, values)


def _read(reader: Reader, kind: type[T], value: Any) -> T:
    problems: list[Problem] = []
    try:
        found: T = reader.read(kind, value, "")
    except TooManyProblemsError:
        more = f"more than {MAX_PROBLEMS} problems; some are not shown"
        problems = [Problem("request", None, "", more)]
    problems = [*reader.problems, *problems]
    if problems:
        raise problems_error(problems)
    return found


def base_types(kind: Any) -> tuple[Any, ...]:
    """Return the types that *kind* is a union of, without None and without annotations."""
    if get_origin(kind) is Annotated:
        return base_types(kind.__origin__)
    if get_origin(kind) is None or get_origin(kind) in (list, dict):
        return () if kind is NoneType else (kind,)
    if _is_literal(kind):
        return (kind,)
    return tuple(base for it in get_args(kind) for base in base_types(it))


def _is_literal(kind: Any) -> bool:
    return all(isinstance(it, str | int) for it in get_args(kind))


def _from_text(kind: Any, text: str) -> Any:
    """Return *text* as a value of *kind*, if it can be one, else as it is."""
    [base] = base_types(kind)
    if base is bool and text in ("true", "false"):
        return text == "true"
    if base is int and _INTEGER.fullmatch(text):
        return int(text)
    if base is float and _NUMBER.fullmatch(text):
        return float(text)
    if base is Time and _TIME.fullmatch(text):
        return Time(text)
    return text


def _number(text: str) -> int | float:
    # A whole number is an integer in JSON, however it is written.
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"expected a number of 64 bits, found {quote(text[:_MAX_SHOWN_DIGITS])}")
    return int(value) if value.is_integer() else value


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise ApiError(400, f"expected each key once in an object, found {quote(twice)} twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"expected a number, found {quote(name)}")
