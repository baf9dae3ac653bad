"""
Performer: the steps of one reply, one after the other.

Knows steps and the connection's stream, which it sends to, ends or holds; nothing of where a reply
comes from or what comes next.
"""

from collections.abc import Callable, Iterator, Sequence
from operator import length_hint
from typing import Any, ClassVar

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from reqresp.faults.dice import FaultInjector
from reqresp.faults.faults import PlacedFault
from reqresp.framing import FrameError
from reqresp.transport.stream import HANGING, Stream
from reqresp.steps import (
    Abort,
    BaseStep,
    Close,
    HalfClose,
    Hang,
    ReplyFault,
    RuleReply,
    Send,
    Step,
    Steps,
    StopReading,
    Wait,
)

NOTHING: Iterator[Any] = iter(())


@frozen
class _Unframed(BaseStep):
    """Stands for what cannot be framed, which is an error when its turn has come."""

    error: FrameError


class Performer(Stream):
    """A connection that can perform a reply, and be held in the midst of one."""

    _exchange: tuple[bytes, Steps] | None = None  # the one under way
    _steps: Iterator[Step] = NOTHING  # what is left of it
    _requests: Iterator[bytes] = NOTHING  # behind it
    _failure: Failure | None = None  # of whoever had to give the reply
    _injector: FaultInjector | None = None  # where there are faults
    _faults: tuple[PlacedFault, ...] = ()  # that strike all that is said

    #: The connection's number; the factory's first is 1.
    number: int

    @property
    def is_busy(self) -> bool:
        """Whether an answer is being awaited, or requests wait behind a reply under way."""
        if self._ended or self._held in (None, HANGING):
            return False
        return isinstance(self._held, Deferred) or bool(
            self._waiting or length_hint(self._requests)
        )

    def _begin(self, steps: Steps, request: bytes | None) -> None:
        """Begin a reply; to no *request*: what greets a client."""
        faults: tuple[ReplyFault, ...] = self._faults
        if isinstance(steps, RuleReply):
            faults = (*steps.faults, *faults)
        self._steps = iter(steps)
        if faults and not self._mute:
            changed, names = self._inject(steps, faults)
            self._steps = iter(changed)
            if names:
                by = steps.by if isinstance(steps, RuleReply) else self.config.responder.name
                steps = RuleReply(steps, by, faults, names)
        counters = self.factory.counters
        if counters is not None and isinstance(steps, RuleReply):
            counters.begun(steps.by, steps.injected)
        self._exchange = None if request is None else (request, steps)

    def _inject(self, steps: Steps, faults: Sequence[ReplyFault]) -> tuple[Steps, tuple[str, ...]]:
        """Inject *faults* into *steps*, framed: a reply in pieces is still one frame."""
        encode = self.config.framing.encode
        framed: list[Step] = []
        for step in steps:
            if not isinstance(step, Send) or step.raw:
                framed.append(step)
                continue
            try:
                framed.append(Send(encode(step.data), raw=True))
            except FrameError as error:
                framed.append(_Unframed(error))  # type: ignore[arg-type]  # a step of our own
                break
        return self._injected().inject(tuple(framed), faults)

    def _injected(self) -> FaultInjector:
        if self._injector is None:
            self._injector = FaultInjector(self.config.seed or 0, self.number)
        return self._injector

    def _perform(self, answered: list[bytes], steps: list[Steps]) -> bool:
        """Perform what is left of the reply under way; False when that is all for now."""
        if self._held is not None or self._full or self._failure is not None:
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

    def _drop(self) -> None:
        super()._drop()
        self._steps = NOTHING
        self._exchange = None

    def _send(self, step: Send) -> None:
        self._gather(step.data if step.raw else self.config.framing.encode(step.data))

    def _wait(self, step: Wait) -> None:
        self._flush()
        self._held = self.factory.clock.callLater(step.seconds, self._release)

    def _release(self) -> None:
        self._held = None
        self._work()

    def _hang(self, _step: Hang) -> None:
        self._flush()
        self._held = HANGING
        self._forget()

    def _stop_reading(self, _step: StopReading) -> None:
        self._deaf = True
        self._forget()

    def _forget(self) -> None:
        """Forget what was read: how much of it there is depends on how the network cut it."""
        self._waiting = b""
        self._requests = NOTHING

    def _raise(self, step: _Unframed) -> None:
        raise step.error

    _PERFORM: ClassVar[dict[type[Any], Callable[[Any, Any], None]]] = {
        _Unframed: _raise,
        Send: _send,
        Wait: _wait,
        Close: lambda self, _step: self._close(),
        HalfClose: lambda self, _step: self._half_close(),
        Abort: lambda self, _step: self._abort(),
        Hang: _hang,
        StopReading: _stop_reading,
    }
