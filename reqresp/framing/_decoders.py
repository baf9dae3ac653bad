"""
Decoders that find requests in a stream.

Knows bytes only: no transport, no reply, no clock.  A decoder belongs to one connection.  It is fed
what arrives, returns the requests that are complete, and keeps the rest.  However the stream is
cut, it returns the same requests (except `ChunkDecoder`, whose requests are the pieces), and it
searches and copies no byte again at each piece.  It applies the limit while a request arrives.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from typing import ClassVar

from reqresp.framing._base import FrameError, Unfinished


class ChunkDecoder:
    """Returns what it is fed as requests, each of at most *size* bytes."""

    __slots__ = ("_size",)

    def __init__(self, size: int) -> None:
        self._size = size

    @property
    def at_once(self) -> int:
        """How many bytes must be fed at once, if so many have arrived."""
        return self._size

    def __len__(self) -> int:
        return 0

    #: It keeps nothing.
    is_new = True

    def feed(self, data: bytes) -> list[bytes]:
        size = self._size
        if len(data) <= size:
            return [data] if data else []
        return [data[at : at + size] for at in range(0, len(data), size)]

    def feed_raw(self, data: bytes, raws: list[bytes]) -> list[bytes]:
        """As `FrameDecoder.feed_raw`."""
        requests = self.feed(data)
        raws += requests
        return requests


@cache
def _joined(optional: bytes, delimiter: bytes) -> bytes:
    """Return both, as one object for all connections."""
    return optional + delimiter


class DelimiterDecoder:
    """Finds requests that end with *delimiter*, or with *optional* and *delimiter*."""

    __slots__ = ("_delimiter", "_ending", "_limit", "_rest", "_searched", "is_new")

    #: The class of what is kept of an unfinished request.
    buffer_type: ClassVar[type[bytearray]] = bytearray

    def __init__(self, limit: int, delimiter: bytes, optional: bytes = b"") -> None:
        self._limit = limit
        self._delimiter = delimiter
        self._ending = _joined(optional, delimiter)
        self._rest: bytearray | None = None
        self.is_new = True
        self._searched = 0  # no delimiter starts before here in the rest

    def __len__(self) -> int:
        return len(self._rest or b"")

    def unfinished(self) -> Unfinished:
        return Unfinished(bytes(self._rest or b""), no_delimiter(self._delimiter))

    def feed(self, data: bytes) -> list[bytes]:
        rest = self._rest
        if rest is not None:
            rest += data
            if rest.find(self._delimiter, self._searched) < 0:
                self._keep(rest, [])
                return []
            data = bytes(rest)
            self._rest = None
            self.is_new = True
        requests = data.split(self._ending)
        if data.count(self._delimiter) != len(requests) - 1:
            requests = self._split(data)
        last = requests.pop()
        if len(data) > self._limit:
            self._check(requests)
        if last:
            self._keep(self.buffer_type(last), requests)
        return requests

    def feed_raw(self, data: bytes, raws: list[bytes]) -> list[bytes]:
        """As `FrameDecoder.feed_raw`."""
        rest = self._rest  # to which `feed` adds *data*
        try:
            requests = found = self.feed(data)
        except FrameError as error:
            found = [*error.requests]
            raise
        finally:
            if found:
                stream, delimiter = data if rest is None else bytes(rest), self._delimiter
                *frames, _ = stream.split(delimiter, len(found))
                raws += [frame + delimiter for frame in frames]
        return requests

    def _split(self, data: bytes) -> list[bytes]:
        """Split *data*, where some requests end without the optional bytes."""
        if self._ending not in data:
            return data.split(self._delimiter)
        optional = self._ending.removesuffix(self._delimiter)
        *requests, last = data.split(self._delimiter)
        return [*(request.removesuffix(optional) for request in requests), last]

    def _check(self, requests: list[bytes]) -> None:
        for index, request in enumerate(requests):
            if len(request) > self._limit:
                raise too_large(len(request), self._limit, requests[:index])

    def _keep(self, rest: bytearray, requests: list[bytes]) -> None:
        if len(rest) >= self._limit + len(self._ending):
            raise too_large(len(rest), self._limit, requests)
        self._rest = rest
        self.is_new = False
        self._searched = max(0, len(rest) - len(self._delimiter) + 1)


class FrameDecoder(ABC):
    """Takes one frame after the other from a buffer; a subclass knows what a frame is."""

    __slots__ = ("_buffer", "_limit", "_needed", "is_new", "is_open")

    #: The class of what is kept of an unfinished request.
    buffer_type: ClassVar[type[bytearray]] = bytearray

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = self.buffer_type()
        self._needed = 1  # bytes that must be in the buffer before the next look at it
        self.is_new = True
        self.is_open = False  # bytes that were taken decide what the next ones are

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        buffer = self._buffer
        buffer += data
        requests: list[bytes] = []
        at = 0
        try:
            while len(buffer) - at >= self._needed:
                at = self._take(at, requests)
        except FrameError as error:
            error.requests = requests
            raise
        del buffer[:at]
        self.is_new = not buffer and not self.is_open
        return requests

    def feed_raw(self, data: bytes, raws: list[bytes]) -> list[bytes]:
        """
        As `feed`, and add to *raws* the bytes of each complete request as they came.

        This holds for the requests of a `FrameError`, too.
        """
        buffer = self._buffer
        buffer += data
        requests: list[bytes] = []
        start = at = found = 0
        try:
            while len(buffer) - at >= self._needed:
                at = self._take(at, requests)
                if len(requests) > found:
                    found += 1
                    raws.append(bytes(buffer[start:at]))
                    start = at
        except FrameError as error:
            error.requests = requests
            raise
        finally:
            del buffer[:at]
        self.is_new = not buffer and not self.is_open
        return requests

    def unfinished(self) -> Unfinished:
        return Unfinished(bytes(self._buffer), self._lacks())

    @abstractmethod
    def _lacks(self) -> str:
        """Return what the frame lacks that the buffer starts with; it is incomplete."""

    @abstractmethod
    def _take(self, at: int, requests: list[bytes]) -> int:
        """
        Add the request in the frame at *at* to *requests*, and return where the next frame starts.

        While the frame is incomplete, return *at*, and set `_needed` to the number of its bytes
        that must be there before the next look at it.  Otherwise set it to 1.
        """


#: Finds the size of a request.  Called with the buffer, the start of the frame and the limit; it
#: returns the start of the request's data and its size, or None if the header is incomplete.
ReadHeader = Callable[[bytearray, int, int], tuple[int, int] | None]


class SizedDecoder(FrameDecoder):
    """
    Finds requests whose *header* has their size, and that *trailer* must follow.

    *header_lacks* returns what a header lacks of which so many bytes have arrived.
    """

    __slots__ = ("_header", "_header_lacks", "_trailer")

    def __init__(
        self,
        limit: int,
        header: ReadHeader,
        trailer: bytes = b"",
        header_lacks: Callable[[int], str] = "{} bytes of the header".format,
    ) -> None:
        super().__init__(limit)
        self._header = header
        self._trailer = trailer
        self._header_lacks = header_lacks

    def _lacks(self) -> str:
        kept = len(self._buffer)
        header = self._header(self._buffer, 0, self._limit)
        if header is None:
            return self._header_lacks(kept)
        start, size = header
        return missing_bytes(kept - start, size, self._trailer)

    def _take(self, at: int, requests: list[bytes]) -> int:
        buffer = self._buffer
        header = self._header(buffer, at, self._limit)
        if header is None:
            self._needed = len(buffer) - at + 1
            return at
        start, size = header
        if size > self._limit:
            raise too_large(size, self._limit)
        stop = start + size
        end = stop + len(self._trailer)
        if len(buffer) < end:
            self._needed = end - at
            return at
        if self._trailer:
            check_end(buffer, stop, self._trailer)
        self._needed = 1
        requests.append(bytes(buffer[start:stop]))
        return end


def ended(payload: bytes, ending: bytes, delimiter: bytes) -> bytes:
    """
    Return *payload* with its *ending*, in which *delimiter* stands only at the end.

    :raises FrameError: it also stands elsewhere.
    """
    frame = payload + ending
    if frame.find(delimiter) != len(frame) - len(delimiter):
        raise FrameError(
            f"expected a payload without the delimiter {delimiter!r}, found {payload[:40]!r}"
        )
    return frame


def no_delimiter(delimiter: bytes) -> str:
    """Return what a request lacks whose *delimiter* has not arrived."""
    return "no line end" if delimiter == b"\n" else f"no delimiter {delimiter!r}"


def missing_bytes(kept: int, size: int, trailer: bytes = b"", whole: str = "") -> str:
    """
    Return what is missing where *kept* bytes of *size* and of a *trailer* have arrived.

    :param whole: what the bytes belong to, if not to the request.
    """
    if kept < size or not trailer:
        return f"{max(0, kept)} of {size} bytes{whole and f' of {whole}'}"
    return f"no {trailer!r} after {whole or 'the request'}"


def check_end(buffer: bytearray, stop: int, trailer: bytes) -> None:
    """
    Check that *trailer* follows the request that ends at *stop*.

    :raises FrameError: something else follows.
    """
    found = bytes(buffer[stop : stop + len(trailer)])
    if found != trailer:
        raise FrameError(f"expected {trailer!r} after a request, found {found!r}")


def too_large(size: int, limit: int, requests: Sequence[bytes] = ()) -> FrameError:
    """Return the error for a request of *size* bytes or more, after the complete *requests*."""
    message = f"expected a request of at most {limit} bytes, found {size} or more"
    return FrameError(message, requests)


def check_limit(limit: int, smallest: int) -> None:
    """
    Check that a request of *smallest* bytes, the fewest of a framing, is within *limit*.

    :raises ValueError: it is not.
    """
    if smallest > limit:
        raise ValueError(
            f"expected a limit of at least {smallest} bytes for a request, found {limit}"
        )
