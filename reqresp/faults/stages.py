"""
Stages: what each kind of fault does to the pieces that pass in one direction of a connection.

A stage is a queue.  It says when its next piece is due, and computes that from the fault as it is
at the moment: what is changed holds for pieces that wait already.  Sans-I/O, without a clock: every
time is passed in.  It must not know the stages before and after it.
"""

from collections import deque
from enum import Enum
from math import inf
from typing import ClassVar, Protocol, cast

from attrs import define

from reqresp.faults import (
    Bandwidth,
    Blackhole,
    Corrupt,
    Dice,
    DirectedFault,
    Fault,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
)
from reqresp.faults.faults import MAX_SLICES_PER_SECOND, MIN_GAP
from reqresp.faults.meter import Meter

#: Bytes that a stage holds until it accepts no more.
STAGE_BYTES = 64 * 1024
#: The same for latency, whose bytes are on their way.
LATENCY_BYTES = 4 * 1024 * 1024
#: What a piece counts besides its bytes, so that small pieces take no more memory than large ones.
PIECE_BYTES = 256
#: When nothing is due.
NEVER = inf


class Ending(Enum):
    """How a direction ends."""

    EOF = "eof"  #: this direction only
    CLOSE = "close"  #: both directions, once what came before is delivered
    RESET = "reset"  #: both directions, likewise


Piece = bytes | Ending


class StageOwner(Protocol):
    """What a stage needs of the fault that it is a part of."""

    @property
    def directed(self) -> DirectedFault:
        """The fault as it is now."""

    @property
    def meter(self) -> Meter | None:
        """What all connections share; None: nothing."""


class Listener(Protocol):
    """Receives the events of stages."""

    def injected(self, owner: StageOwner) -> None:
        """Handle that the fault of *owner* affects the connection, for the first time."""

    def woken(self) -> None:
        """Handle that a stage has become due at another time, for a reason from outside."""


@define
class _Held:
    """A *piece*, when it has *entered* the stage, and whether the fault applies to it."""

    piece: Piece
    entered: float
    is_affected: bool
    start: int = 0  # bytes before it have left
    luck: float | None = None  # from 0 to 1, drawn when it is first needed


class Stage:
    """
    The pieces that wait because of one fault, in their order.

    :param dice: the source of all randomness.
    :param at: when the fault begins to apply to the connection.
    """

    capacity: ClassVar[int] = STAGE_BYTES

    def __init__(self, owner: StageOwner, dice: Dice, at: float, listener: Listener) -> None:
        self.owner = owner
        #: Bytes that it holds.
        self.held = 0
        self._dice = dice
        self._listener = listener
        self._queue: deque[_Held] = deque()
        self._entered = 0  # bytes, until the fault begins
        self._is_injected = False
        #: Whether it has ended the connection.  What comes later is dropped.
        self.has_ended = False
        directed = owner.directed
        self._begin = NEVER if directed.after_bytes else at + directed.after
        self._last = at  # when the last piece has left
        #: When it was full last.
        self.full_until = -NEVER

    @property
    def is_full(self) -> bool:
        """Whether it should get no more bytes."""
        return self._size >= self.capacity

    @property
    def is_overfull(self) -> bool:
        """Whether it holds more than the read that has filled it can explain: it was handed on."""
        return self.is_full and self._size > self.capacity + STAGE_BYTES + PIECE_BYTES

    @property
    def _size(self) -> int:
        return self.held + len(self._queue) * PIECE_BYTES

    def ends_at(self, at: float) -> bool:
        """Return whether what leaves at the time *at* is an ending, which takes no room."""
        if self._queue and isinstance(self._queue[0].piece, Ending):
            return True
        return self._ends and at < self._end and (not self._queue or self._queue[0].is_affected)

    def put(self, piece: Piece, at: float) -> None:
        """Take *piece*, which enters at the time *at*."""
        if self.has_ended:
            return
        if self._begin == NEVER and isinstance(piece, bytes):
            first = piece[: self.owner.directed.after_bytes - self._entered]
            self._entered += len(first)
            self._append(_Held(first, at, is_affected=False))
            if self._entered < self.owner.directed.after_bytes:
                return
            self._begin = at
            piece = piece[len(first) :]
            if not piece:
                return
        held = _Held(piece, at, is_affected=self._begin <= at < self._end)
        if held.is_affected and self._affects(piece):
            self._inject()
        self._append(held)

    def due(self) -> float:
        """Return when the next piece leaves; `NEVER`: nothing does, as things are."""
        if self.has_ended:
            return NEVER
        head = self._queue[0] if self._queue else None
        if head is None:
            due = self._due_alone()
            return max(due, self._last) if due < self._end else NEVER
        if not head.is_affected:
            return max(head.entered, self._last)
        return max(min(self._due(head), self._end), head.entered, self._last)

    def take(self, at: float) -> Piece:
        """Return the piece that leaves at the time *at*, when it is due, or later."""
        self._last = at
        if self.is_full:
            self.full_until = at
        if not self._queue:
            return self._take_alone()
        head = self._queue[0]
        if head.is_affected and at < self._end:
            return self._take(head, at)
        self.step_aside()
        return self._pop()

    def rest(self) -> list[Piece]:
        """Return what is held: the stage is removed."""
        self.step_aside()
        return [self._pop() for _ in range(len(self._queue))]

    def step_aside(self) -> None:
        """Let others have what it shares with them: nothing can leave at the moment."""

    # What a kind of fault does; a head is always affected by the fault

    @property
    def _ends(self) -> bool:
        """Whether it ends the connection when it is due, whatever waits."""
        return False

    def _affects(self, piece: Piece) -> bool:
        """Return whether *piece*, which enters, is affected."""
        return isinstance(piece, bytes)

    def _due(self, head: _Held) -> float:
        """Return when the next piece leaves, of which *head* is the first that waits."""
        return head.entered

    def _due_alone(self) -> float:
        """Return when an ending leaves if nothing waits."""
        return NEVER

    def _take(self, head: _Held, at: float) -> Piece:  # noqa: ARG002
        """Return the piece that leaves at the time *at*."""
        return self._pop()

    def _take_alone(self) -> Piece:
        """Return the ending that leaves though nothing waits."""
        raise AssertionError("nothing is due")

    # For these

    @property
    def _end(self) -> float:
        """When the fault ends."""
        seconds = self.owner.directed.for_
        return NEVER if seconds is None else self._begin + seconds

    def _inject(self) -> None:
        if not self._is_injected:
            self._is_injected = True
            self._listener.injected(self.owner)

    def _append(self, held: _Held) -> None:
        self._queue.append(held)
        if isinstance(held.piece, bytes):
            self.held += len(held.piece)

    def _pop(self) -> Piece:
        """Return the first piece, or what is left of it."""
        held = self._queue.popleft()
        if isinstance(held.piece, Ending):
            return held.piece
        data = held.piece[held.start :]
        self.held -= len(data)
        return data

    def _cut(self, size: int) -> Piece:
        """Return the first piece, or its next *size* bytes if it is larger."""
        head = self._queue[0]
        if isinstance(head.piece, Ending) or len(head.piece) - head.start <= size:
            return self._pop()
        data = head.piece[head.start : head.start + size]
        head.start += size
        self.held -= size
        return data

    def _luck(self, head: _Held) -> float:
        """Return the random number of *head*, which stays the same."""
        if head.luck is None:
            head.luck = self._dice.random()
        return head.luck

    def _finish(self, ending: Ending) -> Ending:
        """Drop everything, and return *ending*."""
        self._inject()
        self.rest()
        self.has_ended = True
        return ending


class LatencyStage(Stage):
    """Holds each piece for a while; none overtakes another."""

    capacity = LATENCY_BYTES

    def _due(self, head: _Held) -> float:
        fault = cast(Latency, self.owner.directed.fault)
        seconds = fault.delay
        if fault.jitter:
            seconds += fault.jitter * (2 * self._luck(head) - 1)
        return head.entered + max(0.0, seconds)


class BandwidthStage(Stage):
    """Lets a slice through once the time that it takes has passed."""

    def __init__(self, owner: StageOwner, dice: Dice, at: float, listener: Listener) -> None:
        super().__init__(owner, dice, at, listener)
        self._meter = owner.meter or Meter()

    def step_aside(self) -> None:
        self._meter.leave(self)

    def woken(self) -> None:
        """Handle that it is the first in the queue of its meter."""
        self._listener.woken()

    def _due(self, head: _Held) -> float:
        if isinstance(head.piece, Ending):
            return head.entered
        rate = self._rate()
        if not (rate and self._meter.is_turn_of(self)):
            return NEVER
        size = min(len(head.piece) - head.start, self._slice(rate))
        return max(head.entered, self._meter.free) + size / rate

    def _take(self, head: _Held, at: float) -> Piece:
        if isinstance(head.piece, bytes):
            self._meter.pass_turn(self, at)
        return self._cut(self._slice(self._rate()))

    def _rate(self) -> int:
        return cast(Bandwidth, self.owner.directed.fault).rate

    @staticmethod
    def _slice(rate: int) -> int:
        return -(-rate // MAX_SLICES_PER_SECOND)


class SlicerStage(Stage):
    """Cuts pieces into smaller ones, with a gap after each."""

    _cut_at = -NEVER

    def _due(self, head: _Held) -> float:
        gap = max(cast(Slicer, self.owner.directed.fault).delay, MIN_GAP)
        return max(head.entered, self._cut_at + gap)

    def _take(self, head: _Held, at: float) -> Piece:
        if isinstance(head.piece, Ending):
            return self._pop()
        self._cut_at = at
        fault = cast(Slicer, self.owner.directed.fault)
        # From size - variation to size + variation, each as likely.
        size = fault.size - fault.variation + int(self._dice.random() * (2 * fault.variation + 1))
        return self._cut(max(1, size))


class LimitStage(Stage):
    """Lets some bytes through, then ends the connection."""

    ending: ClassVar[Ending] = Ending.CLOSE
    _passed = 0
    _reached = -NEVER  # when all these bytes had passed

    @property
    def _ends(self) -> bool:
        return self._left() <= 0

    def _left(self) -> int:
        return cast(LimitData | ResetPeer, self.owner.directed.fault).bytes - self._passed

    def _delay(self) -> float:
        return 0.0

    def _affects(self, piece: Piece) -> bool:  # noqa: ARG002
        return False  # it affects the connection when it ends it

    def _due(self, head: _Held) -> float:
        return head.entered if self._left() > 0 else self._due_alone()

    def _due_alone(self) -> float:
        if self._left() > 0:
            return NEVER
        return max(self._begin, self._reached) + self._delay()

    def _take(self, head: _Held, at: float) -> Piece:  # noqa: ARG002
        left = self._left()
        if left <= 0:
            return self._finish(self.ending)
        piece = self._cut(left)
        if isinstance(piece, bytes):
            self._passed += len(piece)
            self._reached = at
        return piece

    def _take_alone(self) -> Piece:
        return self._finish(self.ending)


class ResetStage(LimitStage):
    """Lets some bytes through, then resets the connection after a delay."""

    ending = Ending.RESET

    def _delay(self) -> float:
        return cast(ResetPeer, self.owner.directed.fault).delay


class TimeoutStage(Stage):
    """
    Holds everything, and closes the connection after a while.

    Without a time, it ends the connection when the sender has ended: nothing else would.  To notice
    that, it takes all that comes, and drops what it has no room for.  If it goes after that, a
    reset follows what it has held: the receiver must not continue after a gap.
    """

    _sender_ended: tuple[float, Ending] | None = None
    _has_dropped = False

    @property
    def is_full(self) -> bool:
        # Before it begins, bytes that the receiver does not take have to wait as elsewhere.
        has_begun = bool(self._queue) and self._queue[-1].is_affected
        return super().is_full and (self._has_time or not has_begun)

    @property
    def _has_time(self) -> bool:
        return cast(Timeout, self.owner.directed.fault).seconds > 0

    @property
    def _ends(self) -> bool:
        return True

    def _affects(self, piece: Piece) -> bool:  # noqa: ARG002
        return True

    def _append(self, held: _Held) -> None:
        piece = held.piece
        if isinstance(piece, Ending) and held.is_affected:
            self._sender_ended = held.entered, piece
        if self._has_dropped:
            return
        has_room = self._has_time or not super().is_full
        if isinstance(piece, bytes) and held.is_affected and not has_room:
            self._has_dropped = True
            held = _Held(Ending.RESET, held.entered, is_affected=True)
        super()._append(held)

    def _due(self, head: _Held) -> float:  # noqa: ARG002
        return self._due_alone()

    def _due_alone(self) -> float:
        seconds = cast(Timeout, self.owner.directed.fault).seconds
        if seconds:
            return self._begin + seconds
        return NEVER if self._sender_ended is None else self._sender_ended[0]

    def _take(self, head: _Held, at: float) -> Piece:  # noqa: ARG002
        was_reset = self._sender_ended is not None and self._sender_ended[1] is Ending.RESET
        return self._finish(Ending.RESET if was_reset else Ending.CLOSE)

    def _take_alone(self) -> Piece:
        return self._finish(Ending.CLOSE)


class BlackholeStage(Stage):
    """Drops bytes; endings pass."""

    def _append(self, held: _Held) -> None:
        if isinstance(held.piece, Ending) or not held.is_affected:
            super()._append(held)


class SlowCloseStage(Stage):
    """Delays EOF and a close."""

    def _affects(self, piece: Piece) -> bool:
        return piece is Ending.EOF or piece is Ending.CLOSE

    def _due(self, head: _Held) -> float:
        if not self._affects(head.piece):
            return head.entered
        return head.entered + cast(SlowClose, self.owner.directed.fault).delay


class CorruptStage(Stage):
    """Changes some bytes of each piece."""

    def _take(self, head: _Held, at: float) -> Piece:  # noqa: ARG002
        piece = self._pop()
        if isinstance(piece, Ending):
            return piece
        data = bytearray(piece)
        count = min(len(data), cast(Corrupt, self.owner.directed.fault).bytes)
        for position in _sample(len(data), count, self._dice):
            data[position] ^= 1 + int(self._dice.random() * 255)
        return bytes(data)


def _sample(size: int, count: int, dice: Dice) -> list[int]:
    """Return *count* different numbers below *size*, by Floyd's algorithm."""
    chosen: dict[int, None] = {}
    for most in range(size - count, size):
        number = int(dice.random() * (most + 1))
        chosen[most if number in chosen else number] = None
    return [*chosen]


_STAGES: dict[type[Fault], type[Stage]] = {
    Latency: LatencyStage,
    Bandwidth: BandwidthStage,
    Slicer: SlicerStage,
    LimitData: LimitStage,
    ResetPeer: ResetStage,
    Timeout: TimeoutStage,
    Blackhole: BlackholeStage,
    SlowClose: SlowCloseStage,
    Corrupt: CorruptStage,
}


def make_stage(owner: StageOwner, dice: Dice, at: float, listener: Listener) -> Stage:
    """Return a new stage for the fault of *owner*; the parameters are those of `Stage`."""
    return _STAGES.get(type(owner.directed.fault), Stage)(owner, dice, at, listener)
