"""
Toxics: faults of a relay's directions, as toxiproxy's API writes them.

Its units are those of that API: milliseconds, microseconds for slices, kilobytes a second.
Sans-I/O.  It must not know HTTP, nor services.
"""

from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import Any

import attrs
from attrs import frozen

from reqresp._errors import FieldError
from reqresp._text import printable, quote
from reqresp.faults import STREAM_KINDS, DirectedFault, Direction, Fault, change_fault

#: The direction of a toxic that says none.
DEFAULT_STREAM = Direction.DOWNSTREAM.value

#: The longest text of an error, and of a number in it, in characters.
_MAX_ERROR = 2000
_MAX_NUMBER = 40


class RefusedError(Exception):
    """
    A request to toxiproxy's API is refused.

    :param status: of HTTP.
    :param error: one line.
    """

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = printable(error[:_MAX_ERROR])


def bad_body(problem: str) -> RefusedError:
    """Return the error of a request whose body has this *problem*."""
    return RefusedError(400, f"bad request body: {problem}")


@frozen
class _Unit:
    """
    A unit of toxiproxy's API.

    :param per: how many of it are one of the parameter's own unit.
    :param is_whole: whether the parameter is an integer.
    :param expected: what a value is, in messages.
    """

    per: Fraction
    is_whole: bool
    expected: str

    def read(self, value: Any) -> int | float | None:
        """Return the parameter for *value*; None: it is not such a number."""
        if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
            return None
        exact = Fraction(value) / self.per
        if self.is_whole:
            return exact.numerator if exact.denominator == 1 else None
        try:
            return float(exact)
        except OverflowError:
            return None

    def show(self, parameter: float) -> int | float:
        """Return the value for *parameter*: an integer, if one is read as that."""
        exact = Fraction(parameter) * self.per
        nearest = round(exact)
        return nearest if self.read(nearest) == parameter else _shortest(exact)


def _shortest(exact: Fraction) -> int | float:
    """Return *exact*, rounded to a millionth, as an integer if it is one."""
    if exact.denominator == 1:
        return exact.numerator
    rounded = round(float(exact), 6)
    return int(rounded) if rounded.is_integer() else rounded


_MILLISECONDS = _Unit(Fraction(1000), is_whole=False, expected="milliseconds >= 0")
_MICROSECONDS = _Unit(Fraction(10**6), is_whole=False, expected="microseconds >= 0")
_KILOBYTES = _Unit(Fraction(1, 1000), is_whole=True, expected="kilobytes a second >= 0")
_BYTES = _Unit(Fraction(1), is_whole=True, expected="an integer >= 0")


@frozen
class _Attribute:
    """An attribute of a toxic, and the *parameter* of a fault that it is."""

    name: str
    parameter: str
    unit: _Unit


#: The attributes of each type, by the kind of fault that has the same name.  The last two kinds are
#: not toxiproxy's.
_ATTRIBUTES: Mapping[str, Collection[_Attribute]] = {
    "latency": (
        _Attribute("latency", "delay", _MILLISECONDS),
        _Attribute("jitter", "jitter", _MILLISECONDS),
    ),
    "bandwidth": (_Attribute("rate", "rate", _KILOBYTES),),
    "slow_close": (_Attribute("delay", "delay", _MILLISECONDS),),
    "timeout": (_Attribute("timeout", "seconds", _MILLISECONDS),),
    "reset_peer": (_Attribute("timeout", "delay", _MILLISECONDS),),
    "slicer": (
        _Attribute("average_size", "size", _BYTES),
        _Attribute("size_variation", "variation", _BYTES),
        _Attribute("delay", "delay", _MICROSECONDS),
    ),
    "limit_data": (_Attribute("bytes", "bytes", _BYTES),),
    "noop": (),
    "blackhole": (),
    "corrupt": (_Attribute("bytes", "bytes", _BYTES),),
}

#: The types of toxics.
TYPES: Collection[str] = _ATTRIBUTES.keys()


def read_toxic(body: Any) -> DirectedFault:
    """
    Return the fault that *body*, JSON, asks for.

    An attribute that it does not have is 0; an unknown one is ignored.

    :raises RefusedError: it asks for none; statuses and texts are toxiproxy's as far as it has one.
    """
    toxic = fields_of(body, {"name": str, "type": str, "stream": str, "attributes": dict})
    stream = toxic.get("stream", DEFAULT_STREAM).lower()
    if stream not in [it.value for it in Direction]:
        raise RefusedError(400, "stream was invalid, can be either upstream or downstream")
    kind = toxic.get("type", "")
    if kind not in _ATTRIBUTES:
        raise RefusedError(400, "invalid toxic type")
    zero = {it.parameter: 0 for it in _ATTRIBUTES[kind]}
    given = _parameters(kind, body)
    try:
        return DirectedFault(
            fault=STREAM_KINDS[kind](**{**zero, **given}),
            stream=stream,
            name=toxic.get("name") or f"{kind}_{stream}",
        )
    except FieldError as error:
        raise _explained(kind, error) from None


def read_change(fault: Fault, body: Any) -> dict[str, Any]:
    """
    Return the parameters of *fault* that *body*, JSON, changes.

    The other keys of a toxic are ignored.

    :raises RefusedError: a value is not usable.
    """
    given = _parameters(fault.kind, body)
    try:
        change_fault(fault, given)
    except FieldError as error:
        raise _explained(fault.kind, error) from None
    return given


def show_toxic(name: str, stream: str, fault: Fault) -> dict[str, Any]:
    """Return *fault* in the direction *stream* as a toxic, a dict that `json` accepts."""
    parameters = attrs.asdict(fault)
    return {
        "attributes": {
            it.name: it.unit.show(parameters[it.parameter])
            for it in _ATTRIBUTES.get(fault.kind, ())
        },
        "name": name,
        "type": fault.kind,
        "stream": stream,
        "toxicity": _shortest(Fraction(fault.probability)),
    }


_NAMES = {str: "a string", dict: "an object", bool: "true or false"}


def fields_of(body: Any, known: Mapping[str, type]) -> dict[str, Any]:
    """
    Return those values of *body*, JSON, that have one of the *known* names and are not null.

    As in Go, upper and lower case are the same in names.

    :param known: the type of each.
    :raises RefusedError: it is not an object, or a value has another type.
    """
    found: dict[str, Any] = {}
    for name, value in _object(body).items():
        kind = known.get(name.lower())
        if kind is None or value is None:
            continue
        if not isinstance(value, kind):
            raise bad_body(f"{name.lower()}: expected {_NAMES[kind]}, found {_shown(value)}")
        found[name.lower()] = value
    return found


def _parameters(kind: str, body: Any) -> dict[str, Any]:
    """Return the parameters that *body* has for a fault of *kind*, its probability included."""
    given = {name.lower(): value for name, value in _object(body).items()}
    found: dict[str, Any] = {}
    toxicity = given.get("toxicity")
    if toxicity is not None:
        found["probability"] = toxicity
    if isinstance(toxicity, bool):
        raise bad_body(f"toxicity: expected a number from 0 to 1, found {_shown(toxicity)}")
    attributes = fields_of(given, {"attributes": dict}).get("attributes", {})
    values = {name.lower(): value for name, value in attributes.items()}
    for it in _ATTRIBUTES.get(kind, ()):
        value = values.get(it.name)
        if value is None:
            continue
        parameter = it.unit.read(value)
        if parameter is None:
            raise bad_body(
                f"attributes.{it.name}: expected {it.unit.expected}, found {_shown(value)}"
            )
        found[it.parameter] = parameter
    return found


def _object(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, Mapping | None):
        raise bad_body(f"expected an object, found {_shown(body)}")
    return body or {}


def _explained(kind: str, error: FieldError) -> RefusedError:
    """Return *error*, about a parameter of a fault, in the words of the API."""
    names = {it.parameter: f"attributes.{it.name}" for it in _ATTRIBUTES[kind]}
    names["probability"] = "toxicity"
    return bad_body(f"{names.get(error.field, error.field)}: {error.problem}")


def _shown(value: Any) -> str:
    match value:
        case str():
            return quote(value)
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
        case int() | float():
            return str(value)[:_MAX_NUMBER]
    return "an array" if isinstance(value, list) else "an object"
