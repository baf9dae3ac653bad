"""
Reads: what was answered at once with constants, as bytes and numbers in a row.

An object for each read would be taken apart long after it has left the processor's caches.  These
are made again when somebody looks.  This module must not know how many are kept.
"""

from array import array
from collections.abc import Iterator, Sequence

from twisted.internet.interfaces import IAddress

from reqresp.exchanges import Exchanges
from reqresp.journal.entries import ENTRY_OVERHEAD
from reqresp.server.config import ServerConfig

#: A read: when it was answered, its client and connection, the number of its first request, how
#: many requests a new decoder of its config finds in it, and its bytes.
Read = tuple[float, IAddress, int, int, int, bytes]


class Reads:
    """
    Reads of any connections, in the order in which they were answered.

    :param config: how they were answered.
    :param peers: the clients of connections, to which theirs are added; it can be shared.
    """

    __slots__ = (
        *("_at", "_begin", "_config", "_connections", "_counts", "_data", "_firsts", "_lengths"),
        *("_peers", "count", "size"),
    )

    def __init__(
        self, config: ServerConfig, peers: dict[int, IAddress], reads: Sequence[Read]
    ) -> None:
        at, clients, connections, firsts, counts, data = zip(*reads, strict=True)
        peers.update(zip(connections, clients, strict=True))
        self._config = config
        self._peers = peers
        self._at = array("d", at)
        self._connections = array("Q", connections)
        self._firsts = array("Q", firsts)
        self._counts = array("Q", counts)
        self._lengths = array("Q", map(len, data))
        self._data = b"".join(data)
        self._begin = 0  # the first that is not dropped
        #: How many requests they have, and the size that they count for.
        self.count = sum(counts)
        self.size = ENTRY_OVERHEAD * self.count + len(self._data)

    def drop(self, size: int) -> tuple[int, int]:
        """Drop the first reads, at least *size*; return the count and the size of what was."""
        count, dropped = 0, 0
        while dropped < size and self._begin < len(self._at):
            requests, length = self._counts[self._begin], self._lengths[self._begin]
            count += requests
            dropped += ENTRY_OVERHEAD * requests + length
            self._begin += 1
        self.count -= count
        self.size -= dropped
        return count, dropped

    def find(self, before: int) -> tuple[int, int]:
        """
        Return where the read is that has the request after *before* requests.

        :returns: the place for `exchanges`, and how many requests are before that read.
        """
        passed = 0
        for place in range(self._begin, len(self._at)):
            if passed + self._counts[place] > before:
                return place, passed
            passed += self._counts[place]
        return len(self._at), passed

    def exchanges(self, place: int = 0) -> Iterator[tuple[Exchanges, float]]:
        """Yield the exchanges of each read from *place* on, and when they were answered."""
        config = self._config
        decoder = config.decoder()  # as new after each read
        start = 0
        for at, length in enumerate(self._lengths):
            start += length
            if at < place or at < self._begin:
                continue
            connection = self._connections[at]
            requests = decoder.feed(self._data[start - length : start])
            peer, first = self._peers[connection], self._firsts[at]
            yield config.exchanges(peer, connection, first, requests), self._at[at]
