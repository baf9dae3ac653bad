r"""
Framings for lines that `Line` cannot cut: with any line end, or with blocks that contain LF.

Knows bytes only.
"""

import re

from attrs import field, frozen, validators

from reqresp._text import escape
from reqresp.framing._base import BaseFraming, Decoder, FrameError
from reqresp.framing._decoders import FrameDecoder, no_delimiter, too_large

#: The line ends that an `AnyLine` can send.
ANY_ENDINGS = (b"\r\n", b"\n", b"\r", b"\r\0")
_END = re.compile(rb"\r[\n\0]?|\n")


@frozen
class AnyLine(BaseFraming):
    r"""
    A request ends with CR, LF, CR LF, or CR NUL as telnet clients send; a reply with *ending*.

    A request is complete at its CR: the LF or NUL that may follow is dropped when it arrives.

    :param ending: one of the line ends.
    :source: RFC 854, The NVT printer and keyboard
    """

    ending: bytes = field(default=b"\r\n", validator=validators.in_(ANY_ENDINGS))

    @property
    def name(self) -> str:
        return "anyline" if self.ending == b"\r\n" else f"anyline:{escape(self.ending)}"

    def decoder(self, limit: int) -> Decoder:
        return AnyLineDecoder(limit)

    def encode(self, payload: bytes) -> bytes:
        if b"\r" in payload or b"\n" in payload:
            raise FrameError(f"expected a payload without CR and LF, found {payload[:40]!r}")
        return payload + self.ending


class AnyLineDecoder(FrameDecoder):
    """Finds requests that end with CR, LF, CR LF or CR NUL."""

    __slots__ = ("_rest_of_end", "_searched")

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._rest_of_end = 0  # bytes in the buffer of the line end before the request
        self._searched = 0  # no line end is before here in the request

    def __len__(self) -> int:
        return len(self._buffer) - self._rest_of_end

    @property
    def rest_of_end(self) -> bytes:
        """The bytes one of which may follow, and still ends the last request."""
        return b"\n\0" if self.is_open else b""

    def _lacks(self) -> str:
        return no_delimiter(b"\n")

    def _take(self, at: int, requests: list[bytes]) -> int:
        buffer = self._buffer
        start = at + (self.is_open and buffer[at] in b"\n\0")
        found = _END.search(buffer, start + self._searched)
        stop = len(buffer) if found is None else found.start()
        if stop - start > self._limit:
            raise too_large(stop - start, self._limit)
        if found is None:
            self._searched = stop - start
            self._rest_of_end = start - at
            self._needed = stop - at + 1
            return at
        requests.append(bytes(buffer[start:stop]))
        self._searched = self._rest_of_end = 0
        self._needed = 1
        # What follows a CR depends on it.
        self.is_open = found[0] == b"\r"
        return found.end()


_LF = 0x0A
_QUOTES = {quote: re.compile(rb"[^%c\n]*+" % quote) for quote in b"\"'"}
_PLAIN = re.compile(rb"""[^#"'\n]*+""")
_DIGITS = b"123456789"


@frozen
class Scpi(BaseFraming):
    r"""
    A request is a line of SCPI, as instruments understand: it ends with LF, or CR LF.

    A line can hold blocks, ``#225`` and 25 bytes: the digit after ``#`` is the number of the digits
    of the size that follows.  A block can contain LF.  A ``#`` in quotes, or before another
    character, does not begin a block.  A reply is such a line, too, and ends with LF.

    :source: IEEE 488.2, 7.7.6 and 8.7.9
    """

    name = "scpi"

    def decoder(self, limit: int) -> Decoder:
        return ScpiDecoder(limit)

    def encode(self, payload: bytes) -> bytes:
        frame = payload + b"\n"
        try:
            found = ScpiDecoder(len(frame)).feed(frame)
        except FrameError as error:
            raise FrameError(f"{error}, in a reply") from None
        if found != [payload]:
            raise FrameError(
                "expected a line that ends after its last block, without LF outside of blocks and"
                f" without CR at its end, found {payload[:40]!r}"
            )
        return frame


class ScpiDecoder(FrameDecoder):
    """Finds lines that can hold blocks."""

    __slots__ = ("_quote", "_read")

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._read = 0  # bytes of the line whose meaning is known
        self._quote: int | None = None  # the quote that is open after them

    def _lacks(self) -> str:
        return no_delimiter(b"\n")

    def _take(self, at: int, requests: list[bytes]) -> int:
        buffer = self._buffer
        position = at + self._read
        needed = len(buffer) + 1
        while position < len(buffer):
            if self._quote is not None:
                position = self._quoted(position, self._quote)
                continue
            position = _PLAIN.match(buffer, position).end()  # type: ignore[union-attr]  # it does
            if position == len(buffer) or buffer[position] == _LF:
                break
            if buffer[position] != ord("#"):
                self._quote = buffer[position]
                position += 1
                continue
            end = self._block_end(position)
            self._check_size(end - at)
            if end > len(buffer):
                needed = end
                break
            position = end
        self._check_size(position - at)
        if needed > len(buffer) + 1 or position == len(buffer) or buffer[position] != _LF:
            self._read = position - at
            self._needed = needed - at
            return at
        line = bytes(buffer[at:position]).removesuffix(b"\r")
        self._check_size(len(line) + 1)
        requests.append(line)
        self._read = 0
        self._needed = 1
        return position + 1

    def _quoted(self, position: int, quote: int) -> int:
        """Return the place after the text in quotes at *position*, which can be cut."""
        end = _QUOTES[quote].match(self._buffer, position).end()  # type: ignore[union-attr]
        if end == len(self._buffer):
            return end
        self._quote = None
        return end + (self._buffer[end] == quote)

    def _block_end(self, position: int) -> int:
        """Return where the block at *position* ends; after a ``#`` that is none, the next place."""
        buffer = self._buffer
        start = position + len("#1")
        if len(buffer) < start:
            return start
        if buffer[start - 1] not in _DIGITS:
            return position + 1
        body = start + buffer[start - 1] - ord("0")
        if len(buffer) < body:
            return body
        digits = bytes(buffer[start:body])
        if not digits.isdigit():
            raise FrameError(f"expected the size of a block, found {digits!r}")
        return body + int(digits)

    def _check_size(self, size: int) -> None:
        if size > self._limit + 1:  # the last byte can be a CR
            raise too_large(size, self._limit)
