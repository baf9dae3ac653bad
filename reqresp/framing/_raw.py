"""
Raw frames: the bytes of requests and replies as they came, with what their framing adds.

Works with any decoder, also with one that only has `feed`.  It knows bytes only.
"""

from collections.abc import Callable

from reqresp.framing._base import Decoder, Framed, FrameError, Unfinished, is_new, unfinished
from reqresp.framing._decoders import DelimiterDecoder
from reqresp.framing._resp_commands import CommandDecoder
from reqresp.framing._silence import SilenceDecoder

#: What is wrong with a framing with which a reply of a service cannot be found.
NO_END = "expected a framing that shows where a reply ends, such as line, netstring or resp"

#: As `FrameDecoder.feed_raw`.
_FeedRaw = Callable[[bytes, list[bytes]], list[bytes]]


class RawDecoder:
    """Finds the requests that *decoder* finds, each as a `Framed`."""

    __slots__ = ("_decoder", "feed_raw", "whole")

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        #: The decoder, if all bytes that it is fed are of requests.
        self.whole = decoder if type(decoder) is DelimiterDecoder else None
        self.feed_raw = _feed_raw(decoder)

    def __len__(self) -> int:
        return len(self._decoder)

    @property
    def is_new(self) -> bool:
        """Whether *decoder* is as if it had been fed nothing."""
        return is_new(self._decoder)

    @property
    def rest_of_end(self) -> bytes:
        """The bytes one of which may follow, and still ends the last request."""
        found: bytes = getattr(self._decoder, "rest_of_end", b"")
        return found

    def unfinished(self) -> Unfinished:
        return unfinished(self._decoder) or Unfinished(b"", "no end")

    def feed(self, data: bytes) -> list[bytes]:
        raws: list[bytes] = []
        try:
            requests = self.feed_raw(data, raws)
        except FrameError as error:
            error.requests = [*map(Framed, error.requests, raws)]
            raise
        return [*map(Framed, requests, raws)]


def with_raw(decoder: Decoder) -> Decoder:
    """Return *decoder*, or what finds the same requests, with each of them a `Framed`."""
    if isinstance(decoder, CommandDecoder | SilenceDecoder):
        return decoder
    return RawDecoder(decoder)


def feed_run(decoder: Decoder, data: bytes) -> tuple[list[bytes], bytes]:
    """
    Take *data* as it arrived; return the requests that are complete, and their bytes as they came.

    It takes less time than `Decoder.feed`, which tells the bytes of each request.

    :param decoder: one of `with_raw`.
    :raises FrameError: as `Decoder.feed` does.
    """
    found = getattr(decoder, "whole", None)
    if found is not None and found.is_new:
        requests = found.feed(data)
        return requests, data[: len(data) - len(found)]
    raws: list[bytes] = []
    requests = decoder.feed_raw(data, raws)  # type: ignore[attr-defined]  # it has one
    return requests, b"".join(raws)


class RawFrames:
    """
    Cuts a stream of replies into frames, which it returns as they came.

    :param decoder: finds the replies.
    """

    __slots__ = ("_decoder", "_feed_raw", "_rest")

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._feed_raw = _feed_raw(decoder)

    def feed(self, data: bytes) -> list[bytes]:
        """
        Take *data* as it arrived, and return the frames that are now complete, in order.

        :raises FrameError: bytes are not a reply; its `requests` are the frames before them.
        """
        raws: list[bytes] = []
        try:
            self._feed_raw(data, raws)
        except FrameError as error:
            error.requests = raws
            raise
        return raws

    @property
    def unfinished(self) -> bytes:
        """The bytes of a reply that has begun and not ended."""
        begun = unfinished(self._decoder)
        return b"" if begun is None else begun.data


def _feed_raw(decoder: Decoder) -> _FeedRaw:
    found: _FeedRaw | None = getattr(decoder, "feed_raw", None)
    return _OneByOne(decoder) if found is None else found


class _OneByOne:
    """Feeds a decoder one byte at a time, since that shows where each request ends."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._kept = bytearray()

    def __call__(self, data: bytes, raws: list[bytes]) -> list[bytes]:
        requests: list[bytes] = []
        for byte in data:
            self._kept.append(byte)
            try:
                found = self._decoder.feed(bytes((byte,)))
            except FrameError as error:
                error.requests = requests
                raise
            if found:
                # More than one: all but the last are empty, or the decoder had kept them back.
                raws += [*[b""] * (len(found) - 1), bytes(self._kept)]
                self._kept.clear()
            requests += found
        return requests
