"""
Journal: what a server did, in memory, up to a number of entries and of bytes.

Knows exchanges and their sizes.  It keeps the exchanges of one read as one object, or as bytes
together with those of other reads if they are constants, and makes entries of them only when it is
read.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice

from twisted.internet.interfaces import IAddress

from reqresp.exchanges import Exchanges
from reqresp.journal._observer import EntryObserver, Times, answered_entries
from reqresp.journal._reads import Read, Reads
from reqresp.journal.entries import (
    ENTRY_OVERHEAD,
    Answered,
    Changed,
    Entry,
    Incomplete,
    Passed,
    Sent,
    Unanswered,
)
from reqresp.server.config import ServerConfig

# How many reads are noted before they are kept as bytes, all in one go, and dropped together.
_TOGETHER = 64
# The connections of which the clients are remembered together.
_MAX_PEERS = 1000

#: How many entries a record holds, their bytes, and what the entries are made of.
_Record = tuple[int, int, Entry | Reads] | tuple[int, int, Exchanges, Times, float]


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
        # The last reads, which are no record yet, and how all of them were answered.
        self._noted: list[Read] = []
        self._config: ServerConfig | None = None
        # The clients of all reads, until they are very many.
        self._peers: dict[int, IAddress] = {}
        self._count = 0
        self._size = 0
        self._dropped = 0
        self._cleared = 0
        # Called once with the next entry.
        self._callbacks: list[Callable[[], None]] = []

    @property
    def dropped(self) -> int:
        """How many entries were dropped to stay within the limits."""
        self._gather()
        return self._dropped + self._surplus

    @property
    def _surplus(self) -> int:
        """How many entries are over the limit, and kept only because others with them are not."""
        return max(0, self._count - self._most)

    @property
    def kept(self) -> int:
        """How many entries are kept."""
        self._gather()
        return min(self._count, self._most)

    @property
    def position(self) -> int:
        """
        The number of the next entry.

        The first entry has number 1.  A number never changes and is not used again, not even after
        `clear`.  A request that is not answered yet has none.
        """
        self._gather()
        return 1 + self._dropped + self._cleared + self._count

    def continue_at(self, number: int) -> None:
        """
        Give the next entry at least this *number*: another journal has those before it.

        :raises ValueError: there are entries already.
        """
        if self.kept:
            raise ValueError("expected a journal without entries")
        self._cleared += max(0, number - self.position)

    def call_at_next(self, function: Callable[[], None]) -> None:
        """Call *function*, once, when the next entry is made; it must not read the journal then."""
        self._gather()
        self._config = None  # so that the next read is not merely noted
        self._callbacks.append(function)

    def since(self, number: int, most: int | None = None) -> tuple[int, list[Entry]]:
        """
        Return the number of the first of the entries from *number* on, and these entries.

        If the first of them were dropped or cleared, the others are returned.  If there are none,
        the number is `position`.  What it costs grows with the entries after *number*, not with
        those before it.

        :param most: how many entries to return, the first ones; None: all.
        """
        at = self.position
        first = min(max(number, at - self.kept), at)
        records: list[_Record] = []
        for record in reversed(self._records):
            if at <= first:
                break
            at -= record[0]
            records.append(record)
        if not records:
            return first, []
        begun = _entries(records.pop(), first - at)
        found = chain(begun, chain.from_iterable(map(_entries, reversed(records))))
        return first, [*islice(found, most)]

    def entries(self) -> list[Entry]:
        """Return all entries, in the order in which they ended, then unanswered requests."""
        self._gather()
        kept = [entry for record in self._records for entry in _entries(record)]
        return [*islice(kept, self._surplus, None), *self.unanswered()]

    def exchanges(self) -> list[Answered]:
        """Return the requests that were answered, in the order of their replies."""
        return [entry for entry in self.entries() if isinstance(entry, Answered)]

    def clear(self) -> None:
        """Forget all entries, except unanswered requests.  They do not count as dropped."""
        dropped = self.dropped
        self._cleared += self._dropped + self._count - dropped
        self._dropped = dropped
        self._records.clear()
        self._peers = {}
        self._count = self._size = 0

    def answered_at_once(
        self,
        peer: IAddress,
        connection: int,
        config: ServerConfig,
        first: int,
        requests: Sequence[bytes],
        data: bytes,
        is_whole: bool,
    ) -> None:
        if not is_whole:  # a new decoder would not find them
            self._next[connection] = first + len(requests)
            size = sum(map(len, requests))
            exchanges = config.exchanges(peer, connection, first, requests, size=size)
            at = self._now()
            self._record_answers(exchanges, at, at)
            return
        noted = self._noted
        if len(noted) >= _TOGETHER or config is not self._config:
            self._gather()
            noted, self._config = self._noted, config
            if self._callbacks:
                self._call_back()
        count = len(requests)
        self._next[connection] = first + count
        noted.append((self._now(), peer, connection, first, count, data))

    def _gather(self) -> None:
        """Make a record of the reads that were noted."""
        noted, config = self._noted, self._config
        if not noted or config is None:
            return
        self._noted = []
        reads = Reads(config, self._peers, noted)
        self._keep((reads.count, reads.size, reads))
        if len(self._peers) >= _MAX_PEERS:
            self._peers = {}

    def _record(self, entry: Entry) -> None:
        match entry:
            case Unanswered():
                text: bytes | str = entry.request.data
            case Incomplete() | Passed() | Sent():
                text = entry.data
            case Changed():
                text = entry.what
            case _:
                text = getattr(entry, "reason", "")
        self._gather()
        self._keep((1, ENTRY_OVERHEAD + len(text), entry))

    def _record_answers(self, exchanges: Exchanges, times: Times, sent: float) -> None:
        self._gather()
        count = len(exchanges)
        self._keep((count, ENTRY_OVERHEAD * count + exchanges.size, exchanges, times, sent))

    def _call_back(self) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for function in callbacks:
            function()

    def _keep(self, record: _Record) -> None:
        """Keep *record*; drop the first ones until the others are within the limits."""
        records = self._records
        records.append(record)
        self._count += record[0]
        self._size += record[1]
        if self._callbacks:
            self._call_back()
        while records:
            count, size, kept = records[0][:3]
            is_surplus = self._count - count >= self._most
            excess = self._size - self._most_bytes
            if not is_surplus and excess <= 0:
                return
            if isinstance(kept, Reads) and not is_surplus and excess < size:
                count, size = kept.drop(excess)  # the first ones are enough
                records[0] = kept.count, kept.size, kept
            else:
                records.popleft()
            self._count -= count
            self._size -= size
            self._dropped += count


def _entries(record: _Record, skipped: int = 0) -> Iterator[Entry]:
    """Return the entries of *record* after the first *skipped*."""
    if len(record) == 5:
        entries = answered_entries(*record[2:])
    elif isinstance(record[2], Reads):
        place, before = record[2].find(skipped)
        entries = chain.from_iterable(
            answered_entries(exchanges, at, at) for exchanges, at in record[2].exchanges(place)
        )
        skipped -= before
    else:
        return iter((record[2],))
    return islice(entries, skipped, None) if skipped else entries
