"""
Decoding: all framings, valid streams for each, and what must hold for any input.

Knows decoders and random inputs.  It must not know processes.
"""

from collections.abc import Callable, Sequence
from random import Random

from attrs import frozen

from reqresp.framing import (
    AnyLine,
    Chunk,
    Decoder,
    Delimiter,
    Enclosed,
    Fixed,
    FrameError,
    Framing,
    HeaderBody,
    LengthField,
    Line,
    Mixed,
    Netstring,
    Resp,
    Scpi,
    parse_framing,
)
from tests.reliability.inputs import Mutations

#: The limits of a request, in bytes: one that inputs exceed, and one that they do not.
LIMITS = (40, 64 * 1024)
#: The bytes that a decoder may keep besides a request: a header and a terminator.
OVERHEAD = 32
_STREAMS = 300

Payload = Callable[[Random], bytes]
Wrap = Callable[[bytes], bytes]


class Subject:
    """A parser that is fed inputs, and must handle all of them."""

    def inputs(self, random: Random) -> Callable[[], bytes]:
        """Return a function that makes an input at each call, from *random* only."""
        raise NotImplementedError

    def judge(self, stream: bytes, pieces: Sequence[bytes], number: int) -> bool:
        """
        Feed *stream* whole, and in *pieces*.

        :param number: the number of the input, to alternate between settings.
        :return: whether it was refused, with the expected error.
        :raises Exception: anything else happened.
        """
        raise NotImplementedError


@frozen
class FramingSubject(Subject):
    """
    A framing, and a function that makes a valid request of a payload.

    :param is_cut_safe: the requests do not depend on how a stream is cut.
    """

    framing: Framing
    wrap: Wrap
    payload: Payload = lambda random: random.randbytes(random.randrange(48))
    is_cut_safe: bool = True

    def inputs(self, random: Random) -> Callable[[], bytes]:
        valid = [
            b"".join(self.wrap(self.payload(random)) for _ in range(random.randrange(1, 4)))
            for _ in range(_STREAMS)
        ]
        return Mutations(valid, random).stream

    def judge(self, stream: bytes, pieces: Sequence[bytes], number: int) -> bool:
        """
        Feed *stream* whole, and in *pieces*.

        :raises Exception: an error other than `FrameError` was raised, a request is too large, too
            many bytes are kept, or the requests depend on the cut.
        """
        limit = LIMITS[number % len(LIMITS)]
        whole = outcome(self.framing.decoder(limit), [stream], limit)
        cut = outcome(self.framing.decoder(limit), pieces, limit)
        for requests, _ in (whole, cut):
            assert not requests or max(map(len, requests)) <= limit, f"too large: {requests}"
        if self.is_cut_safe:
            assert cut == whole, f"{cut} in pieces, {whole} whole"
        else:
            assert b"".join(cut[0]) == b"".join(whole[0]) == stream, f"{cut} of {stream!r}"
        return whole[1]


def _text(random: Random) -> bytes:
    return bytes(random.choices(b"abcXYZ 0189:*$\\\"'", k=random.randrange(48)))


def _command(text: bytes) -> bytes:
    words = text.split()
    if text.endswith((b"a", b"b", b"0")):
        return text + b"\r\n"
    arguments = b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
    return b"*%d\r\n%b" % (len(words), arguments)


def _stored(text: bytes) -> bytes:
    if text.endswith((b"a", b"b", b"0")):
        return b"get k\r\n"
    return b"set k 0 0 %d\r\n%b\r\n" % (len(text), text)


def _posted(text: bytes) -> bytes:
    return b"P /\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)


def _chunked(text: bytes) -> bytes:
    head = b"P /\r\nExpect: x\r\n" if text.endswith(b"a") else b"P /\r\n"
    return head + b"chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(text), text)


def _counted(size: int, offset: int = 0, adjust: int = 0, order: str = "big") -> Wrap:
    def wrap(payload: bytes) -> bytes:
        length = max(0, len(payload) - adjust)
        return b"h" * offset + length.to_bytes(size, order) + payload  # type: ignore[arg-type]

    return wrap


def _framings() -> dict[str, FramingSubject]:
    lengths = {
        name: FramingSubject(parse_framing(name), parse_framing(name).encode)
        for size in ("int8", "int16", "int32")
        for name in (size, f"{size}:little", f"{size}:inclusive", f"{size}:little:inclusive")
    }
    return {
        "chunk": FramingSubject(Chunk(), lambda text: text, is_cut_safe=False),
        "line": FramingSubject(Line(), lambda text: text + b"\r\n", _text),
        "line:\\n": FramingSubject(Line(b"\n"), lambda text: text + b"\n", _text),
        "delimiter:END": FramingSubject(Delimiter(b"END"), lambda text: text + b"END", _text),
        "delimiter:;": FramingSubject(Delimiter(b";"), lambda text: text + b";", _text),
        "anyline": FramingSubject(AnyLine(), lambda text: text + b"\r\n", _text),
        "between: MLLP": FramingSubject(
            Enclosed(b"\x0b", b"\x1c\r"), Enclosed(b"\x0b", b"\x1c\r").encode, _text
        ),
        "scpi": FramingSubject(Scpi(), lambda text: b"D #2%02d%b\n" % (len(text), text), _text),
        "netstring": FramingSubject(Netstring(), Netstring().encode),
        **lengths,
        "fixed:8": FramingSubject(Fixed(8), lambda text: text[:8].ljust(8)),
        "resp": FramingSubject(Resp(), _command, _text),
        "length: DNS": FramingSubject(LengthField(2), _counted(2)),
        "length: Modbus": FramingSubject(LengthField(2, offset=4), _counted(2, 4)),
        "length: PostgreSQL": FramingSubject(LengthField(4, 1, -4), _counted(4, 1, -4)),
        "length: MySQL": FramingSubject(
            LengthField(3, 0, 1, "little"), _counted(3, 0, 1, "little")
        ),
        "length: eight bytes": FramingSubject(LengthField(8), _counted(8)),
        "length: ISO 8583": FramingSubject(
            LengthField(4, encoding="ascii"), LengthField(4, encoding="ascii").encode
        ),
        "length: BCD": FramingSubject(
            LengthField(2, encoding="bcd"), LengthField(2, encoding="bcd").encode
        ),
        "length: MQTT": FramingSubject(
            LengthField(4, 1, encoding="varint"), lambda text: b"0%c%b" % (len(text), text)
        ),
        "length: LDAP": FramingSubject(
            LengthField(offset=1, encoding="ber"),
            lambda text: b"0\x84\0\0\0%c%b" % (len(text), text),
        ),
        "length: a trailer": FramingSubject(
            LengthField(2, trailer=b"\r\n"), LengthField(2, trailer=b"\r\n").encode
        ),
        "headed: memcached": FramingSubject(
            HeaderBody(Line(), rb"^(?:set|add|cas) \S+ \d+ -?\d+ (\d+)", b"\r\n"), _stored, _text
        ),
        "headed: HTTP": FramingSubject(
            HeaderBody(Delimiter(b"\r\n\r\n"), rb"(?im)^Content-Length:[ \t]*(\d+)"), _posted, _text
        ),
        "headed: HTTP in chunks": FramingSubject(
            HeaderBody(
                Delimiter(b"\r\n\r\n"),
                rb"(?im)^Content-Length:[ \t]*(\d+)",
                chunked=b"chunked",
                head_first=b"Expect",
                skip=b"\r\n",
            ),
            _chunked,
            _text,
        ),
        "headed: STOMP": FramingSubject(
            HeaderBody(
                Delimiter(b"\n\n"),
                rb"content-length:(\d+)",
                b"\0",
                always_body=True,
                skip=b"\r\n",
            ),
            lambda text: b"SEND\n\n%b\0\nSEND\ncontent-length:%d\n\n%b\0" % (text, len(text), text),
            _text,
        ),
        "headed: FIX": FramingSubject(
            HeaderBody(Delimiter(b"\x0135="), rb"\x019=(\d+)$", adjust=4),
            lambda text: b"8=FIX.4.4\x019=%d\x0135=%b\x0110=000\x01" % (len(text) + 4, text),
            _text,
        ),
        "mixed: netstring, line": FramingSubject(Mixed(Netstring(), Line()), Netstring().encode),
    }


#: All framings by name.
FRAMINGS = _framings()


def outcome(decoder: Decoder, pieces: Sequence[bytes], limit: int) -> tuple[list[bytes], bool]:
    """
    Feed *pieces*; return the requests, and whether an error ended them.

    :raises AssertionError: more bytes are kept than an incomplete request may have.
    """
    requests: list[bytes] = []
    for piece in pieces:
        try:
            requests += decoder.feed(piece)
        except FrameError as error:
            return [*requests, *error.requests], True
        kept = len(decoder)
        assert kept <= limit + OVERHEAD, f"{kept} bytes are kept"
    return requests, False
