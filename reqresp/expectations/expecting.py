"""
ExpectingResponder: what answers a server that can have expectations, and often has none.

Without any, it costs one call a request, and constants of the responder it wraps are still answered
by reads.
"""

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from reqresp.expectations.responder import ExpectationResponder
from reqresp.expectations.results import Results
from reqresp.script.rule import closes_unmatched
from reqresp.server.config import ServerConfig
from reqresp.server.responders import ConnectionContext, Responder, Table
from reqresp.server.state_properties import StateProperties
from reqresp.server.triggers import Timer, Trigger
from reqresp.steps import Request, RuleReply, Steps


class ExpectingResponder(Responder):
    """
    Answers as the responder of *config* does, unless there are expectations.

    :param results: has the expectations, and receives the requests that no rule matches.
    """

    def __init__(self, results: Results, config: ServerConfig) -> None:
        #: What answers without expectations.
        self.fallback = config.responder
        self.name = self.fallback.name
        self.forwards = self.fallback.forwards
        self.starts_tls = self.fallback.starts_tls
        self.shares_state = self.fallback.shares_state
        self.state_properties = self.fallback.state_properties
        self._results = results
        self._expectations = results.expectations
        self._expecting = ExpectationResponder(results, self.fallback, None, config.framing.encode)

    @property
    def has_timers(self) -> bool:  # type: ignore[override]  # expectations come and go
        """Whether an expectation, or what answers otherwise, has a timer."""
        return self._expecting.has_timers

    @property
    def answers_refused(self) -> bool:  # type: ignore[override]  # likewise
        """Whether an expectation, or what answers otherwise, answers clients that are refused."""
        return self._expecting.answers_refused

    @property
    def faulty(self) -> bool:  # type: ignore[override]  # likewise
        """Whether an expectation can have faults, or what answers otherwise has some."""
        return self.fallback.faulty or bool(self._expectations)

    def respond(self, data: bytes, connection: ConnectionContext) -> Steps | Deferred[Steps]:
        if self._expectations:
            return self._expecting.respond(data, connection)
        # Before it answers: the reply has the framing of the state that its request arrived in.
        framing = self.properties(connection).framing if self.state_properties else None
        steps = self.fallback.respond(data, connection)
        if steps.__class__ is RuleReply and steps.explain is not None and closes_unmatched(steps):
            request = Request(data, connection.peer, connection.number, connection.taken)
            self._results.add_unexpected(request)
        return steps if framing is None else _encoded(steps, framing.encode, self.name)

    def answer_alike(
        self, requests: Sequence[bytes], connection: ConnectionContext
    ) -> Steps | None:
        return None if self._expectations else self.fallback.answer_alike(requests, connection)

    def properties(self, connection: ConnectionContext) -> StateProperties:
        return self.fallback.properties(connection)

    def react(self, trigger: Trigger, connection: ConnectionContext) -> Steps:
        responder = self._expecting if self._expectations else self.fallback
        return responder.react(trigger, connection)

    def state(self, connection: ConnectionContext) -> str:
        return self._expecting.state(connection)

    def timers(self, connection: ConnectionContext) -> Sequence[Timer]:
        return self._expecting.timers(connection)

    def tick(self, timer: Timer, connection: ConnectionContext) -> Steps | None:
        return self._expecting.tick(timer, connection)

    def constants(self) -> Table | None:
        return None if self._expectations else self.fallback.constants()

    def check(self, encode: Callable[[bytes], bytes]) -> None:
        self.fallback.check(encode)


def _encoded(
    answer: Steps | Deferred[Steps], encode: Callable[[bytes], bytes], by: str
) -> Steps | Deferred[Steps]:
    """Return *answer* with what makes its frames, for the verdict, now or once it is there."""
    if isinstance(answer, Deferred):
        return answer.addCallback(_encoded, encode, by)
    if not isinstance(answer, tuple):  # which is refused
        return answer
    reply = answer if isinstance(answer, RuleReply) else RuleReply(answer, by)
    return reply.encoded_by(encode)
