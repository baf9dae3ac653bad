"""
Rules: a responder that answers with the first rule that matches in the conversation's state.

Knows requests, steps and the notes of a connection.  Must not know framings or the file format.
"""

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import cached_property, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self, cast, final, get_args

from reqresp._errors import FieldError
from reqresp._text import printable
from reqresp.framing import FrameError
from reqresp.script.near_misses import nearest
from reqresp.script.rule import CLOSES, Rule
from reqresp.script.rule_index import MAX_PATTERN_MEMORY, Index
from reqresp.script.variables import Notes
from reqresp.server.responders import ConnectionContext, PastConnection, Reply, Responder, Table
from reqresp.server.state_properties import NO_PROPERTIES, StateProperties
from reqresp.server.triggers import Timer, Trigger
from reqresp.steps import Close, Forward, RuleReply, Steps

if TYPE_CHECKING:  # a script is checked without Twisted
    from twisted.internet.defer import Deferred

#: Whether all connections have one state, or each has its own.
StateScope = Literal["server", "connection"]
#: What is wrong with one state of all connections beside properties of states.
SHARED_PROPERTIES = "expected no [state.NAME] tables with a state for all"


def is_for_all(scope: StateScope) -> bool:
    """
    Return whether *scope* says that all connections have one state.

    :raises FieldError: it is not a scope.
    """
    scopes = get_args(StateScope)
    if scope not in scopes:
        raise FieldError("state_scope", f"expected one of {', '.join(scopes)}, found {scope!r}")
    return scope == "server"


@final
class Rules(Responder):
    """
    Answers with the first of *rules* that belongs to the state, matches and is not used up.

    :param start: the state in which a conversation starts.
    :param greeting: answers when a client connects, before *rules* with that trigger.
    :param unmatched: answers if no rule does.
    :param properties: what is different on a connection in each state, such as its framing.
    :param shares_state: whether all connections have one state.
    :raises ValueError: the patterns need more memory than RE2 may use.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        start: str = "start",
        greeting: Rule | None = None,
        unmatched: Rule = CLOSES,
        properties: Mapping[str, StateProperties] = MappingProxyType({}),
        shares_state: bool = False,
    ) -> None:
        self.rules = rules
        #: What is different in each state, if anything is.
        self.by_state = properties
        self.state_properties = properties.values()
        self._start = start
        self._greeting = greeting
        self._unmatched = unmatched
        self._triggered: dict[Trigger, Sequence[Rule]] = {
            trigger: tuple(rule for rule in rules if rule.trigger is trigger)
            for trigger in Trigger
            if trigger is not Trigger.REQUEST
        }
        if greeting is not None:
            self._triggered[Trigger.CONNECT] = (greeting, *self._triggered[Trigger.CONNECT])
        # What answers unmatched requests, if it is always the same and only forwards them.
        only_forwards = unmatched.constant == (Forward(),) and not unmatched.faults
        self._forwarded = unmatched.constant if only_forwards else None
        self._timed = {rule.timer: rule for rule in rules if rule.timer is not None}
        self._timers: dict[str, Sequence[Timer]] = {}  # by state, those that were asked for
        self.has_timers = bool(self._timed)
        self.answers_refused = bool(self._triggered[Trigger.REFUSED])
        self._counts: dict[str, int] = {}
        self._server: dict[str, bytes] = {}  # the variables of all connections
        self._shares = any(it.is_shared for rule in self.all() for it in rule.all_variables)
        self.shares_state = shares_state
        self._shared_state = start
        self._calls = True
        self.faulty = any(rule.is_random for rule in self.all())
        self.forwards = any(rule.forwards for rule in self.all())
        self.starts_tls = any(rule.starts_tls for rule in self.all())
        self.states = _states(start, rules, properties)

    def is_same(self, other: "Rules") -> bool:
        """Return whether *other* answers alike, apart from what both have answered before."""
        is_alike = self._start == other._start and self.by_state == other.by_state
        is_alike = is_alike and self.shares_state == other.shares_state
        return is_alike and [*self.all()] == [*other.all()]

    @cached_property
    def _any_state(self) -> "_State":
        rules = [it for it in self.rules if it.when is None and it.trigger is Trigger.REQUEST]
        return _State(rules, MAX_PATTERN_MEMORY)

    @property
    def is_empty(self) -> bool:
        """Whether it has no rules, no greeting and no answer to unmatched requests."""
        return not self.rules and self._greeting is None and self._unmatched is CLOSES

    def anew(self, *, calls: bool = True) -> Self:
        """
        Return a copy in which no rule has answered yet, and no variable is set.

        :param calls: whether it calls functions; without, the rules that call one are silent.
        """
        other = copy(self)
        other._counts = {}
        other._server = {}
        other._shared_state = self._start
        other._calls = calls
        return other

    def use_scope(self, scope: StateScope) -> None:
        """
        Have one state for all connections, or one for each; before there is any.

        :raises FieldError: *scope* is unknown, or something is different in a state of all.
        """
        if is_for_all(scope) and self.by_state:
            raise FieldError("state_scope", SHARED_PROPERTIES)
        self.shares_state = is_for_all(scope)

    def properties(self, connection: ConnectionContext) -> StateProperties:
        return self.by_state.get(self.state(connection), NO_PROPERTIES)

    def react(self, trigger: Trigger, connection: ConnectionContext) -> Steps:
        if self._shares:
            self._notes(connection)  # through which templates find the server's variables
        rule = self._first(trigger, connection)
        return () if rule is None else cast(Steps, self._choose(rule, b"", connection))

    def timers(self, connection: ConnectionContext) -> Sequence[Timer]:
        state = self.state(connection)
        found = self._timers.get(state)
        if found is None:
            found = self._timers[state] = tuple(
                timer
                for timer, rule in self._timed.items()
                if rule.when is None or state in rule.when
            )
        return found

    def tick(self, timer: Timer, connection: ConnectionContext) -> Steps | None:
        rule = self._timed[timer]
        if self._is_used_up(rule, connection):
            return None
        return cast(Steps, self._choose(rule, b"", connection))  # no function is called

    def foresee(self, trigger: Trigger | Timer, connection: ConnectionContext) -> Steps | None:
        """Return what `react` or `tick` would, and count and change nothing; None: nothing."""
        if isinstance(trigger, Timer):
            rule: Rule | None = self._timed[trigger]
        else:
            rule = self._first(trigger, connection)
        if rule is None or self._is_used_up(rule, connection):
            return None
        counts = ChainMap[str, int]({}, self._counts_for(rule, connection))
        return rule.steps(counts.get(rule.path, 0) + 1, b"", connection, counts)

    def _first(self, trigger: Trigger, connection: ConnectionContext) -> Rule | None:
        """Return the first rule for *trigger* that is in the state and not used up."""
        for rule in self._triggered[trigger]:
            is_here = rule.when is None or self.state(connection) in rule.when
            if is_here and not self._is_used_up(rule, connection):
                return rule
        return None

    def _is_used_up(self, rule: Rule, connection: ConnectionContext) -> bool:
        return rule.can_end and rule.is_used_up(self._counts_for(rule, connection))

    def respond(self, data: bytes, connection: ConnectionContext) -> "Steps | Deferred[Steps]":
        if self._shares:
            self._notes(connection)  # through which templates find the server's variables
        # A state that no rule names, which a test may enter, has the rules for every state.
        state = self.states.get(self.state(connection)) or self._any_state
        for place in state.index.matching(data, connection):
            constant = state.constants[place]
            if constant is not None:
                return constant
            rule = state.rules[place]
            if not rule.can_end or not self._is_used_up(rule, connection):
                return self._choose(rule, data, connection)
        if self._forwarded is not None:  # as most requests are, so it costs little
            return self._forwarded
        client = PastConnection(
            connection.peer, connection.number, connection.taken, config=connection.config
        )
        rule = self._unmatched
        if self._is_used_up(rule, connection):
            rule = CLOSES
        reply = self._choose(rule, data, connection)
        if not isinstance(reply, RuleReply):
            return reply
        return reply.explained_by(partial(self._explain_miss, state, data, client))

    def answer_alike(
        self, requests: Sequence[bytes], connection: ConnectionContext
    ) -> Steps | None:
        if self._forwarded is None:
            return None
        state = self.states.get(self.state(connection)) or self._any_state
        return self._forwarded if state.index.misses(requests) else None

    def constants(self) -> Table | None:
        """
        Return the constant replies to requests that an ``equals`` names, if there is one state.

        Such a reply needs nothing that `respond` does: no pattern, no count and no fault.
        """
        if (
            len(self.states) > 1
            or self.by_state
            or any(rule.predicates.has_template for rule in self.rules)
        ):
            return None
        [state] = self.states.values()
        wanted: set[Any] = {needle for rule in self.rules for needle in rule.predicates.equals}
        found = ((needle, state.constant(needle)) for needle in wanted)
        replies: dict[bytes, Reply] = {it: steps for it, steps in found if steps is not None}
        # Other requests go to `respond`, which answers them and logs those that nothing matches.
        return Table(replies, otherwise=Close()) if replies else None

    def check(self, encode: Callable[[bytes], bytes]) -> None:
        for rule in self.all():
            try:
                for encode_in_state in self._encoders(rule, encode):
                    rule.check(encode_in_state)
            except FrameError as error:
                raise FrameError(f"{rule.path}: {error}") from None

    def _encoders(
        self, rule: Rule, encode: Callable[[bytes], bytes]
    ) -> Sequence[Callable[[bytes], bytes]]:
        """Return what frames the replies of *rule*; in states without a framing, *encode* does."""
        if not self.by_state:
            return [encode]
        states = frozenset(self.states) if rule.when is None else rule.when
        if rule is self._greeting:
            states = frozenset([self._start])
        found = [self.by_state.get(state, NO_PROPERTIES).framing for state in states]
        return [encode if framing is None else framing.encode for framing in found]

    def all(self) -> Iterable[Rule]:
        """Return all rules, with the greeting first and the answer to unmatched requests last."""
        greeting = () if self._greeting is None else (self._greeting,)
        return (*greeting, *self.rules, self._unmatched)

    def state(self, connection: ConnectionContext) -> str:
        """Return the state of the conversation on *connection*."""
        if self.shares_state:
            return self._shared_state
        return self._start if connection.notes is None else connection.notes.state

    def move(self, connection: ConnectionContext, state: str) -> None:
        """Set the state of the conversation on *connection*."""
        if self.shares_state:
            self._shared_state = state
            return
        self._notes(connection).state = state

    def with_notes(self, connection: ConnectionContext) -> ConnectionContext:
        """Return *connection*, on which there are notes for templates now."""
        self._notes(connection)
        return connection

    def _counts_for(self, rule: Rule, connection: ConnectionContext) -> dict[str, int]:
        return self._notes(connection).counts if rule.per_connection else self._counts

    def _notes(self, connection: ConnectionContext) -> Notes:
        if connection.notes is None:
            connection.notes = Notes(self._start, self._server)
        notes: Notes = connection.notes
        return notes

    def _explain_miss(self, state: "_State", data: bytes, client: PastConnection) -> str:
        """Return which rule is nearest to *data*, which no rule of *state* has answered."""
        for rule in state.matching(data, client):
            return f"{rule.place}, is used up"
        for name, other in self.states.items():
            for rule in () if other is state else other.matching(data, client):
                if not rule.predicates.is_empty:
                    return f"{rule.place}, matches in state {printable(name)}"
        for near in nearest(state.rules, data, most=1):
            return f"nearest: {near.rule.place}, {near}"
        return ""

    def _choose(
        self, rule: Rule, data: bytes, connection: ConnectionContext
    ) -> "RuleReply | Deferred[Steps]":
        if rule.constant is not None:
            return rule.constant
        counts = self._counts_for(rule, connection)
        count = counts.get(rule.path, 0) + 1
        counts[rule.path] = count
        state = rule.state_after(count)
        if state is not None:
            self.move(connection, state)
        if rule.sets_variables or rule.call is not None:
            self._notes(connection)
            rule.assign(count, data, connection)
            if rule.call is not None and self._calls:
                return rule.called(rule.call.function, data, connection)
        return rule.steps(count, data, connection, counts)


def rules_by_state(
    start: str,
    rules: Sequence[Rule],
    trigger: Trigger = Trigger.REQUEST,
    others: Iterable[str] = (),
) -> Mapping[str, Sequence[int]]:
    """
    Return the positions in *rules* of those that answer *trigger* in each state, sorted.

    :param others: states that no rule may name.
    """
    states = {start, *others, *(state for rule in rules for state in rule.when or ())}
    found: dict[str, list[int]] = {state: [] for state in sorted(states)}
    for place, rule in enumerate(rules):
        if rule.trigger is not trigger:
            continue
        for state in states if rule.when is None else rule.when:
            found[state].append(place)
    return found


def _states(start: str, rules: Sequence[Rule], others: Iterable[str]) -> "Mapping[str, _State]":
    """Return the rules of each state.  RE2's memory is split in proportion to the patterns."""
    own = {
        state: tuple(places)
        for state, places in rules_by_state(start, rules, others=others).items()
    }
    patterns = {
        places: sum(len(it.matches) for at in places for it in rules[at].predicates.wanted())
        for places in own.values()
    }
    total = sum(patterns.values()) or 1
    # States with the same rules share one object.
    made = {
        places: _State([rules[at] for at in places], MAX_PATTERN_MEMORY * count // total)
        for places, count in patterns.items()
    }
    return {state: made[places] for state, places in own.items()}


class _State:
    """The rules of one state, and their index."""

    def __init__(self, rules: Sequence[Rule], budget: int) -> None:
        self.rules = rules
        # A list of its own: of thousands of rules, few are in a processor's cache.
        self.constants = [rule.constant for rule in self.rules]
        self.index = Index([rule.predicates for rule in self.rules], budget)

    def constant(self, data: Any) -> Steps | None:
        """Return the reply to *data* if it is constant and its rule has no faults, else None."""
        found = next(self.index.matching(data, cast(ConnectionContext, None)), None)
        rule = None if found is None else self.rules[found]
        return None if rule is None or rule.faults else rule.constant

    def matching(self, data: bytes, connection: ConnectionContext) -> Iterable[Rule]:
        """Return the rules that match *data*, in their order."""
        return map(self.rules.__getitem__, self.index.matching(data, connection))
