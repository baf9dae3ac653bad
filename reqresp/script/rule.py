"""
Rule: what answers some requests, and what its reply is.

Knows requests and steps.  Must not know which rule is asked, or how often it has answered.
"""

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from attrs import Factory, field, frozen

from reqresp.exchanges import UNMATCHED
from reqresp.faults import PlacedFault
from reqresp.script.calls import Call, CalledFunction
from reqresp.script.feeds import Feed, FeedError
from reqresp.script.names import RANDOM, TemplateContext
from reqresp.script.predicates import Predicates
from reqresp.script.templates import Template
from reqresp.script.variables import Notes, Variable
from reqresp.server.responders import ConnectionContext, Reply, as_steps
from reqresp.server.triggers import Timer, Trigger
from reqresp.steps import (
    Abort,
    BaseStep,
    Broadcast,
    Close,
    Forward,
    RuleReply,
    Send,
    StartTLS,
    Step,
    Steps,
)

if TYPE_CHECKING:  # a script is checked without Twisted
    from twisted.internet.defer import Deferred

#: In `when`, stands for every state.
EVERY_STATE = "*"


@frozen
class SendTemplate(BaseStep):
    """Becomes a `Send` of the bytes that *template* has for a request."""

    key = Send.key
    label = Send.label

    template: Template
    raw: bool = False
    to: str | None = None  #: other connections that it is sent to, as `Broadcast` has them

    def fill(self, context: TemplateContext) -> Send | Broadcast:
        """Return the step with the values that *context* has."""
        data = self.template.fill_from(context)
        return Send(data, self.raw) if self.to is None else Broadcast(data, self.to, self.raw)


#: A rule's reply before its templates are filled.
ReplyTemplate = tuple[Step | SendTemplate, ...]


@frozen
class Turn:
    """
    One of the replies of a rule, and what it has besides what the rule has for all of them.

    :param goto: the state that follows; None: that of the rule.
    :param variables: what is set after those of the rule.
    :param faults: are injected after those of the rule.
    """

    steps: ReplyTemplate
    goto: str | None = None
    variables: Sequence[Variable] = ()
    faults: Sequence[PlacedFault] = ()


def _as_turns(replies: Iterable[ReplyTemplate | Turn]) -> Sequence[Turn]:
    return [it if isinstance(it, Turn) else Turn(it) for it in replies]


@frozen(kw_only=True)
class Rule:
    """
    Answers requests that match *predicates* with each of *replies* in turn, then from the first.

    Steps stand for a reply that has nothing else.

    :param name: its name in logs, in journals and in `RuleReply.by`.
    :param trigger: what it answers; *predicates* are for requests only.
    :param timer: when it sends, if *trigger* is a timer.
    :param when: the states in which it answers; None: every state.
    :param times: how often it answers; None: without limit.
    :param per_connection: count *times* and *replies* for each connection.
    :param goto: the state that follows; None: the state stays.
    :param variables: what it sets before it answers, in this order.
    :param call: the function that answers; None: *replies* do.
    :param faults: faults that are injected into its replies only.
    :param path: its place in a script, such as ``rule[3]``, which no other rule has; by default its
        name.
    :param line: its line in a script; None: unknown.
    """

    name: str
    replies: Sequence[Turn] = field(converter=_as_turns)
    trigger: Trigger = Trigger.REQUEST
    timer: Timer | None = None
    predicates: Predicates = Factory(Predicates)
    when: frozenset[str] | None = None
    times: int | None = None
    per_connection: bool = False
    goto: str | None = None
    variables: Sequence[Variable] = ()
    call: CalledFunction | None = None
    faults: Sequence[PlacedFault] = ()
    path: str = field()
    line: int | None = field(default=None, eq=False)
    #: Its name, path and line, for people: ``stat, rule[3], line 12``.
    place: str = field(init=False, eq=False, repr=False)
    #: Each of *replies* as steps; None if it has a template.
    _ready: Sequence[RuleReply | None] = field(init=False, eq=False, repr=False)
    #: Its reply, if that is always the same and changes neither a count nor the state.
    constant: RuleReply | None = field(init=False, eq=False, repr=False)
    #: What each of *replies* takes lines from.
    _feeds: Sequence[Sequence[Feed]] = field(init=False, eq=False, repr=False)
    #: Whether it can be used up.
    can_end: bool = field(init=False, eq=False, repr=False)
    #: Whether one of its replies sets a variable.
    sets_variables: bool = field(init=False, eq=False, repr=False)

    @path.default
    def _name_as_path(self) -> str:
        return self.name

    @place.default
    def _find_place(self) -> str:
        path = () if self.path == self.name else (self.path,)
        line = () if self.line is None else (f"line {self.line}",)
        call = () if self.call is None else (f"call {self.call.reference}",)
        return ", ".join((self.name, *path, *line, *call))

    @_ready.default
    def _ready_replies(self) -> Sequence[RuleReply | None]:
        return [
            None
            if any(isinstance(step, SendTemplate) for step in reply.steps)
            else self._as_steps(reply.steps, reply.faults)
            for reply in self.replies
        ]

    @constant.default
    def _constant(self) -> RuleReply | None:
        alike = len(self.replies) == 1 and self.times is None and self.call is None
        changes = any(True for _ in self.states_after) or bool(self.all_variables)
        return self._ready[0] if alike and not changes else None

    @_feeds.default
    def _find_feeds(self) -> Sequence[Sequence[Feed]]:
        templates = [
            [step.template for step in reply.steps if isinstance(step, SendTemplate)]
            for reply in self.replies
        ]
        return [[feed for it in found for feed in it.feeds] for found in templates]

    @can_end.default
    def _can_end(self) -> bool:
        return self.times is not None or not all(it.repeat for it in chain(*self._feeds))

    @sets_variables.default
    def _sets_variables(self) -> bool:
        return bool(self.all_variables)

    @property
    def states_after(self) -> Iterator[tuple[str, str]]:
        """Yield each place of a goto, such as ``rule[3].goto``, and the state there."""
        if self.goto is not None:
            yield f"{self.path}.goto", self.goto
        for at, reply in enumerate(self.replies):
            if reply.goto is not None:
                yield f"{self.path}.cycle[{at}].goto", reply.goto

    @property
    def all_variables(self) -> Sequence[Variable]:
        """What any of its replies sets."""
        return [*self.variables, *(it for reply in self.replies for it in reply.variables)]

    @property
    def all_faults(self) -> Sequence[PlacedFault]:
        """The faults of any of its replies."""
        return [*self.faults, *(it for reply in self.replies for it in reply.faults)]

    @property
    def all_steps(self) -> Iterator[Step | SendTemplate]:
        """The steps of all of its replies."""
        return chain.from_iterable(reply.steps for reply in self.replies)

    @property
    def reads_lines(self) -> bool:
        """Whether one of its replies takes a line of a file."""
        return any(self._feeds)

    @property
    def forwards(self) -> bool:
        """Whether one of its replies forwards the request."""
        return any(isinstance(step, Forward) for step in self.all_steps)

    @property
    def is_random(self) -> bool:
        """Whether the seed decides anything of its replies."""
        has_jitter = self.timer is not None and bool(self.timer.jitter)
        return has_jitter or bool(self.all_faults) or not RANDOM.isdisjoint(self.names)

    @property
    def names(self) -> frozenset[str]:
        """What the templates in its replies and its variables name."""
        sent = [it.template for it in self.all_steps if isinstance(it, SendTemplate)]
        kept = [it.value for it in self.all_variables if isinstance(it.value, Template)]
        return frozenset().union(*(it.names for it in (*sent, *kept)))

    @property
    def starts_tls(self) -> bool:
        """Whether one of its replies starts TLS."""
        return any(isinstance(step, StartTLS) for step in self.all_steps)

    def check(self, encode: Callable[[bytes], bytes]) -> None:
        """
        Check that *encode* accepts every constant part of its replies.

        :raises FrameError: it does not.
        """
        for step in self.all_steps:
            if isinstance(step, Send | Broadcast) and not step.raw:
                encode(step.data)

    def is_used_up(self, counts: MutableMapping[str, int]) -> bool:
        """Return whether it has answered *times* times, or no line is left for its next reply."""
        count = counts.get(self.path, 0)
        if self.times is not None and count >= self.times:
            return True
        feeds = self._feeds[count % len(self.replies)]
        if not feeds:
            return False
        foreseen = ChainMap[str, int]({}, counts)
        paths = [it.path for it in feeds]
        for at, feed in enumerate(feeds):
            if not feed.has_line(foreseen, self.path):
                return True
            if feed.path in paths[at + 1 :]:  # the reply takes another line of the file
                try:
                    feed.take(foreseen, self.path)
                except FeedError:  # it answers, and logs this
                    return False
        return False

    def state_after(self, count: int) -> str | None:
        """Return the state that follows its *count*-th reply; None: the state stays."""
        return self.replies[self._place_of(count)].goto or self.goto

    def steps(
        self,
        count: int,
        data: bytes,
        connection: ConnectionContext,
        counts: MutableMapping[str, int] | None = None,
    ) -> RuleReply:
        """
        Return its reply to the request *data*, which is the *count*-th that it answers.

        :param counts: has how far its feeds have been read; None: nothing has been.
        """
        at = self._place_of(count)
        ready = self._ready[at]
        if ready is not None:
            return ready
        match = self.predicates.match(data)
        context = TemplateContext(data, connection, match, count, self.path)
        if counts is not None:
            context.counts = counts
        try:
            return self._as_steps(
                [
                    step.fill(context) if isinstance(step, SendTemplate) else step
                    for step in self.replies[at].steps
                ],
                self.replies[at].faults,
            )
        except FeedError as error:
            return RuleReply(
                (Abort(),), self.name, place=self.place, warning=f"{self.place}: {error}; resetting"
            )
        except ValueError as error:
            raise ValueError(f"{self.place}: {error}") from None

    def assign(self, count: int, data: bytes, connection: ConnectionContext) -> None:
        """
        Set its variables in the notes of *connection*.

        :raises ValueError: a value would be too long, or a filter cannot change one.
        """
        match = self.predicates.match(data)
        context = TemplateContext(data, connection, match, count, self.path)
        try:
            for variable in (*self.variables, *self.replies[self._place_of(count)].variables):
                variable.assign(connection.notes, context)
        except ValueError as error:
            raise ValueError(f"{self.place}: {error}") from None

    def called(
        self, function: Callable[[Call], Any], data: bytes, connection: ConnectionContext
    ) -> "RuleReply | Deferred[Steps]":
        """
        Return what *function* answers to the request *data*, now or later.

        :raises TypeError: it has returned something that is not a reply; now or later.
        """
        from reqresp.server.functions import steps_of  # late: a script is checked without Twisted

        notes: Notes = connection.notes
        place = connection.peer, connection.number, connection.taken
        groups = self.predicates.groups(data)
        answer = function(Call(data, *place, groups, notes.values, notes.server))
        return cast("RuleReply | Deferred[Steps]", steps_of(answer, self._as_reply))

    def _as_reply(self, answer: Reply) -> RuleReply:
        try:
            return self._as_steps(as_steps(answer))
        except TypeError as error:
            if self.call is None:  # the function of a test, whose report names its line
                raise
            raise TypeError(f"{self.place}: {error}") from None

    def _place_of(self, count: int) -> int:
        """Return which of *replies* is the *count*-th reply."""
        return (count - 1) % len(self.replies)

    def _as_steps(
        self, reply: Iterable[Step | SendTemplate], own: Sequence[PlacedFault] = ()
    ) -> RuleReply:
        steps: Iterable[Step] = reply  # type: ignore[assignment]  # no template is left
        faults = (*self.faults, *own) if own else self.faults
        return RuleReply(steps, self.name, faults, place=self.place)


#: Answers a request that no rule matches, unless the script has an answer of its own.
CLOSES = Rule(name=UNMATCHED, replies=[(Close(),)])


def closes_unmatched(steps: object) -> bool:
    """Return whether *steps* are how `CLOSES` has answered a request that no rule matches."""
    return (
        isinstance(steps, RuleReply)
        and steps.explain is not None
        and steps.place == CLOSES.place
        and steps == CLOSES.constant
    )
