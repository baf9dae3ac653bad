"""
Protocol: the requests of one connection, and the steps that answer them.

Takes requests from a decoder, has them answered by a responder, performs the steps in the order of
the requests, and tells observers.  It knows no endpoint, no file format, no command line.

At any time either nothing holds a connection, or exactly one thing does: a step that waits, an
answer that is not there yet, or a transport whose buffer is full.  While it is held, what arrives
waits; when it is released, `_work` goes on where it stopped.  Three levels are left standing like
that: bytes that no decoder has seen, requests that no responder has seen, steps not yet performed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp.batch import Batch
from reqresp.decoders import Decoder, FrameError
from reqresp.messages import (
    Abort,
    Close,
    Exchanges,
    HalfClose,
    Hang,
    Send,
    Step,
    Steps,
    StopReading,
    Wait,
    show,
)
from reqresp.stream import HANGING, Stream

#: Bytes framed at a time: a request of three bytes takes fifteen times that once it is cut out.
SLICE = 4 * 1024
#: Sweeps in an idle time-out.
SWEEPS = 4

_NOTHING: Iterator[Any] = iter(())


class ReqResp(Stream):
    """Answers the requests of one connection, in their order; made by `ReqRespFactory`."""

    _log = Logger()

    #: The connection's number; the factory's first is 1.
    number: int
    #: How many requests were taken up.
    taken = 0

    _answered = 0
    _working = False
    _quiet = 0  # sweeps since something happened
    _fault: FrameError | None = None
    _requests: Iterator[bytes] = _NOTHING
    _exchange: tuple[bytes, Steps] | None = None  # the one under way
    _steps: Iterator[Step] = _NOTHING

    def connectionMade(self) -> None:
        super().connectionMade()
        self._decoder: Decoder = self.factory.decoder()
        self.factory.opened(self)

    def dataReceived(self, data: bytes) -> None:
        self._quiet = 0
        if self._ended:
            return
        batch = self.factory.batch
        if (
            batch is None
            or self._held is not None
            or self._full
            or self._working
            or self._mute
            or len(data) > SLICE
        ):
            self._waiting += data
        elif self._answer_all(data, batch):
            return
        self._work()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._drop()
        self.factory.lost(self, reason)

    def finish(self) -> None:
        """Read no more, answer what was received, then close."""
        self._last = True
        self._work()

    def sweep(self) -> None:
        """Close if nothing happened for `SWEEPS` calls, which make an idle time-out."""
        self._quiet += 1
        if self._quiet <= SWEEPS or self._held not in (None, HANGING):
            return
        self._log.debug("{peer}: idle; closing", peer=show(self.peer))
        if self._full or self._ended:
            self.transport.abortConnection()
        else:
            self._close()

    def _answer_all(self, data: bytes, batch: Batch) -> bool:
        """Answer *data* in one go if its replies are constants; else leave its requests be."""
        requests: Sequence[bytes]
        try:
            requests = self._decoder.feed(data)
            wire = batch.answer(requests)
        except FrameError as error:
            self._fault = error
            requests, wire = error.requests, None
        if wire is None:
            self._requests = iter(requests)
            return False
        self.taken += len(requests)
        if wire:
            self.transport.write(wire)
        if self.factory.observed and requests:
            self._tell(requests, requests, batch.steps)
        return True

    def _work(self) -> None:
        if self._working or self._ended:
            return
        self._working = True
        self._quiet = 0
        received: list[bytes] = []
        answered: list[bytes] = []
        steps: list[Steps] = []
        failure = None
        try:
            while self._perform(answered, steps) and self._take(received):
                pass
        except Exception:
            failure = Failure()
        self._flush()
        self._working = False
        if received or answered:
            self._tell(received, answered, lambda _requests: steps)
        if failure is not None:
            self._fail(failure)
        elif not self._ended:
            self._settle()

    def _settle(self) -> None:
        """All that can be done was done: read on, or end."""
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
                peer=show(self.peer),
                size=len(self._decoder),
            )
        if self._eof:
            self._both_ended()
        else:
            self._close()

    def _perform(self, answered: list[bytes], steps: list[Steps]) -> bool:
        """Perform what is left of the reply under way; False when that is all for now."""
        if self._held is not None or self._full:
            return False
        exchange = self._exchange
        for step in self._steps:
            self._PERFORM[type(step)](self, step)
            if self._ended:
                break
            if self._held is not None or self._full:
                return False
        if exchange is not None:
            answered.append(exchange[0])
            steps.append(exchange[1])
            self._exchange = None
        return not self._ended

    def _take(self, received: list[bytes]) -> bool:
        """Have the next request answered; False when there is none."""
        while (request := next(self._requests, None)) is None:
            if self._fault is not None or not self._waiting:
                return False
            self._requests = iter(self._cut(bytes(self._waiting[:SLICE])))
            del self._waiting[:SLICE]
        self.taken += 1
        received.append(request)
        answer = self.factory.responder.respond(request, self)
        if isinstance(answer, tuple):
            self._begin(answer, request)
        else:
            self._held = answer
            answer.addCallbacks(self._answer, self._cannot_answer, callbackArgs=(request,))
        return True

    def _cut(self, data: bytes) -> Sequence[bytes]:
        try:
            return self._decoder.feed(data)
        except FrameError as error:
            self._fault = error
            return error.requests

    def _begin(self, steps: Steps, request: bytes) -> None:
        self._exchange = request, steps
        self._steps = iter(steps)

    def _answer(self, steps: Steps, request: bytes) -> None:
        if self._ended:
            return
        self._held = None
        self._begin(steps, request)
        self._work()

    def _cannot_answer(self, failure: Failure) -> None:
        if not self._ended:
            self._held = None
        elif failure.check(CancelledError):
            return
        self._fail(failure)

    def _refuse(self, fault: FrameError) -> None:
        self._log.warn("{peer}: {fault}; closing", peer=show(self.peer), fault=fault)
        self._close()
        self.factory.tell("failed", self.peer, self.number, Failure(fault))

    def _fail(self, failure: Failure) -> None:
        self._log.failure("{peer}: the responder failed; aborting", failure, peer=show(self.peer))
        if not self._ended:
            self._abort()
        self.factory.tell("failed", self.peer, self.number, failure)

    def _tell(
        self,
        received: Sequence[bytes],
        answered: Sequence[bytes],
        steps: Callable[[Sequence[bytes]], Iterable[Steps]],
    ) -> None:
        factory = self.factory
        if received and factory.hearers["received"]:
            factory.tell("received", self.peer, self.number, received)
        if answered and factory.hearers["answered"]:
            exchanges = Exchanges(self.peer, self.number, self._answered + 1, answered, steps)
            self._answered += len(answered)
            factory.tell("answered", exchanges)

    def _drop(self) -> None:
        super()._drop()
        self._requests = self._steps = _NOTHING
        self._exchange = None

    # Steps

    def _send(self, step: Send) -> None:
        self._gather(step.data if step.raw else self.factory.framing.encode(step.data))

    def _wait(self, step: Wait) -> None:
        self._flush()
        self._held = self.factory.clock.callLater(step.seconds, self._release)

    def _release(self) -> None:
        self._held = None
        self._work()

    def _hang(self, _step: Hang) -> None:
        self._flush()
        self._held = HANGING

    def _stop_reading(self, _step: StopReading) -> None:
        self._deaf = True

    _PERFORM: ClassVar[dict[type[Step], Callable[[Any, Any], None]]] = {
        Send: _send,
        Wait: _wait,
        Close: lambda self, _step: self._close(),
        HalfClose: lambda self, _step: self._half_close(),
        Abort: lambda self, _step: self._abort(),
        Hang: _hang,
        StopReading: _stop_reading,
    }
