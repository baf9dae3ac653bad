"""
ExpectationResponder: chooses which expectation of a test answers a request.

Reports what no expectation matches, and what handlers raise.  Must not know how the server runs.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from reqresp.expectations.expectation import BaseExpectation
from reqresp.expectations.report import UNEXPECTED, raised_by
from reqresp.expectations.results import ConnectionStates, Results
from reqresp.script.rule import Rule, closes_unmatched
from reqresp.script.rules import Rules
from reqresp.server.responders import ConnectionContext, Responder, check_steps
from reqresp.server.state_properties import StateProperties
from reqresp.server.triggers import Timer, Trigger
from reqresp.steps import Abort, Close, Request, RuleReply, Send, Steps

_UNEXPECTED_REPLY = RuleReply((Close(),), UNEXPECTED)


class ExpectationResponder(Responder):
    """
    Answers a request, or another trigger, with the first expectation that matches it.

    The order is: the first unmet ``expect_next``; every unmet ``expect``; every ``on``; *fallback*.
    Of the ``on``, the latest is first; but those for some states come before those for all states,
    and those without predicates after those with some.  A request that none of them answers is
    recorded, and its connection is closed.  An exception is recorded, and its connection is reset.

    :param results: has the expectations, and receives what is not as expected.
    :param fallback: answers what no expectation matches; None: such requests are unexpected.
    :param greeting: its reply is sent when a client connects; None: *fallback* greets.
    :param encode: puts a reply into its frame.
    """

    faulty = True

    def __init__(
        self,
        results: Results,
        fallback: Responder | None,
        greeting: Rule | None,
        encode: Callable[[bytes], bytes],
    ) -> None:
        self._results = results
        self._fallback = fallback
        self.name = "expectations" if fallback is None else fallback.name
        # A script has states of its own: its rules and the expectations share them.
        #: The states of conversations.
        self.states: Rules | ConnectionStates = (
            fallback if isinstance(fallback, Rules) else results.states
        )
        # A responder of the user can have properties without states.
        has_own = fallback is not None and fallback.state_properties
        self._properties_of = fallback if fallback is not None and has_own else self.states
        self.state_properties = self._properties_of.state_properties
        self._greeter = fallback if greeting is None else Rules([], greeting=greeting)
        self._encode = encode
        self._timers: dict[str, Sequence[Timer]] = {}  # by state, as they were returned last

    @property
    def shares_state(self) -> bool:  # type: ignore[override]  # a test says it afterwards
        """Whether all connections have one state."""
        is_own = self.states.shares_state
        return is_own or (self._fallback is not None and self._fallback.shares_state)

    @property
    def has_timers(self) -> bool:  # type: ignore[override]  # expectations come and go
        """Whether an expectation, or what answers otherwise, has a timer."""
        has_own = any(it.rule.timer is not None for it in self._results.expectations)
        return has_own or (self._fallback is not None and self._fallback.has_timers)

    @property
    def answers_refused(self) -> bool:  # type: ignore[override]  # likewise
        """Whether an expectation, or what answers otherwise, answers clients that are refused."""
        triggers = (it.rule.trigger for it in self._results.expectations)
        has_own = Trigger.REFUSED in triggers
        return has_own or (self._fallback is not None and self._fallback.answers_refused)

    def properties(self, connection: ConnectionContext) -> StateProperties:
        return self._properties_of.properties(connection)

    def react(self, trigger: Trigger, connection: ConnectionContext) -> Steps:
        state, client = self.states.state(connection), self.states.with_notes(connection)
        ons = self._latest_first(self._results.expectations)
        found = next((it for it in ons if it.is_for(trigger, client, state)), None)
        if found is not None:
            if trigger is Trigger.MALFORMED:
                self._results.malformed -= 1  # this one was expected
            return self._reaction(found, connection)
        responder = self._greeter if trigger is Trigger.CONNECT else self._fallback
        return () if responder is None else responder.react(trigger, connection)

    def state(self, connection: ConnectionContext) -> str:
        return self.states.state(connection)

    def timers(self, connection: ConnectionContext) -> Sequence[Timer]:
        state = self.states.state(connection)
        others = () if self._fallback is None else self._fallback.timers(connection)
        rules = [it.rule for it in self._results.expectations]
        here = [it for it in rules if it.when is None or state in it.when]
        own = [it.timer for it in here if it.timer is not None]
        wanted = (*own, *others)
        if self._timers.get(state) != wanted:
            self._timers[state] = wanted
        return self._timers[state]

    def tick(self, timer: Timer, connection: ConnectionContext) -> Steps | None:
        for found in self._results.expectations:
            if found.rule.timer == timer:
                state, client = self.states.state(connection), self.states.with_notes(connection)
                if found.does_nothing:
                    return ()
                is_left = found.is_for(Trigger.TIMER, client, state)
                return self._reaction(found, connection) if is_left else None
        if self._fallback is None or timer not in self._fallback.timers(connection):
            return None
        return self._fallback.tick(timer, connection)

    def _reaction(self, found: BaseExpectation, connection: ConnectionContext) -> Steps:
        """Return the steps of *found*, which no request has triggered, so it calls no function."""
        try:
            encode = self._encode_on(connection)
            return self._check_steps(cast(Steps, self._take(found, b"", connection)), encode)
        except BaseException as error:  # as for requests
            return self._raised(error, None, found)

    def respond(self, data: bytes, connection: ConnectionContext) -> Steps | Deferred[Steps]:
        request = Request(data, connection.peer, connection.number, connection.taken)
        found: BaseExpectation | None = None
        try:
            encode = self._encode_on(connection)
            found = self._find(data, connection)
            answer = self._answer(found, data, connection)
            if isinstance(answer, Deferred):
                checked = answer.addCallback(self._check_steps, encode)
                return checked.addErrback(lambda failure: self._failed(failure, request, found))
            return self._check_steps(answer, encode, request)
        except BaseException as error:  # also SystemExit: it ends this connection only
            return self._raised(error, request, found)

    def _find(self, data: bytes, connection: ConnectionContext) -> BaseExpectation | None:
        state = self.states.state(connection)
        client = self.states.with_notes(connection)
        return next((it for it in self._candidates() if it.matches(data, client, state)), None)

    def _encode_on(self, connection: ConnectionContext) -> Callable[[bytes], bytes]:
        """Return what puts a reply on *connection* into its frame."""
        framing = self.properties(connection).framing
        return self._encode if framing is None else framing.encode

    def _candidates(self) -> list[BaseExpectation]:
        kinds: dict[str, list[BaseExpectation]] = {"expect_next": [], "expect": [], "on": []}
        for expectation in self._results.expectations:
            is_open = expectation.times is None or not expectation.is_met
            if is_open and expectation.rule.trigger is Trigger.REQUEST:
                kinds[expectation.kind].append(expectation)
        return [*kinds["expect_next"][:1], *kinds["expect"], *self._latest_first(kinds["on"])]

    def _latest_first(self, ons: Sequence[BaseExpectation]) -> Sequence[BaseExpectation]:
        latest = ons[::-1]
        return sorted(latest, key=attrgetter("generality"))

    def _answer(
        self, found: BaseExpectation | None, data: bytes, connection: ConnectionContext
    ) -> Steps | Deferred[Steps]:
        if found is not None:
            return self._take(found, data, connection)
        if self._fallback is not None:
            return self._fallback.respond(data, connection)
        return _UNEXPECTED_REPLY

    def _take(
        self, found: BaseExpectation, data: bytes, connection: ConnectionContext
    ) -> Steps | Deferred[Steps]:
        """Return the answer of *found*, which changes the state."""
        client = self.states.with_notes(connection)
        state = found.state_after(client)
        if state is not None:
            self.states.move(connection, state)
        return found.answer(data, client)

    def _check_steps(
        self, steps: Steps, encode: Callable[[bytes], bytes], request: Request | None = None
    ) -> Steps:
        """
        Return *steps* with the name of their source, if they can be sent.

        :raises FrameError: the framing cannot express a reply.  Raised later, it could not be
            attributed to a request.
        :raises TypeError: *steps* is not a tuple of steps.
        """
        if request is not None and (steps is _UNEXPECTED_REPLY or closes_unmatched(steps)):
            self._results.add_unexpected(request)
            return steps
        for step in check_steps(steps):
            if isinstance(step, Send) and not step.raw:
                encode(step.data)
        reply = steps if isinstance(steps, RuleReply) else RuleReply(steps, self.name)
        return reply if encode is self._encode else reply.encoded_by(encode)

    def _failed(self, failure: Failure, request: Request, found: BaseExpectation | None) -> Steps:
        if failure.check(CancelledError):  # the client has disconnected
            failure.raiseException()
        return self._raised(_error(failure), request, found)

    def _raised(
        self, error: BaseException, request: Request | None, found: BaseExpectation | None
    ) -> Steps:
        self._results.add_error(request, error)
        by = self.name if found is None else found.rule.name
        return RuleReply((Abort(),), raised_by(by, error))

    def check(self, encode: Callable[[bytes], bytes]) -> None:
        if self._fallback is not None:
            self._fallback.check(encode)


def _error(failure: Failure) -> BaseException:
    return cast(BaseException, failure.value)
