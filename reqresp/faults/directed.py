"""
Directed faults: what goes wrong on one direction of a connection, on which connections, and when.

Values only: what a fault does to a stream of bytes is known to `reqresp.faults.stages`.
"""

from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any

import attrs
from attrs import evolve, field, frozen

from reqresp._errors import MAX_FLOAT, FieldError, expect
from reqresp._text import quote, unknown
from reqresp.faults.faults import KINDS, NAME, Bandwidth, Fault, StopReadingFault
from reqresp.steps import Steps


@frozen(kw_only=True)
class Noop(Fault):
    """Changes nothing: a fault with a name and a direction alone, as toxiproxy has it."""

    kind = "noop"

    def _change(self, steps: Steps, seed: int, passed: int) -> Steps:  # noqa: ARG002
        return steps


#: Every kind of fault that a direction of a relay can have, by its ``kind`` in scripts.
STREAM_KINDS: Mapping[str, type[Fault]] = {
    **{name: kind for name, kind in KINDS.items() if kind is not StopReadingFault},
    Noop.kind: Noop,
}

#: Parameters of these kinds that only faults of replies have.
REPLY_PARAMETERS = frozenset(["since"])


class Direction(Enum):
    """Which way bytes pass through a relay, or a server that answers."""

    UPSTREAM = "upstream"  #: from the client to the service, or to the server
    DOWNSTREAM = "downstream"  #: from the service to the client


#: Why a server that answers refuses a fault of the other direction.
UPSTREAM_ONLY = (
    "expected upstream, what clients send: only a relay has both directions; leave out stream to"
    " inject the fault into replies"
)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value <= MAX_FLOAT


def _direction(value: Any) -> Direction:
    if value not in [*Direction, *(it.value for it in Direction)]:
        shown = quote(value) if isinstance(value, str) else repr(value)
        raise FieldError("stream", f"expected upstream or downstream, found {shown}")
    return Direction(value)


_SECONDS = expect(f"seconds from 0 to {MAX_FLOAT}", _is_seconds)
_SECONDS_OR_NONE = expect(
    f"seconds from 0 to {MAX_FLOAT}", lambda value: value is None or _is_seconds(value)
)
_COUNT = expect("an integer >= 0", lambda value: isinstance(value, int) and value >= 0)


@frozen(kw_only=True)
class DirectedFault:
    """
    A *fault* of the bytes that pass a relay in the direction *stream*.

    With the direction upstream, it can also apply to what clients send to a server that answers.
    The fault's probability is drawn once for each connection.

    :param name: stands in logs, and seeds what is random in the fault.
    :param after: seconds until it begins, after the client and, of a relay, the service are
        connected or, if that is later, after the fault was added.
    :param after_bytes: bytes that pass in its direction before it begins, instead of *after*.
    :param for_: seconds from its beginning until it ends; None: it does not end.
    :param shared: all connections share one bandwidth.
    :raises FieldError: a value is out of range, or does not fit the fault.
    """

    fault: Fault = field()
    stream: Direction = field(converter=_direction)
    name: str = field(validator=NAME)
    after: float = field(default=0.0, validator=_SECONDS)
    after_bytes: int = field(default=0, validator=_COUNT)
    for_: float | None = field(default=None, validator=_SECONDS_OR_NONE)
    shared: bool = field(default=False)

    @property
    def where(self) -> str:
        """The direction, in a word."""
        return self.stream.value

    @fault.validator
    def _check_fault(self, _attribute: object, fault: Fault) -> None:
        if type(fault) not in STREAM_KINDS.values():
            raise FieldError("kind", unknown("kind of a stream's fault", fault.kind, STREAM_KINDS))
        if fault.counts_from_arrival:
            raise FieldError(
                "since", "expected none: with stream, delays always count from arrival"
            )

    @after_bytes.validator
    def _check_window(self, _attribute: object, after_bytes: int) -> None:
        if after_bytes and self.after:
            raise FieldError("after_bytes", "expected one of after and after_bytes, found both")

    @shared.validator
    def _check_shared(self, _attribute: object, shared: bool) -> None:
        if shared and not isinstance(self.fault, Bandwidth):
            raise FieldError("shared", f"expected the kind bandwidth, found {self.fault.kind}")


def check_upstream(directed: DirectedFault) -> None:
    """:raises FieldError: *directed* is not of what clients send, as a server of requests needs."""
    if directed.stream is not Direction.UPSTREAM:
        raise FieldError("stream", UPSTREAM_ONLY)


def make_fault(
    kind: str,
    parameters: Mapping[str, Any],
    others: Collection[str] = (),
    kinds: Mapping[str, type[Fault]] = STREAM_KINDS,
) -> Fault:
    """
    Return the fault of *kind*, one of *kinds*, with these *parameters*.

    :param others: names that the caller accepts, too, for messages.
    :raises ValueError: *kind* is unknown, or a value is out of range.
    :raises TypeError: a parameter is unknown or missing.
    """
    if kind not in kinds:
        raise ValueError(unknown("kind of fault", kind, kinds))
    _check_names(kinds[kind], parameters, others)
    missing = [
        it.name
        for it in attrs.fields(kinds[kind])
        if it.default is attrs.NOTHING and it.name not in parameters
    ]
    if missing:
        raise TypeError(f"{kind}: the parameter {missing[0]} is missing")
    return kinds[kind](**parameters)


def change_fault(fault: Fault, parameters: Mapping[str, Any]) -> Fault:
    """
    Return *fault* with these *parameters* changed.

    :raises ValueError: a value is out of range.
    :raises TypeError: a parameter is unknown, or *fault* is not a fault.
    """
    if not isinstance(fault, Fault):
        raise TypeError(f"kind: expected the name of a kind or a Fault, found {fault!r}")
    _check_names(type(fault), parameters, ())
    return evolve(fault, **parameters)


def unique_name(name: str, taken: Collection[str]) -> str:
    """Return *name*, with the first number from 2 on if *taken* has it: ``latency-2``."""
    number = 1
    found = name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found


def _check_names(kind: type[Fault], parameters: Mapping[str, Any], others: Collection[str]) -> None:
    known = [*(it.name for it in attrs.fields(kind)), *others]
    for name in parameters:
        if name not in known:
            raise TypeError(f"{kind.kind}: {unknown('parameter', name, known)}")
