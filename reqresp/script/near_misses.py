"""
Near misses: the rules that a request nearly matches, and where it differs.

Explains why no rule answered.  Must not know answers or connections.
"""

from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from attrs import frozen

from reqresp.script.json_values import Difference, dump
from reqresp.script.predicates import Predicates

#: Bytes that `compare` shows, and how many of them are before the first difference.
SHOWN_BYTES = 16
BYTES_BEFORE_DIFFERENCE = 4

_OF_BYTES = ("equals", "starts_with")
_OF_JSON = "json"
#: The predicates that a request can nearly fulfil.
KINDS = (*_OF_BYTES, _OF_JSON)


class ComparedRule(Protocol):
    """What is compared of a rule."""

    @property
    def predicates(self) -> Predicates:
        """What a request must fulfil."""


R = TypeVar("R", bound=ComparedRule)


@frozen
class NearMiss(Generic[R]):
    """
    A rule that a request nearly matches.

    :param kind: the predicate, one of `KINDS`.
    :param wanted: the bytes of the predicate; of JSON, the value at the first place that differs.
    :param at: the position of the first byte that differs, from 0; of JSON, how many values
        were compared.
    :param json: the first place where JSON differs.
    """

    rule: R
    kind: str
    wanted: bytes
    at: int
    json: Difference | None = None

    def __str__(self) -> str:
        return f"{self.kind} differs at {self.where}"

    @property
    def where(self) -> str:
        """The place that differs."""
        return f"byte {self.at}" if self.json is None else str(self.json)

    def compared(self, data: bytes) -> Sequence[str]:
        """Return lines that compare the request *data* with what is wanted; none for JSON."""
        return compare(self.wanted, data, self.at) if self.json is None else ()


def nearest(rules: Sequence[R], data: bytes, most: int = 3) -> list[NearMiss[R]]:
    """Return at most *most* rules, those first that share most leading bytes with *data*."""
    near = [found for rule in rules if (found := _near(rule, data)) is not None]
    near.sort(
        key=lambda it: it.at, reverse=True
    )  # a stable sort: equal ones keep the order of the file
    return [it for it in near if it.at][:most] or near[:1]


def _near(rule: R, data: bytes) -> NearMiss[R] | None:
    found = [
        NearMiss(rule, kind, needle, at)
        for kind, needle in _needles(rule.predicates)
        if (at := _differs(needle, data, kind, ignore_case=rule.predicates.ignore_case)) is not None
    ]
    found += [
        NearMiss(rule, _OF_JSON, dump(difference.wanted), difference.same + 1, difference)
        for each in rule.predicates.wanted()
        for value in each.json
        if (difference := value.difference(data)) is not None
    ]
    return max(found, key=lambda it: it.at, default=None)


def _needles(predicates: Predicates) -> Iterator[tuple[str, bytes]]:
    for each in predicates.wanted():
        for kind in _OF_BYTES:
            for needle in getattr(each, kind):
                if isinstance(needle, bytes):
                    yield kind, needle


def _differs(wanted: bytes, data: bytes, kind: str, *, ignore_case: bool) -> int | None:
    """Return the position of the first byte that differs; None: the predicate holds."""
    data = data[: len(wanted) + 1]  # what follows makes no difference
    if ignore_case:
        wanted, data = wanted.lower(), data.lower()
    if wanted == data or (kind == "starts_with" and data.startswith(wanted)):
        return None
    # Half of what is left at each step, as both may be long.
    same, end = 0, min(len(wanted), len(data))
    while same < end:
        middle = (same + end + 1) // 2
        if wanted[same:middle] == data[same:middle]:
            same = middle
        else:
            end = middle - 1
    return same


def compare(wanted: bytes, got: bytes, at: int) -> tuple[str, str]:
    """Return two aligned lines with the bytes around *at*, in hex and as text."""
    start = max(0, at - BYTES_BEFORE_DIFFERENCE)
    pieces = wanted[start : start + SHOWN_BYTES], got[start : start + SHOWN_BYTES]
    width = max(map(len, pieces)) * 3 - 1
    want, have = (f"{piece.hex(' '):{width}} |{_text(piece)}|" for piece in pieces)
    return f"want {want}", f"got  {have}"


def _text(piece: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
