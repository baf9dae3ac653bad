"""
Journal: what happened, as far back as memory is granted.

An observer that leans on messages alone.  It keeps what a read brought as it came, and takes it
apart when somebody looks.
"""

import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat

from attrs import frozen
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from reqresp.entries import (
    Answered,
    Connected,
    Disconnected,
    Entry,
    Failed,
    Refused,
    Unanswered,
)
from reqresp.messages import Exchanges, Request
from reqresp.observer import Observer

#: Bytes that are reckoned for an entry besides those of its request and its reply.
OVERHEAD = 100


@frozen
class _Batch:
    """Exchanges, when each request was taken up (or all of them), and when they were *sent*."""

    exchanges: Exchanges
    times: Sequence[float]
    sent: float

    def __iter__(self) -> Iterator[Entry]:
        times = self.times if len(self.times) > 1 else repeat(self.times[0])
        return (Answered(at, self.sent, it) for it, at in zip(self.exchanges, times, strict=False))


class Recorder(Observer):
    """
    Puts together what observers hear of a request: when it was taken up, and what became of it.

    :param now: gives the time, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        # What was received last: nearly always it is answered at once.
        self._latest: tuple[IAddress, int, Sequence[bytes], float] | None = None
        # By connection, what was taken up and is not answered, and the last request's number.
        self._waiting: dict[int, deque[Unanswered]] = {}
        self._numbers: dict[int, int] = {}

    @abstractmethod
    def _record(self, entries: Iterable[Entry], count: int, size: int) -> None:
        """Keep *count* *entries*, of *size* bytes in all."""

    def unanswered(self) -> list[Unanswered]:
        """Give the requests that are being answered now."""
        self._set_aside()
        return [entry for waiting in self._waiting.values() for entry in waiting]

    def connected(self, peer: IAddress, connection: int) -> None:
        self._note(Connected(self._now(), peer, connection))

    def refused(self, peer: IAddress, reason: str) -> None:
        self._note(Refused(self._now(), peer, reason))

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        self._set_aside()
        self._latest = peer, connection, requests, self._now()

    def answered(self, exchanges: Exchanges) -> None:
        connection, requests = exchanges.connection, exchanges.requests
        latest = self._latest
        if latest is not None and latest[2] is requests:
            self._latest = None
            batch = _Batch(exchanges, (latest[3],), latest[3])
        else:
            self._set_aside()
            waiting = self._waiting[connection]
            times = [waiting.popleft().at for _ in requests]
            if not waiting:
                del self._waiting[connection]
            batch = _Batch(exchanges, times, self._now())
        self._numbers[connection] = exchanges.first + len(requests) - 1
        self._record(batch, len(requests), exchanges.size)

    def failed(self, peer: IAddress, connection: int, failure: Failure) -> None:
        self._note(Failed(self._now(), peer, connection, failure.getErrorMessage()))

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        self._set_aside()
        for entry in self._waiting.pop(connection, ()):
            self._note(entry)
        self._numbers.pop(connection, None)
        self._note(Disconnected(self._now(), peer, connection, reason.getErrorMessage()))

    def _note(self, entry: Entry) -> None:
        self._record((entry,), 1, len(entry.request.data) if isinstance(entry, Unanswered) else 0)

    def _set_aside(self) -> None:
        """Have what was received last wait for its reply."""
        if self._latest is None:
            return
        peer, connection, requests, at = self._latest
        self._latest = None
        waiting = self._waiting.setdefault(connection, deque())
        before = waiting[-1].request.number if waiting else self._numbers.get(connection, 0)
        for number, data in enumerate(requests, before + 1):
            waiting.append(Unanswered(at, Request(data, peer, connection, number)))


class Journal(Recorder):
    """
    Keeps the last entries.

    Whole reads are forgotten at a time; so there may be some more than *most*.

    :param most: entries that it keeps.
    :param most_bytes: of requests and replies, an overhead for each entry included.
    """

    def __init__(
        self,
        most: int = 10_000,
        most_bytes: int = 16 * 1024 * 1024,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(now)
        self._most = most
        self._most_bytes = most_bytes
        self._records: deque[tuple[Iterable[Entry], int, int]] = deque()
        self._count = 0
        self._size = 0
        #: How many entries were forgotten.
        self.dropped = 0

    def entries(self) -> list[Entry]:
        """Give all that is kept, in the order in which it ended, and last what has not."""
        kept = [entry for entries, _, _ in self._records for entry in entries]
        return [*kept, *self.unanswered()]

    def exchanges(self) -> list[Answered]:
        """Give the requests that were answered, in that order."""
        return [entry for entry in self.entries() if isinstance(entry, Answered)]

    def clear(self) -> None:
        """Forget all that has ended; it does not count as dropped."""
        self._records.clear()
        self._count = self._size = 0

    def _record(self, entries: Iterable[Entry], count: int, size: int) -> None:
        size += OVERHEAD * count
        self._records.append((entries, count, size))
        self._count += count
        self._size += size
        while self._size > self._most_bytes or self._count - self._records[0][1] >= self._most:
            _, count, size = self._records.popleft()
            self._count -= count
            self._size -= size
            self.dropped += count
