"""
Rules: a conversation's states, and which rule answers a request in each.

A responder.  It knows requests, steps and what a connection noted; no framing, no file format.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import Any, Self, cast, final

from attrs import Factory, field, frozen
from twisted.logger import Logger

from reqresp._text import format_address
from reqresp.faults.faults import PlacedFault
from reqresp.framing import FrameError
from reqresp.script.payloads import Moment, Template
from reqresp.script.predicates import Predicates
from reqresp.script.rule_index import BUDGET, Index
from reqresp.server.responders import ConnectionContext, Responder, Table
from reqresp.server.responders import Reply as ConstantReply
from reqresp.steps import Close, RuleReply, Send, Step, Steps

#: Bytes of a request that nothing answers that are logged.
SHOWN = 200


@frozen
class Fill:
    """Stands for a `Send` of what *template* comes to."""

    template: Template
    raw: bool = False


#: A reply as it stands in a rule.
Reply = tuple[Step | Fill, ...]


@frozen(kw_only=True)
class Rule:
    """
    Answers requests that fit *predicates* with *replies*, one after the other, then again.

    :param name: what it is called in errors, logs and `RuleReply.by`.
    :param when: the states that it answers in; None: in every state.
    :param times: so often; None: without end.
    :param per_connection: *times* and *replies* are counted for each connection.
    :param goto: the state of the conversation from then on; None: it stays.
    :param faults: strike it alone.
    """

    name: str
    replies: Sequence[Reply]
    predicates: Predicates = Factory(Predicates)
    when: frozenset[str] | None = None
    times: int | None = None
    per_connection: bool = False
    goto: str | None = None
    faults: Sequence[PlacedFault] = ()
    #: The replies again, ready to be given where nothing is to be filled in.
    _ready: Sequence[Steps | None] = field(init=False, eq=False, repr=False)
    #: Its reply, where that is always the same and has no consequences.
    constant: Steps | None = field(init=False, eq=False, repr=False)

    @_ready.default
    def _chosen(self) -> Sequence[Steps | None]:
        return [
            None if any(isinstance(step, Fill) for step in reply) else self._choose(reply)
            for reply in self.replies
        ]

    @constant.default
    def _constant(self) -> Steps | None:
        alike = len(self.replies) == 1 and self.times is None and self.goto is None
        return self._ready[0] if alike else None

    def check(self, encode: Callable[[bytes], bytes]) -> None:
        """:raises FrameError: *encode* refuses a constant."""
        for step in (step for reply in self.replies for step in reply):
            if isinstance(step, Send) and not step.raw:
                encode(step.data)

    def steps(self, count: int, data: bytes, connection: ConnectionContext) -> Steps:
        """Give its reply to the request *data*, which is the *count*-th that it answers."""
        turn = (count - 1) % len(self.replies)
        ready = self._ready[turn]
        if ready is not None:
            return ready
        moment = Moment(data, connection, self.predicates.match(data), count)
        return self._choose(
            Send(step.template.at(moment), step.raw) if isinstance(step, Fill) else step
            for step in self.replies[turn]
        )

    def _choose(self, reply: Iterable[Step | Fill]) -> Steps:
        return RuleReply(reply, self.name, self.faults)  # type: ignore[arg-type]  # no Fill is left


class _Notes:
    """What is to be remembered of one connection."""

    __slots__ = ("counts", "state")

    def __init__(self, state: str) -> None:
        self.state = state
        self.counts: dict[str, int] = {}  # of rules that count for each connection


#: What answers where nothing was said about requests that fit no rule.
CLOSES = Rule(name="unmatched", replies=[(Close(),)])


@final
class Rules(Responder):
    """
    Answers with the first of *rules* that fits, is not used up and belongs to the state.

    :param start: the state that a conversation starts in.
    :param greeting: its reply greets a client.
    :param unmatched: answers where no rule does; `CLOSES` also says so in the log.
    :raises ValueError: the patterns are too much for RE2.
    """

    _log = Logger()

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        start: str = "start",
        greeting: Rule | None = None,
        unmatched: Rule = CLOSES,
    ) -> None:
        self.rules = rules
        self._start = start
        self._greeting = greeting
        self._unmatched = unmatched
        self._counts: dict[str, int] = {}
        self.faulty = any(rule.faults for rule in self.all())
        self.states = _states(start, rules)

    @cached_property
    def _elsewhere(self) -> "_State":
        return _State([rule for rule in self.rules if rule.when is None], BUDGET)

    def anew(self) -> Self:
        """Give the same rules, none of which has answered yet."""
        other = copy(self)
        other._counts = {}
        return other

    def greet(self, connection: ConnectionContext) -> Steps:
        if self._greeting is None:
            return ()
        return self._choose(self._greeting, b"", connection)

    def respond(self, data: bytes, connection: ConnectionContext) -> Steps:
        # A state that no rule names, as of a test's own, has the rules of every state.
        state = self.states.get(self.state(connection)) or self._elsewhere
        for place in state.index.matching(data, connection):
            constant = state.constants[place]
            if constant is not None:
                return constant
            rule = state.rules[place]
            if rule.times is None or self._count(rule, connection) < rule.times:
                return self._choose(rule, data, connection)
        if self._unmatched is CLOSES:
            self._log.warn(
                "{peer}: no rule answers {request!r}; closing",
                peer=format_address(connection.peer),
                request=data[:SHOWN],
            )
        return self._choose(self._unmatched, data, connection)

    def constants(self) -> Table | None:
        """
        Give the replies to what equals one thing or another, where there is one state alone.

        They need nothing of what `respond` does: no pattern is tried, nothing counted, no fault
        asked for.
        """
        if len(self.states) > 1 or any(rule.predicates.is_filled for rule in self.rules):
            return None
        [state] = self.states.values()
        wanted: set[Any] = {needle for rule in self.rules for needle in rule.predicates.equals}
        found = ((needle, state.constant(needle)) for needle in wanted)
        replies: dict[bytes, ConstantReply] = {
            it: steps for it, steps in found if steps is not None
        }
        # No constant: `respond` says what it is, and logs what nobody expected.
        return Table(replies, otherwise=Close()) if replies else None

    def check(self, encode: Callable[[bytes], bytes]) -> None:
        for rule in self.all():
            try:
                rule.check(encode)
            except FrameError as error:
                raise FrameError(f"{rule.name}: {error}") from None

    def all(self) -> Iterable[Rule]:
        """Give all rules, the greeting and what answers the rest included."""
        greeting = () if self._greeting is None else (self._greeting,)
        return (*greeting, *self.rules, self._unmatched)

    def state(self, connection: ConnectionContext) -> str:
        """Tell which state the conversation on *connection* is in."""
        return self._start if connection.notes is None else connection.notes.state

    def move(self, connection: ConnectionContext, state: str) -> None:
        """Have the conversation on *connection* go on in *state*."""
        self._notes(connection).state = state

    def _count(self, rule: Rule, connection: ConnectionContext) -> int:
        return self._counts_for(rule, connection).get(rule.name, 0)

    def _counts_for(self, rule: Rule, connection: ConnectionContext) -> dict[str, int]:
        return self._notes(connection).counts if rule.per_connection else self._counts

    def _notes(self, connection: ConnectionContext) -> _Notes:
        if connection.notes is None:
            connection.notes = _Notes(self._start)
        notes: _Notes = connection.notes
        return notes

    def _choose(self, rule: Rule, data: bytes, connection: ConnectionContext) -> Steps:
        if rule.constant is not None:
            return rule.constant
        counts = self._counts_for(rule, connection)
        count = counts.get(rule.name, 0) + 1
        counts[rule.name] = count
        if rule.goto is not None:
            self.move(connection, rule.goto)
        return rule.steps(count, data, connection)


def _states(start: str, rules: Sequence[Rule]) -> "Mapping[str, _State]":
    """Give each state's rules; RE2's memory is split among them by their patterns."""
    states = sorted({start, *(state for rule in rules for state in rule.when or ())})
    own = {
        state: tuple(at for at, it in enumerate(rules) if it.when is None or state in it.when)
        for state in states
    }
    patterns = {
        places: sum(len(rules[at].predicates.matches) for at in places) for places in own.values()
    }
    total = sum(patterns.values()) or 1
    # States with the same rules are one.
    made = {
        places: _State([rules[at] for at in places], BUDGET * count // total)
        for places, count in patterns.items()
    }
    return {state: made[places] for state, places in own.items()}


class _State:
    """The rules of one state, and what finds them."""

    def __init__(self, rules: Sequence[Rule], budget: int) -> None:
        self.rules = rules
        # Beside the rules: of thousands, few are at hand in a processor's cache.
        self.constants = [rule.constant for rule in self.rules]
        self.index = Index([rule.predicates for rule in self.rules], budget)

    def constant(self, data: Any) -> Steps | None:
        """Give the reply to *data*, if that is a constant which no fault of its own strikes."""
        found = next(self.index.matching(data, cast(ConnectionContext, None)), None)
        rule = None if found is None else self.rules[found]
        return None if rule is None or rule.faults else rule.constant

    def fitting(self, data: bytes, connection: ConnectionContext) -> Iterable[Rule]:
        """Give the rules that fit, in their order."""
        return map(self.rules.__getitem__, self.index.matching(data, connection))
