"""
Framing: where one request ends and the next begins, and how a reply is wrapped.

Knows bytes and nothing else: no transport, no responder, no clock.  A framing is a frozen value
that any number of connections share; what arrives on each is found by a decoder of its own.
"""

import re
from collections.abc import Callable
from typing import Protocol

from attrs import field, frozen, validators

from reqresp._text import unescape
from reqresp.framing._base import ChunkDecoder, Decoder, DelimiterDecoder, FrameError, SizedDecoder
from reqresp.framing._length_field import ByteOrder, Length
from reqresp.framing._resp import Resp

CHUNK_SIZE = 1024


class Framing(Protocol):
    """How requests are told apart and replies are wrapped."""

    def decoder(self, limit: int) -> Decoder:
        """
        Make a connection's decoder; a request may have *limit* bytes.

        :raises ValueError: no request could ever be within *limit*.
        """

    def encode(self, payload: bytes) -> bytes:
        """
        Wrap *payload* the way the peer expects to receive it.

        :raises FrameError: the payload cannot be expressed in this framing.
        """


@frozen
class Chunk:
    """
    A request is what was received, in pieces of at most 1024 bytes; a reply is sent as it is.

    TCP may join or cut what a client sent, so this can see ``requestclose`` as one request.

    :source: the notebook's ``recv(1024)``.
    """

    def decoder(self, limit: int) -> Decoder:
        return ChunkDecoder(min(limit, CHUNK_SIZE))

    def encode(self, payload: bytes) -> bytes:
        return payload


@frozen
class Delimiter:
    """A request, and a reply, ends with *delimiter*, which is no part of it."""

    delimiter: bytes = field(validator=validators.min_len(1))

    def decoder(self, limit: int) -> Decoder:
        return DelimiterDecoder(limit, self.delimiter)

    def encode(self, payload: bytes) -> bytes:
        return _ended(payload, self.delimiter, self.delimiter)


@frozen
class Line:
    r"""
    A request ends with LF; a CR before it is dropped.  A reply ends with *ending*.

    :param ending: ``b"\r\n"`` or ``b"\n"``.
    """

    ending: bytes = field(default=b"\r\n", validator=validators.in_((b"\r\n", b"\n")))

    def decoder(self, limit: int) -> Decoder:
        return DelimiterDecoder(limit, b"\n", optional=b"\r")

    def encode(self, payload: bytes) -> bytes:
        if self.ending == b"\n" and payload.endswith(b"\r"):
            raise FrameError(f"a line's last CR would be dropped: {payload[-40:]!r}")
        return _ended(payload, self.ending, b"\n")


def _ended(payload: bytes, ending: bytes, delimiter: bytes) -> bytes:
    frame = payload + ending
    if frame.find(delimiter) != len(frame) - len(delimiter):
        raise FrameError(f"a payload cannot hold the delimiter {delimiter!r}: {payload[:40]!r}")
    return frame


@frozen
class Netstring:
    """
    A request is its length in decimal, a colon, that many bytes and a comma; so is a reply.

    :source: https://cr.yp.to/proto/netstrings.txt
    """

    def decoder(self, limit: int) -> Decoder:
        return SizedDecoder(limit, _netstring_header, trailer=b",")

    def encode(self, payload: bytes) -> bytes:
        return b"%d:%b," % (len(payload), payload)


_NETSTRING_LENGTH = re.compile(rb"(0|[1-9][0-9]*)(:|\Z)")


def _netstring_header(buffer: bytearray, at: int, limit: int) -> tuple[int, int] | None:
    longest = len(str(limit)) + 1
    match = _NETSTRING_LENGTH.match(buffer, at, at + longest)
    if match is None:
        raise FrameError(f"{bytes(buffer[at : at + longest])!r} where a netstring's length belongs")
    if match[2]:
        return match.end(), int(match[1])
    if len(match[0]) == longest:
        raise FrameError(
            f"a netstring of {match[0].decode()} bytes or more, where {limit} are allowed"
        )
    return None


@frozen
class LengthPrefix:
    """
    A request, and a reply, starts with its length, in *size* bytes: `Length` for the usual cases.

    :param size: 1, 2 or 4.
    :param inclusive: the length counts its own bytes too.
    :source: twisted.protocols.basic.Int32StringReceiver, which is ``LengthPrefix(4)``
    """

    size: int = field(validator=validators.in_((1, 2, 4)))
    byteorder: ByteOrder = field(default="big", validator=validators.in_(("big", "little")))
    inclusive: bool = False
    _length: Length = field(init=False, repr=False, eq=False)

    @_length.default
    def _in_full(self) -> Length:
        return Length(self.size, adjust=-self.size * self.inclusive, byteorder=self.byteorder)

    def decoder(self, limit: int) -> Decoder:
        return self._length.decoder(limit)

    def encode(self, payload: bytes) -> bytes:
        return self._length.encode(payload)


@frozen
class Fixed:
    """Every request, and every reply, has *size* bytes."""

    size: int = field(validator=validators.ge(1))

    def decoder(self, limit: int) -> Decoder:
        if self.size > limit:
            raise ValueError(f"requests of {self.size} bytes, where {limit} are allowed")
        return SizedDecoder(limit, lambda _buffer, at, _limit: (at, self.size))

    def encode(self, payload: bytes) -> bytes:
        if len(payload) != self.size:
            raise FrameError(f"a payload of {len(payload)} bytes, where all have {self.size}")
        return payload


@frozen
class Mixed:
    """Requests as in one framing, replies as in another."""

    requests: Framing
    replies: Framing

    def decoder(self, limit: int) -> Decoder:
        return self.requests.decoder(limit)

    def encode(self, payload: bytes) -> bytes:
        return self.replies.encode(payload)


#: How `parse_framing` is to be fed, for help and for errors.
SPECIFICATIONS = (
    "chunk, line[:ENDING], delimiter:TEXT, netstring, "
    "int8|int16|int32[:big|little][:inclusive], fixed:SIZE, resp"
)

_LENGTHS: dict[str, tuple[ByteOrder, bool]] = {
    "big": ("big", False),
    "little": ("little", False),
    "inclusive": ("big", True),
    "big:inclusive": ("big", True),
    "little:inclusive": ("little", True),
}
_PARSERS: dict[str, Callable[..., Framing]] = {
    "chunk": Chunk,
    "line": lambda *ending: Line(*map(unescape, ending)),
    "delimiter": lambda text: Delimiter(unescape(text)),
    "netstring": Netstring,
    "resp": Resp,
    "int8": lambda how="big": LengthPrefix(1, *_LENGTHS[how]),
    "int16": lambda how="big": LengthPrefix(2, *_LENGTHS[how]),
    "int32": lambda how="big": LengthPrefix(4, *_LENGTHS[how]),
    "fixed": lambda size: Fixed(int(size) if re.fullmatch("[0-9]+", size) else 0),
}


def parse_framing(specification: str) -> Framing:
    """
    Make the framing that *specification* names, such as ``line`` or ``int16:little``.

    :raises ValueError: it names none; the message lists what can be named.
    """
    name, *argument = specification.split(":", 1)
    try:
        return _PARSERS[name](*argument)
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{specification!r} is no framing: {SPECIFICATIONS}") from None
