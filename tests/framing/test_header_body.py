"""HeaderBody: requests whose head can announce a body."""

import subprocess
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import Chunk, Delimiter, FrameError, HeaderBody, Line
from reqresp.framing._bodies import Body
from reqresp.framing._header_body import HeaderBodyDecoder
from tests.support.searches import CountingBuffer
from tests.support.streams import PROPERTY, cut, cut_streams, every_cut, fed, single

LIMIT = 65536

MEMCACHED = HeaderBody(Line(), rb"^(?:set|add|cas) \S+ \d+ -?\d+ (\d+)", body_end=b"\r\n")
HTTP = HeaderBody(Delimiter(b"\r\n\r\n"), rb"(?im)^Content-Length:[ \t]*(\d+)")
#: Heads are a size or anything else; short, so that every cut can be tested.
SHORT = HeaderBody(Line(), rb"^(\d+)", body_end=b"--")

POST = b"POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 4\r\n\r\n"


class TalkTests(SynchronousTestCase):
    """What clients send."""

    def test_memcached(self) -> None:
        """memcached: a value can contain line ends or be empty; other requests are lines."""
        stream = (
            b"get a\r\n"
            b"set k 0 0 6\r\na\r\nb\r\n\r\n"
            b"gets a b\n"
            b"add k 0 -1 0\r\n\r\n"
            b"cas k 0 0 2 17 noreply\nab\r\n"
        )
        requests = [
            b"get a",
            b"set k 0 0 6\r\na\r\nb\r\n",
            b"gets a b",
            b"add k 0 -1 0\r\n",
            b"cas k 0 0 2 17 noreply\nab",
        ]
        for pieces in [[stream], single(stream), *(cut(stream, [at]) for at in range(len(stream)))]:
            decoder = MEMCACHED.decoder(LIMIT)
            self.assertEqual(fed(decoder, pieces), (requests, False), msg=pieces)
            self.assertEqual(len(decoder), 0, msg=pieces)

    def test_http(self) -> None:
        """HTTP: a body follows the blank line; the case of its header does not matter."""
        get = b"GET / HTTP/1.1\r\nHost: a"
        stream = get + b"\r\n\r\n" + POST + b"a\r\n\r" + get + b"\r\n\r\n"
        for pieces in [[stream], single(stream), *(cut(stream, [at]) for at in range(len(stream)))]:
            self.assertEqual(
                fed(HTTP.decoder(LIMIT), pieces), ([get, POST + b"a\r\n\r", get], False), msg=pieces
            )

    def test_an_empty_body_is_a_body(self) -> None:
        """A request with an empty body has its head and the delimiter."""
        stream = POST.replace(b"4", b"0")
        self.assertEqual(HTTP.decoder(LIMIT).feed(stream), [stream])

    def test_pieces_of_any_size_give_the_same_requests(self) -> None:
        """A stream can be cut within or between a head, a delimiter, a body and its end."""
        for pieces in every_cut(b"x\r\n2\r\n\r\n--\r\n\n0\n--1x\n---y\r\r\n"):
            self.assertEqual(
                fed(SHORT.decoder(LIMIT), pieces),
                ([b"x", b"2\r\n\r\n", b"", b"", b"0\n", b"1x\n-", b"y\r"], False),
                msg=pieces,
            )

    def test_an_unfinished_request_is_kept(self) -> None:
        """An unfinished request is kept with its head until the rest arrives."""
        decoder = SHORT.decoder(LIMIT)
        self.assertEqual([decoder.feed(b"x\n3\na"), len(decoder)], [[b"x"], 3])
        self.assertEqual([decoder.feed(b"bc-"), len(decoder)], [[], 6])
        self.assertEqual([decoder.feed(b"-"), len(decoder)], [[b"3\nabc"], 0])
        self.assertEqual([decoder.feed(b"\n"), len(decoder)], [[b""], 0])

    def test_an_unmatched_group_announces_no_body(self) -> None:
        """There is no body if the pattern matches without its group."""
        framing = HeaderBody(Line(), rb"^(?:put (\d+)|get (\d+))$")
        self.assertEqual(
            framing.decoder(LIMIT).feed(b"get 3\nput 3\nabcput 3 \n"),
            [b"get 3", b"put 3\nabc", b"put 3 "],
        )

    def test_the_pattern_does_not_see_the_delimiter(self) -> None:
        """The end of a head is the end of the text that the pattern is searched in."""
        framing = HeaderBody(Delimiter(b";"), rb"^[^;]*(\d)$")
        self.assertEqual(framing.decoder(LIMIT).feed(b"a1;bc;"), [b"a1;b", b"c"])

    def test_any_bytes_are_accepted(self) -> None:
        """Patterns match bytes, also bytes that are not UTF-8."""
        framing = HeaderBody(Line(), rb"^.\xff(\d)$")
        self.assertEqual(
            framing.decoder(LIMIT).feed(b"\x80\xff1\na\xc3\x80\xff1\nb\n"),
            [b"\x80\xff1\na", b"\xc3\x80\xff1", b"b"],
        )

    @PROPERTY
    @given(
        cut_streams([b"0", b"1", b"2", b"9", b"\n", b"\r\n", b"\r", b"-", b"--", b"a"]),
        st.integers(1, 8),
    )
    def test_random_pieces_give_the_same_requests(
        self, streams: tuple[bytes, list[bytes]], limit: int
    ) -> None:
        """The requests and the error are the same, however the stream is cut."""
        stream, pieces = streams
        whole = fed(SHORT.decoder(limit), [stream])
        self.assertEqual(fed(SHORT.decoder(limit), pieces), whole)
        self.assertEqual(fed(SHORT.decoder(limit), single(stream)), whole)

    @PROPERTY
    @given(
        cut_streams([b"1", b"3", b"E", b"N", b"D", b"EN", b"END", b"a"]),
        st.integers(1, 8),
    )
    def test_random_pieces_give_the_same_requests_for_a_delimiter(
        self, streams: tuple[bytes, list[bytes]], limit: int
    ) -> None:
        """The requests and the error are the same, however the stream is cut."""
        framing = HeaderBody(Delimiter(b"END"), rb"(\d)$")
        stream, pieces = streams
        whole = fed(framing.decoder(limit), [stream])
        self.assertEqual(fed(framing.decoder(limit), pieces), whole)
        self.assertEqual(fed(framing.decoder(limit), single(stream)), whole)

    @PROPERTY
    @given(
        st.sampled_from([MEMCACHED, HTTP, SHORT]), st.lists(st.binary(max_size=12)), st.integers(1)
    )
    def test_random_bytes_raise_only_frame_errors(
        self, framing: HeaderBody, noise: list[bytes], limit: int
    ) -> None:
        """Any bytes raise a FrameError at most, and no more than the limit is kept."""
        decoder = framing.decoder(limit)
        _, failed = fed(decoder, noise)  # lets any other exception out
        self.assertTrue(failed or len(decoder) <= limit + 4)


class FaultTests(SynchronousTestCase):
    """Requests that are malformed or too large."""

    def refusal(self, framing: HeaderBody, stream: bytes, limit: int = LIMIT) -> str:
        """Return the error for *stream*."""
        with self.assertRaises(FrameError) as caught:
            framing.decoder(limit).feed(stream)
        return str(caught.exception)

    def test_a_request_at_the_limit(self) -> None:
        """The limit counts head, delimiter and body, and not what ends a request."""
        for stream, requests in (
            (b"abcde\r\nvwxyz\n", [b"abcde", b"vwxyz"]),
            (b"2\r\nab--3\nabc--", [b"2\r\nab", b"3\nabc"]),
        ):
            for pieces in every_cut(stream):
                self.assertEqual(fed(SHORT.decoder(5), pieces), (requests, False), msg=pieces)

    def test_a_request_over_the_limit_is_refused_by_its_head(self) -> None:
        """A body over the limit is refused by its head; the requests before it are returned."""
        for bad in (b"abcdef\n", b"abcdef\r\n", b"abcde\r\r\n", b"3\r\n", b"4\n"):
            for pieces in every_cut(b"a\n2\nab--" + bad):
                self.assertEqual(
                    fed(SHORT.decoder(5), pieces), ([b"a", b"2\nab"], True), msg=pieces
                )

    def test_an_endless_head_is_refused_where_no_end_could_help(self) -> None:
        """An endless head is refused at the first byte after which no delimiter could help."""
        for framing, last in ((SHORT, 6), (HTTP, 8), (HeaderBody(Delimiter(b";"), b"(1)"), 5)):
            decoder = framing.decoder(4)
            self.assertEqual(fed(decoder, [b"x"] * (last - 1)), ([], False))
            with self.assertRaises(FrameError):
                decoder.feed(b"x")

    def test_an_endless_head_in_one_piece_is_refused(self) -> None:
        """A head over the limit is refused, also if its end is in the same piece."""
        self.assertEqual(fed(SHORT.decoder(4), [b"a\n" + b"x" * 99 + b"\n"]), ([b"a"], True))

    def test_a_size_has_any_number_of_digits(self) -> None:
        """A size can have more digits than Python converts; leading zeros do not count."""
        self.assertEqual(
            self.refusal(SHORT, b"70000\n"),
            "expected a request of at most 65536 bytes, found 70006 or more",
        )
        self.assertIn("of at most 65536 bytes", self.refusal(SHORT, b"9" * 5000 + b"\n"))
        zeros = b"0" * 5000
        self.assertEqual(
            SHORT.decoder(LIMIT).feed(zeros + b"\n--" + zeros + b"2\nab--"),
            [zeros + b"\n", zeros + b"2\nab"],
        )

    def test_invalid_sizes_are_refused(self) -> None:
        """A group that matches anything but digits is refused."""
        framing = HeaderBody(Line(), rb"^put *(.*)")
        for size in (b"", b"-1", b"+1", b"1 ", b"0x1", b"1_0", b"\xb2", b"1.0"):
            self.assertEqual(
                self.refusal(framing, b"put " + size + b"\n"),
                f"expected the size of a body, found {size!r}",
            )
        self.assertLess(len(self.refusal(framing, b"put" + b"x" * 9999 + b"\n")), 100)

    def test_a_wrong_body_end_is_refused(self) -> None:
        """The error shows the expected and the found end; the requests before it are returned."""
        for pieces in every_cut(b"1\na--2\nab-+1\na--"):
            self.assertEqual(fed(SHORT.decoder(LIMIT), pieces), ([b"1\na"], True), msg=pieces)
        self.assertEqual(
            self.refusal(MEMCACHED, b"set k 0 0 1\r\nabc"),
            r"expected b'\r\n' after a request, found b'bc'",
        )


class CostTests(SynchronousTestCase):
    """The cost of a request that arrives in many pieces, or is made to be slow."""

    def test_a_delimiter_is_searched_for_once(self) -> None:
        """At each piece, no more bytes than a delimiter has are searched again."""

        class Buffer(CountingBuffer):
            pass

        class Decoder(HeaderBodyDecoder):
            buffer_type = Buffer

        pieces = [bytes(64)] * 1024
        total = 64 * len(pieces)
        decoder = Decoder(total, HeaderBody(Delimiter(b"\r\n\r\n"), b"(no body)"))
        requests, failed = fed(decoder, [*pieces, b"\r\n\r\n", *pieces, b"\r\n\r\n"])
        self.assertEqual(([len(request) for request in requests], failed), ([total] * 2, False))
        self.assertGreater(Buffer.searched, total * 1.99)
        self.assertLess(Buffer.searched, total * 2.1)

    def test_a_head_is_searched_once(self) -> None:
        """A head is searched once, however many pieces its body has."""
        heads: list[bytes] = []

        class Counting(HeaderBody):
            def find_body(self, head: bytes, limit: int, room: int) -> Body | None:
                heads.append(head)
                return super().find_body(head, limit, room)

        decoder = Counting(Line(), rb"(\d+)").decoder(99)
        self.assertEqual(
            fed(decoder, single(b"9\r\n123456789a\n")), ([b"9\r\n123456789", b"a"], False)
        )
        self.assertEqual(heads, [b"9", b"a"])

    def test_a_large_body_in_many_pieces(self) -> None:
        """64 MiB in pieces of 1 KiB are copied once; copied at each piece it would be 2 TiB."""
        size, piece = 2**26, bytes(1024)
        head = b"%d\n" % size
        pieces = [head, *[piece] * (size // 1024), b"--"]
        requests, failed = fed(SHORT.decoder(size + 9), pieces)
        self.assertEqual(
            ([len(request) for request in requests], failed), ([len(head) + size], False)
        )

    def test_a_hostile_head_takes_linear_time(self) -> None:
        """A head takes linear time with a pattern that would take Python's `re` forever."""
        framing = HeaderBody(Line(), rb"^(?:a|aa|a+)+b(\d+)")
        self.assertEqual(framing.decoder(LIMIT).feed(b"a" * 30000 + b"\n"), [b"a" * 30000])


class EncodeTests(SynchronousTestCase):
    """How replies are wrapped."""

    def test_a_line_end_follows_where_heads_are_lines(self) -> None:
        """The ending of the line is added once, whatever the reply contains."""
        reply = b"VALUE k 0 2\r\nab\r\nEND"
        self.assertEqual(MEMCACHED.encode(reply), reply + b"\r\n")
        self.assertEqual(HeaderBody(Line(b"\n"), b"(1)").encode(reply), reply + b"\n")

    def test_a_reply_is_sent_as_it_is_where_heads_have_a_delimiter(self) -> None:
        """After a delimiter, a reply is sent as it is: it has its own head and body."""
        reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        self.assertEqual(HTTP.encode(reply), reply)

    @PROPERTY
    @given(st.lists(st.binary(max_size=40) | st.none(), max_size=5))
    def test_an_encoded_request_can_be_decoded(self, values: list[bytes | None]) -> None:
        """A decoder finds the replies that the same framing has encoded."""
        requests = [
            b"get k" if value is None else b"set k 0 0 %d\r\n%b" % (len(value), value)
            for value in values
        ]
        stream = b"".join(map(MEMCACHED.encode, requests))
        self.assertEqual(fed(MEMCACHED.decoder(LIMIT), [stream]), (requests, False))


class ValueTests(SynchronousTestCase):
    """Framings are values."""

    def test_invalid_patterns_are_refused(self) -> None:
        """The error shows the pattern and the reason of RE2."""
        for pattern, error in (
            (b"(", "body: invalid RE2 pattern '(': missing ): ("),
            (rb"(?=a)(\d)", r"body: invalid RE2 pattern '(?=a)(\\d)': invalid perl operator: (?="),
            (
                rb"\d+",
                r"body: expected a pattern with a group for the size of the body, found b'\\d+'",
            ),
        ):
            with self.assertRaises(ValueError) as caught:
                HeaderBody(Line(), pattern)
            self.assertEqual(str(caught.exception), error)

    def test_a_bad_pattern_is_not_logged(self) -> None:
        """RE2 does not write to standard error."""
        program = """
from reqresp.framing import HeaderBody, Line
try:
    HeaderBody(Line(), b"(")
except ValueError:
    print("refused")
"""
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=False, text=True
        )
        self.assertEqual((done.stdout, done.stderr), ("refused\n", ""))

    def test_a_head_must_have_an_end(self) -> None:
        """A head is a line or a delimiter."""
        head: Any = Chunk()
        with self.assertRaises(TypeError):
            HeaderBody(head, b"(1)")

    def test_framings_with_the_same_values_are_equal(self) -> None:
        """Framings with equal parameters are equal."""
        self.assertEqual(HeaderBody(Line(), b"(1)"), HeaderBody(Line(), b"(1)", b""))
        self.assertNotEqual(HeaderBody(Line(), b"(1)"), HeaderBody(Line(), b"(2)"))
        self.assertEqual(
            repr(HeaderBody(Line(), b"(1)", b"-")),
            r"HeaderBody(head=Line(ending=b'\r\n'), body=b'(1)', body_end=b'-', always_body=False,"
            " adjust=0, chunked=None, head_first=None, skip=b'')",
        )
