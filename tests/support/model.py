"""
What the documentation promises of one connection, computed independently.

Knows requests, steps and bytes.  It knows no transport, and none of the code that it is compared
with.
"""

from bisect import bisect_right
from collections.abc import Sequence
from enum import Enum, auto
from itertools import accumulate

from reqresp import (
    Abort,
    Close,
    Fault,
    HalfClose,
    Hang,
    Latency,
    Send,
    Slicer,
    Steps,
    StopReading,
    Wait,
)
from tests.support.model_client import ModelClient
from tests.support.model_setup import ModelSteps, Setup, Special


class Ending(Enum):
    """Why a connection sends no more replies."""

    CLOSED = auto()
    ABORTED = auto()
    FAILED = auto()
    UNFRAMED = auto()
    HANGING = auto()
    NOT_READING = auto()


_OVER = Ending.CLOSED, Ending.UNFRAMED, Ending.ABORTED, Ending.FAILED
#: Bytes of requests that may be decoded, and then count as waiting no more.
SLICE = 4096
#: Seconds that a client has to end its side once the server has closed.
LINGER = 1.0
#: Stands for bytes that are not a request.
GARBAGE = b""


class Expected:
    """
    The bytes and events that one connection must produce.

    Append what the client sends to `requests`, then call `go_on`.
    """

    def __init__(self, setup: Setup, number: int, is_tls: bool) -> None:
        self.setup, self.number, self.is_tls = setup, number, is_tls
        #: What may slow a reply down.
        self.faults = setup.faults
        self.requests: list[bytes] = []
        #: The bytes of the greeting and all replies.
        self.out = bytearray()
        #: Pairs of an offset in `out` and the seconds that must pass before it is exceeded.
        self.waits: list[tuple[int, float]] = []
        #: Seconds that all of it takes at least, and at most.
        self.least = self.most = 0.0
        #: How many bytes of `out` answer the first 0, 1, 2, ... requests.
        self.offsets: list[int] = []
        #: How many requests the responder receives, and how many replies are completed.
        self.taken = self.answered = 0
        self.ending: Ending | None = None
        self.is_muted = False
        #: The steps of each completed reply.
        self.steps: list[Steps] = []
        #: Whether the Deferred of a late reply succeeded, by the request's number.
        self.outcomes: dict[int, bool] = {}
        self._is_late = False
        self._at = 0
        self._state = "start"
        self._perform(setup.greet())
        self.offsets.append(len(self.out))

    def go_on(self) -> None:
        """Answer all requests that can be answered now."""
        while self.ending is None and self._at < len(self.requests):
            request = self.requests[self._at]
            if request == GARBAGE:
                self.ending = Ending.UNFRAMED
                break
            if not self._is_late:
                self.taken += 1
            steps, state = self.setup.reply(request, self._state)
            if steps == (Special.LATE,):
                self._is_late = self.taken not in self.outcomes
                if self._is_late:
                    break
                steps = self.setup.late(request) if self.outcomes[self.taken] else (Special.FAILS,)
            self._state = state
            self._at += 1
            if self._perform(steps):
                self.answered += 1
                self.steps.append(steps)  # type: ignore[arg-type]  # nothing special is left
            self.offsets.append(len(self.out))

    def count_received(self, received: list[bytes]) -> int:
        """Return how many requests a server has whose receipt its observers reported."""
        return len(received)

    @property
    def fails(self) -> bool:
        """Whether observers receive a failure."""
        return self.ending in (Ending.FAILED, Ending.UNFRAMED)

    @property
    def waits_for(self) -> int | None:
        """The number of the request whose Deferred has not fired, or None."""
        return self.taken if self._is_late and self.ending is None else None

    def least_at(self, offset: int) -> float:
        """Return the seconds that have to pass before *offset* bytes have come."""
        return max((wait for at, wait in self.waits if at < offset), default=0.0)

    def _perform(self, steps: ModelSteps) -> bool:
        """Perform *steps*; return whether the reply was completed."""
        stops_reading = False
        self._slow_down(steps)
        for step in steps:
            match step:
                case Send():
                    if not self.is_muted:
                        self.out += (
                            step.data if step.raw else self.setup.case.encode_reply(step.data)
                        )
                case Wait():
                    self.least += step.seconds
                    self.most += step.seconds
                    self.waits.append((len(self.out), self.least))
                case Close():
                    self.ending = Ending.CLOSED
                    return True
                case Abort():
                    self.ending = Ending.ABORTED
                    return True
                case HalfClose() if self.is_tls:
                    self.ending = Ending.CLOSED
                    return True
                case HalfClose():
                    self.is_muted = True
                case Hang():
                    self.ending = Ending.HANGING
                    return False
                case StopReading():
                    stops_reading = True
                case _:
                    self.ending = Ending.FAILED
                    return False
        if stops_reading:
            self.ending = Ending.NOT_READING
        return True

    def _slow_down(self, steps: ModelSteps) -> None:
        """Add the longest time that faults can take."""
        size = sum(len(step.data) + 10 for step in steps if isinstance(step, Send))
        self._add_faults(self.faults, 1, size)

    def have_faults(self, faults: Sequence[Fault]) -> None:
        """Have *faults*, too, perhaps also for replies that have not left yet."""
        self.faults = (*self.faults, *faults)
        self._add_faults(faults, len(self.requests) + 1, len(self.out))

    def _add_faults(self, faults: Sequence[Fault], replies: int, size: int) -> None:
        for fault in faults:
            if isinstance(fault, Latency):
                self.most += fault.delay * replies
            elif isinstance(fault, Slicer):
                self.most += (size / fault.size + 2 * replies) * 0.001


class ExpectedEcho(Expected):
    """The same for `Chunk`: an echo, as the network decides what a request is."""

    def add(self, data: bytes) -> None:
        """Have the client send *data*."""
        self.out += data
        self.offsets.append(len(self.out))

    def count_received(self, received: list[bytes]) -> int:
        """Return how much of what the client sent has been received; a read may cut it."""
        size = self.offsets[0] + sum(map(len, received))
        return bisect_right(self.offsets, size) - 1


class Connected:
    """A client, what is expected of its connection, and what is excused."""

    def __init__(self, client: ModelClient, expected: Expected, now: float) -> None:
        self.client, self.expected = client, expected
        self.number = expected.number
        self.began = self.changed = now
        self.count = 0  # of requests sent
        self.sends_no_more = False
        #: Whether replies may be missing, and how many requests must be answered all the same.
        self.is_cut = False
        self.floor = 0
        #: Whether a reset may end it.
        self.may_reset = False
        #: When a drain resets it.
        self.deadline: float | None = None
        #: Whether the client has closed its socket.
        self.is_gone = False
        #: The offset on the wire at which each request ends.
        self.frame_ends: list[int] = []
        #: The late reply during which reading must pause, and what was sent before.
        self._pause: tuple[int, int] | None = None
        #: What was pushed to it and not refused.
        self.pushed: list[bytes] = []
        #: When the client saw the end.
        self.ended: float | None = None
        self._checked = 0

    def cut(self, floor: int) -> None:
        """Require only the replies to the first *floor* requests; others may come."""
        if not self.may_reset:
            self.is_cut = True
            self.floor = max(self.floor, floor)

    def cut_anywhere(self) -> None:
        """Require no reply and no orderly end."""
        self.is_cut = self.may_reset = True
        self.floor = -1

    @property
    def received(self) -> bytes:
        """What the client has received, without what was pushed."""
        return b"".join(self._pieces())

    def _pieces(self) -> list[bytes]:
        """Return what the client has received, divided where something was pushed."""
        left = bytes(self.client.received)
        pieces: list[bytes] = []
        for pushed in self.pushed:
            piece, found, rest = left.partition(pushed)
            if not found:
                begun = next(at for at in range(len(pushed), -1, -1) if left.endswith(pushed[:at]))
                left = left[: len(left) - begun]  # the rest may follow
                break
            pieces.append(piece)
            left = rest
        return [*pieces, left]

    def _check_pushes(self, now: float) -> None:
        """Check that what was pushed comes in order, between replies, and completely."""
        if not self.pushed:
            return
        expected, pieces = self.expected, self._pieces()
        places = [*accumulate(map(len, pieces))][:-1]
        if not isinstance(expected, ExpectedEcho):
            inside = [it for it in places if it not in expected.offsets]
            assert not inside, f"{self.number}: pushed within a reply, at {inside}"
        if self.is_due(now) and expected.ending not in _OVER:
            assert len(places) == len(self.pushed), f"{self.number}: a push is missing"

    def check(self, now: float) -> None:
        """Compare what the client received with what is expected."""
        self._check_pushes(now)
        self._check_bytes(now)
        self._check_ending(now)
        self._check_pause()
        if self.is_due(now):
            self._check_complete()
            assert not self._must_have_ended or self.client.ending, f"{self.number} has not ended"

    def _check_bytes(self, now: float) -> None:
        expected, received = self.expected, self.received
        new = received[self._checked :]
        assert expected.out.startswith(new, self._checked), (
            f"{self.number}: at {self._checked} came {bytes(new[:60])!r},"
            f" expected {bytes(expected.out[self._checked :][:60])!r}"
        )
        self._checked = len(received)
        least = expected.least_at(self._checked)
        assert now - self.began >= least - 1e-6, (
            f"{self.number}: {self._checked} bytes after {now - self.began} s, not {least} s"
        )

    def _check_pause(self) -> None:
        """Check that the server reads no more while too much waits for a late reply."""
        number, client = self.expected.waits_for, self.client
        # A drain may have closed the connection before that request came.
        may_drop = self.is_cut and number is not None and number > self.floor
        if number is None or may_drop or client.is_tls or self.is_gone:
            self._pause = None
            return
        if self._pause is not None and self._pause[0] == number:
            is_unread = not client.is_settled or client.sent == self._pause[1]
            assert is_unread, f"{self.number}: reads on"
        elif client.is_settled:
            waiting = client.sent - self.frame_ends[number - 1]
            if waiting > self.expected.setup.max_waiting + SLICE:
                self._pause = number, client.sent

    def _check_ending(self, now: float) -> None:
        how, expected = self.client.ending, self.expected
        if not how or self.is_gone:
            return
        if self.ended is None:
            self.ended = now
        if how == "eof":
            assert (
                self.is_cut
                or expected.is_muted
                or expected.ending in (Ending.CLOSED, Ending.UNFRAMED)
                or (self.client.sent_eof and expected.waits_for is None)
            ), f"{self.number}: EOF, {expected.ending}"
            is_orderly = expected.ending in (Ending.CLOSED, Ending.UNFRAMED)
            is_cut_off = is_orderly and not self.may_reset and self.client.was_cut_off
            assert not is_cut_off, f"{self.number}: cut off"
        else:
            assert self.may_reset or expected.ending in (Ending.ABORTED, Ending.FAILED), (
                f"{self.number}: reset, {expected.ending}"
            )
        self._check_complete()

    def _check_complete(self) -> None:
        offsets = self.expected.offsets
        least = len(self.expected.out)
        if self.is_cut:
            least = offsets[min(self.floor, len(offsets) - 1)] if self.floor >= 0 else 0
        received = len(self.received)
        assert received >= least, f"{self.number}: {received} bytes came, not {least}"

    def is_due(self, now: float) -> bool:
        """Whether everything that is expected must have arrived by *now*."""
        return (
            self.client.is_reading
            and not (self.is_gone or self.is_cut)
            and now >= self.changed + self.expected.most
        )

    def must_be_lost(self, now: float) -> bool:
        """Whether the server must have dropped the connection by *now*."""
        if self.ended is None or self.is_cut:
            return False
        expected = self.expected
        is_answered = expected.waits_for is None and expected.ending is not Ending.NOT_READING
        is_over = (self.client.sent_eof and is_answered) or expected.ending in _OVER
        return is_over and now > max(self.ended, self.changed + expected.most) + 2 * LINGER

    @property
    def _must_have_ended(self) -> bool:
        expected = self.expected
        if expected.ending is Ending.NOT_READING:
            return expected.is_muted
        return (
            expected.is_muted
            or expected.ending not in (None, Ending.HANGING)
            or (self.client.sent_eof and expected.waits_for is None)
        )
