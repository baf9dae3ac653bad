"""
Length: requests that say their size in a field of their header.

Knows bytes and nothing else.  `framing` leans on it: a length in front is the usual case of this.
"""

from typing import Literal

from attrs import field, frozen

from reqresp._errors import FieldError, expect
from reqresp.framing._base import BaseFraming, Decoder, FrameError, SizedDecoder

ByteOrder = Literal["big", "little"]


@frozen
class LengthField(BaseFraming):
    """
    A request's header holds a length: *size* bytes, *offset* bytes behind the request's start.

    From its first byte a frame has *offset* + *size* + length + *adjust* bytes, the header at
    least.  The request is all of it but the first *strip* bytes; a limit counts the request.

    A reply is wrapped in its length where that is all a header consists of and where it is
    stripped.  Otherwise nobody but the author knows what belongs in a header: a reply is a whole
    frame then, and its length is checked.

    ==================================  ========================================================
    ``LengthField(2)``                  DNS over TCP, whose length is no part of a message
    ``LengthField(2, offset=4)``        Modbus/TCP, whose header begins with what a reply repeats
    ``LengthField(4, adjust=-4)``       PostgreSQL's start-up, whose length counts itself
    ``LengthField(4, 1, -4)``           what PostgreSQL says after that, its type in front
    ``LengthField(3, 0, 1, "little")``  MySQL, whose length does not count the number behind it
    ==================================  ========================================================

    :param size: 1, 2, 3, 4 or 8.
    :param adjust: what the length leaves out, or, negative, what it counts of the header.
    :param strip: at most *offset* + *size*.  When left out: the length if it stands in front, and
        nothing if anything stands before it.
    :source: RFC 1035, 4.2.2
    :source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3
    :source: https://www.postgresql.org/docs/current/protocol-message-formats.html
    :source: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
    """

    name = "length"

    size: int = field(validator=expect("1, 2, 3, 4 or 8", lambda it: it in (1, 2, 3, 4, 8)))
    offset: int = field(default=0, validator=expect("an integer >= 0", lambda it: it >= 0))
    adjust: int = 0
    byteorder: ByteOrder = field(
        default="big", validator=expect("big or little", lambda it: it in ("big", "little"))
    )
    strip: int = field()
    _header_size: int = field(init=False, repr=False, eq=False)

    @strip.default
    def _strip(self) -> int:
        return 0 if self.offset else self.size

    @_header_size.default
    def _both(self) -> int:
        return self.offset + self.size

    @strip.validator
    def _check_strip(self, _attribute: object, strip: int) -> None:
        if not 0 <= strip <= self._header_size:
            raise FieldError("strip", f"expected 0 to {self._header_size} bytes, found {strip!r}")

    def decoder(self, limit: int) -> Decoder:
        smallest = self._header_size + max(0, self.adjust) - self.strip
        if smallest > limit:
            raise ValueError(f"requests of {smallest} bytes or more, where {limit} are allowed")
        return SizedDecoder(limit, self._header)

    def encode(self, payload: bytes) -> bytes:
        if self.strip == self.size and not self.offset:
            return self._wrapped(payload)
        self._check(payload)
        return payload

    def _header(self, buffer: bytearray, at: int, _limit: int) -> tuple[int, int] | None:
        start = at + self._header_size
        if len(buffer) < start:
            return None
        length = int.from_bytes(buffer[at + self.offset : start], self.byteorder)
        behind = length + self.adjust
        if behind < 0:
            raise FrameError(
                f"a length of {length}, which counts its own {-self.adjust} bytes of header"
            )
        return at + self.strip, self._header_size - self.strip + behind

    def _wrapped(self, payload: bytes) -> bytes:
        length = len(payload) - self.adjust
        if length < 0:
            raise FrameError(
                f"a payload of {len(payload)} bytes, where {self.adjust} more than a length says"
                " are sent"
            )
        try:
            return length.to_bytes(self.size, self.byteorder) + payload
        except OverflowError:
            raise FrameError(
                f"a payload of {len(payload)} bytes does not fit a length of {self.size} bytes"
            ) from None

    def _check(self, frame: bytes) -> None:
        if len(frame) < self._header_size:
            raise FrameError(
                f"a frame of {len(frame)} bytes, where the header has {self._header_size}:"
                f" {frame!r}"
            )
        found = int.from_bytes(frame[self.offset : self._header_size], self.byteorder)
        right = len(frame) - self._header_size - self.adjust
        if found != right:
            raise FrameError(
                f"a frame of {len(frame)} bytes whose length is {found}, where {right} belongs:"
                f" {frame[:40]!r}"
            )


@frozen
class LengthPrefix(BaseFraming):
    """
    A request, and a reply, starts with its length in *size* bytes: the usual `LengthField`.

    :param size: 1, 2 or 4.
    :param inclusive: the length counts its own bytes too.
    :source: twisted.protocols.basic.Int32StringReceiver, which is ``LengthPrefix(4)``
    """

    size: int = field(validator=expect("1, 2 or 4", lambda it: it in (1, 2, 4)))
    byteorder: ByteOrder = field(
        default="big", validator=expect("big or little", lambda it: it in ("big", "little"))
    )
    inclusive: bool = False
    _length: LengthField = field(init=False, repr=False, eq=False)

    @_length.default
    def _in_full(self) -> LengthField:
        return LengthField(self.size, adjust=-self.size * self.inclusive, byteorder=self.byteorder)

    @property
    def name(self) -> str:
        return f"int{self.size * 8}"

    def decoder(self, limit: int) -> Decoder:
        return self._length.decoder(limit)

    def encode(self, payload: bytes) -> bytes:
        return self._length.encode(payload)
