"""
Rule index: finds the rules that match a request, in their order, without trying each of them.

Knows predicates and their positions.  Must not know what a rule answers or whether it is used up.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heappop, heappush, heapreplace
from typing import Any

from reqresp._re2 import PatternSet
from reqresp.script.predicates import Predicates
from reqresp.server.responders import ConnectionContext

#: Bytes that RE2 may use for all patterns of a script.
MAX_PATTERN_MEMORY = 64 * 1024 * 1024

# The positions of the rules that have a key in common, in ascending order.
_Positions = list[int]

# Returns the positions of the rules whose keys a request has, one list for each key.
_Find = Callable[[bytes], Iterable[_Positions]]


class _Lookup(ABC):
    """Rules by keys of one kind."""

    #: Whether keys and requests are converted to lower case if case is ignored.
    FOLDS = True

    @abstractmethod
    def slot(self, key: Any) -> _Positions:
        """Return the list of the rules with *key*, to which the caller adds."""

    @abstractmethod
    def misses(self, texts: Sequence[bytes]) -> bool:
        """Return whether none of *texts*, which are requests, has a key; False: perhaps one."""

    @abstractmethod
    def finder(self, budget: int) -> _Find:
        """Return the function that finds the rules for a request, after all rules are added."""


class _Exact(_Lookup):
    """Rules by the whole request."""

    def __init__(self) -> None:
        self._slots: dict[bytes, _Positions] = {}

    def slot(self, key: bytes) -> _Positions:
        return self._slots.setdefault(key, [])

    def misses(self, texts: Sequence[bytes]) -> bool:
        return self._slots.keys().isdisjoint(texts)

    def finder(self, _budget: int) -> _Find:
        slots = self._slots
        return lambda text: (slots[text],) if text in slots else ()


class _Prefix(_Lookup):
    """Rules by the start of the request."""

    def __init__(self) -> None:
        self._sizes: dict[int, dict[bytes, _Positions]] = {}

    def slot(self, key: bytes) -> _Positions:
        return self._sizes.setdefault(len(key), {}).setdefault(key, [])

    def misses(self, texts: Sequence[bytes]) -> bool:
        return all(
            slots.keys().isdisjoint([text[:size] for text in texts])
            for size, slots in self._sizes.items()
        )

    def finder(self, _budget: int) -> _Find:
        sizes = [*self._sizes.items()]
        return lambda text: [
            slots[start] for size, slots in sizes if (start := text[:size]) in slots
        ]


class _Patterns(_Lookup):
    """Rules by compiled patterns."""

    FOLDS = False  # a compiled pattern ignores case by itself

    def __init__(self) -> None:
        self._slots: dict[tuple[bytes, bool], tuple[Any, _Positions]] = {}

    def slot(self, key: Any) -> _Positions:
        same = key.pattern, key.options.case_sensitive
        return self._slots.setdefault(same, (key, []))[1]

    def misses(self, texts: Sequence[bytes]) -> bool:
        return not any(map(self._find, texts))

    def finder(self, budget: int) -> _Find:
        patterns, slots = zip(*self._slots.values(), strict=True)
        matching = PatternSet(patterns, budget).matching
        self._find: _Find = lambda data: [slots[index] for index in matching(data)]
        return self._find


class _Others(_Lookup):
    """Rules without a key."""

    FOLDS = False

    def __init__(self) -> None:
        self._slot: _Positions = []

    def slot(self, _key: None) -> _Positions:
        return self._slot

    def misses(self, texts: Sequence[bytes]) -> bool:  # noqa: ARG002 (each rule would have to be tried)
        return False

    def finder(self, _budget: int) -> _Find:
        return lambda _data: (self._slot,)


# The key of a rule, and the kind of its look-up.
_Key = tuple[type[_Lookup], Any]


def _keys(rule: Predicates) -> Sequence[_Key]:
    """Return keys of which every request that *rule* matches has one; none: there are none."""
    for kind, needles in ((_Exact, rule.equals), (_Prefix, rule.starts_with)):
        if needles and all(isinstance(needle, bytes) for needle in needles):
            return [(kind, it) for it in needles]
    if rule.patterns:
        return [(_Patterns, it) for it in rule.patterns]
    for each in rule.all_of:
        if found := _keys(each.with_case(rule.ignore_case)):
            return found
    either = [_keys(it.with_case(rule.ignore_case)) for it in rule.any_of]
    return [key for keys in either for key in keys] if all(either) else ()


class Index:
    """
    Finds the rules that match a request.

    The key of a rule is its ``equals``, else its ``starts_with`` (without templates), else its
    patterns, else a key of the sets within it.  A rule without a key is tried each time.  The
    search is lazy: before it returns a rule, it tries no rule and no table that can only lead to
    later rules.
    """

    def __init__(self, rules: Sequence[Predicates], budget: int = MAX_PATTERN_MEMORY) -> None:
        """
        :param budget: bytes that RE2 may use for the patterns of all *rules*.
        :raises ValueError: the patterns need more than *budget*.
        """
        # What remains to be checked after a rule is found by its key; None: nothing.
        self._checks: list[Callable[[bytes, ConnectionContext], bool] | None] = []
        tables: dict[tuple[type[_Lookup], bool], tuple[int, _Lookup]] = {}
        for position, rule in enumerate(rules):
            keys = _keys(rule)
            proven = bool(keys) and rule.is_single
            self._checks.append(None if proven else rule.hold)
            every: Sequence[_Key] = keys or ((_Others, None),)
            for kind, key in every:
                folds = kind.FOLDS and rule.ignore_case
                _, table = tables.setdefault((kind, folds), (position, kind()))
                table.slot(key.lower() if folds else key).append(position)
        self._folds = any(folds for _, folds in tables)
        # Each with the position of its first rule, in ascending order of these.
        self._tables = [
            (first, table.finder(budget), folds) for (_, folds), (first, table) in tables.items()
        ]
        self._lookups = [(table, folds) for (_, folds), (_, table) in tables.items()]

    def misses(self, requests: Sequence[bytes]) -> bool:
        """Return whether no rule matches one of *requests*; False: perhaps one does."""
        texts = requests, [it.lower() for it in requests] if self._folds else requests
        return all(table.misses(texts[folds]) for table, folds in self._lookups)

    def matching(self, data: bytes, connection: ConnectionContext) -> Iterator[int]:
        """
        Yield the positions of the rules that match the request *data*, in ascending order.
        """
        texts = data, data.lower() if self._folds else data
        tables, opened = self._tables, 0
        # A heap of the lists found: (next position, tie-breaker, index of that position, list).
        found: list[tuple[int, int, int, _Positions]] = []
        last = -1
        while True:
            # Search a table only when it may have the next rule.
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
            if position == last:  # found by another of its keys, or by a key given twice
                continue
            last = position
            check = self._checks[position]
            if check is None or check(data, connection):
                yield position
