"""
Framings whose requests have no end of their own: silence ends them, or the client's EOF.

Knows bytes only, and no clock: the caller of a decoder says when a request has ended.
"""

from math import inf, isfinite
from typing import Protocol

from attrs import field, frozen

from reqresp._errors import expect
from reqresp.framing._base import BaseFraming, Decoder, Framed, Unfinished
from reqresp.framing._decoders import ChunkDecoder, too_large


@frozen
class Pause(BaseFraming):
    """
    A request is what came before *seconds* without a byte, or before EOF; a reply is sent as it is.

    It is for devices without terminators.  The network must not delay parts of a request for so
    long.  What arrives while a reply is under way is joined.
    """

    seconds: float = field(
        validator=expect("seconds > 0", lambda seconds: seconds > 0 and isfinite(seconds))
    )

    @property
    def name(self) -> str:
        return f"pause:{self.seconds:.6f}".rstrip("0").rstrip(".")

    def decoder(self, limit: int) -> Decoder:
        return SilenceDecoder(limit, self.seconds)

    def encode(self, payload: bytes) -> bytes:
        return payload

    def reply_decoder(self, limit: int) -> Decoder:
        return ChunkDecoder(limit)

    @property
    def ends_replies(self) -> bool:
        return False


@frozen
class UntilEnd(BaseFraming):
    """A request is all that comes until EOF, if that is anything; a reply ends at EOF, too."""

    name = "eof"

    def decoder(self, limit: int) -> Decoder:
        return SilenceDecoder(limit, inf)

    def encode(self, payload: bytes) -> bytes:
        return payload

    @property
    def ends_replies(self) -> bool:
        return False

    @property
    def ends_with_stream(self) -> bool:
        return True


class Watch(Protocol):
    """Measures the silence after what a decoder was fed."""

    def restart(self) -> None:
        """Measure from now on: bytes were fed."""

    def stop(self) -> None:
        """Measure no more."""


class SilenceDecoder:
    """
    Keeps what it is fed until `end` is called.

    :param silence: after how many seconds without a byte it should be called; infinite: at EOF.
    """

    __slots__ = ("_buffer", "_limit", "silence", "watch")

    def __init__(self, limit: int, silence: float) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self.silence = silence
        #: Measures the silence; None: nobody does.
        self.watch: Watch | None = None

    def __len__(self) -> int:
        return len(self._buffer)

    @property
    def is_new(self) -> bool:
        """Whether it is as if it had been fed nothing."""
        return not self._buffer

    def unfinished(self) -> Unfinished:
        after = "EOF" if self.silence == inf else f"pause of {self.silence:g} s"
        return Unfinished(bytes(self._buffer), f"no {after} after it")

    def feed(self, data: bytes) -> list[bytes]:
        if len(self._buffer) + len(data) > self._limit:
            raise too_large(len(self._buffer) + len(data), self._limit)
        self._buffer += data
        if self.watch is not None:
            self.watch.restart()
        return []

    def feed_raw(self, data: bytes, _raws: list[bytes]) -> list[bytes]:
        """As `FrameDecoder.feed_raw`."""
        return self.feed(data)

    def end(self) -> list[bytes]:
        """Return the request that has ended; none if no byte came."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return [Framed(data, data)] if data else []
