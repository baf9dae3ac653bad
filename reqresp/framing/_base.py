"""
The base of framings: what a framing and a decoder are.

Knows bytes only: no transport, no reply, no clock.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol, Self

from attrs import frozen


class FrameError(ValueError):
    """
    Bytes are not a request of the framing, or the framing cannot express a payload.

    :param requests: the complete requests before the error, in order.
    """

    def __init__(self, message: str, requests: Sequence[bytes] = ()) -> None:
        super().__init__(message)
        self.requests = requests


@frozen
class Unfinished:
    """
    A request whose end has not arrived.

    :param data: its bytes as they came, with what the framing adds.
    :param missing: what it lacks, such as ``no line end`` or ``46 of 100 bytes``.
    """

    data: bytes
    missing: str


class Framed(bytes):
    """A request, and *raw*, its bytes as they came, with what the framing adds."""

    raw: bytes

    def __new__(cls, data: bytes, raw: bytes) -> Self:
        framed = super().__new__(cls, data)
        framed.raw = raw
        return framed

    def __getnewargs__(self) -> tuple[bytes, bytes]:  # type: ignore[override]  # for copies
        return bytes(self), self.raw


class Decoder(Protocol):
    """
    Finds the requests of one connection.

    A decoder can also have a method `unfinished`, without arguments, that returns an `Unfinished`
    while bytes are kept, and an attribute `is_new`: whether it is as if it had been fed nothing.
    All decoders of reqresp have both.
    """

    def feed(self, data: bytes) -> list[bytes]:
        """
        Take *data* as it arrived, and return the requests that are now complete, in order.

        :raises FrameError: a request is malformed or too large.  The decoder cannot be used again.
        """

    def __len__(self) -> int:
        """Return the number of bytes kept of an unfinished request."""


def unfinished(decoder: Decoder) -> Unfinished | None:
    """Return the request that *decoder* has begun and not finished; None: it has begun none."""
    if not len(decoder):
        return None
    unfinished: Callable[[], Unfinished] | None = getattr(decoder, "unfinished", None)
    return Unfinished(b"", "no end") if unfinished is None else unfinished()


def is_new(decoder: Decoder) -> bool:
    """Return whether *decoder* is known to be as if it had been fed nothing."""
    return getattr(decoder, "is_new", False)


class Framing(Protocol):
    """
    Where a request ends, and how a reply is wrapped: all that a server needs.

    A framing of your own has these two methods.  It can be a `BaseFraming`.
    """

    def decoder(self, limit: int) -> Decoder:
        """
        Return a new decoder for one connection; a request may have up to *limit* bytes.

        :raises ValueError: no request could be within *limit*.
        """

    def encode(self, payload: bytes) -> bytes:
        """
        Return the frame of a reply with this *payload*.

        :raises FrameError: the framing cannot express the payload.
        """


class BaseFraming(ABC):
    """
    A framing that also says what clients, scripts and messages need to know of it.

    The defaults are right where a reply is framed as a request is.
    """

    __slots__ = ()

    @abstractmethod
    def decoder(self, limit: int) -> Decoder:
        """As in `Framing`."""

    @abstractmethod
    def encode(self, payload: bytes) -> bytes:
        """As in `Framing`."""

    @property
    def name(self) -> str:
        """Return its name in messages: as a script writes it, if text can."""
        return type(self).__name__

    @property
    def terminator(self) -> bytes:
        """Return the bytes that end a frame and cannot be in a payload; empty if none exist."""
        return b""

    @property
    def requests(self) -> "BaseFraming":
        """Return the framing of requests."""
        return self

    @property
    def replies(self) -> "BaseFraming":
        """Return the framing of replies."""
        return self

    def whole_read(self, limit: int) -> int:
        """
        Return up to how many bytes a read is one request, whatever the bytes and the reads before.

        :param limit: the most bytes of a request.
        """
        del limit
        return 0

    def encode_request(self, payload: bytes) -> bytes:
        """
        Return the frame of a request with this *payload*, as a client sends it.

        :raises FrameError: the framing cannot express the payload.
        """
        return self.encode(payload)

    def reply_decoder(self, limit: int) -> Decoder:
        """
        Return a new decoder for the replies that a client receives, of up to *limit* bytes each.

        :raises ValueError: no reply could be within *limit*.
        """
        return self.decoder(limit)

    @property
    def ends_replies(self) -> bool:
        """Return whether the bytes of a reply say where it ends."""
        return True

    @property
    def ends_with_stream(self) -> bool:
        """Return whether only EOF ends a request, or a reply."""
        return False

    @property
    def push_marks(self) -> frozenset[int]:
        """Return the first bytes of what a server may send by itself while it owes a reply."""
        return frozenset()

    def answers(self, request: bytes, reply: bytes) -> bool:  # noqa: ARG002 (for those that override it)
        """
        Return whether *reply*, as it came, can be the reply to *request*.

        If not, the server has sent it by itself.  Replies without `push_marks` are not asked about.
        """
        return True


@frozen
class _CustomFraming(BaseFraming):
    """A framing that has a decoder and an encoder only, with the defaults of `BaseFraming`."""

    framing: Framing

    @property
    def name(self) -> str:
        return type(self.framing).__name__

    def decoder(self, limit: int) -> Decoder:
        return self.framing.decoder(limit)

    def encode(self, payload: bytes) -> bytes:
        return self.framing.encode(payload)


def is_framing(given: object) -> bool:
    """Return whether *given* can be a `Framing`; a class cannot."""
    has_methods = hasattr(given, "decoder") and hasattr(given, "encode")
    return has_methods and not isinstance(given, type)


def complete_framing(framing: Framing) -> BaseFraming:
    """Return *framing* itself, or with the defaults of `BaseFraming` if it is none."""
    return framing if isinstance(framing, BaseFraming) else _CustomFraming(framing)
