"""
Index: which of many rules fit a request, in their order, without trying them all.

Knows predicates and where they stand; what a rule answers, and whether it is used up, is the
caller's.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heappop, heappush, heapreplace
from typing import Any

from reqresp._re2 import PatternSet
from reqresp.script.predicates import Predicates
from reqresp.server.responders import ConnectionContext

#: Bytes that RE2 may use for the patterns of an index.
BUDGET = 64 * 1024 * 1024

# Where the rules with a key in common stand, in ascending order.
_Positions = list[int]

# What finds the lists of the rules whose keys a text has.
_Find = Callable[[bytes], Iterable[_Positions]]


class _Table(ABC):
    """Rules by their keys, of one kind."""

    #: Whether keys are told apart by case, or folded like what is looked up.
    FOLDS = True

    @abstractmethod
    def slot(self, key: Any) -> _Positions:
        """Give the list of the rules with *key*, to be added to."""

    @abstractmethod
    def finder(self, budget: int) -> _Find:
        """Make the function that looks a request up, once all rules are in."""


class _Exact(_Table):
    """Rules by the whole request."""

    def __init__(self) -> None:
        self._slots: dict[bytes, _Positions] = {}

    def slot(self, key: bytes) -> _Positions:
        return self._slots.setdefault(key, [])

    def finder(self, _budget: int) -> _Find:
        slots = self._slots
        return lambda text: (slots[text],) if text in slots else ()


class _Prefix(_Table):
    """Rules by what a request starts with."""

    def __init__(self) -> None:
        self._sizes: dict[int, dict[bytes, _Positions]] = {}

    def slot(self, key: bytes) -> _Positions:
        return self._sizes.setdefault(len(key), {}).setdefault(key, [])

    def finder(self, _budget: int) -> _Find:
        sizes = [*self._sizes.items()]
        return lambda text: [
            slots[start] for size, slots in sizes if (start := text[:size]) in slots
        ]


class _Patterns(_Table):
    """Rules by compiled patterns."""

    FOLDS = False  # patterns know for themselves

    def __init__(self) -> None:
        self._slots: dict[tuple[bytes, bool], tuple[Any, _Positions]] = {}

    def slot(self, key: Any) -> _Positions:
        same = key.pattern, key.options.case_sensitive
        return self._slots.setdefault(same, (key, []))[1]

    def finder(self, budget: int) -> _Find:
        patterns, slots = zip(*self._slots.values(), strict=True)
        matching = PatternSet(patterns, budget).matching
        return lambda data: [slots[index] for index in matching(data)]


class _Others(_Table):
    """Rules that no key finds."""

    FOLDS = False

    def __init__(self) -> None:
        self._slot: _Positions = []

    def slot(self, _key: None) -> _Positions:
        return self._slot

    def finder(self, _budget: int) -> _Find:
        return lambda _data: (self._slot,)


def _key(rule: Predicates) -> tuple[type[_Table], Iterable[Any]]:
    """Choose the kind of table that finds *rule*, and its keys there."""
    for kind, needles in ((_Exact, rule.equals), (_Prefix, rule.starts_with)):
        if needles and all(isinstance(needle, bytes) for needle in needles):
            return kind, needles
    return (_Patterns, rule.patterns) if rule.patterns else (_Others, (None,))


class Index:
    """
    Finds the rules that fit a request.

    A rule has a key, by which it is found among others: what requests equal, else what they start
    with (neither of them where it holds a template), else its patterns.  A rule without a key is
    tried whenever a look-up comes to it.  A look-up does no more than the next rule that fits
    takes: nothing is tried, and no table looked into, that holds only rules behind that one.
    """

    def __init__(self, rules: Sequence[Predicates], budget: int = BUDGET) -> None:
        """
        :param budget: bytes that RE2 may use for the patterns of all *rules*.
        :raises ValueError: *budget* is too small.
        """
        # What is left to ask once a rule was found, if anything.
        self._rests: list[Callable[[bytes, ConnectionContext], bool] | None] = []
        tables: dict[tuple[type[_Table], bool], tuple[int, _Table]] = {}
        for position, rule in enumerate(rules):
            kind, keys = _key(rule)
            proven = kind is not _Others and rule.is_single
            self._rests.append(None if proven else rule.hold)
            folds = kind.FOLDS and rule.ignore_case
            _, table = tables.setdefault((kind, folds), (position, kind()))
            for key in keys:
                table.slot(key.lower() if folds else key).append(position)
        self._folds = any(folds for _, folds in tables)
        # Each with its first rule, which are in ascending order.
        self._tables = [
            (first, table.finder(budget), folds) for (_, folds), (first, table) in tables.items()
        ]

    def matching(self, data: bytes, connection: ConnectionContext) -> Iterator[int]:
        """
        Find the rules that fit the request *data* of *connection*.

        Gives their positions among the rules, in ascending order, each when it is asked for.
        """
        texts = data, data.lower() if self._folds else data
        tables, opened = self._tables, 0
        # The lists that rules were found in: (next position, tie-breaker, its place, list).
        found: list[tuple[int, int, int, _Positions]] = []
        last = -1
        while True:
            # A table is looked into as soon as it may hold the next rule, and not before.
            while opened < len(tables) and not (found and found[0][0] < tables[opened][0]):
                _, find, folds = tables[opened]
                for slot in find(texts[folds]):
                    heappush(found, (slot[0], id(slot), 0, slot))
                opened += 1
            if not found:
                return
            position, tie, place, slot = found[0]
            if place + 1 < len(slot):
                heapreplace(found, (slot[place + 1], tie, place + 1, slot))
            else:
                heappop(found)
            if position == last:  # found by another of its keys, or by the same given twice
                continue
            last = position
            rest = self._rests[position]
            if rest is None or rest(data, connection):
                yield position
