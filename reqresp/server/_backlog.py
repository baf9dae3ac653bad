"""
Backlog: what one connection has received and not answered.

It is kept at two stages, bytes that were not decoded and requests that no responder has seen, and
goes from one to the next only as far as it is needed.  This module does no I/O; it must not know
replies.
"""

from collections.abc import Iterator, Sequence
from operator import length_hint

from reqresp.framing import Chunk, Decoder, FrameError, SilenceDecoder, Unfinished, unfinished
from reqresp.server._silence import stop_watching

#: Bytes decoded at a time.  A request of three bytes takes fifteen times as much once it is split
#: off.
SLICE = 4 * 1024

#: Nothing is decoded.
NO_REQUESTS: Iterator[bytes] = iter(())
# A decoder that keeps no bytes, in place of the one that is dropped.
_NO_DECODER: Decoder = Chunk(1).decoder(1)


class Backlog:
    """Bytes and requests that wait, in the order in which they arrived."""

    __slots__ = ("decoder", "error", "requests", "waiting")

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder
        #: What was wrong with the bytes that follow the requests that wait.
        self.error: FrameError | None = None
        #: The bytes that were not decoded.
        self.waiting: bytes | bytearray = b""
        #: The requests that were decoded and not taken yet.
        self.requests = NO_REQUESTS

    @property
    def size(self) -> int:
        """How many bytes wait that were not decoded."""
        return len(self.waiting)

    @property
    def has_requests(self) -> bool:
        """Whether a request waits, or bytes that may hold one."""
        return bool(self.waiting or length_hint(self.requests))

    @property
    def is_undecoded(self) -> bool:
        """Whether bytes wait and nothing is between them and the requests taken so far."""
        return bool(self.waiting) and self.requests is NO_REQUESTS and self.error is None

    @property
    def is_changing(self) -> bool:
        """Whether the next request is to be found with another framing than the ones before."""
        return False

    @property
    def unfinished(self) -> Unfinished | None:
        """The request that has begun and not ended, in the bytes that were decoded."""
        return None if self.error is not None else unfinished(self.decoder)

    def put(self, data: bytes) -> None:
        """Add *data*, which has arrived."""
        if not self.waiting:
            self.waiting = data
        elif isinstance(self.waiting, bytearray):
            self.waiting += data
        else:
            self.waiting = bytearray(self.waiting) + data

    def put_back(self, requests: Sequence[bytes], error: FrameError | None = None) -> None:
        """Keep *requests*, which were decoded, and the *error* that follows them."""
        self.requests = iter(requests)
        self.error = error

    def return_requests(self, requests: Sequence[bytes]) -> None:
        """Put *requests*, which were taken from `requests`, before those that are left there."""
        self.requests = iter([*requests, *self.requests])

    def take(self, size: int = SLICE) -> bytes:
        """Remove the next *size* bytes that were not decoded, and return them."""
        size = max(size, getattr(self.decoder, "at_once", 0))
        data = self.waiting
        if len(data) <= size:
            self.waiting = b""
            return bytes(data)
        rest = data if isinstance(data, bytearray) else bytearray(data)
        data = bytes(rest[:size])
        del rest[:size]
        self.waiting = rest
        return data

    def decode(self, data: bytes) -> Sequence[bytes]:
        """Return the requests that *data*, which was taken, completes; note an error in it."""
        try:
            return self.decoder.feed(data)
        except FrameError as error:
            self.error = error
            return error.requests

    def decode_more(self, size: int = SLICE) -> bool:
        """Decode the next *size* bytes into `requests`; return False if none can be decoded."""
        self.requests = NO_REQUESTS
        if self.error is not None or not self.waiting:
            return False
        self.requests = iter(self.decode(self.take(size)))
        return True

    def end_request(self) -> bool:
        """Complete the request that nothing but silence ends; return whether there is one."""
        if self.error is not None or not isinstance(self.decoder, SilenceDecoder):
            return False
        while self.waiting and self.error is None:
            self.decode(self.take())
        requests = self.decoder.end()
        self.add_requests(requests)
        return bool(requests) or self.error is not None

    def add_requests(self, requests: Sequence[bytes]) -> None:
        """Put *requests*, which are decoded, after those that wait."""
        self.requests = iter([*self.requests, *requests])

    def find_unfinished(self) -> Unfinished | None:
        """
        Return the request that has begun and not ended, in all bytes; drop what comes before it.

        Where more than `SLICE` bytes wait, only those that were decoded are considered: to decode
        the rest would take too long.
        """
        if self.error is None and 0 < len(self.waiting) <= SLICE:
            self.decode(self.take())
        return self.unfinished

    def restart(self, decoder: Decoder) -> bool:
        """
        Drop everything, and find the requests in what arrives from now on with *decoder*.

        :returns: whether there was anything.
        """
        had_any = self.has_requests or self.error is not None or len(self.decoder) > 0
        self.clear()
        self.decoder = decoder
        return had_any

    def clear(self) -> None:
        """
        Drop everything for good: how much has arrived depends on how the network cut it.

        The decoder is dropped, too: no request that it has begun will be answered.
        """
        self.waiting = b""
        self.requests = NO_REQUESTS
        self.error = None
        if self.decoder.__class__ is SilenceDecoder:
            stop_watching(self.decoder)
        self.decoder = _NO_DECODER
