"""HeaderBody: bodies that end otherwise than by a size, and what stands before a head."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp._errors import FieldError
from reqresp.framing import Delimiter, HeaderBody, Line, RawFrames, is_new, unfinished
from reqresp.testing import check_framing
from tests.support.refused import message
from tests.support.streams import every_cut, fed, single

LIMIT = 65536

HTTP = HeaderBody(
    Delimiter(b"\r\n\r\n"),
    rb"(?im)^Content-Length:[ \t]*(\d+)",
    chunked=rb"(?im)^Transfer-Encoding:.*chunked",
    head_first=rb"(?im)^Expect:[ \t]*100-continue",
    skip=b"\r\n",
)
STOMP = HeaderBody(
    Delimiter(b"\n\n"),
    rb"(?m)^content-length:(\d+)",
    b"\0",
    always_body=True,
    skip=b"\r\n",
)
SIP = HeaderBody(Delimiter(b"\r\n\r\n"), rb"(?im)^(?:Content-Length|l)[ \t]*:[ \t]*(\d+)")
FIX = HeaderBody(Delimiter(b"\x0135="), rb"\x019=(\d+)$", adjust=4)

#: A head of HTTP whose body comes in chunks.
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
#: Short heads: ``c`` announces chunks, ``e`` lets the head come first.
SHORT = HeaderBody(Line(), rb"(\d+)", b";", chunked=rb"c", head_first=rb"e", skip=b" ")
ENDED = HeaderBody(Line(), rb"(\d+)", b"END", always_body=True)


class ProtocolTests(SynchronousTestCase):
    """What clients of real protocols send."""

    def test_stomp(self) -> None:
        """A body has a size, and can contain NUL, or ends at NUL; line ends between are dropped."""
        frames = {
            b"CONNECT\nhost:a\n\n\0": b"CONNECT\nhost:a\n\n",
            b"\n\nSEND\ndestination:/q\ncontent-length:3\n\na\0b\0": (
                b"SEND\ndestination:/q\ncontent-length:3\n\na\0b"
            ),
            b"\r\nSEND\ndestination:/q\n\nhello\0": b"SEND\ndestination:/q\n\nhello",
            b"SEND\ncontent-length:0\ndestination:/q\n\n\0": (
                b"SEND\ncontent-length:0\ndestination:/q\n\n"
            ),
        }
        check_framing(STOMP, frames, encodes=False)

    def test_beats_are_no_requests(self) -> None:
        """A client of STOMP that sends line ends only has not begun a request."""
        decoder = STOMP.decoder(LIMIT)
        self.assertEqual((decoder.feed(b"\n"), decoder.feed(b"\n\n")), ([], []))
        self.assertEqual((len(decoder), is_new(decoder), unfinished(decoder)), (0, True, None))

    def test_sip(self) -> None:
        """The size is in any line of the head, the last one too, and has a short name."""
        check_framing(
            SIP,
            {
                b"REGISTER sip:a SIP/2.0\r\nContent-Length: 3\r\nTo: b\r\n\r\nabc": (
                    b"REGISTER sip:a SIP/2.0\r\nContent-Length: 3\r\nTo: b\r\n\r\nabc"
                ),
                b"ACK sip:a SIP/2.0\r\nl : 2\r\n\r\nab": b"ACK sip:a SIP/2.0\r\nl : 2\r\n\r\nab",
            },
            encodes=False,
        )

    def test_fix(self) -> None:
        """The size in tag 9 counts up to the checksum, which belongs to the message."""
        messages = [
            b"8=FIX.4.2\x019=5\x0135=0\x0110=161\x01",
            b"8=FIX.4.4\x019=18\x0135=A\x0149=a\x0156=b9=3\x0110=007\x01",
        ]
        check_framing(FIX, {it: it for it in messages})

    def test_http_in_chunks(self) -> None:
        """A request has the data of the chunks; extensions and trailing fields are dropped."""
        for body, data in (
            (b"0\r\n\r\n", b""),
            (b"3\r\na\r\n\r\n2;x=y\r\nbc\r\n0\r\n\r\n", b"a\r\nbc"),
            (b"00A \r\n0123456789\r\n000;last\r\nExpires: now\r\nX: y\r\n\r\n", b"0123456789"),
        ):
            check_framing(HTTP, {CHUNKED + body: CHUNKED + data}, encodes=False)

    def test_chunks_win_over_a_size(self) -> None:
        """A head that announces both has chunks, as RFC 9112 demands."""
        head = b"P / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
        self.assertEqual(HTTP.decoder(LIMIT).feed(head + b"1\r\na\r\n0\r\n\r\n"), [head + b"a"])

    def test_a_head_that_comes_first(self) -> None:
        """The head is a request at once; the request with the body has the head, too."""
        head = b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2"
        decoder = HTTP.decoder(LIMIT)
        self.assertEqual(decoder.feed(head + b"\r\n\r\n"), [head])
        self.assertFalse(is_new(decoder))
        begun = unfinished(decoder)
        self.assertEqual(
            begun and (begun.data, begun.missing), (head + b"\r\n\r\n", "0 of 2 bytes of the body")
        )
        self.assertEqual(decoder.feed(b"abGET /\r\n\r\n"), [head + b"\r\n\r\nab", b"GET /"])
        self.assertEqual((len(decoder), is_new(decoder)), (0, True))

    def test_a_head_without_a_body_does_not_come_first(self) -> None:
        """There is nothing to wait for."""
        head = b"GET / HTTP/1.1\r\nExpect: 100-continue"
        self.assertEqual(HTTP.decoder(LIMIT).feed(head + b"\r\n\r\n"), [head])


class PieceTests(SynchronousTestCase):
    """Streams that are cut anywhere."""

    def test_every_kind_in_any_pieces(self) -> None:
        """Each request is found, and its bytes are those that came."""
        frames = {
            b"c\n1\r\na\r\n0\r\n\r\n": b"c\na",
            b"2\nab;": b"2\nab",
            b"x\r\n": b"x",
            b"  c\r\n0\r\nt\r\n\r\n": b"c\r\n",
        }
        check_framing(SHORT, frames, encodes=False)
        check_framing(
            ENDED,
            {b"a\nbENEND": b"a\nbEN", b"3\nENDEND": b"3\nEND", b"\nEND": b"\n"},
            encodes=False,
        )

    def test_a_head_that_comes_first_in_any_pieces(self) -> None:
        """Its bytes are handed on before the body, and once."""
        stream = b" e1\na;ec\n1\r\nb\r\n0\r\n\r\nx\n"
        requests = [b"e1", b"e1\na", b"ec", b"ec\nb", b"x"]
        for pieces in every_cut(stream):
            self.assertEqual(fed(SHORT.decoder(LIMIT), pieces), (requests, False))
            frames = RawFrames(SHORT.decoder(LIMIT))
            raws = [raw for piece in pieces for raw in frames.feed(piece)]
            self.assertEqual([raw.lstrip() for raw in raws][:2], [b"e1\n", b"a;"])
            self.assertEqual(b"".join(raws).lstrip(), stream.lstrip())


class LimitTests(SynchronousTestCase):
    """What a body may have."""

    def test_limits(self) -> None:
        """They count the head; chunks are counted as they came, and refused when announced."""
        for framing, limit, stream, found in (
            (ENDED, 4, b"a\nbcEND", ([b"a\nbc"], False)),
            (ENDED, 4, b"a\nbcdEND", ([], True)),
            (ENDED, 4, b"a\nbcdEN", ([], True)),
            (ENDED, 4, b"abcd\nEND", ([], True)),
            (SHORT, 13, b"c\n1\r\na\r\n0\r\n\r\n", ([b"c\na"], False)),
            (SHORT, 12, b"c\n1\r\na\r\n0\r\n\r\n", ([], True)),
            (SHORT, 12, b"c\n6\r\n", ([], True)),
            (SHORT, 12, b"c\n0\r\nabcdefghi", ([], True)),
            (SHORT, 3, b"e4\nabcd;", ([], True)),
        ):
            for pieces in ([stream], single(stream)):
                self.assertEqual(fed(framing.decoder(limit), pieces), found, stream)

    def test_what_is_no_chunk(self) -> None:
        """The message has the bytes that should be a size."""
        for stream, problem in (
            (b"c\nx\r\n", "expected the size of a chunk, found b'x'"),
            (b"c\n\r\n", "expected the size of a chunk, found b''"),
            (b"c\n-1\r\n", "expected the size of a chunk, found b'-1'"),
            (b"c\n1\r\nab\r", r"expected b'\r\n' after a request, found b'b\r'"),
        ):
            self.assertEqual(message(SHORT.decoder(LIMIT).feed, stream), problem)

    def test_a_size_counts_the_bytes_of_the_head_that_it_should(self) -> None:
        """A size that is too small for them is an error."""
        framing = HeaderBody(Line(), rb"(\d+)", adjust=-2)
        self.assertEqual(framing.decoder(9).feed(b"3\na2\n"), [b"3\na", b"2\n"])
        self.assertEqual(
            message(framing.decoder(9).feed, b"1\n"),
            "expected a size of at least 2 (it counts bytes of the head), found 1",
        )

    def test_what_is_missing(self) -> None:
        """An unfinished body lacks its end."""
        for framing, stream, missing in (
            (ENDED, b"a\nb", "no delimiter b'END' after the body"),
            (SHORT, b"c\n1\r\na", "no last chunk"),
            (SHORT, b"3\na", "1 of 3 bytes of the body"),
            (SHORT, b"3", "no line end after the head"),
        ):
            decoder = framing.decoder(LIMIT)
            decoder.feed(stream)
            begun = unfinished(decoder)
            self.assertEqual(begun and (begun.data, begun.missing), (stream, missing))


class ValueTests(SynchronousTestCase):
    """Framings are values."""

    def test_wrong_arguments(self) -> None:
        """The error names the parameter."""
        wrong: list[tuple[str, dict[str, Any]]] = [
            ("body_end", {"always_body": True}),
            ("chunked", {"chunked": b"("}),
            ("head_first", {"head_first": b"("}),
        ]
        for name, arguments in wrong:
            with self.assertRaises(FieldError) as caught:
                HeaderBody(Line(), b"(a)", **arguments)
            self.assertEqual(caught.exception.field, name)

    def test_replies_are_sent_as_they_are(self) -> None:
        """A reply has its own head and body, and what ends them."""
        self.assertEqual(STOMP.encode(b"CONNECTED\n\n\0"), b"CONNECTED\n\n\0")
        self.assertEqual(STOMP.reply_decoder(99).feed(b"CONNECTED\n\n\0"), [b"CONNECTED\n\n"])
