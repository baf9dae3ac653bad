"""Enclosed: requests between start and end bytes."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import Enclosed, unfinished
from reqresp.testing import check_framing
from tests.support.refused import message
from tests.support.streams import fed, single

MLLP = Enclosed(b"\x0b", b"\x1c\r")


class EnclosedTests(SynchronousTestCase):
    """`Enclosed`."""

    def test_requests(self) -> None:
        """Requests are found in any pieces; a start, or part of an end, is data in a request."""
        check_framing(
            MLLP,
            {
                b"\x0bMSH|\r\x1c\r": b"MSH|\r",
                b"\x0b\x1c\r": b"",
                b"\x0b\x0b\x1c\x1c\r": b"\x0b\x1c",
            },
        )
        check_framing(Enclosed(b"\2", b"\3"), {b"\2a\3": b"a", b"\2\2\3": b"\2"})

    def test_bytes_outside_are_an_error(self) -> None:
        """They are not swallowed, and the requests before them are returned."""
        for stream in (b"\x0ba\x1c\r\n", b"\x0ba\x1c\rx\x0bb\x1c\r"):
            for pieces in ([stream], single(stream)):
                self.assertEqual(fed(MLLP.decoder(9), pieces), ([b"a"], True))
        self.assertEqual(
            message(lambda: MLLP.decoder(9).feed(b"hello")),
            r"expected b'\x0b' before a request, found b'h'",
        )

    def test_a_long_start_is_checked_early(self) -> None:
        """An error needs no more bytes than show it."""
        decoder = Enclosed(b"<<", b">>").decoder(9)
        self.assertEqual(decoder.feed(b"<"), [])
        self.assertEqual(
            message(lambda: decoder.feed(b"a")), "expected b'<<' before a request, found b'<a'"
        )

    def test_limits(self) -> None:
        """The limit counts the request, without its start and end."""
        for stream, found in (
            (b"\x0bab\x1c\r", ([b"ab"], False)),
            (b"\x0babc\x1c\r", ([], True)),
            (b"\x0bab\x1cd", ([], True)),
        ):
            for pieces in ([stream], single(stream)):
                self.assertEqual(fed(MLLP.decoder(2), pieces), found, stream)

    def test_an_unfinished_request(self) -> None:
        """What it lacks is its end."""
        decoder = MLLP.decoder(9)
        decoder.feed(b"\x0bab")
        begun = unfinished(decoder)
        self.assertEqual(
            begun and (begun.data, begun.missing), (b"\x0bab", r"no delimiter b'\x1c\r'")
        )

    def test_replies(self) -> None:
        """A reply cannot contain the end, also not together with the end itself."""
        self.assertEqual(MLLP.encode(b"MSA"), b"\x0bMSA\x1c\r")
        for payload in (b"a\x1c\rb", b"\x1c\r"):
            self.assertIn("without the delimiter", message(MLLP.encode, payload))
        with self.assertRaises(ValueError):
            Enclosed(b"", b"a")
        with self.assertRaises(ValueError):
            Enclosed(b"a", b"")
