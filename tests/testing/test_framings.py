"""check_framing: it finds what is wrong with a framing."""

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import BaseFraming, Decoder, Line
from reqresp.testing import check_framing


class Broken(BaseFraming):
    """Lines, with a decoder or an encoder that is wrong."""

    def __init__(self, decoder: Callable[[int], Any] | None = None, reply: bytes = b"") -> None:
        self._decoder = decoder or Line().decoder
        self._reply = reply

    def decoder(self, limit: int) -> Decoder:
        found: Decoder = self._decoder(limit)
        return found

    def encode(self, payload: bytes) -> bytes:
        return self._reply + Line().encode(payload)

    def encode_request(self, payload: bytes) -> bytes:
        return Line().encode(payload)


class Forgets:
    """It forgets what it was fed if that had no line end."""

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def __len__(self) -> int:
        return 0

    def feed(self, data: bytes) -> list[bytes]:
        return Line().decoder(self._limit).feed(data)


class Raises:
    """It raises another error for a byte that it does not know."""

    def __init__(self, limit: int) -> None:
        self._decoder = Line().decoder(limit)

    def __len__(self) -> int:
        return len(self._decoder)

    def feed(self, data: bytes) -> list[bytes]:
        if not data.isascii():
            raise UnicodeError(data)
        return self._decoder.feed(data)


class CheckTests(SynchronousTestCase):
    """`check_framing`."""

    def problem(self, framing: BaseFraming, frames: dict[bytes, bytes]) -> str:
        """Return the message of what is wrong with *framing*."""
        with self.assertRaises(AssertionError) as caught:
            check_framing(framing, frames)
        return str(caught.exception)

    def test_a_framing_without_fault(self) -> None:
        """Nothing is raised, also if the limits of some streams are too small for any request."""
        check_framing(Broken(), {b"a\n": b"a", b"\r\n": b""})
        check_framing(Broken(), {b"a" * 70 + b"\n": b"a" * 70})

    def test_requests_that_are_not_found(self) -> None:
        """The message has the requests and the pieces."""
        self.assertEqual(
            self.problem(Broken(), {b"a\n": b"b"}),
            "expected [b'b'], found ([b'a'], None) in the pieces [b'a\\n']",
        )

    def test_pieces_that_are_forgotten(self) -> None:
        """Single bytes are not enough for this decoder."""
        self.assertIn("in the pieces [b'a', b'\\n']", self.problem(Broken(Forgets), {b"a\n": b"a"}))

    def test_no_limit(self) -> None:
        """A decoder that does not know its limit is found."""
        found = self.problem(Broken(lambda _limit: Line().decoder(999)), {b"abc\n": b"abc"})
        self.assertIn("expected requests of at most 2 bytes, found [3]", found)

    def test_a_wrong_encoder(self) -> None:
        """A reply that is not found again is shown."""
        self.assertIn("found ([b'?a'], None)", self.problem(Broken(reply=b"?"), {b"a\n": b"a"}))

    def test_other_errors_are_raised(self) -> None:
        """Random bytes make the decoder raise something else than a `FrameError`."""
        with self.assertRaises(UnicodeError):
            check_framing(Broken(Raises), {b"a\n": b"a"}, encodes=False)

    def test_it_can_decode_only(self) -> None:
        """A framing that does not encode its requests is not asked to."""
        check_framing(Broken(reply=b"?"), {b"a\n": b"a"}, encodes=False)
