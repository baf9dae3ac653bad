"""RESP values in a stream: the same for any cut, within the limit, at linear cost."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import FrameError, Resp
from reqresp.framing._resp_values import ValueDecoder
from tests.support.resp import VALUES, values
from tests.support.searches import CountingBuffer
from tests.support.streams import PROPERTY, cut, cut_streams, every_cut, fed, single

LIMIT = 65536

#: Pieces of values, whole and broken.
TOKENS = [
    *(b"+", b"-a", b":1", b"$", b"$1\r\na", b"$3\r\n", b"*", b"*1", b"*2\r\n", b"%1\r\n", b"_"),
    *(b"|1\r\n", b"=5\r\ntxt:a", b"=4\r\ntxt", b"!0\r\n", b"a", b"\r", b"\n", b"\r\n", b"9"),
]


class ValueDecoderTests(SynchronousTestCase):
    """`ValueDecoder` returns values."""

    def refusal(self, stream: bytes, limit: int = LIMIT) -> str:
        """Return the error for *stream*, which is the same for any cut."""
        for pieces in (single(stream), [stream]):
            decoder = ValueDecoder(limit)
            with self.assertRaises(FrameError, msg=stream) as caught:
                for piece in pieces:
                    decoder.feed(piece)
        return str(caught.exception)

    def test_every_type(self) -> None:
        """A value of any type is returned without its last CRLF, and nothing is kept."""
        for value in VALUES:
            whole = value + b"\r\n"
            bare = value.removesuffix(b"\r\n") if Resp().encode(value) == value else value
            for pieces in ([whole], single(whole)):
                decoder = ValueDecoder(LIMIT)
                self.assertEqual(fed(decoder, pieces), ([bare], False), msg=value)
                self.assertEqual(len(decoder), 0, msg=value)

    def test_values_in_a_row(self) -> None:
        """Values are returned in order, wherever the stream is cut."""
        stream = b"+OK\r\n*2\r\n$2\r\na\n\r\n_\r\n|1\r\n+a\r\n:1\r\n=5\r\ntxt:b\r\n:-7\r\n"
        expected = [b"+OK", b"*2\r\n$2\r\na\n\r\n_", b"|1\r\n+a\r\n:1\r\n=5\r\ntxt:b", b":-7"]
        for pieces in every_cut(stream):
            self.assertEqual(fed(ValueDecoder(LIMIT), pieces), (expected, False), msg=pieces)

    def test_an_unfinished_value_is_kept(self) -> None:
        """An unfinished value is kept until its end arrives."""
        decoder = ValueDecoder(LIMIT)
        self.assertEqual([decoder.feed(b":1\r\n*2\r\n:1"), len(decoder)], [[b":1"], 6])
        self.assertEqual([decoder.feed(b"\r\n:2\r\n+"), len(decoder)], [[b"*2\r\n:1\r\n:2"], 1])

    def test_invalid_values_are_refused_at_once(self) -> None:
        """Bytes that start no value are refused at once, or at the end of the line."""
        self.assertEqual(
            self.refusal(b"HTTP"), "expected a RESP value such as b'+OK', found b'HTTP'"
        )
        for stream in (
            *(b"\r\n", b" ", b"?", b"*1\r\nx", b"+OK\n", b"+a\rb\r\n", b":x\r\n", b"$-2\r\n"),
            *(b"$03\r\n", b"*?\r\n", b"#true\r\n", b"=3\r\ntxt:", b"=4\r\ntext", b"=5\r\nab:cd"),
        ):
            self.assertIn("expected a RESP value", self.refusal(stream))

    def test_a_string_ends_after_its_length(self) -> None:
        """The error shows what stands in place of CRLF."""
        self.assertIn("found b'cd'", self.refusal(b"$2\r\nabcd\r\n"))
        self.assertIn(r"found b'\r\r'", self.refusal(b"$2\r\nab\r\r"))

    def test_values_before_an_error_are_returned(self) -> None:
        """An error carries the values before it."""
        for pieces in every_cut(b"+a\r\n*1\r\n:1\r\n*1\r\nx"):
            found = fed(ValueDecoder(LIMIT), pieces)
            self.assertEqual(found, ([b"+a", b"*1\r\n:1"], True), msg=pieces)

    def test_a_value_at_the_limit(self) -> None:
        """All bytes of a value count towards the limit."""
        for value in (b"+abc\r\n", b"$3\r\nabc\r\n", b"*2\r\n_\r\n:1\r\n", b"|0\r\n=4\r\ntxt:\r\n"):
            for pieces in every_cut(value * 2):
                found = fed(ValueDecoder(len(value)), pieces)
                self.assertEqual(found, ([value[:-2]] * 2, False), msg=pieces)
                found = fed(ValueDecoder(len(value) - 1), pieces)
                self.assertEqual(found, ([], True), msg=pieces)

    def test_an_announced_size_over_the_limit_is_refused(self) -> None:
        """A string or an aggregate over the limit is refused when its size is known."""
        for stream, size in (
            (b"$95\r\n", 102),
            (b"*33\r\n", 104),
            (b"%16\r\n", 101),
            (b"*2\r\n$87\r\n", 101),
            (b"*999999999999999999\r\n", 3 * 999999999999999999 + 21),
            (b"+" + b"a" * 99, 101),
            (b"*9\r\n+" + b"a" * 71, 101),
        ):
            message = f"expected a request of at most 100 bytes, found {size} or more"
            self.assertEqual(self.refusal(stream, 100), message)
            if not stream.endswith(b"\n"):
                self.assertEqual(ValueDecoder(100).feed(stream[:-1]), [])

    @PROPERTY
    @given(st.lists(values(), max_size=4), st.lists(st.integers(0, 200), max_size=9))
    def test_encoded_values_are_found(self, sent: list[bytes], places: list[int]) -> None:
        """A decoder finds the replies that `Resp` encodes, and each can be encoded again."""
        stream = b"".join(sent)
        pieces = cut(stream, [place for place in places if place <= len(stream)])
        found, failed = fed(ValueDecoder(LIMIT), pieces)
        self.assertEqual(([value + b"\r\n" for value in found], failed), (sent, False))
        self.assertEqual([Resp().encode(value) for value in found], sent)

    @PROPERTY
    @given(cut_streams(TOKENS), st.integers(3, 30))
    def test_random_pieces_give_the_same_requests(
        self, streams: tuple[bytes, list[bytes]], limit: int
    ) -> None:
        """The values, the error and the bytes kept are the same for any cut."""
        stream, pieces = streams
        whole, cuts, singles = ValueDecoder(limit), ValueDecoder(limit), ValueDecoder(limit)
        found = fed(whole, [stream])
        self.assertEqual(fed(cuts, pieces), found)
        self.assertEqual(fed(singles, single(stream)), found)
        if not found[1]:
            self.assertEqual([len(cuts), len(singles)], [len(whole)] * 2)
            self.assertLess(len(whole), limit)


class CostTests(SynchronousTestCase):
    """The cost of a value that arrives in many pieces."""

    def test_a_large_string_in_many_pieces(self) -> None:
        """64 MiB in pieces of 1 KiB are copied once; copied at each piece it would be 2 TiB."""
        size = 2**26
        pieces = [b"*1\r\n$%d\r\n" % size, *[bytes(1024)] * (size // 1024), b"\r\n"]
        found, failed = fed(ValueDecoder(size + 99), pieces)
        self.assertEqual(([len(value) for value in found], failed), ([size + 15], False))

    def test_many_values_in_many_pieces(self) -> None:
        """Values that have been read are not read again."""
        reads: list[int] = []

        class Counted(ValueDecoder):
            def _value(self, at: int) -> bool:
                reads.append(at)
                return super()._value(at)

        stream = b"*1000\r\n" + b"$1\r\na\r\n" * 1000
        self.assertEqual(fed(Counted(LIMIT), single(stream)), ([stream[:-2]], False))
        self.assertLess(len(reads), 8 * 1000)

    def test_a_line_is_searched_once(self) -> None:
        """The end of a line is searched once, however the line is cut."""

        class Buffer(CountingBuffer):
            pass

        class Decoder(ValueDecoder):
            buffer_type = Buffer

        stream = b"*2\r\n:1\r\n+" + b"a" * 10_000 + b"\r\n"
        self.assertEqual(fed(Decoder(LIMIT), single(stream)), ([stream[:-2]], False))
        self.assertGreaterEqual(Buffer.searched, len(stream) // 2)
        self.assertLess(Buffer.searched, 2 * len(stream))

    def test_a_deep_value(self) -> None:
        """Deeply nested values do not overflow a stack."""
        stream = b"*1\r\n" * 10_000 + b":1\r\n"
        self.assertEqual(fed(ValueDecoder(LIMIT), [stream]), ([stream[:-2]], False))
