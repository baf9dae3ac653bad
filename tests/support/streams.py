"""Streams cut into pieces, and the requests that a decoder finds in them."""

from collections.abc import Iterable, Iterator
from itertools import combinations, pairwise

from hypothesis import settings
from hypothesis import strategies as st

from reqresp.framing import (
    Decoder,
    FrameError,
)


def fed(decoder: Decoder, pieces: Iterable[bytes]) -> tuple[list[bytes], bool]:
    """Return the requests in *pieces*, and whether a FrameError ended them."""
    requests: list[bytes] = []
    for piece in pieces:
        try:
            requests += decoder.feed(piece)
        except FrameError as error:
            return [*requests, *error.requests], True
    return requests, False


def cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    """Return the *stream*, cut at *places*."""
    return [stream[start:stop] for start, stop in pairwise([0, *sorted(places), len(stream)])]


def single(stream: bytes) -> list[bytes]:
    """Return the *stream* in single bytes."""
    return cut(stream, range(1, len(stream)))


def every_cut(stream: bytes) -> Iterator[list[bytes]]:
    """Yield the *stream* whole, in single bytes, and cut in every way into two or three pieces."""
    yield [stream]
    yield single(stream)
    places = range(1, len(stream))
    for count in (1, 2):
        for chosen in combinations(places, count):
            yield cut(stream, chosen)


PROPERTY = settings(derandomize=True)


@st.composite
def cut_streams(draw: st.DrawFn, tokens: list[bytes]) -> tuple[bytes, list[bytes]]:
    """Return a stream of *tokens*, and the same stream in pieces, some of which may be empty."""
    stream = b"".join(draw(st.lists(st.sampled_from(tokens), max_size=20)))
    return stream, cut(stream, draw(st.lists(st.integers(0, len(stream)), max_size=20)))
