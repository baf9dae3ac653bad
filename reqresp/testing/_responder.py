"""
ExpectationResponder: who answers in a test, and what came that nobody expected.

A responder that chooses among what a test has written; knows nothing of how a server runs.
"""

from collections.abc import Callable
from typing import cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from reqresp.framing import FrameError
from reqresp.script.rules import CLOSES, Rule, Rules
from reqresp.server.observers import Observer
from reqresp.server.responders import ConnectionContext, Responder
from reqresp.steps import Abort, Close, Request, RuleReply, Send, Steps
from reqresp.testing._expectation import Expectation

#: What `RuleReply.by` is where nobody expected the request.
UNEXPECTED = "unexpected"

_UNEXPECTED = RuleReply((Close(),), UNEXPECTED)


class ExpectationResponder(Observer, Responder):
    """
    Answers as the first of these that fits says, in this order.

    The head of those that are expected next, those expected in any order that are not met yet, the
    stubs of ``on``, and *otherwise*.  What nobody expects is noted, and closes; what somebody
    raises is noted, too, and resets.

    :param greeting: greets clients; None: *otherwise* does.
    :param encode: frames replies.
    """

    name = "expectations"
    faulty = True

    def __init__(
        self,
        otherwise: Responder | None,
        greeting: Rule | None,
        encode: Callable[[bytes], bytes],
    ) -> None:
        self._otherwise = otherwise
        self._by = self.name if otherwise is None else otherwise.name
        # States are the script's, if there is one: its rules and ours change the same.
        self._states = otherwise if isinstance(otherwise, Rules) else _States()
        self._greets = otherwise if greeting is None else Rules([], greeting=greeting)
        self._encode = encode
        self.expectations: list[Expectation] = []
        #: Requests that nobody expected.
        self.unexpected: list[Request] = []
        #: How many were none at all.
        self.malformed = 0
        #: What handlers raised, for which request, and whose they are.
        self.errors: list[tuple[Request | None, BaseException]] = []

    def greet(self, connection: ConnectionContext) -> Steps:
        return () if self._greets is None else self._greets.greet(connection)

    def respond(self, data: bytes, connection: ConnectionContext) -> Steps | Deferred[Steps]:
        request = Request(data, connection.peer, connection.number, connection.taken)
        found: Expectation | None = None
        try:
            found = self._find(data, connection)
            answer = self._answer(found, data, connection)
            if isinstance(answer, Deferred):
                checked = answer.addCallback(self._check_steps)
                return checked.addErrback(lambda failure: self._note(failure, request, found))
            return self._check_steps(answer, request)
        except BaseException as error:  # whatever it is, it ends that connection alone
            return self._raised(error, request, found)

    def _find(self, data: bytes, connection: ConnectionContext) -> Expectation | None:
        state = self._states.state(connection)
        return next((it for it in self._in_order() if it.fits(data, connection, state)), None)

    def _in_order(self) -> list[Expectation]:
        kinds: dict[str, list[Expectation]] = {"expect_next": [], "expect": [], "on": []}
        for expectation in self.expectations:
            if expectation.times is None or not expectation.is_met:
                kinds[expectation.kind].append(expectation)
        return [*kinds["expect_next"][:1], *kinds["expect"], *kinds["on"]]

    def _answer(
        self, found: Expectation | None, data: bytes, connection: ConnectionContext
    ) -> Steps | Deferred[Steps]:
        if found is not None:
            if found.rule.goto is not None:
                self._states.move(connection, found.rule.goto)
            return found.answer(data, connection)
        if self._otherwise is not None:
            return self._otherwise.respond(data, connection)
        return _UNEXPECTED

    def _check_steps(self, steps: Steps, request: Request | None = None) -> Steps:
        """Find out now what could not be sent: later, nobody would know whose it was."""
        if request is not None and (steps is _UNEXPECTED or steps is CLOSES.constant):
            self.unexpected.append(request)
            return _UNEXPECTED
        if not isinstance(steps, tuple):
            raise TypeError(f"a responder gives steps, or a Deferred of them; not {steps!r}")
        for step in steps:
            if isinstance(step, Send) and not step.raw:
                self._encode(step.data)
        return steps if isinstance(steps, RuleReply) else RuleReply(steps, self._by)

    def _note(self, failure: Failure, request: Request, found: Expectation | None) -> Steps:
        if failure.check(CancelledError):  # the client has left
            failure.raiseException()
        return self._raised(_error(failure), request, found)

    def _raised(self, error: BaseException, request: Request, found: Expectation | None) -> Steps:
        self.errors.append((request, error))
        by = self._by if found is None else found.rule.name
        return RuleReply((Abort(),), f"{by}, raised {type(error).__name__}")

    def failed(self, peer: IAddress, connection: int, failure: Failure) -> None:  # noqa: ARG002, the observer's
        # What handlers raised was answered: this is about bytes that are no request, or the like.
        if failure.check(FrameError):
            self.malformed += 1
        else:
            self.errors.append((None, _error(failure)))

    def check(self, encode: Callable[[bytes], bytes]) -> None:
        if self._otherwise is not None:
            self._otherwise.check(encode)


def _error(failure: Failure) -> BaseException:
    return cast(BaseException, failure.value)


class _States:
    """The states of conversations, where there is no script; `Rules` has these methods, too."""

    def __init__(self) -> None:
        self._states: dict[int, str] = {}

    def state(self, connection: ConnectionContext) -> str:
        return self._states.get(connection.number, "start")

    def move(self, connection: ConnectionContext, state: str) -> None:
        self._states[connection.number] = state
