"""
Journal: what a server did, in memory, up to a number of entries and of bytes.

Knows exchanges and their sizes.  It keeps the exchanges of one read as one object, or as bytes if
they are constants, and makes entries of them only when it is read.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice

from twisted.internet.interfaces import IAddress

from reqresp.exchanges import Exchanges
from reqresp.journal._observer import EntryObserver, Times, answered_entries
from reqresp.journal._reads import Reads, Sources
from reqresp.journal.entries import Answered, Changed, Entry, Incomplete, Passed, Sent, Unanswered
from reqresp.server.config import ServerConfig

#: The bytes that an entry counts for, besides those of its request and its reply.  Python needs
#: about as many for a request that arrives alone, with a reply that is made for it.
ENTRY_OVERHEAD = 1000

# The share of all entries whose reads are kept together as bytes, and dropped together.
_SHARE = 16
# The connections of which the client and the config are remembered together.
_MAX_SOURCES = 1000

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
        self._together = max(1, most // _SHARE)
        self._records: deque[_Record | Reads] = deque()
        # The last of the records, if reads can be added to it.
        self._reads: Reads | None = None
        # Shared by all of these, until they are very many.
        self._sources: Sources = {}
        self._count = 0
        self._size = 0
        self._dropped = 0
        self._cleared = 0

    @property
    def dropped(self) -> int:
        """How many entries were dropped to stay within the limits."""
        self._drop()
        return self._dropped + self._surplus

    @property
    def _surplus(self) -> int:
        """How many entries are over the limit, and kept only because their read is not dropped."""
        return max(0, self._count - self._most)

    @property
    def kept(self) -> int:
        """How many entries are kept."""
        return min(self._count, self._most)

    @property
    def position(self) -> int:
        """
        The number of the next entry.

        The first entry has number 1.  A number never changes and is not used again, not even after
        `clear`.  A request that is not answered yet has none.
        """
        return 1 + self._dropped + self._cleared + self._count

    def continue_at(self, number: int) -> None:
        """
        Give the next entry at least this *number*: another journal has those before it.

        :raises ValueError: there are entries already.
        """
        if self._count:
            raise ValueError("expected a journal without entries")
        self._cleared += max(0, number - self.position)

    def since(self, number: int, most: int | None = None) -> tuple[int, list[Entry]]:
        """
        Return the number of the first of the entries from *number* on, and these entries.

        If the first of them were dropped or cleared, the others are returned.  If there are none,
        the number is `position`.  What it costs grows with the entries after *number*, not with
        those before it.

        :param most: how many entries to return, the first ones; None: all.
        """
        self._drop()
        at = self.position
        first = min(max(number, at - min(self._count, self._most)), at)
        records: list[_Record | Reads] = []
        for record in reversed(self._records):
            if at <= first:
                break
            at -= record.count if isinstance(record, Reads) else record[0]
            records.append(record)
        if not records:
            return first, []
        begun = _entries(records.pop(), first - at)
        found = chain(begun, chain.from_iterable(map(_entries, reversed(records))))
        return first, [*islice(found, most)]

    def entries(self) -> list[Entry]:
        """Return all entries, in the order in which they ended, then unanswered requests."""
        self._drop()
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
        self._reads = None
        self._sources = {}
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
        count = len(requests)
        self._next[connection] = first + count
        # As in _record_answers.
        size = ENTRY_OVERHEAD * count + len(data) + len(requests[0])
        at = self._now()
        if not is_whole:  # a new decoder would not find them
            exchanges = config.exchanges(peer, connection, first, requests)
            self._keep((count, size, exchanges, at, at))
            return
        reads = self._reads
        source = self._sources.get(connection)
        if source is not None and source[1] is not config:  # the replies have changed
            reads, self._sources = None, {}
        if reads is None or reads.count >= self._together:
            reads = self._begin_reads()
        if source is None or source[1] is not config:
            self._sources[connection] = peer, config
        reads.add(at, connection, first, count, size, data)
        self._count += count
        self._size += size
        # What is too many is dropped later, together; what is too large, now.
        if self._size > self._most_bytes:
            self._drop()

    def _begin_reads(self) -> Reads:
        """Begin a record to which reads can be added."""
        self._drop()
        if len(self._sources) >= _MAX_SOURCES:
            self._sources = {}
        self._reads = reads = Reads(self._sources)
        self._records.append(reads)
        return reads

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
        self._keep((1, ENTRY_OVERHEAD + len(text), entry))

    def _record_answers(self, exchanges: Exchanges, times: Times, sent: float) -> None:
        requests = exchanges.requests
        count = len(requests)
        # The first request may have started in an earlier read, which the size does not include.
        size = ENTRY_OVERHEAD * count + exchanges.size + len(requests[0])
        self._keep((count, size, exchanges, times, sent))

    def _keep(self, record: _Record) -> None:
        self._reads = None
        self._records.append(record)
        self._count += record[0]
        self._size += record[1]
        self._drop()

    def _drop(self) -> None:
        """Drop the first records until the others are within the limits."""
        records = self._records
        while records:
            record = records[0]
            if isinstance(record, Reads):
                # If all of them are too many, they need not be looked at one by one.
                is_surplus = self._count - record.count >= self._most
                if not (is_surplus and self._drops(record.count, record.size)):
                    record.drop(self._drops)
                    if len(record):
                        return
                if record is self._reads:
                    self._reads = None
            elif not self._drops(record[0], record[1]):
                return
            records.popleft()

    def _drops(self, count: int, size: int) -> bool:
        """Count a record of *count* entries and *size* bytes as dropped, if it has to be."""
        if self._size <= self._most_bytes and self._count - count < self._most:
            return False
        self._count -= count
        self._size -= size
        self._dropped += count
        return True


def _entries(record: _Record | Reads, skipped: int = 0) -> Iterator[Entry]:
    """Return the entries of *record* after the first *skipped*."""
    entries: Iterator[Entry]
    if isinstance(record, Reads):
        place, before = record.find(skipped)
        entries = chain.from_iterable(
            answered_entries(exchanges, at, at) for exchanges, at in record.exchanges(place)
        )
        skipped -= before
    elif len(record) == 3:
        entries = iter((record[2],))
    else:
        entries = answered_entries(*record[2:])
    return islice(entries, skipped, None) if skipped else entries
