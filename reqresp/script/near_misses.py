"""
Nearest: which rules a request fits nearly, and where it differs.

For whoever wonders why nothing answered; knows predicates and bytes.
"""

from collections.abc import Iterator, Sequence

from attrs import frozen

from reqresp.script.predicates import Predicates
from reqresp.script.rules import Rule

#: Bytes shown of what differs, some of them before the first that does.
SHOWN = 16
BEFORE = 4

_KINDS = ("equals", "starts_with")


@frozen
class Near:
    """A *rule* of whose predicate *kind* the bytes *wanted* differ from a request at byte *at*."""

    rule: Rule
    kind: str
    wanted: bytes
    at: int


def nearest(rules: Sequence[Rule], data: bytes, most: int = 3) -> list[Near]:
    """Give the rules, *most* at most, that *data* agrees with longest before it differs."""
    near = [found for rule in rules if (found := _near(rule, data)) is not None]
    near.sort(key=lambda it: it.at, reverse=True)  # stable: in file order where alike
    return [it for it in near if it.at][:most] or near[:1]


def _near(rule: Rule, data: bytes) -> Near | None:
    found = [
        Near(rule, kind, needle, at)
        for kind, needle in _needles(rule.predicates)
        if (at := _differs(needle, data, kind, ignore_case=rule.predicates.ignore_case)) is not None
    ]
    return max(found, key=lambda it: it.at, default=None)


def _needles(predicates: Predicates) -> Iterator[tuple[str, bytes]]:
    for kind in _KINDS:
        for needle in getattr(predicates, kind):
            if isinstance(needle, bytes):
                yield kind, needle


def _differs(wanted: bytes, data: bytes, kind: str, *, ignore_case: bool) -> int | None:
    """Find the first byte that differs; None: there is none."""
    if ignore_case:
        wanted, data = wanted.lower(), data.lower()
    if wanted == data or (kind == "starts_with" and data.startswith(wanted)):
        return None
    for at, (one, other) in enumerate(zip(wanted, data, strict=False)):
        if one != other:
            return at
    return min(len(wanted), len(data))


def compare(wanted: bytes, got: bytes, at: int) -> tuple[str, str]:
    """Write both around byte *at*, in hex and as text, so that they stand below each other."""
    start = max(0, at - BEFORE)
    pieces = wanted[start : start + SHOWN], got[start : start + SHOWN]
    width = max(map(len, pieces)) * 3 - 1
    want, have = (f"{piece.hex(' '):{width}} |{_text(piece)}|" for piece in pieces)
    return f"want {want}", f"got  {have}"


def _text(piece: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
