"""Commands of Redis clients: complete, cut, too large and malformed."""

import contextlib
import copy

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import Command, FrameError
from reqresp.framing._resp_commands import CommandDecoder, words
from tests.support.cost import LINEAR, cost_growth
from tests.support.searches import CountingBuffer
from tests.support.streams import PROPERTY, cut, cut_streams, every_cut, fed, single

LIMIT = 65536

PING = b"*1\r\n$4\r\nPING\r\n"
SET = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$6\r\na b\r\nc\r\n"


def array(arguments: list[bytes]) -> bytes:
    """Return the array of bulk strings that Redis clients send."""
    bulks = [b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in arguments]
    return b"*%d\r\n" % len(arguments) + b"".join(bulks)


class TalkTests(SynchronousTestCase):
    """What clients send."""

    def test_arguments_are_joined_by_a_space(self) -> None:
        """Arguments with any bytes, and empty ones, are joined by one space."""
        self.assertEqual(CommandDecoder(LIMIT).feed(PING + SET), [b"PING", b"SET k a b\r\nc"])
        self.assertEqual(
            CommandDecoder(LIMIT).feed(array([b"", b"a", b""]) + array([b""])), [b" a ", b""]
        )

    def test_a_line_is_a_command(self) -> None:
        """The words of a line are joined by one space, with any white space and line end."""
        self.assertEqual(
            CommandDecoder(LIMIT).feed(b"PING\r\nPING\n set  k\t\"a b\" 'c' \r\r\n"),
            [b"PING", b"PING", b"set k a b c"],
        )

    def test_the_received_bytes_are_kept(self) -> None:
        """A command keeps the bytes as they came."""
        line = b"  set k 'a b'\r\n"
        requests = CommandDecoder(LIMIT).feed(SET + line + PING)
        raw = [request.raw for request in requests if isinstance(request, Command)]
        self.assertEqual(raw, [SET, line, PING])

    def test_empty_input_is_no_request(self) -> None:
        """Empty lines, empty arrays and the null are skipped, as in Redis."""
        for pieces in every_cut(b"\r\n*0\r\n \n*-1\r\nPING\n\n*1\r\n$1\r\na\r\n*0\r\n"):
            decoder = CommandDecoder(LIMIT)
            self.assertEqual(fed(decoder, pieces), ([b"PING", b"a"], False), msg=pieces)
            self.assertEqual(len(decoder), 0, msg=pieces)

    def test_pieces_of_any_size_give_the_same_requests(self) -> None:
        """A stream can be cut within or between lengths, arguments and lines."""
        for pieces in every_cut(b"*2\r\n$2\r\n\r\n\r\n$0\r\n\r\na 'b'\r\n*1\r\n$1\r\n*\r\n"):
            decoder = CommandDecoder(LIMIT)
            self.assertEqual(fed(decoder, pieces), ([b"\r\n ", b"a b", b"*"], False), msg=pieces)
            self.assertEqual(len(decoder), 0, msg=pieces)

    def test_an_unfinished_request_is_kept(self) -> None:
        """An unfinished request is kept until the rest arrives."""
        decoder = CommandDecoder(LIMIT)
        self.assertEqual([decoder.feed(PING + SET[:-1]), len(decoder)], [[b"PING"], len(SET) - 1])
        self.assertEqual([decoder.feed(b"\nPI"), len(decoder)], [[b"SET k a b\r\nc"], 2])
        self.assertEqual([decoder.feed(b"NG\n"), len(decoder)], [[b"PING"], 0])
        self.assertEqual([decoder.feed(b"\n"), len(decoder)], [[], 0])

    def test_a_command_is_bytes(self) -> None:
        """A command equals its bytes, has their hash and repr, and can be copied."""
        (request,) = CommandDecoder(LIMIT).feed(PING)
        self.assertEqual({b"PING": 1}[request], 1)
        self.assertEqual(repr(request), "b'PING'")
        twin = copy.deepcopy(request)
        assert isinstance(twin, Command)
        self.assertEqual([twin, twin.raw], [b"PING", PING])

    @PROPERTY
    @given(
        st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=5), max_size=4), st.data()
    )
    def test_encoded_commands_are_decoded(
        self, commands: list[list[bytes]], data: st.DataObject
    ) -> None:
        """A decoder finds the commands that a client writes, in any pieces."""
        stream = b"".join(map(array, commands))
        pieces = cut(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
        requests, failed = fed(CommandDecoder(LIMIT), pieces)
        self.assertEqual(requests, [b" ".join(arguments) for arguments in commands])
        self.assertEqual([getattr(each, "raw", None) for each in requests], [*map(array, commands)])
        self.assertFalse(failed)

    @PROPERTY
    @given(
        cut_streams(
            [
                *(b"*1\r\n", b"*2\r\n", b"*0\r\n", b"*-1\r\n", b"$1\r\na\r\n", b"$0\r\n\r\n"),
                *(
                    b"$2\r\n\r\n\r\n",
                    b"PING\r\n",
                    b"'a",
                    b'"',
                    b"\n",
                    b"\r",
                    b"*",
                    b"$",
                    b"1",
                    b"a",
                ),
            ]
        ),
        st.integers(2, 30),
    )
    def test_random_pieces_give_the_same_requests(
        self, streams: tuple[bytes, list[bytes]], limit: int
    ) -> None:
        """The requests and the error are the same, however the stream is cut."""
        stream, pieces = streams
        whole = fed(CommandDecoder(limit), [stream])
        self.assertEqual(fed(CommandDecoder(limit), pieces), whole)
        self.assertEqual(fed(CommandDecoder(limit), single(stream)), whole)

    @PROPERTY
    @given(st.lists(st.binary(max_size=12)), st.integers(2, 20))
    def test_random_bytes_raise_only_frame_errors(self, noise: list[bytes], limit: int) -> None:
        """Any bytes raise a FrameError at most, and no more than the limit is kept."""
        for pieces in (noise, [b"*", *noise], [b"*9\r\n$", *noise]):
            decoder = CommandDecoder(limit)
            _, failed = fed(decoder, pieces)  # lets any other exception out
            self.assertTrue(failed or len(decoder) <= limit + len("*20\r"))


class FaultTests(SynchronousTestCase):
    """Malformed requests, which Redis calls protocol errors."""

    def refusal(self, stream: bytes) -> str:
        """Return the error for *stream*."""
        with self.assertRaises(FrameError) as caught:
            CommandDecoder(LIMIT).feed(stream)
        return str(caught.exception)

    def test_an_array_holds_bulk_strings_only(self) -> None:
        """An argument that is not a bulk string is refused."""
        for wrong in (b"*1\r\n", b"+OK\r\n", b":1\r\n", b"abc", b"\r\n"):
            self.assertEqual(
                self.refusal(b"*1\r\n" + wrong),
                f"expected b'$' and a length of at most 65536 in a command, found {wrong!r}",
            )
            self.assertEqual(
                fed(CommandDecoder(LIMIT), single(PING + b"*2\r\n$1\r\na\r\n" + wrong)),
                ([b"PING"], True),
            )

    def test_a_length_is_a_plain_number(self) -> None:
        """A length with a sign, a space, a leading zero or any other character is refused."""
        for kind, first in ((b"*", b""), (b"$", b"*1\r\n")):
            for digits in (b"", b"x", b"+1", b" 1", b"1 ", b"01", b"-0", b"-2", b"1\r", b"\n1"):
                for pieces in every_cut(first + kind + digits + b"\r\n"):
                    self.assertEqual(fed(CommandDecoder(LIMIT), pieces), ([], True), msg=pieces)
        self.assertEqual(
            self.refusal(b"*1\r\n$-1\r\n"),
            r"expected b'$' and a length of at most 65536 in a command, found b'$-1\r\n'",
        )

    def test_a_length_has_an_end(self) -> None:
        """Thousands of digits are refused at the same place, also in one piece."""
        for first in (b"*", b"*1\r\n$"):
            for stream in (b"9" * 5000, b"9" * 5000 + b"\r\n", b"1" + b"0" * 17 + b"\r\n"):
                for pieces in ([first + stream], single(first + stream)):
                    self.assertEqual(fed(CommandDecoder(LIMIT), pieces), ([], True))

    def test_a_length_is_refused_when_it_is_too_long(self) -> None:
        """A length with too many digits is refused before its end."""
        for kind, first in ((b"*", b""), (b"$", b"*1\r\n")):
            decoder = CommandDecoder(100)
            self.assertEqual(fed(decoder, single(first + kind + b"123x")), ([], False))
            with self.assertRaises(FrameError):
                decoder.feed(b"x")

    def test_an_argument_ends_with_cr_lf(self) -> None:
        """The error shows what stands in place of CRLF."""
        for pieces in every_cut(b"PING\n*1\r\n$1\r\nab\r\n"):
            self.assertEqual(fed(CommandDecoder(LIMIT), pieces), ([b"PING"], True), msg=pieces)
        self.assertEqual(
            self.refusal(b"*1\r\n$1\r\nab\r\n"), r"expected b'\r\n' after a request, found b'b\r'"
        )

    def test_a_line_with_an_open_quote(self) -> None:
        """The error shows the line; the requests before it are returned."""
        self.assertEqual(
            self.refusal(b"set k 'a\r\n"),
            r"""expected balanced quotes in a line, found b"set k 'a\r\n" """.rstrip(),
        )
        self.assertEqual(fed(CommandDecoder(LIMIT), [PING + b'a "\n']), ([b"PING"], True))


class LimitTests(SynchronousTestCase):
    """The limit of a request, which counts the bytes as they came."""

    def test_a_request_at_the_limit(self) -> None:
        """Lengths and line ends count towards the limit."""
        for command in (PING, SET, b"PING\r\n", b"PING\n", b"  a b\r\n"):
            for pieces in ([command + command], single(command + command)):
                requests, failed = fed(CommandDecoder(len(command)), pieces)
                self.assertEqual((len(requests), failed), (2, False), msg=command)

    def test_an_empty_array_counts_only_itself(self) -> None:
        """An empty array counts its own bytes."""
        for pieces in every_cut(b"*0\r\n*-1\r\nPING\n"):
            self.assertEqual(fed(CommandDecoder(5), pieces), ([b"PING"], False), msg=pieces)
            self.assertEqual(fed(CommandDecoder(3), pieces), ([], True), msg=pieces)

    def test_a_request_over_the_limit_is_refused(self) -> None:
        """A request one byte over the limit is refused; the requests before it are returned."""
        for command in (PING, SET, b"PING\r\n", b"PING\n", b"  a b\r\n"):
            for pieces in ([b"a\n" + command], single(b"a\n" + command)):
                self.assertEqual(
                    fed(CommandDecoder(len(command) - 1), pieces), ([b"a"], True), msg=command
                )

    def test_an_array_is_refused_by_its_lengths(self) -> None:
        """An array is refused as soon as its lengths show that it exceeds the limit."""
        for limit, stream in (
            (9, b"*1\r\n"),
            (15, b"*2\r\n"),
            (26, b"*2\r\n$10\r\n"),
            (25, b"*2\r\n$1\r\na\r\n$9\r\n"),
            (605, b"*100\r\n"),
        ):
            decoder = CommandDecoder(limit)
            self.assertEqual(fed(decoder, single(stream)[:-1]), ([], False), msg=stream)
            with self.assertRaisesRegex(FrameError, f"of at most {limit} bytes"):
                decoder.feed(stream[-1:])
        for limit, stream in ((10, b"*1\r\n"), (27, b"*2\r\n$10\r\n"), (606, b"*100\r\n")):
            self.assertEqual(fed(CommandDecoder(limit), single(stream)), ([], False), msg=stream)

    def test_an_endless_line_is_refused_early(self) -> None:
        """An endless line is refused at the first byte over the limit."""
        decoder = CommandDecoder(4)
        self.assertEqual(fed(decoder, single(b"abc")), ([], False))
        with self.assertRaisesRegex(FrameError, "of at most 4 bytes, found 5 or more"):
            decoder.feed(b"d")
        self.assertEqual(fed(CommandDecoder(4), [b"a\nabcdefgh\n"]), ([b"a"], True))


class CostTests(SynchronousTestCase):
    """The cost of a request that arrives in many pieces, or is made to be slow."""

    def test_a_large_argument_in_many_pieces(self) -> None:
        """64 MiB in pieces of 1 KiB are copied once; copied at each piece it would be 2 TiB."""
        size, piece = 2**26, bytes(1024)
        pieces = [b"*1\r\n$%d\r\n" % size, *[piece] * (size // 1024), b"\r\n"]
        requests, failed = fed(CommandDecoder(size + 99), pieces)
        self.assertEqual(([len(request) for request in requests], failed), ([size], False))

    def test_many_arguments_in_many_pieces(self) -> None:
        """Arguments that have been read are not read again."""
        reads: list[int] = []

        class Counted(CommandDecoder):
            def _argument(self, at: int) -> bool:
                reads.append(at)
                return super()._argument(at)

        stream = array([b"a"] * 1000)
        self.assertEqual(fed(Counted(LIMIT), single(stream)), ([b" ".join([b"a"] * 1000)], False))
        self.assertLess(len(reads), 8 * 1000)

    def test_a_line_is_searched_once(self) -> None:
        """The end of a line is searched once, however the line is cut."""

        class Buffer(CountingBuffer):
            pass

        class Decoder(CommandDecoder):
            buffer_type = Buffer

        pieces = [b"x" * 64] * 1024
        requests, failed = fed(Decoder(2**20), [*pieces, b"\n", *pieces, b"\n"])
        self.assertEqual(([len(request) for request in requests], failed), ([65536] * 2, False))
        self.assertEqual(Buffer.searched, 65537 * 2)

    def test_hostile_quotes_take_linear_time(self) -> None:
        """Quotes take linear time, open or closed, whatever is before, within and after them."""
        for start in (b"'", b'"', b"a '", b"'a' '", b"'a' "):
            for filling in (b"\\'", b'\\"', b"a'", b'a"', b"\\", b"a ", b"''", b'""'):

                def split(count: int, start: bytes = start, filling: bytes = filling) -> None:
                    with contextlib.suppress(FrameError):  # most of them are refused
                        words(start + filling * count)

                self.assertLess(cost_growth(split, 4000), LINEAR, start + filling)


class WordTests(SynchronousTestCase):
    """How a line is split into words, with results of a real Redis."""

    def test_words(self) -> None:
        """White space outside of quotes separates words."""
        for line, found in (
            (b"", []),
            (b" \t\r\n", []),
            (b"a", [b"a"]),
            (b" a\tb\rc\nd ", [b"a", b"b", b"c", b"d"]),
            (b"\x0ba\x0cb \x0cc 'd'\x0be\x0b", [b"a\x0cb", b"c", b"d", b"e\x0b"]),
            (b"'a b' c", [b"a b", b"c"]),
            (b'a "b c"', [b"a", b"b c"]),
            (b"'' \"\" a", [b"", b"", b"a"]),
            (b"a'b c' d", [b"ab c", b"d"]),
            (b'a"b c" d', [b"ab c", b"d"]),
            (b"\"a'b\" 'c\"d'", [b"a'b", b'c"d']),
            (b"'a\\'b\\n\\\\ '", [b"a'b\\n\\\\ "]),
            (b'"\\n\\r\\t\\b\\a\\\\\\"\\q"', [b'\n\r\t\b\a\\"q']),
            (b'"\\x41\\xfF\\x4\\xg\\x"', [b"A\xffx4xgx"]),
            (b"a\\n 'b'", [b"a\\n", b"b"]),
            (b"\xff '\x80'", [b"\xff", b"\x80"]),
        ):
            self.assertEqual(words(line), found, msg=line)

    def test_unbalanced_quotes(self) -> None:
        """An open quote is refused, and so is text right after a closing quote."""
        for line in (
            *(b"'", b'"', b"'a", b'a "b', b"'a\\'", b'"a\\"', b'"a\\', b"'a\\", b"'a\\\\'"),
            *(b"'a'b", b'"a"b', b"'a''b'", b"''\"\"", b"a'b'c", b"'a' 'b"),
        ):
            with self.assertRaises(FrameError, msg=line):
                words(line)

    @PROPERTY
    @given(st.lists(st.binary(max_size=9), max_size=5))
    def test_quoted_words_can_be_read_back(self, arguments: list[bytes]) -> None:
        """Any bytes can be written in double quotes, by their numbers."""
        quoted = [
            b'"' + b"".join(b"\\x%02x" % byte for byte in argument) + b'"' for argument in arguments
        ]
        self.assertEqual(words(b" ".join(quoted)), arguments)
