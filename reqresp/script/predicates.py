"""
Predicates: the conditions under which a rule answers a request.

Knows the bytes of one request and its connection.  Must not know other rules, states or answers.
Bytes are compared as bytes.  Ignoring case concerns ASCII letters only.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from attrs import evolve, field, frozen

from reqresp._re2 import compile_pattern
from reqresp.script.json_values import PartialJson
from reqresp.server.responders import ConnectionContext


class RequestTemplate(Protocol):
    """Bytes that depend on the request and its connection."""

    def fill(self, data: bytes, connection: ConnectionContext) -> bytes:
        """Return the bytes for the request *data* of *connection*."""


#: What a request is compared with.
Needle = bytes | RequestTemplate

# Called with the request, the request in lower case (if case is ignored), and its connection.
_Test = Callable[[bytes, bytes, ConnectionContext], bool]
_Comparison = Callable[[bytes, tuple[bytes, ...]], bool]


def _contains(text: bytes, needles: tuple[bytes, ...]) -> bool:
    for needle in needles:  # noqa: SIM110 (any() takes three times as long)
        if needle in text:
            return True
    return False


# The predicates that compare bytes.
_COMPARISONS: dict[str, _Comparison] = {
    "equals": lambda text, needles: text in needles,
    "starts_with": bytes.startswith,
    "ends_with": bytes.endswith,
    "contains": _contains,
}


#: The names of the predicates that compare bytes, which are fields of `Predicates`.
COMPARISONS = tuple(_COMPARISONS)


@frozen(kw_only=True)
class Predicates:
    """
    A set of predicates.  All that are given must hold; without any, every request matches.

    A predicate with several values holds if any of the values matches.  Templates are filled last,
    after all other predicates have held.

    :param matches: RE2 patterns for the whole request.
    :param size: the smallest and the largest size in bytes; None: no upper bound.
    :param json: values of which the request, as JSON, has one in part.
    :param any_of: sets of predicates of which at least one must hold.
    :param all_of: sets of predicates that must all hold.
    :param unless: predicates of which none may hold.
    :param ignore_case: ignore the case of ASCII letters, in all sets within this one, too, whatever
        their own value.
    :raises ValueError: RE2 refuses a pattern.
    """

    equals: tuple[Needle, ...] = ()
    starts_with: tuple[Needle, ...] = ()
    ends_with: tuple[Needle, ...] = ()
    contains: tuple[Needle, ...] = ()
    matches: tuple[bytes, ...] = ()
    size: tuple[int, int | None] | None = None
    json: tuple[PartialJson, ...] = ()
    ignore_case: bool = False
    any_of: "tuple[Predicates, ...]" = ()
    all_of: "tuple[Predicates, ...]" = ()
    unless: "Predicates | None" = None
    #: *matches*, compiled.
    patterns: tuple[Any, ...] = field(init=False, repr=False, eq=False)
    _required: Sequence[_Test] = field(init=False, repr=False, eq=False)
    _forbidden: Sequence[_Test] = field(init=False, repr=False, eq=False)

    @patterns.default
    def _compiled(self) -> tuple[Any, ...]:
        return tuple(compile_pattern(each, ignore_case=self.ignore_case) for each in self.matches)

    @_required.default
    def _tests(self) -> Sequence[_Test]:
        cheap: list[_Test] = []
        costly: list[_Test] = []
        for kind, compare in _COMPARISONS.items():
            if needles := getattr(self, kind):
                constant = all(isinstance(needle, bytes) for needle in needles)
                test = (_compared if constant else _filled)(compare, needles, self.ignore_case)
                (cheap if constant else costly).append(test)
        if self.size is not None:
            cheap.append(_sized(*self.size))
        if self.matches:
            cheap.append(lambda data, _text, _connection: self.match(data) is not None)
        if self.json:
            cheap.append(_with_json(self.json))
        for combine, sets in ((_any_holds, self.any_of), (_all_hold, self.all_of)):
            if sets:
                inner = tuple(it.with_case(self.ignore_case) for it in sets)
                constant = not any(it.has_template for it in inner)
                (cheap if constant else costly).append(combine(inner))
        return [*cheap, *costly]

    @_forbidden.default
    def _unless_tests(self) -> Sequence[_Test]:
        if self.unless is None:
            return ()
        inner = self.unless.with_case(self.ignore_case)
        if not inner._forbidden:
            return inner._required
        return [*inner._required, inner._spares]

    def _spares(self, data: bytes, text: bytes, connection: ConnectionContext) -> bool:
        """Return whether none of what is forbidden holds."""
        return not any(test(data, text, connection) for test in self._forbidden)

    @property
    def has_template(self) -> bool:
        """Whether a template is among them, so that the result depends on the connection."""
        every = [*self.wanted(), *self.refused()]
        needles = (it for each in every for kind in _COMPARISONS for it in getattr(each, kind))
        return not all(isinstance(needle, bytes) for needle in needles)

    def with_case(self, ignore_case: bool) -> "Predicates":
        """Return a copy with this *ignore_case*, or itself if it has that."""
        return self if self.ignore_case == ignore_case else evolve(self, ignore_case=ignore_case)

    def wanted(self) -> "Iterator[Predicates]":
        """Yield this set and all sets within it that must or may hold."""
        yield self
        for each in (*self.any_of, *self.all_of):
            yield from each.wanted()

    def refused(self) -> "Iterator[Predicates]":
        """Yield all sets within this one that must not hold, and all sets within these."""
        for each in (*self.any_of, *self.all_of):
            yield from each.refused()
        if self.unless is not None:
            yield from self.unless.wanted()
            yield from self.unless.refused()

    @property
    def is_empty(self) -> bool:
        """Whether no predicate is given, so that every request matches."""
        return not self._required and not self._forbidden

    @property
    def is_single(self) -> bool:
        """Whether exactly one predicate is given, which has no other sets within it."""
        has_sets = self.any_of or self.all_of or self._forbidden
        return len(self._required) == 1 and not has_sets

    def hold(self, data: bytes, connection: ConnectionContext) -> bool:
        """Return whether the request *data* of *connection* matches."""
        text = data.lower() if self.ignore_case else data
        for test in self._required:
            if not test(data, text, connection):
                return False
        for test in self._forbidden:  # noqa: SIM110 (all() takes three times as long)
            if test(data, text, connection):
                return False
        return True

    def match(self, data: bytes) -> Any:
        """Return the match of the first pattern that matches *data*, or None."""
        for pattern in self.patterns:
            if match := pattern.fullmatch(data):
                return match
        return None

    def groups(self, data: bytes) -> dict[str, bytes]:
        """Return the groups of the first pattern that matches *data*, by number and by name."""
        for pattern in self.patterns:
            if match := pattern.fullmatch(data):
                found = {str(at): it or b"" for at, it in enumerate(match.groups(), 1)}
                names = pattern.groupindex.items()
                return found | {name.decode("latin-1"): found[str(at)] for name, at in names}
        return {}


def folded(needle: bytes, ignore_case: bool) -> bytes:
    """Return *needle*, in lower case if case is ignored."""
    return needle.lower() if ignore_case else needle


def _compared(compare: _Comparison, needles: tuple[bytes, ...], ignore_case: bool) -> _Test:
    wanted = tuple(folded(needle, ignore_case) for needle in needles)
    return lambda _data, text, _connection: compare(text, wanted)


def _filled(compare: _Comparison, needles: tuple[Needle, ...], ignore_case: bool) -> _Test:
    def test(data: bytes, text: bytes, connection: ConnectionContext) -> bool:
        for needle in needles:
            try:
                value = needle if isinstance(needle, bytes) else needle.fill(data, connection)
            except ValueError:  # a filter cannot change a value
                continue
            if compare(text, (folded(value, ignore_case),)):
                return True
        return False

    return test


def _any_holds(sets: tuple[Predicates, ...]) -> _Test:
    return lambda data, _text, connection: any(it.hold(data, connection) for it in sets)


def _all_hold(sets: tuple[Predicates, ...]) -> _Test:
    return lambda data, _text, connection: all(it.hold(data, connection) for it in sets)


def _with_json(values: tuple[PartialJson, ...]) -> _Test:
    return lambda data, _text, _connection: any(value.holds(data) for value in values)


def _sized(least: int, most: int | None) -> _Test:
    if most is None:
        return lambda data, _text, _connection: least <= len(data)
    return lambda data, _text, _connection: least <= len(data) <= most
