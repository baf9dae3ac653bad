"""
HeldRequests: requests that wait for the test to answer them.

Must not know how the server runs, nor which requests are held.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress

from reqresp.expectations.futures import AwaitableFuture
from reqresp.expectations.held import WaitingRequest
from reqresp.expectations.report import describe
from reqresp.expectations.waiters import matches
from reqresp.framing import Framing
from reqresp.script.calls import Call
from reqresp.script.predicates import Predicates
from reqresp.script.rule import Rule
from reqresp.script.rule_parts import PayloadLike, PayloadsLike, RuleParts
from reqresp.server.responders import Reply
from reqresp.steps import Step
from reqresp.testing._expectation import ErrorsWithLine, sends

# As in _base.
__tracebackhide__ = True


class HeldRequest(WaitingRequest):
    """
    A request whose client waits until the test answers it.

    :param held: the request with the variables of its connection, which its reply can name.
    :param call: calls a function where the server runs.
    """

    def __init__(self, held: Call, parts: RuleParts, call: Callable[..., Any]) -> None:
        super().__init__(held)
        self._parts = parts
        self._call = call

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.data!r}, connection {self.connection}, {self.condition}>"
        )

    @property
    def data(self) -> bytes:
        """Its bytes, without the framing."""
        return self.request.data

    @property
    def connection(self) -> int:
        """The number of its connection."""
        return self.request.connection

    @property
    def peer(self) -> IAddress:
        """The client's address."""
        return self.request.peer

    def reply(
        self,
        *payloads: PayloadLike,
        raw: bool = False,
        to: str | None = None,
        **payload: str | bool,
    ) -> None:
        """
        Answer it with *payloads*, each in a frame of its own; see `Expectation.reply`.

        :raises ScriptError: a payload is not usable.
        :raises RuntimeError: it was answered before, or its connection has ended.
        """
        given = [*payloads, payload] if payload else [*payloads]
        with ErrorsWithLine():
            parts = self._parts.naming((*self.context.notes.values, *self.context.notes.server))
            steps = sends(parts, given, "reply", raw=raw, to=to)
        self.answer(*Rule(name="reply", replies=[steps]).steps(1, self.data, self.context))

    def answer(self, *steps: bytes | Step) -> None:
        """
        Answer it with bytes and *steps*, such as ``Close()``; without any, with silence.

        :raises RuntimeError: it was answered before, or its connection has ended.
        """
        self._call(self.complete, steps)


def not_held(equals: PayloadsLike | None, predicates: Mapping[str, Any]) -> str:
    """Return the message that no request with these predicates waits for the test."""
    return f"no request waits for the test: expected {describe(equals, predicates)}"


class HeldRequests:
    """
    The requests that wait for a test, in the order in which they came.

    :param parts: makes the steps of replies.
    :param call: calls a function where the server runs, and returns its result.
    :param framings: returns what is in force on each connection, by their numbers.
    """

    def __init__(
        self,
        parts: RuleParts,
        call: Callable[..., Any],
        framings: Callable[[], Mapping[int, Framing]],
    ) -> None:
        self._parts = parts
        self._call = call
        self._framings = framings
        self._held: list[HeldRequest] = []
        self._wanted: dict[Future[HeldRequest], Predicates] = {}

    def hold(self, call: Call) -> Deferred[Reply]:
        """Let the request of *call* wait; called where the server runs."""
        parts = evolve(self._parts, framing=self._framings()[call.connection])
        held = HeldRequest(call, parts, self._call)
        self._held.append(held)
        for future, predicates in [*self._wanted.items()]:
            if self._give(future, predicates):
                break
        return held.answered

    def when(self, predicates: Predicates) -> AwaitableFuture[HeldRequest]:
        """Return a future of the first request held that fulfils *predicates*, each given once."""
        future: AwaitableFuture[HeldRequest] = AwaitableFuture()

        def want() -> None:
            if not self._give(future, predicates):
                self._wanted[future] = predicates
                future.add_done_callback(lambda done: self._wanted.pop(done, None))

        self._call(want)
        return future

    def _give(self, future: Future[HeldRequest], predicates: Predicates) -> bool:
        found = next((it for it in self._held if matches(predicates, it.request)), None)
        if found is None or not future.set_running_or_notify_cancel():
            return False
        self._held.remove(found)
        future.set_result(found)
        return True
