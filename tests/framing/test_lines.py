"""AnyLine and Scpi: lines with any end, and lines that hold blocks."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import AnyLine, RawFrames, Scpi, is_new, unfinished
from reqresp.testing import check_framing
from tests.support.refused import message
from tests.support.streams import every_cut, fed, single


class AnyLineTests(SynchronousTestCase):
    """`AnyLine`."""

    def test_requests(self) -> None:
        """Each line end ends one request, in any pieces; other bytes are data, NUL too."""
        check_framing(
            AnyLine(),
            {
                b"a\r\n": b"a",
                b"b\n": b"b",
                b"\r\n": b"",
                b"c\r\0": b"c",
                b"\0\n": b"\0",
                b"d\r": b"d",
                b"\r": b"",
            },
        )

    def test_a_request_is_complete_at_its_cr(self) -> None:
        """The LF that comes later is dropped, and is no request that has begun."""
        decoder = AnyLine().decoder(9)
        self.assertEqual(decoder.feed(b"a\r"), [b"a"])
        self.assertFalse(is_new(decoder))
        self.assertEqual((decoder.feed(b"\n"), len(decoder)), ([], 0))
        self.assertIsNone(unfinished(decoder))
        self.assertEqual((decoder.feed(b"b"), len(decoder)), ([], 1))
        self.assertEqual((decoder.feed(b"\n"), is_new(decoder)), ([b"b"], True))

    def test_all_bytes_are_kept_as_they_came(self) -> None:
        """An LF that comes later belongs to the next request."""
        stream = b"a\r\nb\rc\r\0"
        for pieces in every_cut(stream):
            frames = RawFrames(AnyLine().decoder(9))
            found = [raw for piece in pieces for raw in frames.feed(piece)]
            self.assertIn(b"".join(found), (stream, stream[:-1]))

    def test_limits(self) -> None:
        """The limit counts the line without its end."""
        for pieces in every_cut(b"ab\r\nabc\r"):
            self.assertEqual(fed(AnyLine().decoder(2), pieces), ([b"ab"], True))

    def test_replies(self) -> None:
        """A reply has one of the line ends, and none inside."""
        for ending in (b"\r\n", b"\n", b"\r", b"\r\0"):
            self.assertEqual(AnyLine(ending).encode(b"a"), b"a" + ending)
        for payload in (b"a\rb", b"a\n"):
            self.assertIn("without CR and LF", message(AnyLine().encode, payload))
        with self.assertRaises(ValueError):
            AnyLine(b"\n\r")


class ScpiTests(SynchronousTestCase):
    """`Scpi`."""

    def test_requests(self) -> None:
        """A block can contain line ends and anything else."""
        check_framing(
            Scpi(),
            {
                b"*IDN?\r\n": b"*IDN?",
                b"CURV #16a\n\r\nb'\n": b"CURV #16a\n\r\nb'",
                b"D #225" + b"\n" * 25 + b",#13abc\n": b"D #225" + b"\n" * 25 + b",#13abc",
                b"\n": b"",
            },
        )

    def test_what_is_no_block(self) -> None:
        """A ``#`` in quotes or before another character is none; LF ends a line in quotes, too."""
        check_framing(
            Scpi(),
            {
                b"A '#19', \"it's #29\"\n": b"A '#19', \"it's #29\"",
                b"#HFF,#B01,#0\n": b"#HFF,#B01,#0",
                b"##12\n\n\n": b"##12\n\n",
                b"'open\n": b"'open",
                b"#\n": b"#",
            },
        )

    def test_what_is_no_size(self) -> None:
        """The message has the bytes that should be digits."""
        self.assertEqual(
            message(lambda: Scpi().decoder(99).feed(b"#2a1")),
            "expected the size of a block, found b'a1'",
        )

    def test_limits(self) -> None:
        """The limit counts the line, and applies when a block is announced."""
        for stream, found in (
            (b"#13abc\r\n", ([b"#13abc"], False)),
            (b"#14", ([], False)),
            (b"#15", ([], True)),
            (b"abcdefg\n", ([], True)),
            (b"'bcdefg\n", ([], True)),
        ):
            for pieces in ([stream], single(stream)):
                self.assertEqual(fed(Scpi().decoder(6), pieces), found, stream)

    def test_an_unfinished_request(self) -> None:
        """What it lacks is the line end."""
        decoder = Scpi().decoder(99)
        decoder.feed(b"#13a\n")
        begun = unfinished(decoder)
        self.assertEqual(begun and (begun.data, begun.missing), (b"#13a\n", "no line end"))

    def test_replies(self) -> None:
        """A reply is one line; LF is allowed inside its blocks."""
        self.assertEqual(Scpi().encode(b"#13a\nb"), b"#13a\nb\n")
        for payload in (b"a\nb", b"#13ab", b"a\r"):
            self.assertIn("after its last block", message(Scpi().encode, payload))
        self.assertIn("the size of a block", message(lambda: Scpi().encode(b"#2a1")))
