"""
Framings whose requests end with a delimiter, have a size, or are what arrives.

Knows bytes only: no transport, no responder, no clock.
"""

import re

from attrs import field, frozen, validators

from reqresp._text import escape
from reqresp.framing._base import BaseFraming, Decoder, FrameError, complete_framing
from reqresp.framing._decoders import (
    ChunkDecoder,
    DelimiterDecoder,
    SizedDecoder,
    check_limit,
    ended,
    too_large,
)

#: Bytes of a request of `Chunk`, unless it has a size of its own.
CHUNK_SIZE = 1024


@frozen
class Chunk(BaseFraming):
    """
    A request is what was received at once, at most *size* bytes; a reply is sent as it is.

    A read has at most 64 KiB.

    TCP may join or cut what a client sends: this framing can find one request ``requestclose``
    where a client sent ``request`` and ``close``.
    """

    size: int = field(default=CHUNK_SIZE, validator=validators.ge(1))

    @property
    def name(self) -> str:
        return "chunk" if self.size == CHUNK_SIZE else f"chunk:{self.size}"

    def decoder(self, limit: int) -> Decoder:
        return ChunkDecoder(min(limit, self.size))

    def whole_read(self, limit: int) -> int:
        return min(limit, self.size)

    def encode(self, payload: bytes) -> bytes:
        return payload

    def reply_decoder(self, limit: int) -> Decoder:
        return ChunkDecoder(limit)

    @property
    def ends_replies(self) -> bool:
        return False


class Delimited(BaseFraming):
    """A framing whose requests end with `terminator`.  It can be the head of a `HeaderBody`."""

    __slots__ = ()

    @property
    def optional(self) -> bytes:
        """Return the bytes that are dropped if they stand before the terminator of a request."""
        return b""

    @property
    def after_body(self) -> bytes:
        """Return the bytes that a `HeaderBody` with this head adds to a reply."""
        return b""

    def decoder(self, limit: int) -> Decoder:
        return DelimiterDecoder(limit, self.terminator, self.optional)


@frozen
class Delimiter(Delimited):
    """A request, and a reply, ends with *delimiter*, which is not part of it."""

    delimiter: bytes = field(validator=validators.min_len(1))

    @property
    def name(self) -> str:
        return f"delimiter:{escape(self.delimiter)}"

    @property
    def terminator(self) -> bytes:
        return self.delimiter

    def encode(self, payload: bytes) -> bytes:
        return ended(payload, self.delimiter, self.delimiter)


@frozen
class Line(Delimited):
    r"""
    A request ends with LF, and a CR before the LF is dropped.  A reply ends with *ending*.

    :param ending: ``b"\r\n"`` or ``b"\n"``.
    """

    terminator = b"\n"
    optional = b"\r"

    ending: bytes = field(default=b"\r\n", validator=validators.in_((b"\r\n", b"\n")))

    @property
    def name(self) -> str:
        return "line" if self.ending == b"\r\n" else f"line:{escape(self.ending)}"

    @property
    def after_body(self) -> bytes:
        return self.ending

    def encode(self, payload: bytes) -> bytes:
        if self.ending == b"\n" and payload.endswith(b"\r"):
            raise FrameError(
                "expected a line that does not end with CR (a client drops it),"
                f" found {payload[-40:]!r}"
            )
        return ended(payload, self.ending, b"\n")


@frozen
class Netstring(BaseFraming):
    """
    A request is its length in decimal, a colon, that many bytes and a comma; so is a reply.

    :source: https://cr.yp.to/proto/netstrings.txt
    """

    name = "netstring"

    def decoder(self, limit: int) -> Decoder:
        return SizedDecoder(
            limit,
            _netstring_header,
            trailer=b",",
            header_lacks=lambda _kept: "no colon after the length",
        )

    def encode(self, payload: bytes) -> bytes:
        return b"%d:%b," % (len(payload), payload)


_NETSTRING_LENGTH = re.compile(rb"(0|[1-9][0-9]*)(:|\Z)")


def _netstring_header(buffer: bytearray, at: int, limit: int) -> tuple[int, int] | None:
    longest = len(str(limit)) + 1
    match = _NETSTRING_LENGTH.match(buffer, at, at + longest)
    if match is None:
        found = bytes(buffer[at : at + longest])
        raise FrameError(f"expected the length of a netstring, found {found!r}")
    if match[2]:
        return match.end(), int(match[1])
    if len(match[0]) == longest:
        raise too_large(int(match[0]), limit)
    return None


@frozen
class Fixed(BaseFraming):
    """Every request, and every reply, has *size* bytes, without a header."""

    size: int = field(validator=validators.ge(1))

    @property
    def name(self) -> str:
        return f"fixed:{self.size}"

    def decoder(self, limit: int) -> Decoder:
        check_limit(limit, self.size)
        return SizedDecoder(limit, lambda _buffer, at, _limit: (at, self.size))

    def encode(self, payload: bytes) -> bytes:
        if len(payload) != self.size:
            raise FrameError(f"expected a payload of {self.size} bytes, found {len(payload)}")
        return payload


@frozen
class Mixed(BaseFraming):
    """Requests as in one framing, replies as in another."""

    name = "mixed"

    requests: BaseFraming = field(converter=complete_framing)
    replies: BaseFraming = field(converter=complete_framing)

    def decoder(self, limit: int) -> Decoder:
        return self.requests.decoder(limit)

    def whole_read(self, limit: int) -> int:
        return self.requests.whole_read(limit)

    def encode(self, payload: bytes) -> bytes:
        return self.replies.encode(payload)

    def encode_request(self, payload: bytes) -> bytes:
        return self.requests.encode_request(payload)

    def reply_decoder(self, limit: int) -> Decoder:
        return self.replies.reply_decoder(limit)

    @property
    def ends_replies(self) -> bool:
        return self.replies.ends_replies

    @property
    def ends_with_stream(self) -> bool:
        return self.requests.ends_with_stream

    @property
    def push_marks(self) -> frozenset[int]:
        return self.replies.push_marks

    def answers(self, request: bytes, reply: bytes) -> bool:
        return self.replies.answers(request, reply)
