"""
Framings under test: what must hold for every framing, however a stream is cut.

Knows framings only: no server, and no library for properties.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from random import Random

from attrs import frozen

from reqresp.framing import (
    BaseFraming,
    Decoder,
    FrameError,
    Framing,
    RawFrames,
    complete_framing,
    unfinished,
)

#: Bytes that a decoder may keep besides a request: a header and a trailer.
_OVERHEAD = 64
#: The longest stream that is cut in every way into up to three pieces.
_MAX_EVERY_CUT = 40
_LIMIT = 64 * 1024


def check_framing(
    framing: Framing,
    frames: Mapping[bytes, bytes],
    *,
    encodes: bool = True,
    rounds: int = 200,
    seed: int = 0,
) -> None:
    """
    Check that *framing* finds the requests in *frames*, and keeps the promises of a framing.

    - The requests are the same, however the stream is cut, and nothing is kept after them.
    - Encoded, as a request and as a reply, each request is found again.
    - A request larger than the limit is a `FrameError`, and no more than the limit is kept of it,
      besides a header and a trailer of up to 64 bytes.
    - Any other bytes raise a `FrameError` or nothing, and where does not depend on how they are
      cut.

    :param frames: what a client sends, and the request in it.
    :param encodes: whether *framing* can encode each of the requests.
    :param rounds: how many streams of other bytes are tried.
    :param seed: decides about these streams.
    :raises AssertionError: a promise is broken; the message has the stream and its pieces.
    """
    check = _Check(complete_framing(framing), Random(seed))  # noqa: S311 (no secret)
    check.finds(frames)
    if encodes:
        check.encodes([*frames.values()])
    check.keeps_limits(frames)
    for _ in range(rounds):
        check.is_the_same_in_pieces(check.other_bytes([*frames]))


@frozen
class _Check:
    framing: BaseFraming
    random: Random

    def finds(self, frames: Mapping[bytes, bytes]) -> None:
        """Check that the requests of *frames* are found in any pieces, and nothing is kept."""
        stream, requests = b"".join(frames), [*frames.values()]
        for pieces in self.pieces_of(stream):
            decoder = self.framing.decoder(_LIMIT)
            found, error = _fed(decoder, pieces, _LIMIT)
            _expect(f"{requests}", (found, error) == (requests, None), pieces, (found, error))
            _expect("nothing kept", not len(decoder) and not unfinished(decoder), pieces, decoder)
            frames_of = RawFrames(self.framing.decoder(_LIMIT))
            raws = [raw for piece in pieces for raw in frames_of.feed(piece)]
            at = 0
            for raw in raws:  # what stands between frames can be dropped
                at = stream.find(raw, at) + len(raw)
                _expect("the bytes as they came", at >= len(raw), pieces, raws)

    def encodes(self, requests: Sequence[bytes]) -> None:
        """Check that *requests*, encoded by a client and as replies, are found again."""
        sent = b"".join(map(self.framing.encode_request, requests))
        found, error = _fed(self.framing.decoder(_LIMIT), [sent], _LIMIT)
        _expect(f"{requests}", (found, error) == ([*requests], None), [sent], (found, error))
        if self.framing.ends_replies:
            sent = b"".join(map(self.framing.encode, requests))
            found, error = _fed(self.framing.reply_decoder(_LIMIT), [sent], _LIMIT)
            _expect(f"{requests}", (found, error) == ([*requests], None), [sent], (found, error))

    def keeps_limits(self, frames: Mapping[bytes, bytes]) -> None:
        """Check that each request is refused if the limit is a byte less."""
        for frame, request in frames.items():
            try:
                decoder = self.framing.decoder(len(request) - 1)
            except ValueError:
                continue  # no request could be within it
            for pieces in ([frame], _cut(frame, range(1, len(frame)))):
                found, error = _fed(decoder, pieces, len(request) - 1)
                _expect("a FrameError", error is not None or not request, pieces, found)
                decoder = self.framing.decoder(len(request) - 1)

    def is_the_same_in_pieces(self, stream: bytes) -> None:
        """Check that *stream* has the same requests, or the same error, in any pieces."""
        limit = self.random.choice((16, 64, _LIMIT))
        try:
            decoder = self.framing.decoder(limit)
        except ValueError:
            return  # no request could be within it
        whole = _fed(decoder, [stream], limit)
        places = sorted(self.random.randrange(len(stream) + 1) for _ in range(4))
        for pieces in (_cut(stream, places), _cut(stream, range(1, len(stream)))):
            found = _fed(self.framing.decoder(limit), pieces, limit)
            is_same = (found[0], bool(found[1])) == (whole[0], bool(whole[1]))
            _expect(f"{whole}, as without the cuts", is_same, pieces, found)

    def other_bytes(self, frames: Sequence[bytes]) -> bytes:
        """Return some *frames* with random bytes changed, added and left out."""
        random = self.random
        stream = bytearray(b"".join(random.choices(frames, k=random.randrange(1, 4))))
        for _ in range(random.randrange(4)):
            at = random.randrange(len(stream) + 1)
            stream[at : at + random.randrange(2)] = random.randbytes(random.randrange(3))
        return bytes(stream)

    def pieces_of(self, stream: bytes) -> Iterator[list[bytes]]:
        """Yield *stream* whole, in single bytes, and in other pieces."""
        yield [stream]
        places = range(1, len(stream))
        yield _cut(stream, places)
        if len(stream) <= _MAX_EVERY_CUT:
            for count in (1, 2):
                yield from (_cut(stream, chosen) for chosen in combinations(places, count))
            return
        for _ in range(_MAX_EVERY_CUT):
            yield _cut(stream, sorted(self.random.choices(places, k=3)))


def _cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    return [stream[start:stop] for start, stop in pairwise([0, *places, len(stream)])]


def _fed(
    decoder: Decoder, pieces: Iterable[bytes], limit: int
) -> tuple[list[bytes], FrameError | None]:
    requests: list[bytes] = []
    for piece in pieces:
        try:
            requests += decoder.feed(piece)
        except FrameError as error:
            return [*requests, *error.requests], error
        kept = len(decoder)
        _expect(f"at most {limit} bytes kept", kept <= limit + _OVERHEAD, pieces, kept)
    sizes = [*map(len, requests)]
    _expect(f"requests of at most {limit} bytes", max(sizes, default=0) <= limit, pieces, sizes)
    return requests, None


def _expect(what: str, holds: bool, pieces: Iterable[bytes], found: object) -> None:
    if not holds:
        raise AssertionError(f"expected {what}, found {found!r} in the pieces {[*pieces]!r}")
