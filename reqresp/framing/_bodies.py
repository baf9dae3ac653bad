"""
Bodies: what follows a head, and where it ends.

Knows bytes only, and not what announced a body.
"""

import re

from reqresp.framing._base import FrameError
from reqresp.framing._decoders import check_end, missing_bytes, no_delimiter, too_large

_CRLF = b"\r\n"
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")


class Body:
    """
    A body that can be incomplete.

    :param limit: the most bytes of a request, for messages.
    :param room: the most bytes of this body.
    """

    __slots__ = ("_limit", "_room", "needed")

    def __init__(self, limit: int, room: int) -> None:
        self._limit = limit
        self._room = room
        #: How many of its bytes, and of what ends it, must be there before the next look at it.
        self.needed = 0

    def take(self, buffer: bytearray, start: int) -> tuple[bytes, int] | None:
        """
        Return the body that begins at *start*, and where what ends it ends; None: incomplete.

        :raises FrameError: it is malformed, or larger than its room.
        """
        raise NotImplementedError

    def lacks(self, kept: int) -> str:
        """Return what it lacks, of which *kept* bytes have arrived."""
        raise NotImplementedError

    def check_size(self, size: int) -> None:
        """:raises FrameError: the body has *size* bytes or more, and no room for them."""
        if size > self._room:
            raise too_large(self._limit - self._room + size, self._limit)


class CountedBody(Body):
    """A body of *size* bytes, and *trailer* after it."""

    __slots__ = ("_size", "_trailer")

    def __init__(self, limit: int, room: int, size: int, trailer: bytes) -> None:
        super().__init__(limit, room)
        self.check_size(size)
        self._size = size
        self._trailer = trailer
        self.needed = size + len(trailer)

    def take(self, buffer: bytearray, start: int) -> tuple[bytes, int] | None:
        if len(buffer) - start < self.needed:
            return None
        stop = start + self._size
        check_end(buffer, stop, self._trailer)
        return bytes(buffer[start:stop]), start + self.needed

    def lacks(self, kept: int) -> str:
        return missing_bytes(kept, self._size, self._trailer, "the body")


class EndedBody(Body):
    """A body up to *end*."""

    __slots__ = ("_end", "_searched")

    def __init__(self, limit: int, room: int, end: bytes) -> None:
        super().__init__(limit, room)
        self._end = end
        self._searched = 0  # no end starts before here

    def take(self, buffer: bytearray, start: int) -> tuple[bytes, int] | None:
        stop = buffer.find(self._end, start + self._searched)
        if stop >= 0:
            self.check_size(stop - start)
            return bytes(buffer[start:stop]), stop + len(self._end)
        kept = len(buffer) - start
        self._searched = max(0, kept - len(self._end) + 1)
        self.check_size(self._searched)
        self.needed = kept + 1
        return None

    def lacks(self, kept: int) -> str:
        del kept
        return f"{no_delimiter(self._end)} after the body"


class ChunkedBody(Body):
    """
    A body in chunks, as in HTTP; what is taken is their data.

    The room counts the chunks as they came.

    :source: RFC 9112, 7.1
    """

    __slots__ = ("_data", "_is_last", "_read", "_searched")

    def __init__(self, limit: int, room: int) -> None:
        super().__init__(limit, room)
        self._data = bytearray()
        self._read = 0  # bytes of complete chunks
        self._is_last = False  # the chunk that ends the body has begun
        self._searched = 0  # no line end that is awaited starts before here

    def take(self, buffer: bytearray, start: int) -> tuple[bytes, int] | None:
        while not self._is_last:
            stop = self._find(_CRLF, buffer, start)
            if stop is None:
                return None
            line = bytes(buffer[start + self._read : stop])
            size = _CHUNK_SIZE.fullmatch(line)
            if size is None:
                raise FrameError(f"expected the size of a chunk, found {line[:40]!r}")
            if not int(size[1], 16):
                self._is_last = True
                break
            data = stop + len(_CRLF)
            end = data + int(size[1], 16)
            self.check_size(end + len(_CRLF) - start)
            if len(buffer) < end + len(_CRLF):
                self.needed = end + len(_CRLF) - start
                return None
            check_end(buffer, end, _CRLF)
            self._data += buffer[data:end]
            self._searched = self._read = end + len(_CRLF) - start
        last = self._find(_CRLF + _CRLF, buffer, start)  # after fields that are dropped, if any
        return None if last is None else (bytes(self._data), last + len(_CRLF + _CRLF))

    def _find(self, what: bytes, buffer: bytearray, start: int) -> int | None:
        """Return where *what* is after the complete chunks; None: it has not arrived."""
        found = buffer.find(what, start + self._searched)
        if found >= 0:
            self.check_size(found + len(what) - start)
            if what == _CRLF:
                self._searched = found - start  # a second look finds it again
            return found
        kept = len(buffer) - start
        self.check_size(kept)
        self._searched = max(self._searched, kept - len(what) + 1)
        self.needed = kept + 1
        return None

    def lacks(self, kept: int) -> str:
        del kept
        return "no last chunk"
