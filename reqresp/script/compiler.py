"""
Builder: the rules that a script's tables describe.

Knows predicates and what a rule's keys mean together; what it answers is for `answers`.
"""

from collections import defaultdict
from typing import Any

from attrs import frozen

from reqresp.framing import Delimiter, Framing, Line
from reqresp.script.answers import Answers
from reqresp.script.parts import Names
from reqresp.script.payloads import COUNT, SOURCES, groups
from reqresp.script.predicates import Predicates
from reqresp.script.rules import Fill, Rule
from reqresp.script.schema import Document, PayloadTable, PredicateTable, RuleTable, SizeTable

#: Names every state.
EVERY = "*"

_COMPARING = ("equals", "starts_with", "ends_with", "contains")


def _shows_count(rule: Rule) -> bool:
    steps = (step for reply in rule.replies for step in reply)
    return any(isinstance(it, Fill) and COUNT["count"] in it.template.parts for it in steps)


@frozen
class Builder(Answers):
    """
    Makes rules of tables.

    :param framing_of_requests: None: it is not known.
    :param document: says what goes for all of them.
    """

    framing_of_requests: Framing | None
    document: Document

    def rule(self, table: RuleTable, path: str) -> Rule:
        """Give the rule that *table* describes."""
        ignore_case = table.ignore_case
        if ignore_case is None:
            ignore_case = self.document.ignore_case
        predicates = self._predicates(table, path, ignore_case)
        if table.times is not None and table.times < 1:
            self.reader.blame(f"{path}.times", f"expected 1 or more, found {table.times}")
        rule = self.make(
            table,
            path,
            self._names(predicates, path),
            predicates=predicates,
            when=self._when(table, path),
            times=table.times,
            per_connection=table.scope == "connection",
        )
        counts = table.times is not None or table.cycle is not None or _shows_count(rule)
        if table.scope == "connection" and not counts and self.reader.is_clean(path):
            self.reader.blame(
                f"{path}.scope", "nothing is counted here: expected times, cycle, or {count}"
            )
        return rule

    def _when(self, table: RuleTable, path: str) -> frozenset[str] | None:
        if table.when is None:
            return frozenset([self.document.start])
        states = {state for state, _ in self.each(table.when, f"{path}.when")}
        if EVERY in states and len(states) > 1:
            self.reader.blame(f"{path}.when", f'expected states, or "{EVERY}" alone')
        return None if EVERY in states else frozenset(states)

    def _names(self, predicates: Predicates, path: str) -> Names:
        if not self.reader.is_clean(f"{path}.matches"):
            return defaultdict(lambda: SOURCES["0"])  # whatever its groups were to be
        found = groups([*predicates.patterns])
        for name in sorted(found.keys() & {*SOURCES, *COUNT}):
            self.reader.blame(f"{path}.matches", f"no group can be called {name}: it is taken")
        return {**found, **SOURCES, **COUNT}

    def _predicates(self, table: PredicateTable, path: str, ignore_case: bool) -> Predicates:
        kinds: dict[str, Any] = {
            name: self._needles(table, name, path, SOURCES) for name in _COMPARING
        }
        kinds["size"] = self._size(table.size, f"{path}.size")
        kinds["ignore_case"] = ignore_case
        if isinstance(table, RuleTable) and table.not_ is not None:
            kinds["unless"] = self._predicates(table.not_, f"{path}.not", ignore_case)
        try:
            return Predicates(matches=self._needles(table, "matches", path, None), **kinds)
        except ValueError:
            self._blame_patterns(table.matches, f"{path}.matches")
            return Predicates(**kinds)

    def _blame_patterns(self, given: Any, path: str) -> None:
        for payload, place in self.each(given, path):
            pattern = self.payload(payload, place, None)
            try:
                Predicates(matches=() if pattern is None else (pattern,))  # type: ignore[arg-type]  # it is no template
            except ValueError as error:
                self.reader.blame(place, str(error))

    def _needles(
        self, table: PredicateTable, kind: str, path: str, names: Names
    ) -> tuple[Any, ...]:
        given = getattr(table, kind)
        if given is None:
            return ()
        needles = []
        for payload, place in self.each(given, f"{path}.{kind}"):
            if isinstance(payload, PayloadTable) and payload.raw:
                self.reader.blame(place, "raw is for what is sent")
            needles.append(self.payload(payload, place, names))
            if kind in _COMPARING:
                self._check_needle(needles[-1], place)
        return tuple(needle for needle in needles if needle is not None)

    def _check_needle(self, needle: Any, path: str) -> None:
        end = None
        if isinstance(self.framing_of_requests, Line):
            end = b"\n"
        elif isinstance(self.framing_of_requests, Delimiter):
            end = self.framing_of_requests.delimiter
        if end is not None and isinstance(needle, bytes) and end in needle:
            self.reader.blame(path, f"no request holds {end!r}, which ends it: nothing can fit")

    def _size(self, size: int | SizeTable | None, path: str) -> tuple[int, int | None] | None:
        if size is None:
            return None
        least, most = (size.min, size.max) if isinstance(size, SizeTable) else (size, size)
        if least < 0 or (most is not None and most < least):
            self.reader.blame(path, "expected 0 or more, and a max that is no less than the min")
        return least, most
