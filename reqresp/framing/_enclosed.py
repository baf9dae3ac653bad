"""
A framing whose requests stand between start and end bytes, such as STX and ETX.

Knows bytes only.
"""

from attrs import field, frozen, validators

from reqresp._text import escape
from reqresp.framing._base import BaseFraming, Decoder, FrameError
from reqresp.framing._decoders import FrameDecoder, ended, no_delimiter, too_large


@frozen
class Enclosed(BaseFraming):
    r"""
    A request, and a reply, stands between *start* and *end*, which are not part of it.

    The next request must start where the last one ends: other bytes between them are an error.

    ========================================  ================================================
    ``Enclosed(b"\x02", b"\x03")``            STX and ETX
    ``Enclosed(b"\x0b", b"\x1c\r")``          MLLP, which carries HL7 v2
    ========================================  ================================================

    :source: HL7 v2 Implementation Guide, Minimal Lower Layer Protocol
    """

    start: bytes = field(validator=validators.min_len(1))
    end: bytes = field(validator=validators.min_len(1))

    @property
    def name(self) -> str:
        ends = (escape(it).replace(":", r"\x3a") for it in (self.start, self.end))
        return ":".join(("between", *ends))

    @property
    def terminator(self) -> bytes:
        return self.end

    def decoder(self, limit: int) -> Decoder:
        return EnclosedDecoder(limit, self.start, self.end)

    def encode(self, payload: bytes) -> bytes:
        return self.start + ended(payload, self.end, self.end)


class EnclosedDecoder(FrameDecoder):
    """Finds requests between *start* and *end*."""

    __slots__ = ("_end", "_searched", "_start")

    def __init__(self, limit: int, start: bytes, end: bytes) -> None:
        super().__init__(limit)
        self._start = start
        self._end = end
        self._searched = 0  # no end starts before here in the request

    def _lacks(self) -> str:
        return no_delimiter(self._end)

    def _take(self, at: int, requests: list[bytes]) -> int:
        buffer, start, end = self._buffer, self._start, self._end
        first = at + len(start)
        seen = bytes(buffer[at:first])
        if seen != start[: len(seen)]:
            raise FrameError(f"expected {start!r} before a request, found {seen!r}")
        stop = buffer.find(end, first + self._searched)
        size = (len(buffer) if stop < 0 else stop) - first
        # Part of an end that is cut is not part of the request.
        if size - (len(end) - 1 if stop < 0 else 0) > self._limit:
            raise too_large(size, self._limit)
        if stop < 0:
            self._searched = max(0, size - len(end) + 1)
            self._needed = len(buffer) - at + 1
            return at
        requests.append(bytes(buffer[first:stop]))
        self._searched = 0
        self._needed = 1
        return stop + len(end)
