"""
Framings whose requests have their length in a field of a header.

Knows bytes only.
"""

from typing import Literal

from attrs import field, frozen

from reqresp._errors import FieldError, expect
from reqresp.framing._base import (
    BaseFraming,
    Decoder,
    FrameError,
    SizedDecoder,
    check_limit,
    missing_bytes,
)

ByteOrder = Literal["big", "little"]


@frozen
class LengthField(BaseFraming):
    """
    The header of a request has a length field of *size* bytes, after *offset* other bytes.

    A frame has *offset* + *size* + length + *adjust* bytes, and at least its header.  The request
    is the frame without its first *strip* bytes.  A limit counts the request.

    If the header is the length field only, and is stripped, then the length of a reply is added.
    Otherwise a reply has to be a whole frame with its header, and its length is checked.

    ==================================  ========================================================
    ``LengthField(2)``                  DNS over TCP: the length is not part of a message
    ``LengthField(2, offset=4)``        Modbus/TCP: a reply repeats the start of the header
    ``LengthField(4, adjust=-4)``       PostgreSQL, first message: the length counts itself
    ``LengthField(4, 1, -4)``           PostgreSQL, later messages: a type before the length
    ``LengthField(3, 0, 1, "little")``  MySQL: the length does not count the number after it
    ==================================  ========================================================

    :param size: 1, 2, 3, 4 or 8.
    :param adjust: bytes after the header that the length does not count; negative: bytes of the
        header that it counts.
    :param strip: at most *offset* + *size*.  By default *size* if *offset* is 0, and otherwise 0.
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
        check_limit(limit, smallest)
        return SizedDecoder(limit, self._header, header_lacks=self._header_lacks)

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
        rest = length + self.adjust
        if rest < 0:
            raise FrameError(
                f"expected a length of at least {-self.adjust} (it counts bytes of the header),"
                f" found {length}"
            )
        return at + self.strip, self._header_size - self.strip + rest

    def _header_lacks(self, kept: int) -> str:
        part = "the header" if self.offset else "the length"
        return missing_bytes(kept, self._header_size, whole=part)

    def _wrapped(self, payload: bytes) -> bytes:
        length = len(payload) - self.adjust
        if length < 0:
            raise FrameError(
                f"expected a payload of at least {self.adjust} bytes, found {len(payload)}"
            )
        try:
            return length.to_bytes(self.size, self.byteorder) + payload
        except OverflowError:
            raise FrameError(
                f"expected a payload that a length field of {self.size * 8} bits can count,"
                f" found {len(payload)} bytes"
            ) from None

    def _check(self, frame: bytes) -> None:
        if len(frame) < self._header_size:
            raise FrameError(
                f"expected a header of {self._header_size} bytes, found a frame of {len(frame)}:"
                f" {frame!r}"
            )
        found = int.from_bytes(frame[self.offset : self._header_size], self.byteorder)
        right = len(frame) - self._header_size - self.adjust
        if found != right:
            raise FrameError(
                f"expected the length {right} in a frame of {len(frame)} bytes, found {found}:"
                f" {frame[:40]!r}"
            )


@frozen
class LengthPrefix(BaseFraming):
    """
    A request, and a reply, starts with its length: a `LengthField` for the usual cases.

    ``LengthPrefix(4)`` is the framing of `twisted.protocols.basic.Int32StringReceiver`.

    :param size: bytes of the length: 1, 2 or 4.
    :param inclusive: the length counts its own bytes, too.
    """

    size: int = field(validator=expect("1, 2 or 4", lambda it: it in (1, 2, 4)))
    byteorder: ByteOrder = field(
        default="big", validator=expect("big or little", lambda it: it in ("big", "little"))
    )
    inclusive: bool = False
    _field: LengthField = field(init=False, repr=False, eq=False)

    @_field.default
    def _make_field(self) -> LengthField:
        return LengthField(self.size, adjust=-self.size * self.inclusive, byteorder=self.byteorder)

    @property
    def name(self) -> str:
        return f"int{self.size * 8}"

    def decoder(self, limit: int) -> Decoder:
        return self._field.decoder(limit)

    def encode(self, payload: bytes) -> bytes:
        return self._field.encode(payload)
