"""
Journal: what a server did, in memory, up to a number of entries and of bytes.

Knows exchanges and their sizes.  It keeps the exchanges of one read as one object, and makes
entries of them only when it is read.
"""

import time
from collections import deque
from collections.abc import Callable
from itertools import islice

from reqresp.exchanges import Exchanges
from reqresp.journal._observer import EntryObserver, Times, answered_entries
from reqresp.journal.entries import Answered, Entry, Incomplete, Unanswered

#: The bytes that an entry counts for, besides those of its request and its reply.  Python needs
#: about as many for a request that arrives alone, with a reply that is made for it.
ENTRY_OVERHEAD = 1000

#: How many entries a record holds, their bytes, and what the entries are made of.
_Record = tuple[int, int, Entry] | tuple[int, int, Exchanges, Times, float]


class Journal(EntryObserver):
    """
    Keeps the last entries.

    Requests that are not answered yet are kept besides, at most one for each connection.

    :param most: how many entries to keep.
    :param most_bytes: how many bytes of requests and replies to keep.  Each entry counts for
        `ENTRY_OVERHEAD` more.  The entries of one read are dropped together; a single read that
        is larger is not kept.
    :param now: returns the time, in seconds since the epoch.
    :raises ValueError: *most* or *most_bytes* is less than 1.
    """

    def __init__(
        self,
        most: int = 10_000,
        most_bytes: int = 16 * 1024 * 1024,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(now)
        for name, limit in (("most", most), ("most_bytes", most_bytes)):
            if limit < 1:
                raise ValueError(f"{name}: expected 1 or more, found {limit!r}")
        self._most = most
        self._most_bytes = most_bytes
        self._records: deque[_Record] = deque()
        self._count = 0
        self._size = 0
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many entries were dropped to stay within the limits."""
        return self._dropped + self._surplus

    @property
    def _surplus(self) -> int:
        """How many entries are over the limit, and kept only because their read is not dropped."""
        return max(0, self._count - self._most)

    def entries(self) -> list[Entry]:
        """Return all entries, in the order in which they ended, then unanswered requests."""
        kept: list[Entry] = []
        for record in self._records:
            kept += (record[2],) if len(record) == 3 else answered_entries(*record[2:])
        return [*islice(kept, self._surplus, None), *self.unanswered()]

    def exchanges(self) -> list[Answered]:
        """Return the requests that were answered, in the order of their replies."""
        return [entry for entry in self.entries() if isinstance(entry, Answered)]

    def clear(self) -> None:
        """Forget all entries, except unanswered requests.  They do not count as dropped."""
        self._dropped = self.dropped
        self._records.clear()
        self._count = self._size = 0

    def _record(self, entry: Entry) -> None:
        match entry:
            case Unanswered():
                text: bytes | str = entry.request.data
            case Incomplete():
                text = entry.data
            case _:
                text = getattr(entry, "reason", "")
        self._keep((1, ENTRY_OVERHEAD + len(text), entry))

    def _record_answers(self, exchanges: Exchanges, times: Times, sent: float) -> None:
        requests = exchanges.requests
        count = len(requests)
        # The first request may have started in an earlier read, which the size does not include.
        size = ENTRY_OVERHEAD * count + exchanges.size + len(requests[0])
        self._keep((count, size, exchanges, times, sent))

    def _keep(self, record: _Record) -> None:
        records = self._records
        records.append(record)
        self._count += record[0]
        self._size += record[1]
        while self._size > self._most_bytes or self._count - records[0][0] >= self._most:
            dropped = records.popleft()
            self._count -= dropped[0]
            self._size -= dropped[1]
            self._dropped += dropped[0]
            if not records:
                break
