"""
Reads: what was answered at once with constants, as bytes in a row.

An object for each read would be taken apart long after it has left the processor's caches.  These
are made again when somebody looks, and are forgotten many at a time.  This module must not know how
many are kept.
"""

from collections.abc import Callable, Iterator
from struct import Struct

from twisted.internet.interfaces import IAddress

from reqresp.exchanges import Exchanges
from reqresp.server.config import ServerConfig

#: The client of each connection, and how it is answered.
Sources = dict[int, tuple[IAddress, ServerConfig]]

# What is before the bytes of a read: when it was answered, its connection, the number of its first
# request, how many requests it has, the size that it counts for, and how many bytes follow.
_HEADER = Struct("=dQQIII")


class Reads:
    """
    Reads of any connections of one server, in the order in which they were answered.

    :param sources: has the connections of all reads that are added; it can be shared.
    """

    __slots__ = ("_bytes", "_found", "_sources", "count", "size")

    def __init__(self, sources: Sources) -> None:
        #: How many requests they have, and the size that they count for.
        self.count = 0
        self.size = 0
        self._bytes = bytearray()
        self._sources = sources
        self._found = 0, 0  # what `find` has returned last

    def __len__(self) -> int:
        """Return the bytes that they take."""
        return len(self._bytes)

    def add(
        self,
        at: float,
        connection: int,
        first: int,
        count: int,
        size: int,
        data: bytes,
        _pack: Callable[..., bytes] = _HEADER.pack,  # found faster than a name of the module
    ) -> None:
        """
        Add a read.

        :param at: when it was answered.
        :param first: the number of its first request.
        :param count: how many requests a new decoder of its connection finds in it.
        :param size: the size that it counts for.
        :param data: what was read.
        """
        self.count += count
        self.size += size
        self._bytes += _pack(at, connection, first, count, size, len(data))
        self._bytes += data

    def drop(self, is_due: Callable[[int, int], bool]) -> None:
        """
        Drop the first reads.

        :param is_due: called with the count and the size of one after the other; returns whether
            to drop this one, and go on.
        """
        end = 0
        for start, (_at, _connection, _first, count, size, length) in self._headers():
            if not is_due(count, size):
                break
            self.count -= count
            self.size -= size
            end = start + length
        if end:
            del self._bytes[:end]
            self._found = 0, 0

    def find(self, before: int) -> tuple[int, int]:
        """
        Return where the read begins that has the request after *before* requests.

        It continues where it has found the last one: who follows the journal asks for the end.

        :returns: the place for `exchanges`, and how many requests are before that read.
        """
        place, passed = self._found if self._found[1] <= before else (0, 0)
        for start, (_at, _connection, _first, count, _size, length) in self._headers(place):
            if passed + count > before:
                break
            place, passed = start + length, passed + count
        self._found = place, passed
        return self._found

    def exchanges(self, place: int = 0) -> Iterator[tuple[Exchanges, float]]:
        """Yield the exchanges of each read from *place* on, and when they were answered."""
        for start, (at, connection, first, _count, _size, length) in self._headers(place):
            peer, config = self._sources[connection]
            requests = config.decoder().feed(bytes(self._bytes[start : start + length]))
            yield config.exchanges(peer, connection, first, requests), at

    def _headers(
        self, start: int = 0
    ) -> Iterator[tuple[int, tuple[float, int, int, int, int, int]]]:
        """Yield where the bytes of each read start, and what is before them."""
        while start < len(self._bytes):
            at, connection, first, count, size, length = _HEADER.unpack_from(self._bytes, start)
            start += _HEADER.size
            yield start, (at, connection, first, count, size, length)
            start += length
