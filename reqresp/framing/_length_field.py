"""
Framings whose requests have their length in a field of a header.

Knows bytes only.
"""

from collections.abc import Callable
from typing import Literal

from attrs import field, frozen

from reqresp._errors import FieldError, expect
from reqresp.framing._base import BaseFraming, Decoder, FrameError
from reqresp.framing._decoders import SizedDecoder, check_limit, missing_bytes
from reqresp.framing._lengths import ENCODINGS, MOST_BYTES, Encoding, FixedLength, OwnLength

#: The encodings of a `LengthPrefix`.
ByteOrder = Literal["big", "little"]


@frozen
class LengthField(BaseFraming):
    """
    The header of a request has a length after *offset* other bytes.

    A frame is the header, as many bytes as the length says and *adjust* more, and *trailer*.  The
    request is the frame without its first *strip* bytes and without the trailer.  A limit counts
    the request.

    If the header is the length only, and is stripped, then the length of a reply is added.
    Otherwise a reply has to be a frame with its header, and its length is checked.  The trailer is
    added in either case.

    ==========  ==================================================================================
    *encoding*  the length is
    ==========  ==================================================================================
    big         a binary number of *size* bytes (1, 2, 3, 4 or 8), the most significant first
    little      the same, the least significant byte first
    ascii       *size* digits (1 to 18), such as ``0045``
    bcd         *size* bytes (1 to 9) with two digits each, such as ``00 45``
    varint      seven bits a byte, the least significant first; all but the last byte have bit 8
    ber         one byte up to 127, or the number of bytes plus 128, and then these, big-endian
    ==========  ==================================================================================

    A length as ``varint`` or ``ber`` has as many bytes as it needs, and at most *size*.

    =====================================================  =======================================
    ``LengthField(2)``                                     DNS over TCP: the length is not part of
                                                           a message
    ``LengthField(2, offset=4)``                           Modbus/TCP: a reply repeats the start
                                                           of the header
    ``LengthField(4, adjust=-4)``                          PostgreSQL, first message: the length
                                                           counts itself
    ``LengthField(4, 1, -4)``                              PostgreSQL, later messages: a type
                                                           before the length
    ``LengthField(3, 0, 1, "little")``                     MySQL: the length does not count the
                                                           number after it
    ``LengthField(4, encoding="ascii")``                   ISO 8583
    ``LengthField(offset=1, encoding="varint", size=4)``   MQTT: a type before the length
    ``LengthField(offset=1, encoding="ber")``              LDAP
    =====================================================  =======================================

    :param size: bytes of the length; the most bytes for ``varint`` and ``ber``, 9 unless given.
    :param offset: bytes before the length.
    :param adjust: bytes after the header that the length does not count; negative: bytes of the
        header that it counts.
    :param encoding: how the length is written.
    :param strip: bytes at the start that are not part of the request; at most the header.  A
        length that says its own size counts as one byte: with *strip* above *offset*, all of it is
        stripped.  By default the length if *offset* is 0, and otherwise nothing.
    :param trailer: bytes that follow each frame.
    :source: RFC 1035, 4.2.2
    :source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3
    :source: https://www.postgresql.org/docs/current/protocol-message-formats.html
    :source: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
    :source: RFC 4511, 5.1
    """

    size: int | None = field(default=None)
    offset: int = field(default=0, validator=expect("an integer >= 0", lambda it: it >= 0))
    adjust: int = 0
    encoding: Encoding = field(
        default="big", validator=expect(f"one of: {', '.join(ENCODINGS)}", ENCODINGS.__contains__)
    )
    strip: int = field()
    trailer: bytes = b""
    #: Bytes of the header; the fewest, if the length says its own size.
    _header_size: int = field(init=False, repr=False, eq=False)
    #: Returns the length that bytes are; None: a length says its own size.
    _read: Callable[[bytes | bytearray], int] | None = field(init=False, repr=False, eq=False)

    @size.validator
    def _check_size(self, _attribute: object, size: int | None) -> None:
        length = ENCODINGS.get(self.encoding)  # it was not validated yet
        if length is None or (size is None and isinstance(length, OwnLength)):
            return
        if size not in length.sizes:
            raise FieldError("size", f"expected {length.expected}, found {size or 'none'}")

    @strip.default
    def _strip(self) -> int:
        return 0 if self.offset else self._fewest

    @strip.validator
    def _check_strip(self, _attribute: object, strip: int) -> None:
        if not 0 <= strip <= self._header_size:
            raise FieldError("strip", f"expected 0 to {self._header_size} bytes, found {strip!r}")

    @_header_size.default
    def _both(self) -> int:
        return self.offset + self._fewest

    @_read.default
    def _reader(self) -> Callable[[bytes | bytearray], int] | None:
        length = ENCODINGS.get(self.encoding)
        return length.read if isinstance(length, FixedLength) else None

    @property
    def _fewest(self) -> int:
        """The fewest bytes of a length."""
        return 1 if isinstance(ENCODINGS.get(self.encoding), OwnLength) else self.size or 0

    @property
    def _most(self) -> int:
        """The most bytes of a length."""
        return self.size or MOST_BYTES

    @property
    def _is_added(self) -> bool:
        """Whether the header of a reply is added, and not part of it."""
        return not self.offset and self.strip == self._header_size

    @property
    def name(self) -> str:
        if self != LengthField(self.size, encoding=self.encoding):
            return "length"  # only a table says the rest
        return f"length:{self.encoding}" + ("" if self.size is None else f":{self.size}")

    def decoder(self, limit: int) -> Decoder:
        smallest = self._header_size + max(0, self.adjust) - self.strip
        check_limit(limit, smallest)
        header = self._own_header if self._read is None else self._fixed_header
        return SizedDecoder(limit, header, self.trailer, self._header_lacks)

    def encode(self, payload: bytes) -> bytes:
        if self._is_added:
            return self._wrapped(payload) + self.trailer
        self._check(payload)
        return payload + self.trailer

    def _fixed_header(self, buffer: bytearray, at: int, _limit: int) -> tuple[int, int] | None:
        start = at + self._header_size
        if len(buffer) < start:
            return None
        length = self._read(buffer[at + self.offset : start])  # type: ignore[misc]  # it has one
        return at + self.strip, self._header_size - self.strip + self._rest(length)

    def _own_header(self, buffer: bytearray, at: int, _limit: int) -> tuple[int, int] | None:
        found = self._find(buffer, at)
        if found is None:
            return None
        length, end = found
        start = end if self.strip > self.offset else at + self.strip
        return start, end - start + self._rest(length)

    def _find(self, buffer: bytes | bytearray, at: int) -> tuple[int, int] | None:
        """Return the length in the header at *at*, and where the header ends."""
        length = ENCODINGS[self.encoding]
        at += self.offset
        if isinstance(length, OwnLength):
            return length.find(buffer, at, self._most)
        end = at + self._fewest
        return None if len(buffer) < end else (length.read(buffer[at:end]), end)

    def _rest(self, length: int) -> int:
        """Return how many bytes follow a header with this *length*."""
        rest = length + self.adjust
        if rest < 0:
            raise FrameError(
                f"expected a length of at least {-self.adjust} (it counts bytes of the header),"
                f" found {length}"
            )
        return rest

    def _header_lacks(self, kept: int) -> str:
        part = "the header" if self.offset else "the length"
        if self._read is None:
            return f"no end of {part}"
        return missing_bytes(kept, self._header_size, whole=part)

    def _wrapped(self, payload: bytes) -> bytes:
        length = len(payload) - self.adjust
        if length < 0:
            raise FrameError(
                f"expected a payload of at least {self.adjust} bytes, found {len(payload)}"
            )
        encoding, size = ENCODINGS[self.encoding], self._most
        most = encoding.most(size)
        if length > most:
            raise FrameError(
                f"expected a payload of at most {most + self.adjust} bytes, the most that its"
                f" length can say, found {len(payload)}"
            )
        return encoding.write(length, size) + payload

    def _check(self, frame: bytes) -> None:
        header = self._find(frame, 0)
        if header is None:
            raise FrameError(
                f"expected a header of {self._header_size} bytes{' or more' * (not self._read)},"
                f" found a frame of {len(frame)}: {frame!r}"
            )
        found, end = header
        right = len(frame) - end - self.adjust
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
    encoding: ByteOrder = field(
        default="big", validator=expect("big or little", lambda it: it in ("big", "little"))
    )
    inclusive: bool = False
    _field: LengthField = field(init=False, repr=False, eq=False)

    @_field.default
    def _make_field(self) -> LengthField:
        return LengthField(self.size, adjust=-self.size * self.inclusive, encoding=self.encoding)

    @property
    def name(self) -> str:
        order = "" if self.encoding == "big" else f":{self.encoding}"
        return f"int{self.size * 8}{order}{':inclusive' * self.inclusive}"

    def decoder(self, limit: int) -> Decoder:
        return self._field.decoder(limit)

    def encode(self, payload: bytes) -> bytes:
        return self._field.encode(payload)
