"""
RuleCompiler: the rules and predicates that tables describe.

Checks each key of a rule and which keys fit together, not how rules fit together.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Self

from attrs import evolve, fields, frozen

from reqresp._errors import FieldError
from reqresp._re2 import compile_pattern
from reqresp._text import quote
from reqresp.exchanges import UNMATCHED
from reqresp.framing import BaseFraming
from reqresp.script._checks import check_needle, check_unsent, json_parts, size_bounds, timer
from reqresp.script._parts import TableParts
from reqresp.script._replies import Replies
from reqresp.script._states import StateFramings
from reqresp.script.files import ScriptFiles
from reqresp.script.json_values import PartialJson
from reqresp.script.names import (
    REPLY_SOURCES,
    REQUEST_SOURCES,
    Name,
    Sources,
    group_sources,
    variable_source,
)
from reqresp.script.predicates import COMPARISONS, Predicates
from reqresp.script.reader import Reader
from reqresp.script.rule import EVERY_STATE, ReplyTemplate, Rule, Turn
from reqresp.script.schema import (
    AnswerTable,
    Document,
    GreetingTable,
    PredicateTable,
    RequestTable,
    RuleTable,
    SizeTable,
    TurnTable,
)
from reqresp.server.state_properties import StateProperties
from reqresp.server.triggers import Timer, Trigger

#: What the name of a rule can be: it stands in logs and journals, and is not taken for a path.
_NAME = re.compile(r"(?!rule\[)[^\W_](?:[\w .:/+-]{0,58}[\w+-])?")
_NAME_EXPECTED = (
    "expected a name of 1 to 60 letters, digits, spaces and . : / + - _ that starts with a letter"
    " or a digit"
)


def compile_rule(
    table: RuleTable,
    path: str,
    reader: Reader,
    files: ScriptFiles,
    framing: BaseFraming,
    properties: Mapping[str, StateProperties] = MappingProxyType({}),
    variables: Mapping[str, Name] = MappingProxyType({}),
) -> Rule:
    """
    Return the rule of *table*, for every state unless it says which; unusable after a problem.

    :param path: where the table is, for problems.
    :param framing: of the server whose requests it answers.
    :param properties: of the states of that server that differ.
    :param variables: what its templates can name besides what it has.
    """
    if table.when is None:
        table = evolve(table, when=EVERY_STATE)
    if table.name is not None:
        _check_name(table.name, f"{path}.name", reader)
    framings = StateFramings(framing, properties)
    document = Document(rule=[table])
    compiler = RuleCompiler.of(reader, TableParts(reader, files), framings, document, variables)
    return compiler.rule(table, path)


def compile_predicates(
    table: RequestTable, path: str, reader: Reader, files: ScriptFiles, framing: BaseFraming
) -> Predicates:
    """Return the predicates of *table*, as `compile_rule` makes them."""
    framings = StateFramings(framing, {})
    compiler = RuleCompiler.of(reader, TableParts(reader, files), framings, Document())
    return compiler.predicates(table, path)


def _check_name(name: str, path: str, reader: Reader) -> None:
    if not _NAME.fullmatch(name):
        reader.report(path, f"{_NAME_EXPECTED}, found {quote(name)}")


def _turns(table: AnswerTable) -> list[TurnTable]:
    """Return the replies of a cycle; a payload is one without keys of its own."""
    return [it if isinstance(it, TurnTable) else TurnTable() for it in table.cycle or ()]


def _places_of_turns(table: AnswerTable, path: str) -> list[tuple[TurnTable, str]]:
    return [(it, f"{path}.cycle[{at}]") for at, it in enumerate(_turns(table))]


def places_of(key: str, table: AnswerTable, path: str) -> list[str]:
    """Return where the answer *table*, or a step or a reply of it, has the flag *key*."""
    answers = ((table, path), *_places_of_turns(table, path))
    return [f"{at}.{place}" for answer, at in answers for place in _places(key, answer)]


def _places(key: str, table: TurnTable) -> list[str]:
    steps = [f"do[{at}].{key}" for at, it in enumerate(table.do or ()) if getattr(it, key, False)]
    return [*steps, *[key] * bool(getattr(table, key, False))]


def _variables(document: Document) -> dict[str, Name]:
    """Return all variables that a rule of *document* sets, by their names."""
    answers = (*document.rule, document.greeting, document.unmatched)
    tables = [it for it in answers if isinstance(it, AnswerTable)]
    turns = [it for table in tables for it in _turns(table)]
    return {name: variable_source(name) for it in (*tables, *turns) for name in it.set_}


@frozen
class RuleCompiler:
    """
    Makes rules of tables.

    :param framing: of requests; None: unknown, so predicates are not checked against it.
    :param framings: of the states.
    :param document: has the defaults for all rules.
    :param variables: what templates can name besides what a rule has: all that a rule sets.
    :param needle_sources: what the templates of needles can name.
    """

    reader: Reader
    parts: TableParts
    replies: Replies
    framing: BaseFraming | None
    framings: StateFramings
    document: Document
    variables: Mapping[str, Name]
    needle_sources: Sources

    @classmethod
    def of(
        cls,
        reader: Reader,
        parts: TableParts,
        framings: StateFramings,
        document: Document,
        variables: Mapping[str, Name] = MappingProxyType({}),
    ) -> Self:
        """
        Return what makes rules of *document*, in states with the default of *framings*.

        :param variables: what templates can name besides what *document* has.
        """
        framing = framings.default
        variables = {**variables, **_variables(document)}
        return cls(
            reader,
            parts,
            Replies(reader, parts, (framing and framing.replies,), framings.is_framed),
            framing and framing.requests,
            framings,
            document,
            variables,
            needle_sources={**variables, **REQUEST_SOURCES},
        )

    def in_states(self, states: Iterable[str] | None) -> Self:
        """Return what makes the rules of *states*, all of which it has; None: of every state."""
        found = self.framings.of(states)
        if found == (self.framings.default,):
            return self
        framing = found[0].requests if len(found) == 1 and found[0] is not None else None
        framings = tuple(it and it.replies for it in found)
        return evolve(self, framing=framing, replies=evolve(self.replies, framings=framings))

    def rules(self) -> list[Rule]:
        """Return all rules of the document."""
        self._check_names()
        return [
            self.rule(table, f"rule[{at}]")
            for at, table in enumerate(self.document.rule)
            if table is not None  # it was not a table, which has been reported
        ]

    def _check_names(self) -> None:
        """Check that each name stands for one rule, wherever it is shown."""
        first = {"greeting": "the greeting", UNMATCHED: "what answers unmatched requests"}
        for at, table in enumerate(self.document.rule):
            name = None if table is None else table.name
            if name is None:
                continue
            path = f"rule[{at}].name"
            if name in first:
                self.reader.report(path, f"expected another name: {quote(name)} is {first[name]}")
            else:
                _check_name(name, path, self.reader)
            first.setdefault(name, f"the name of rule[{at}]")

    def answer(self, given: Any, path: str, trigger: Trigger = Trigger.REQUEST) -> Rule | None:
        """Return the rule that answers without predicates; None: nothing is given."""
        if given is None:
            return None
        line = self.reader.locate(path)
        if not isinstance(given, AnswerTable):
            payloads = self.replies.payloads(given, path, {**self.variables, **REPLY_SOURCES})
            return Rule(name=path, trigger=trigger, replies=[payloads], line=line)
        times = given.times if isinstance(given, GreetingTable) else None
        self._check_times(times, path)
        rule = Rule(
            name=path,
            trigger=trigger,
            line=line,
            times=times,
            **self._answer_keys(given, path, {**self.variables, **REPLY_SOURCES}),
        )
        self._check_trigger(rule, given)
        return rule

    def rule(self, table: RuleTable, path: str) -> Rule:
        """Return the rule that *table* describes; unusable after a problem."""
        when = self._when(table, path)
        return self.in_states(when)._rule(table, path, when)

    def _rule(self, table: RuleTable, path: str, when: frozenset[str] | None) -> Rule:
        predicates = self.predicates(table, path)
        self._check_times(table.times, path)
        own_timer = self._timer(table, path)
        # A timer is its connection's, so its counts are, too.
        is_own = table.scope == "connection" or (table.scope is None and own_timer is not None)
        rule = Rule(
            name=path if table.name is None else table.name,
            path=path,
            trigger=Trigger(table.on) if own_timer is None else Trigger.TIMER,
            timer=own_timer,
            line=self.reader.locate(path),
            predicates=predicates,
            when=when,
            times=table.times,
            per_connection=is_own,
            **self._answer_keys(table, path, self._sources(predicates, path)),
        )
        self._check_trigger(rule, table)
        counts = table.times is not None or table.cycle is not None or "count" in rule.names
        counts = counts or rule.reads_lines
        if table.scope == "connection" and not counts and self.reader.is_clean(path):
            self.reader.report(
                f"{path}.scope",
                "expected times, cycle, lines or {count} in this rule: it counts nothing",
            )
        return rule

    def _timer(self, table: RuleTable, path: str) -> Timer | None:
        """Return the timer of a rule; None: it has none, or it has problems."""
        if table.every is None:
            if table.jitter is not None and self.reader.is_clean(f"{path}.every"):
                self.reader.report(f"{path}.jitter", "expected every in this rule: it has no timer")
            return None
        if table.on != "request":
            self.reader.report(f"{path}.every", "cannot be combined with on")
            return None
        try:
            return timer(path, table.every, table.jitter or 0.0)
        except FieldError as error:
            self.reader.report(f"{path}.{error.field}", error.problem)
            return None

    def _check_times(self, times: int | None, path: str) -> None:
        if times is not None and times < 1:
            self.reader.report(f"{path}.times", f"expected an integer >= 1, found {times}")

    def _check_trigger(self, rule: Rule, table: AnswerTable) -> None:
        """Check that a rule which answers no request has no key that needs one."""
        if rule.trigger is Trigger.REQUEST:
            return
        none = f"there is no request on {rule.trigger.value}"
        predicates = [
            it.name.removesuffix("_")
            for it in (fields(RequestTable) if isinstance(table, RequestTable) else ())
            if getattr(table, it.name) is not None
        ]
        for name in predicates[:1]:
            found = " and ".join(predicates)
            self.reader.report(
                f"{rule.path}.{name}", f"expected no predicate, found {found}: {none}"
            )
        if rule.call is not None:
            self.reader.report(f"{rule.path}.call", f"expected no call: {none}")
        if rule.forwards:
            place = places_of("forward", table, rule.path)[0]
            self.reader.report(place, f"expected no forward: {none}")

    def _answer_keys(self, table: AnswerTable, path: str, sources: Sources) -> dict[str, Any]:
        return {
            "replies": self._turns(table, path, sources),
            "goto": table.goto,
            "variables": self.parts.variables(table.set_, f"{path}.set", sources),
            "call": None if table.call is None else self.parts.function(table.call, f"{path}.call"),
            "faults": self.parts.faults(table.faults, f"{path}.faults"),
        }

    def _turns(self, table: AnswerTable, path: str, sources: Sources) -> list[Turn]:
        """Return the replies, with what each of a cycle has besides."""
        replies = self.replies.replies(table, path, sources)
        if not any(isinstance(it, TurnTable) for it in table.cycle or ()):
            return [Turn(steps) for steps in replies]
        places = _places_of_turns(table, path)
        return [self._turn(steps, *it, sources) for steps, it in zip(replies, places, strict=False)]

    def _turn(self, steps: ReplyTemplate, given: TurnTable, path: str, sources: Sources) -> Turn:
        return Turn(
            steps,
            goto=given.goto,
            variables=self.parts.variables(given.set_, f"{path}.set", sources),
            faults=self.parts.faults(given.faults, f"{path}.faults"),
        )

    def _when(self, table: RuleTable, path: str) -> frozenset[str] | None:
        if table.when is None:
            return frozenset([self.document.start])
        states = frozenset(state for state, _ in self.parts.each(table.when, f"{path}.when"))
        if EVERY_STATE not in states:
            return states
        if len(states) > 1:
            self.reader.report(f"{path}.when", f'expected states, or "{EVERY_STATE}" alone')
        return None

    def _sources(self, predicates: Predicates, path: str) -> Sources:
        if not self.reader.is_clean(f"{path}.matches"):
            return defaultdict(lambda: REQUEST_SOURCES["0"])  # the groups are unknown: accept all
        groups = group_sources(predicates.patterns)
        for name in sorted(groups.keys() & REPLY_SOURCES.keys()):
            self.reader.report(
                f"{path}.matches", f"expected another name for the group {name}: it is reserved"
            )
        return {**self.variables, **groups, **REPLY_SOURCES}

    def predicates(self, table: RequestTable, path: str) -> Predicates:
        """Return the predicates of *table*; unusable after a problem."""
        ignore_case = table.ignore_case
        if ignore_case is None:
            ignore_case = self.document.ignore_case
        return self._predicates(table, path, ignore_case)

    def _predicates(self, table: PredicateTable, path: str, ignore_case: bool) -> Predicates:
        kinds: dict[str, Any] = {
            name: self._needles(getattr(table, name), f"{path}.{name}") for name in COMPARISONS
        }
        kinds["size"] = self._size(table.size, f"{path}.size")
        kinds["json"] = self._json(table.json, f"{path}.json")
        kinds["ignore_case"] = ignore_case
        for name, given in (("any", table.any_), ("all", table.all_)):
            sets = [] if given is None else self.parts.each(given, f"{path}.{name}")
            kinds[f"{name}_of"] = tuple(self._predicates(*it, ignore_case) for it in sets)
        if table.not_ is not None:
            kinds["unless"] = self._predicates(table.not_, f"{path}.not", ignore_case)
        patterns = self._patterns(table.matches, f"{path}.matches")
        try:
            return Predicates(matches=tuple(patterns.values()), **kinds)
        except ValueError:
            self._report_patterns(patterns)
            return Predicates(**kinds)

    def _needles(self, given: Any, path: str) -> tuple[Any, ...]:
        needles = []
        for payload, place in self._payloads(given, path):
            needle = self.parts.payload(payload, place, self.needle_sources)
            if needle is None:
                continue
            needles.append(needle)
            try:
                check_needle(needle, self.framing)
            except ValueError as error:
                self.reader.report(place, str(error))
        return tuple(needles)

    def _patterns(self, given: Any, path: str) -> dict[str, bytes]:
        """Return the patterns by their paths."""
        found = {
            place: self.parts.payload(payload, place, None)
            for payload, place in self._payloads(given, path)
        }
        return {place: it for place, it in found.items() if isinstance(it, bytes)}

    def _report_patterns(self, patterns: Mapping[str, bytes]) -> None:
        for path, pattern in patterns.items():
            try:
                compile_pattern(pattern)
            except ValueError as error:
                self.reader.report(path, str(error))

    def _payloads(self, given: Any, path: str) -> list[tuple[Any, str]]:
        found = [] if given is None else self.parts.each(given, path)
        for payload, place in found:
            try:
                check_unsent(payload)
            except ValueError as error:
                self.reader.report(place, str(error))
        return found

    def _json(self, given: Any, path: str) -> tuple[PartialJson, ...]:
        try:
            return () if given is None else json_parts(given)
        except ValueError as error:
            self.reader.report(path, str(error))
            return ()

    def _size(self, size: int | SizeTable | None, path: str) -> tuple[int, int | None] | None:
        if size is None:
            return None
        try:
            return size_bounds(size)
        except ValueError as error:
            self.reader.report(path, str(error))
            return None
