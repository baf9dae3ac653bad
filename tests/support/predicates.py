"""Predicates drawn by hypothesis, and a second implementation of them in plain Python."""

import re
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from attrs import frozen
from hypothesis import settings
from hypothesis import strategies as st

from reqresp.script.predicates import Needle, Predicates
from reqresp.server.responders import ConnectionContext

PROPERTY = settings(derandomize=True, max_examples=600)


def peer(number: int = 1) -> Any:
    """Return a connection as predicates see it."""
    return SimpleNamespace(number=number)


@frozen
class Ending:
    """A template: *text*, and the number of the connection."""

    text: bytes

    def fill(self, data: bytes, connection: ConnectionContext) -> bytes:
        return self.text + b"%d" % connection.number


@frozen
class Head:
    """A template: the first byte of a request, which is not empty."""

    def fill(self, data: bytes, connection: ConnectionContext) -> bytes:
        return bytes([data[0]])


ONE = peer()

#: The bytes of requests and predicates.  In Latin-1, 0xC0 and 0xE0 are one letter in two cases.
BYTES = st.sampled_from(b"aAbB1\xc0\xe0\n")

REQUESTS = st.lists(BYTES, max_size=5).map(bytes)

NEEDLES = st.lists(BYTES, max_size=3).map(bytes) | st.builds(
    Ending, st.sampled_from([b"", b"a", b"B"])
)

#: Patterns with the same meaning in RE2 and in Python.
PATTERNS = st.sampled_from(
    [b"a|bB", b"[^a]*", b".", b"(?s).*A.*", b"(\xe0|b)+", b"", b"(a)(b)?1?", b".*1", b"A.*"]
)

SIZES = st.tuples(st.integers(0, 3), st.none() | st.integers(0, 5))


def any_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy that mostly returns no value: predicates of all kinds never hold."""
    return st.just(()) | st.just(()) | st.lists(values, max_size=3).map(tuple)


def predicates(
    unless: st.SearchStrategy[Predicates | None] = st.none(),  # noqa: B008 (a value)
    inner: st.SearchStrategy[Predicates] | None = None,
) -> st.SearchStrategy[Predicates]:
    """Return a strategy for predicates of all kinds, *unless* and sets of *inner* ones included."""
    sets = st.just(()) if inner is None else any_of(inner)
    return st.builds(
        Predicates,
        equals=any_of(NEEDLES),
        starts_with=any_of(NEEDLES),
        ends_with=any_of(NEEDLES),
        contains=any_of(NEEDLES),
        matches=any_of(PATTERNS),
        size=st.none() | st.none() | SIZES,
        ignore_case=st.booleans(),
        any_of=sets,
        all_of=sets,
        unless=unless,
    )


ANY_PREDICATES = predicates(st.none() | predicates())
#: Predicates in predicates, three levels deep.
NESTED_PREDICATES = st.recursive(
    predicates(), lambda inner: predicates(st.none() | inner, inner), max_leaves=4
)


def by_hand(rule: Predicates, data: bytes, connection: ConnectionContext) -> bool:
    """Return whether *rule* holds, by a second implementation."""
    return all(kinds(rule, rule.ignore_case, data, connection))


def kinds(
    rule: Predicates, ignore_case: bool, data: bytes, connection: ConnectionContext
) -> Iterable[bool]:
    """Yield for each predicate that is given whether it holds."""
    flags = re.IGNORECASE if ignore_case else 0

    def regular(form: bytes, needles: tuple[Needle, ...]) -> bool:
        values = [
            each if isinstance(each, bytes) else each.fill(data, connection) for each in needles
        ]
        return any(re.fullmatch(form % re.escape(each), data, flags | re.DOTALL) for each in values)

    for form, needles in (
        (b"%b", rule.equals),
        (b"%b.*", rule.starts_with),
        (b".*%b", rule.ends_with),
        (b".*%b.*", rule.contains),
    ):
        if needles:
            yield regular(form, needles)
    if rule.matches:
        yield any(re.fullmatch(each, data, flags) for each in rule.matches)
    if rule.size:
        least, most = rule.size
        yield least <= len(data) and (most is None or len(data) <= most)
    if rule.any_of:
        yield any(all(kinds(it, ignore_case, data, connection)) for it in rule.any_of)
    if rule.all_of:
        yield all(all(kinds(it, ignore_case, data, connection)) for it in rule.all_of)
    if rule.unless is not None:
        yield not any(kinds(rule.unless, ignore_case, data, connection))
