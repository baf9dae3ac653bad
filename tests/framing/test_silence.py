"""Pause and UntilEnd: requests that only silence, or EOF, ends."""

from math import inf, nan

from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import (
    Framed,
    FrameError,
    Mixed,
    Netstring,
    Pause,
    SilenceDecoder,
    UntilEnd,
    is_new,
    unfinished,
    with_raw,
)
from tests.support.streams import every_cut, fed


class DecoderTests(SynchronousTestCase):
    """`SilenceDecoder`."""

    def test_a_request_is_what_came(self) -> None:
        """It is complete when `end` is called, however it was cut."""
        for pieces in every_cut(b"a\r\nb"):
            decoder = SilenceDecoder(9, 1)
            self.assertEqual(fed(decoder, pieces), ([], False))
            self.assertEqual((len(decoder), is_new(decoder)), (4, False))
            self.assertEqual(decoder.end(), [b"a\r\nb"])
            self.assertEqual((len(decoder), is_new(decoder)), (0, True))
            self.assertEqual(decoder.end(), [])

    def test_limits(self) -> None:
        """A request has at most the limit."""
        decoder = SilenceDecoder(2, inf)
        self.assertEqual(decoder.feed(b"ab"), [])
        with self.assertRaises(FrameError):
            decoder.feed(b"c")

    def test_what_is_missing(self) -> None:
        """An unfinished request lacks what would end it."""
        for framing, missing in (
            (Pause(0.2), "no pause of 0.2 s after it"),
            (UntilEnd(), "no EOF after it"),
        ):
            decoder = framing.decoder(9)
            decoder.feed(b"a")
            begun = unfinished(decoder)
            self.assertEqual(begun and (begun.data, begun.missing), (b"a", missing))

    def test_raw_bytes(self) -> None:
        """A request has its bytes as they came."""
        decoder = with_raw(Pause(1).decoder(9))
        decoder.feed(b"ab")
        [found] = decoder.end() if isinstance(decoder, SilenceDecoder) else []
        self.assertEqual((found, found.raw if isinstance(found, Framed) else None), (b"ab", b"ab"))


class ValueTests(SynchronousTestCase):
    """What clients and scripts need to know of these framings."""

    def test_replies(self) -> None:
        """A reply is sent as it is; its end is not in its bytes."""
        for framing in (Pause(1), UntilEnd()):
            self.assertEqual((framing.encode(b"a\n"), framing.ends_replies), (b"a\n", False))
        self.assertEqual(Pause(1).reply_decoder(9).feed(b"a"), [b"a"])
        self.assertEqual(UntilEnd().reply_decoder(9).feed(b"a"), [])

    def test_what_eof_ends(self) -> None:
        """A client has to send EOF after such a request."""
        self.assertTrue(UntilEnd().ends_with_stream)
        self.assertTrue(Mixed(UntilEnd(), Netstring()).ends_with_stream)
        self.assertFalse(Mixed(Netstring(), UntilEnd()).ends_with_stream)
        self.assertFalse(Pause(1).ends_with_stream)

    def test_seconds(self) -> None:
        """They are more than 0 and finite."""
        for seconds in (0, -1, inf, nan):
            with self.assertRaises(ValueError):
                Pause(seconds)
