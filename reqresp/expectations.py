"""
Expectations: who answers in a test, and what came that nobody expected.

A responder that chooses among what a test has written; knows nothing of how a server runs.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from reqresp.messages import Chosen, Close, Request, Steps
from reqresp.responders import Connection, Responder
from reqresp.rules import CLOSES, Rule, Rules
from reqresp.stubs import Expectation

#: What `Chosen.by` is where nobody expected the request.
UNEXPECTED = "unexpected"

_UNEXPECTED = Chosen((Close(),), UNEXPECTED)


class Expectations(Responder):
    """
    Answers as the first of these that fits says, in this order.

    The head of those that are expected next, those expected in any order that are not met yet, the
    stubs of ``on``, and *otherwise*.  What nobody expects is noted, and closes.
    """

    name = "expectations"
    faulty = True

    def __init__(self, otherwise: Responder | None, greeting: Rule | None) -> None:
        self._otherwise = otherwise
        # States are the script's, if there is one.
        self._states = otherwise if isinstance(otherwise, Rules) else Rules([], greeting=greeting)
        self.expectations: list[Expectation] = []
        #: Requests that nobody expected, and what handlers raised.
        self.unexpected: list[Request] = []
        self.errors: list[tuple[Request, Failure]] = []

    def greet(self, connection: Connection) -> Steps:
        return self._states.greet(connection)

    def respond(self, data: bytes, connection: Connection) -> Steps | Deferred[Steps]:
        request = Request(data, connection.peer, connection.number, connection.taken)
        try:
            steps = self._respond(data, connection)
        except BaseException:
            self.errors.append((request, Failure()))
            raise
        if isinstance(steps, Deferred):
            return steps.addErrback(self._note, request)
        if steps is _UNEXPECTED or steps is CLOSES.constant:
            self.unexpected.append(request)
            return _UNEXPECTED
        return steps

    def _respond(self, data: bytes, connection: Connection) -> Steps | Deferred[Steps]:
        state = self._states.state(connection)
        for expectation in self._in_order():
            if expectation.fits(data, connection, state):
                if expectation.rule.goto is not None:
                    self._states.move(connection, expectation.rule.goto)
                return expectation.answer(data, connection)
        if self._otherwise is not None:
            return self._otherwise.respond(data, connection)
        return _UNEXPECTED

    def _in_order(self) -> list[Expectation]:
        kinds: dict[str, list[Expectation]] = {"expect_next": [], "expect": [], "on": []}
        for expectation in self.expectations:
            if expectation.times is None or not expectation.is_met:
                kinds[expectation.kind].append(expectation)
        return [*kinds["expect_next"][:1], *kinds["expect"], *kinds["on"]]

    def _note(self, failure: Failure, request: Request) -> Failure:
        self.errors.append((request, failure))
        return failure

    def check(self, encode: Callable[[bytes], bytes]) -> None:
        if self._otherwise is not None:
            self._otherwise.check(encode)
