"""
Journal: what happened, as far back as memory is granted.

An observer that leans on messages alone.  It keeps what a read brought as it came, and takes it
apart when somebody looks.
"""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, repeat

from attrs import Factory, frozen
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from reqresp.exchanges import Exchanges
from reqresp.journal.entries import (
    Answered,
    Connected,
    Disconnected,
    Entry,
    Failed,
    Refused,
    Unanswered,
)
from reqresp.server.observers import Observer
from reqresp.steps import Request

#: Bytes reckoned for an entry besides those of its request and its reply: about what Python takes
#: for a request that comes alone, and whose reply is made for it.
OVERHEAD = 1000

#: When requests were taken up: each, or all of them.
Times = list[float] | float


class Recorder(Observer, ABC):
    """
    Puts together what an observer hears of a request: when it was taken up, and what became of it.

    For one factory only: connections are known by their numbers.

    :param now: gives the time, in seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        # What was received last: nearly always it is answered at once.
        self._latest: tuple[Sequence[bytes], float, IAddress, int] | None = None
        # By connection: what was taken up and is not answered, and the number of what comes next.
        self._waiting: dict[int, _Waiting] = {}
        self._next: dict[int, int] = {}

    @abstractmethod
    def _note(self, entry: Entry) -> None:
        """Record *entry*, which is no answer."""

    @abstractmethod
    def _note_answers(self, exchanges: Exchanges, times: Times, sent: float) -> None:
        """Record what `answers` makes of these."""

    def unanswered(self) -> list[Unanswered]:
        """Give the requests that are being answered now: at most a few for each connection."""
        self._set_aside()
        return [entry for connection in self._waiting for entry in self._unanswered(connection)]

    def connected(self, peer: IAddress, connection: int) -> None:
        self._note(Connected(self._now(), peer, connection))

    def refused(self, peer: IAddress, reason: str) -> None:
        self._note(Refused(self._now(), peer, reason))

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        if self._latest is not None:
            self._set_aside()
        self._latest = requests, self._now(), peer, connection

    def answered(self, exchanges: Exchanges) -> None:
        requests = exchanges.requests
        connection = exchanges.connection
        latest = self._latest
        if latest is not None and latest[0] is requests:
            self._latest = None
            times: Times = latest[1]
            sent = latest[1]
        else:
            times = self._times(connection, len(requests))
            sent = self._now()
        self._next[connection] = exchanges.first + len(requests)
        self._note_answers(exchanges, times, sent)

    def failed(self, peer: IAddress, connection: int, failure: Failure) -> None:
        self._note(Failed(self._now(), peer, connection, failure.getErrorMessage()))

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        self._set_aside()
        for entry in self._unanswered(connection):
            self._note(entry)
        self._waiting.pop(connection, None)
        self._next.pop(connection, None)
        self._note(Disconnected(self._now(), peer, connection, reason.getErrorMessage()))

    def _times(self, connection: int, count: int) -> Times:
        """Tell when the next *count* requests to be answered were taken up, and forget them."""
        latest = self._latest
        # Where nothing of this connection waits, what was received last is what is answered.
        if connection not in self._waiting and latest is not None and len(latest[0]) == count:
            self._latest = None
            return latest[1]
        self._set_aside()
        requests = self._waiting[connection].requests
        times = [requests.popleft()[1] for _ in range(count)]
        if not requests:
            del self._waiting[connection]
        return times

    def _set_aside(self) -> None:
        """Have what was received last wait for its reply."""
        if self._latest is None:
            return
        requests, at, peer, connection = self._latest
        self._latest = None
        waiting = self._waiting.setdefault(connection, _Waiting(peer))
        waiting.requests.extend((data, at) for data in requests)

    def _unanswered(self, connection: int) -> list[Unanswered]:
        waiting = self._waiting.get(connection)
        if waiting is None:
            return []
        return [
            Unanswered(at, Request(data, waiting.peer, connection, number))
            for number, (data, at) in enumerate(waiting.requests, self._next.get(connection, 1))
        ]


@frozen
class _Waiting:
    """Requests of *peer* that are being answered, and when each was taken up."""

    peer: IAddress
    requests: deque[tuple[bytes, float]] = Factory(deque)


def answers(exchanges: Exchanges, times: Times, sent: float) -> Iterator[Answered]:
    """Take *exchanges* apart, whose requests were taken up at *times*."""
    each = times if isinstance(times, list) else repeat(times)
    return (Answered(at, sent, exchange) for at, exchange in zip(each, exchanges, strict=False))


#: What is kept: how many entries, their bytes, and what makes them.
_Record = tuple[int, int, Entry] | tuple[int, int, Exchanges, Times, float]


class Journal(Recorder):
    """
    Keeps the last entries.

    Requests that are being answered come on top, one for each connection at most.

    :param most: entries to keep.
    :param most_bytes: likewise of requests and replies, and an `OVERHEAD` for each entry.  Whole
        reads are forgotten at a time; one that alone is larger than this is not kept.
    :param now: gives the time, in seconds since the epoch.
    :raises ValueError: *most* or *most_bytes* is less than 1.
    """

    def __init__(
        self,
        most: int = 10_000,
        most_bytes: int = 16 * 1024 * 1024,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(now)
        for name, bound in (("most", most), ("most_bytes", most_bytes)):
            if bound < 1:
                raise ValueError(f"{name} must be 1 or more: {bound!r}")
        self._most = most
        self._most_bytes = most_bytes
        self._records: deque[_Record] = deque()
        self._count = 0
        self._size = 0
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many entries were forgotten."""
        return self._dropped + self._surplus

    @property
    def _surplus(self) -> int:
        """How many entries are kept only because they came together with others."""
        return max(0, self._count - self._most)

    def entries(self) -> list[Entry]:
        """Give all that is kept, in the order in which it ended, and last what has not."""
        kept: list[Entry] = []
        for record in self._records:
            kept += (record[2],) if len(record) == 3 else answers(*record[2:])
        return [*islice(kept, self._surplus, None), *self.unanswered()]

    def exchanges(self) -> list[Answered]:
        """Give the requests that were answered, in that order."""
        return [entry for entry in self.entries() if isinstance(entry, Answered)]

    def clear(self) -> None:
        """Forget all that has ended; none of it counts as dropped."""
        self._dropped = self.dropped
        self._records.clear()
        self._count = self._size = 0

    def _note(self, entry: Entry) -> None:
        text = entry.request.data if isinstance(entry, Unanswered) else getattr(entry, "reason", "")
        self._keep((1, OVERHEAD + len(text), entry))

    def _note_answers(self, exchanges: Exchanges, times: Times, sent: float) -> None:
        requests = exchanges.requests
        count = len(requests)
        # The first may have begun in a read before, of which the size does not tell.
        size = OVERHEAD * count + exchanges.size + len(requests[0])
        self._keep((count, size, exchanges, times, sent))

    def _keep(self, record: _Record) -> None:
        records = self._records
        records.append(record)
        self._count += record[0]
        self._size += record[1]
        while self._size > self._most_bytes or self._count - records[0][0] >= self._most:
            forgotten = records.popleft()
            self._count -= forgotten[0]
            self._size -= forgotten[1]
            self._dropped += forgotten[0]
            if not records:
                break
