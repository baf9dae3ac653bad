"""
Reads: what was answered at once with constants, as bytes in a row.

An object for each read would be taken apart long after it has left the processor's caches.  These
are made again when somebody looks, and are forgotten many at a time.  This module must not know how
many are kept.
"""

from array import array
from collections.abc import Callable, Iterator

from twisted.internet.interfaces import IAddress

from reqresp.exchanges import Exchanges
from reqresp.server.config import ServerConfig

# The numbers of a read in a row: when it was answered, its connection, the number of its first
# request, how many requests it has, the size that it counts for, and that of what was read.
_NUMBERS = 6


class Reads:
    """Reads of any connections of one server, in the order in which they were answered."""

    __slots__ = ("_data", "_numbers", "_sources", "count", "size")

    def __init__(self) -> None:
        #: How many requests they have, and the size that they count for.
        self.count = 0
        self.size = 0
        self._data = bytearray()
        self._numbers = array("d")
        #: The client and the config of each connection.
        self._sources: dict[int, tuple[IAddress, ServerConfig]] = {}

    def __len__(self) -> int:
        return len(self._numbers) // _NUMBERS

    def add(
        self,
        at: float,
        peer: IAddress,
        connection: int,
        config: ServerConfig,
        first: int,
        count: int,
        size: int,
        data: bytes,
    ) -> None:
        """
        Add a read.

        :param at: when it was answered.
        :param first: the number of its first request.
        :param count: how many requests a new decoder of *config* finds in it.
        :param size: the size that it counts for.
        :param data: what was read.
        """
        if connection not in self._sources:
            self._sources[connection] = peer, config
        self.count += count
        self.size += size
        self._data += data
        self._numbers.extend((at, connection, first, count, size, len(data)))

    def drop(self, is_due: Callable[[int, int], bool]) -> None:
        """
        Drop the first reads.

        :param is_due: called with the count and the size of one after the other; returns whether
            to drop this one, and go on.
        """
        numbers = self._numbers
        end = length = 0
        while end < len(numbers):
            count, size = int(numbers[end + 3]), int(numbers[end + 4])
            if not is_due(count, size):
                break
            self.count -= count
            self.size -= size
            length += int(numbers[end + 5])
            end += _NUMBERS
        del numbers[:end]
        del self._data[:length]

    def exchanges(self) -> Iterator[tuple[Exchanges, float]]:
        """Yield the exchanges of each read, and when they were answered."""
        start = 0
        for row in range(0, len(self._numbers), _NUMBERS):
            at = self._numbers[row]
            connection, first, _count, _size, length = map(int, self._numbers[row + 1 : row + 6])
            peer, config = self._sources[connection]
            data = bytes(self._data[start : start + length])
            start += length
            requests = config.decoder().feed(data)
            yield config.exchanges(peer, connection, first, requests), at
