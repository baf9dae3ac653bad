"""
Protocol: the requests of one connection, and the steps that answer them.

Has requests that no constants answer answered by a responder, and performs the steps in the order
of the requests.  It knows no endpoint, no file format, no command line.

At any time either nothing holds a connection, or exactly one thing does: a step that waits, an
answer that is not there yet, or a transport whose buffer is full.  While it is held, what arrives
waits; when it is released, `_work` goes on where it stopped.  Three levels are left standing like
that: bytes that no decoder has seen, requests that no responder has seen, steps not yet performed.
"""

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from reqresp._text import format_address
from reqresp.framing import FrameError
from reqresp.server.constants import SLICE, Constants
from reqresp.server.performer import NOTHING
from reqresp.transport.stream import HANGING
from reqresp.steps import RuleReply, Steps, Wait
from reqresp.transport.closing import undelivered

#: Sweeps in an idle time-out.
SWEEPS = 4


class Connection(Constants):
    """Answers the requests of one connection, in their order; made by `ReqRespFactory`."""

    #: What the responder noted.
    notes: Any = None

    _working = False
    _again = False  # something was released meanwhile
    _quiet = 0  # sweeps since something happened
    _left = 0  # bytes that were undelivered at the last sweep
    _since: float | None = None  # the request being answered was taken up, where that is measured

    def connectionMade(self) -> None:
        super().connectionMade()
        self._decoder = self.config.decoder()
        self.factory.opened(self)
        self._greet()

    def dataReceived(self, data: bytes) -> None:
        self._quiet = 0
        if self._ended or self._held is HANGING:
            self._count(data)
            return
        batch = self.config.batch
        if batch is None or self._held is not None or self._full or self._working or self._mute:
            self._put_off(data)
        elif len(data) > SLICE:
            self._answer_slices(data, batch)
        elif self._answer_all(data, batch):
            return
        self._count(data)
        self._work()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._drop()
        self.factory.lost(self, reason)

    def _greet(self) -> None:
        config = self.config
        if config.faults:
            self._faults = config.faults
        if config.on_connect:
            self._faults = self._injected().on_connect(config.faults)
        try:
            steps = config.responder.greet(self)
            if steps or isinstance(steps, RuleReply):
                self._begin(steps, None)
            elif any(placed.on_connect for placed in self._faults):
                self._inject_into_silence()
            else:
                return
        except BaseException:  # as for replies
            self._failure = Failure()
        self._work()

    def _inject_into_silence(self) -> None:
        """Delay, cut off or reset a connection on which nothing was said."""
        faults = self._faults
        self._faults = tuple(placed for placed in faults if placed.on_connect)
        self._begin((Wait(0),), None)
        self._faults = faults

    def finish(self) -> None:
        """Read no more, answer what was received, then close."""
        self._last = True
        self._work()

    def sweep(self) -> None:
        """Close if nothing happened for `SWEEPS` calls, which make an idle time-out."""
        self._quiet += 1
        left = undelivered(self.transport)
        if self._held not in (None, HANGING) or left < self._left:
            self._quiet = 0
        self._left = left
        if self._quiet <= SWEEPS:
            return
        self._log.debug("{peer}: idle; closing", peer=format_address(self.peer))
        self._quiet = 0
        if left or self._ended:
            self.transport.abortConnection()
        else:
            self._close()

    def _was_heard(self) -> bool:
        return bool(self.taken or self._waiting or len(self._decoder))

    # Requests, one by one

    def _work(self) -> None:
        self._again = True
        if self._working or self._ended:
            return
        self._working = True
        self._quiet = 0
        began = 0.0 if self.factory.counters is None else self.factory.counters.now()
        while self._again:
            self._again = False
            self._answer_in_turn(began)
        self._working = False
        if self._failure is not None:
            self._fail(self._failure)
        elif not self._ended:
            self._settle()

    def _answer_in_turn(self, began: float) -> None:
        received: list[bytes] = []
        answered: list[bytes] = []
        steps: list[Steps] = []
        try:
            while self._perform(answered, steps) and self._take(received):
                pass
            self._flush()
        except BaseException:  # as the reactor does: whatever it is, it ends this connection alone
            self._failure = Failure()
        if received or answered:
            if (counters := self.factory.counters) is not None:
                since = counters.turned(len(received), len(answered), began, self._since)
                if since is not self._since:  # an attribute of its own makes an object slower
                    self._since = since
            self._tell(received, answered, lambda _requests: steps)

    def _settle(self) -> None:
        """All that can be done was done: read on, or end."""
        if self._held is HANGING:
            self._requests = NOTHING
        if self._fault is not None and self._held is None and not self._full:
            self._refuse(self._fault)
        elif self._last and self._held in (None, HANGING) and not self._full:
            self._finished()
        else:
            self._regulate()

    def _finished(self) -> None:
        if len(self._decoder):
            self._log.info(
                "{peer}: closing within a request, of which {size} bytes came",
                peer=format_address(self.peer),
                size=len(self._decoder),
            )
        if self._eof:
            self._both_ended()
        else:
            self._close()

    def _take(self, received: list[bytes]) -> bool:
        """Have the next request answered; False when there is none."""
        while (request := next(self._requests, None)) is None:
            if self._fault is not None or not self._waiting:
                return False
            self._requests = iter(self._cut(self._take_up(SLICE)))
        self.taken += 1
        received.append(request)
        answer = self.config.responder.respond(request, self)
        if isinstance(answer, tuple):
            self._begin(answer, request)
        elif isinstance(answer, Deferred):
            self._held = answer
            answer.addCallback(self._answer, request).addErrback(self._cannot_answer)
        else:
            raise TypeError(f"a responder gives steps, or a Deferred of them; not {answer!r}")
        return True

    def _cut(self, data: bytes) -> Sequence[bytes]:
        try:
            return self._decoder.feed(data)
        except FrameError as error:
            self._fault = error
            return error.requests

    def _answer(self, steps: Steps, request: bytes) -> None:
        if self._ended:
            return
        if not isinstance(steps, tuple):
            raise TypeError(f"a responder's Deferred gives steps; not {steps!r}")
        self._held = None
        self._begin(steps, request)
        self._work()

    def _cannot_answer(self, failure: Failure) -> None:
        if not self._ended:
            self._held = None
            self._failure = failure
            self._work()
        elif not failure.check(CancelledError):
            self._fail(failure)

    def _refuse(self, fault: FrameError) -> None:
        self._log.warn("{peer}: {fault}; closing", peer=format_address(self.peer), fault=fault)
        if self.factory.counters is not None:
            self.factory.counters.frame_errors += 1
        self._close()
        self.factory.tell("failed", self.peer, self.number, Failure(fault))

    def _fail(self, failure: Failure) -> None:
        if self.factory.counters is not None:
            self.factory.counters.responder_errors += 1
        by = self.config.responder.name
        if self._exchange is not None and isinstance(self._exchange[1], RuleReply):
            by = self._exchange[1].by
        self._log.failure(
            "{peer}: {by} failed; aborting", failure, peer=format_address(self.peer), by=by
        )
        if not self._ended:
            self._abort()
        self.factory.tell("failed", self.peer, self.number, failure)

    def _forget(self) -> None:
        super()._forget()
        self._fault = None

    def _drop(self) -> None:
        super()._drop()
        self._requests = NOTHING
