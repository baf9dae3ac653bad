"""
TimedBacklog: what waits on a connection where it matters since when a request waits.

Faults can count from then.  A request has arrived when it is complete.  This module must not know
faults.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

from reqresp.framing import Decoder
from reqresp.server._backlog import NO_REQUESTS, SLICE, Backlog


class TimedBacklog(Backlog):
    """
    What waits on one connection, and since when.

    Ask `arrived` for the time of a request that was taken.

    :param now: returns the time, in seconds.
    """

    __slots__ = ("_at", "_now", "_put", "_reads")

    def __init__(self, decoder: Decoder, now: Callable[[], float]) -> None:
        super().__init__(decoder)
        self._now = now
        self._put = 0  # bytes that have arrived
        # When they have: how many there were after each read, and its time.
        self._reads: deque[tuple[int, float]] = deque()
        self._at = 0.0  # when the last byte that was taken has arrived

    @classmethod
    def of(cls, backlog: Backlog, now: Callable[[], float]) -> "TimedBacklog":
        """Return *backlog*, or one that takes over everything from it, which arrives now."""
        if isinstance(backlog, TimedBacklog):
            return backlog
        timed = cls(backlog.decoder, now)
        waiting, requests, error = backlog.waiting, [*backlog.requests], backlog.error
        # A turn may be under way, which then finds nothing left there.
        backlog.waiting, backlog.requests, backlog.error = b"", NO_REQUESTS, None
        if waiting:
            timed.put(bytes(waiting))
        if requests or error is not None:
            timed.put_back(requests, error)
        return timed

    def put(self, data: bytes) -> None:
        super().put(data)
        self._put += len(data)
        now = self._now()
        if self._reads and self._reads[-1][1] == now:
            self._reads.pop()
        self._reads.append((self._put, now))

    def take(self, size: int = SLICE) -> bytes:
        """As that of `Backlog`, and no more than has arrived in one read, if it can be cut."""
        taken = self._put - self.size
        end, _ = self._find_read(taken + 1)
        data = super().take(min(size, end - taken))
        _, self._at = self._find_read(self._put - self.size)
        return data

    def _find_read(self, count: int) -> tuple[int, float]:
        """Return the read with the byte *count*; the first is 1.  Forget those before it."""
        while len(self._reads) > 1 and self._reads[0][0] < count:
            self._reads.popleft()
        return self._reads[0]

    def decode(self, data: bytes) -> Sequence[bytes]:
        return [_stamped(it, self._at) for it in super().decode(data)]

    def put_back(self, requests: Sequence[bytes], error: Any = None) -> None:
        now = self._now()
        super().put_back([_stamped(it, now) for it in requests], error)

    def add_requests(self, requests: Sequence[bytes]) -> None:
        now = self._now()  # silence has completed them
        super().add_requests([_stamped(it, now) for it in requests])


class _Stamped(bytes):
    """A request that has no attributes besides the time of its arrival."""


def _stamped(request: bytes, at: float) -> bytes:
    """Return *request* with the time *at* which it has arrived."""
    stamped = _Stamped(request) if request.__class__ is bytes else request
    cast(Any, stamped).arrived = at
    return stamped


def arrived(request: bytes | None) -> float | None:
    """Return when *request*, which was taken of a `TimedBacklog`, has arrived; None: unknown."""
    return getattr(request, "arrived", None)
