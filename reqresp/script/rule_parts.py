"""
Rule parts: what a `Rule` consists of, made from Python values instead of TOML.

Checks the same as for a script, and raises at the first problem.  Must not know how a rule
is used.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypedDict, TypeVar

import attrs
from attrs import Factory, evolve, frozen

from reqresp._errors import Bytes, FieldError, Seconds, check_count
from reqresp._re2 import compile_pattern
from reqresp._text import unknown
from reqresp.faults import KINDS, PlacedFault
from reqresp.framing import BaseFraming, Chunk, Framing, complete_framing, is_framing, parse_framing
from reqresp.script._checks import (
    check_needle,
    check_unsent,
    json_parts,
    send,
    size_bounds,
    timer,
    wait,
)
from reqresp.script._parts import TableParts
from reqresp.script._replies import ADDRESSEES, Replies, addressed
from reqresp.script._states import StateFramings, mixed
from reqresp.script.files import AnyFiles
from reqresp.script.names import (
    REPLY_SOURCES,
    REQUEST_SOURCES,
    Name,
    Sources,
    group_sources,
    variable_source,
)
from reqresp.script.payloads import read_payload
from reqresp.script.predicates import COMPARISONS, Predicates
from reqresp.script.reader import Reader
from reqresp.script.rule import EVERY_STATE, SendTemplate, Turn
from reqresp.script.schema import (
    FaultWindowTable,
    PayloadTable,
    SizeTable,
    TurnTable,
    VariableTable,
)
from reqresp.script.templates import Template
from reqresp.script.variables import Variable
from reqresp.server.state_properties import StateProperties
from reqresp.server.triggers import Timer
from reqresp.steps import Broadcast, Forward, Send, Wait, is_addressee

T = TypeVar("T")

#: A payload as Python code writes it: text is sent as UTF-8; a mapping has the keys of a script.
PayloadLike = str | bytes | Mapping[str, Any]
#: One payload, or several.
PayloadsLike = PayloadLike | Sequence[PayloadLike]


class PredicateArguments(TypedDict, total=False):
    """The predicates of a script as keyword arguments; ``not_`` is a dictionary of predicates."""

    starts_with: PayloadsLike
    ends_with: PayloadsLike
    contains: PayloadsLike
    matches: PayloadsLike
    size: int | Mapping[str, int]
    json: Mapping[str, Any] | Sequence[Any]
    ignore_case: bool
    when: str | Sequence[str]
    any: Sequence[Mapping[str, Any]]
    all: Sequence[Mapping[str, Any]]
    not_: Mapping[str, Any]


#: The keys of a fault that say when it begins.
_WINDOW = [it.name for it in attrs.fields(FaultWindowTable)]
_PREDICATES = (*COMPARISONS, "matches", "size", "json", "ignore_case", "any", "all", "not_")


@frozen
class RuleParts:
    """
    Makes the parts of rules for a server that uses *framing*.

    All methods raise `FieldError`, whose field is the argument's name, such as ``equals[1]``.

    :param ignore_case: the default of ``ignore_case`` in `predicates`.
    :param forwards: whether the server can forward requests.
    :param base: the directory that file names in payloads are relative to.
    :param names: what templates can name besides what a rule has.
    """

    framing: Framing
    ignore_case: bool = False
    base: Path = Path()
    forwards: bool = False
    names: Mapping[str, Name] = Factory(dict)

    def naming(self, variables: Iterable[str]) -> Self:
        """Return what makes parts whose templates can name *variables*, too."""
        return evolve(self, names={**self.names, **{it: variable_source(it) for it in variables}})

    def in_states(
        self, states: frozenset[str] | None, properties: Mapping[str, StateProperties]
    ) -> Self:
        """
        Return what makes the parts of rules for *states*; None: for every state.

        :param properties: of the states that differ.  Where *states* have several framings, no
            payload is checked against one.
        """
        framings = StateFramings(complete_framing(self.framing), properties).of(states)
        [framing] = framings if len(framings) == 1 else [None]
        return evolve(self, framing=Chunk() if framing is None else framing)

    def properties(
        self,
        framing: str | Framing | None = None,
        reply_framing: str | Framing | None = None,
        idle_timeout: float | None = None,
    ) -> StateProperties:
        """
        Return what is different in a state, as ``[state.NAME]`` of a script says it.

        :param framing: of requests: a `Framing`, or its name; None: as in other states.
        :param reply_framing: of replies, likewise.
        :param idle_timeout: seconds; None: the limit of that name.
        :raises FieldError: a value is not usable.
        """
        default = complete_framing(self.framing)
        own = None
        if framing is not None or reply_framing is not None:
            requests = _as_framing(framing, "framing") or default.requests
            own = mixed(requests, _as_framing(reply_framing, "reply_framing") or default.replies)
        return StateProperties(own, idle_timeout)

    def predicates(self, values: Mapping[str, Any]) -> Predicates:
        """
        Return the predicates that *values* have, by their names in a script; ``not`` is ``not_``.

        :raises FieldError: a value is not usable.
        :raises TypeError: a predicate is unknown.
        """
        predicates = self._predicates(values, "")
        groups = group_sources(predicates.patterns)
        for name in sorted(groups.keys() & REPLY_SOURCES.keys()):
            raise FieldError(
                "matches", f"expected another name for the group {name}: it is reserved"
            )
        return predicates

    def states(self, when: str | Sequence[str]) -> frozenset[str] | None:
        """
        Return the states that *when* names, for `Rule.when`; ``"*"`` is every state.

        :raises FieldError: *when* is empty, or has other states besides ``"*"``.
        """
        is_one = isinstance(when, str) or not isinstance(when, Iterable)
        names = [when] if is_one else [*when]
        states = frozenset(_convert(str, name, "when") for name in names)
        if not states or (EVERY_STATE in states and len(states) > 1):
            raise FieldError("when", f'expected states, or "{EVERY_STATE}" alone')
        return None if EVERY_STATE in states else states

    def send(
        self,
        payload: PayloadLike,
        predicates: Predicates | None = None,
        *,
        raw: bool = False,
        to: str | None = None,
        field: str = "send",
    ) -> Send | Broadcast | SendTemplate:
        """
        Return the step that sends *payload* in a frame.

        :param predicates: those of the rule: a template can name the groups of their patterns.
        :param raw: send it without a frame, also if *payload* does not say so itself.
        :param to: whom it is sent to: ``others``, ``all`` or ``state:NAME``; None: the client.
        :param field: the field of errors.
        :raises FieldError: *payload* or *to* is not usable, or the framing cannot express it.
        """
        if to is not None and not (isinstance(to, str) and is_addressee(to)):
            raise FieldError("to", f"expected {ADDRESSEES}, found {to!r}")
        raw = _convert(bool, raw, "raw")
        found, is_raw = self._payload(payload, field, self._sources(predicates))
        framing = complete_framing(self.framing).replies
        step: Send | SendTemplate = _placed(field, send, found, raw or is_raw, framing)
        return step if to is None else addressed(step, to)

    def turn(self, values: Mapping[str, Any], predicates: Predicates, field: str) -> Turn:
        """
        Return one reply of a cycle, by the keys that it has in a script.

        :param predicates: those of the rule: a template can name the groups of their patterns.
        :param field: the field of errors.
        :raises FieldError: a value is not usable.
        """
        reader = Reader("", lambda _path: None)
        table: TurnTable | None = reader.read(TurnTable, dict(values), field)
        if table is not None:
            parts = TableParts(reader, AnyFiles(self.base))
            replies = Replies(reader, parts, (complete_framing(self.framing).replies,))
            sources = self._sources(predicates)
            [steps] = replies.replies(table, field, sources)
            if any(isinstance(step, Forward) for step in steps):
                self.check_forwards(field)
            turn = Turn(
                steps,
                goto=table.goto,
                variables=parts.variables(table.set_, f"{field}.set", sources),
                faults=parts.faults(table.faults, f"{field}.faults"),
            )
            if not reader.problems:
                return turn
        raise _first_problem(reader)

    def variables(
        self, values: Mapping[str, PayloadLike], predicates: Predicates, field: str
    ) -> Sequence[Variable]:
        """
        Return the variables with these *values*, of which text is a template.

        :param predicates: those of the rule: a template can name the groups of their patterns.
        :param field: the field of errors.
        :raises FieldError: a name or a value is not usable.
        """
        given = {
            name: {"hex": it.hex()} if isinstance(it, bytes) else it for name, it in values.items()
        }
        tables = _convert(dict[str, str | VariableTable], given, field)
        reader = Reader("", lambda _path: None)
        parts = TableParts(reader, AnyFiles(self.base))
        found = parts.variables(tables, field, self._sources(predicates))
        if reader.problems:
            raise _first_problem(reader)
        return found

    def check_forwards(self, field: str) -> None:
        """
        Check that the server can forward requests.

        :raises FieldError: it cannot; its field is *field*.
        """
        if not self.forwards:
            raise FieldError(field, "expected a server with upstream=(host, port)")

    def wait(self, seconds: float) -> Wait:
        """
        Return the step that waits for *seconds*.

        :raises FieldError: *seconds* is not a number >= 0.
        """
        return _placed("wait", wait, _convert(Seconds, seconds, "wait"))

    def timer(self, name: str, every: float, jitter: float = 0.0) -> Timer:
        """
        Return the timer of a rule, which tells it from others by its *name*.

        :param every: seconds from one time to the next.
        :param jitter: seconds that each time comes later at most.
        :raises FieldError: a value is not usable.
        """
        return timer(
            name, *(_convert(Seconds, it, at) for at, it in (("every", every), ("jitter", jitter)))
        )

    def times(self, times: int | None) -> int | None:
        """
        Return how often a rule answers; None: without limit.

        :raises FieldError: *times* is not a number >= 1.
        """
        if times is not None:
            check_count(times, "times", 1)
        return times

    def fault(self, key: str, kind: str, parameters: Mapping[str, Any]) -> PlacedFault:
        """
        Return the fault of a *kind*, with the *parameters* that it has in a script.

        They include ``after`` and ``after_bytes``, which count the replies of its rule.

        :param key: what its dice are derived from, such as ``rule[0].faults[0]``.
        :raises FieldError: the kind or a parameter is unknown, or a parameter is out of range.
        """
        if not isinstance(kind, str):
            raise FieldError("kind", f"expected the name of a kind, found {kind!r}")
        if kind not in KINDS:
            raise FieldError("kind", unknown("kind", kind, KINDS))
        times = {name: it for name, it in parameters.items() if name in _WINDOW}
        others = {name: it for name, it in parameters.items() if name not in _WINDOW}
        window = _convert(FaultWindowTable, times, "")
        return PlacedFault(key, _convert(KINDS[kind], others, ""), **attrs.asdict(window))

    def _predicates(self, values: Mapping[str, Any], path: str) -> Predicates:
        for name in values:
            if name not in _PREDICATES:
                raise TypeError(unknown("predicate", name, _PREDICATES))
        kinds: dict[str, Any] = {
            name: self._needles(values.get(name), f"{path}{name}") for name in COMPARISONS
        }
        kinds["matches"] = self._patterns(values.get("matches"), f"{path}matches")
        if "size" in values:
            size = _convert(Bytes | SizeTable, values["size"], f"{path}size")
            kinds["size"] = _placed(f"{path}size", size_bounds, size)
        if "json" in values:
            kinds["json"] = _placed(f"{path}json", json_parts, values["json"])
        if "not_" in values:
            kinds["unless"] = self._inner(values["not_"], f"{path}not_")
        for name in ("any", "all"):
            sets = _each(values.get(name), f"{path}{name}")
            kinds[f"{name}_of"] = tuple(self._inner(it, place) for it, place in sets)
        ignore_case = values.get("ignore_case", self.ignore_case)
        return Predicates(ignore_case=_convert(bool, ignore_case, f"{path}ignore_case"), **kinds)

    def _inner(self, values: Any, path: str) -> Predicates:
        """Return the predicates *values*, which are within others."""
        inner: dict[str, Any] = _convert(dict[str, Any], values, path)
        if "ignore_case" in inner:
            outer = path.partition(".")[0].partition("[")[0]
            problem = f"expected beside {outer}, not in it: it applies to all predicates"
            raise FieldError(f"{path}.ignore_case", problem)
        return self._predicates(inner, f"{path}.")

    def _needles(self, given: PayloadsLike | None, path: str) -> tuple[Any, ...]:
        requests = complete_framing(self.framing).requests
        needles = []
        for payload, place in _each(given, path):
            sources = {**self.names, **REQUEST_SOURCES}
            needles.append(self._unsent_payload(payload, place, sources))
            _placed(place, check_needle, needles[-1], requests)
        return tuple(needles)

    def _patterns(self, given: PayloadsLike | None, path: str) -> tuple[bytes, ...]:
        patterns = []
        for payload, place in _each(given, path):
            patterns.append(self._unsent_payload(payload, place, None))
            _placed(place, compile_pattern, patterns[-1])
        return tuple(patterns)

    def _sources(self, predicates: Predicates | None) -> Sources:
        groups = {} if predicates is None else group_sources(predicates.patterns)
        return {**self.names, **groups, **REPLY_SOURCES}

    def _unsent_payload(self, payload: PayloadLike, path: str, sources: Sources) -> Any:
        return self._payload(payload, path, sources, is_sent=False)[0]

    def _payload(
        self, payload: PayloadLike, path: str, sources: Sources, *, is_sent: bool = True
    ) -> tuple[bytes | Template, bool]:
        """Return the payload, and whether it is raw."""
        if isinstance(payload, bytes):
            return payload, False
        table = _convert(str | PayloadTable, payload, path)
        if not is_sent:
            _placed(path, check_unsent, table)
        found = _placed(path, read_payload, table, AnyFiles(self.base), sources)
        return found, isinstance(table, PayloadTable) and table.raw


def is_turn(given: object) -> bool:
    """Return whether *given* is a reply of a cycle with keys of its own, and not a payload."""
    own = {it.name.removesuffix("_") for it in attrs.fields(TurnTable)}
    return isinstance(given, Mapping) and not own.isdisjoint(given)


def _each(given: Any, path: str) -> list[tuple[Any, str]]:
    if given is None:
        return []
    if not isinstance(given, list | tuple):
        return [(given, path)]
    if not given:
        raise FieldError(path, "expected at least one element, found an empty list")
    return [(it, f"{path}[{at}]") for at, it in enumerate(given)]


def _as_framing(given: str | Framing | None, path: str) -> BaseFraming | None:
    if given is None:
        return None
    found = _placed(path, parse_framing, given) if isinstance(given, str) else given
    if not is_framing(found):
        raise FieldError(path, f"expected the name of a framing, or a Framing, found {found!r}")
    return complete_framing(found)


def _convert(kind: Any, value: object, path: str) -> Any:
    """Return *value* as a *kind*, as `Reader.read` does."""
    reader = Reader("", lambda _path: None)
    found = reader.read(kind, dict(value) if isinstance(value, Mapping) else value, path)
    if reader.problems:
        raise _first_problem(reader)
    return found


def _first_problem(reader: Reader) -> FieldError:
    problem = reader.problems[0]
    return FieldError(problem.path, problem.message)


def _placed(path: str, function: Callable[..., T], *arguments: Any) -> T:
    """Call *function*; its `ValueError` becomes a `FieldError` of *path*."""
    try:
        return function(*arguments)
    except ValueError as error:
        raise FieldError(path, str(error)) from None
