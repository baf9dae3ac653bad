"""Decoders: the same requests however a stream is cut, bounded, and at linear cost."""

from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import (
    BaseFraming,
    Chunk,
    Decoder,
    Delimiter,
    Fixed,
    FrameError,
    HeaderBody,
    LengthField,
    LengthPrefix,
    Line,
    Mixed,
    Netstring,
    Resp,
    Unfinished,
    complete_framing,
    is_new,
    unfinished,
)
from reqresp.framing._decoders import ChunkDecoder, DelimiterDecoder, SizedDecoder
from tests.support.searches import CountingBuffer
from tests.support.streams import PROPERTY, cut_streams, every_cut, fed, single


class ChunkDecoderTests(SynchronousTestCase):
    """`ChunkDecoder` returns what arrives."""

    def test_data_received_at_once_is_a_request(self) -> None:
        """What is fed at once is one request."""
        decoder = ChunkDecoder(4)
        self.assertEqual([decoder.feed(b"abcd"), decoder.feed(b"e")], [[b"abcd"], [b"e"]])

    def test_more_than_its_size_is_cut(self) -> None:
        """More bytes than the size are several requests; the last is the rest."""
        self.assertEqual(ChunkDecoder(4).feed(b"abcdefghi"), [b"abcd", b"efgh", b"i"])

    def test_a_multiple_of_its_size_leaves_nothing(self) -> None:
        """A multiple of the size is not followed by an empty request."""
        self.assertEqual(ChunkDecoder(4).feed(b"abcdefgh"), [b"abcd", b"efgh"])

    def test_empty_input_is_no_request(self) -> None:
        """Without bytes, nothing is a request."""
        self.assertEqual(ChunkDecoder(4).feed(b""), [])

    def test_a_chunk_decoder_keeps_nothing(self) -> None:
        """The decoder keeps nothing, because each request is complete when it arrives."""
        decoder = ChunkDecoder(4)
        decoder.feed(b"abcde")
        self.assertEqual(len(decoder), 0)


class DelimiterDecoderTests(SynchronousTestCase):
    """`DelimiterDecoder` returns requests that end with a delimiter."""

    def test_pipelined_requests_come_in_order(self) -> None:
        """All complete requests are returned in order; an empty one is a request, too."""
        self.assertEqual(DelimiterDecoder(9, b";").feed(b"a;bc;;d;"), [b"a", b"bc", b"", b"d"])

    def test_an_unfinished_request_is_kept(self) -> None:
        """An unfinished request is kept until its end arrives."""
        decoder = DelimiterDecoder(9, b";")
        self.assertEqual([decoder.feed(b"a;bc"), len(decoder)], [[b"a"], 2])
        self.assertEqual([decoder.feed(b"d;"), len(decoder)], [[b"bcd"], 0])

    def test_empty_input_changes_nothing(self) -> None:
        """Feeding no bytes changes nothing, before a request and within one."""
        self.assertEqual(
            fed(DelimiterDecoder(9, b";"), [b"", b"a", b"", b";", b""]), ([b"a"], False)
        )

    def test_a_delimiter_may_be_cut_anywhere(self) -> None:
        """A stream can be cut within a delimiter, before it and after it."""
        for pieces in every_cut(b"oneENDtwoENDENDthree"):
            decoder = DelimiterDecoder(99, b"END")
            self.assertEqual(fed(decoder, pieces), ([b"one", b"two", b""], False), msg=pieces)
            self.assertEqual(len(decoder), 5, msg=pieces)

    def test_the_start_of_a_delimiter_is_data(self) -> None:
        """The start of a delimiter is data if the rest does not follow, also if the two overlap."""
        for pieces in every_cut(b"xEENENDaENxEND"):
            self.assertEqual(
                fed(DelimiterDecoder(99, b"END"), pieces), ([b"xEEN", b"aENx"], False), msg=pieces
            )

    def test_a_delimiter_that_repeats_itself(self) -> None:
        """A request ends at the first place where the delimiter matches."""
        for pieces in every_cut(b"xaabaaaabaab"):
            self.assertEqual(
                fed(DelimiterDecoder(99, b"aab"), pieces), ([b"x", b"aa", b""], False), msg=pieces
            )

    def test_the_optional_part_is_dropped_before_a_delimiter(self) -> None:
        """One optional part before a delimiter is dropped, however the stream is cut."""
        for pieces in every_cut(b"a\r\nb\n\rc\r\r\n\r\nd\re\n"):
            self.assertEqual(
                fed(DelimiterDecoder(99, b"\n", b"\r"), pieces),
                ([b"a", b"b", b"\rc\r", b"", b"d\re"], False),
                msg=pieces,
            )

    @PROPERTY
    @given(
        cut_streams([b"a", b"E", b"N", b"D", b"END", b"\r", b"\rEND", b"aaa"]),
        st.integers(1, 6),
        st.sampled_from([b"", b"\r"]),
    )
    def test_random_pieces_give_the_same_requests(
        self, streams: tuple[bytes, list[bytes]], limit: int, optional: bytes
    ) -> None:
        """The requests and the error are the same, however the stream is cut."""
        stream, pieces = streams
        whole = fed(DelimiterDecoder(limit, b"END", optional), [stream])
        self.assertEqual(fed(DelimiterDecoder(limit, b"END", optional), pieces), whole)
        self.assertEqual(fed(DelimiterDecoder(limit, b"END", optional), single(stream)), whole)


class DelimiterLimitTests(SynchronousTestCase):
    """The limit of requests that end with a delimiter."""

    def test_a_request_at_the_limit(self) -> None:
        """The delimiter does not count, however the stream is cut."""
        for delimiter, optional, ends in (
            (b";", b"", [b";"]),
            (b"END", b"", [b"END"]),
            (b"\n", b"\r", [b"\n", b"\r\n"]),
            (b"END", b"\r\r", [b"END", b"\r\rEND"]),
        ):
            for end in ends:
                for pieces in every_cut(b"1234" + end + b"5678" + end):
                    self.assertEqual(
                        fed(DelimiterDecoder(4, delimiter, optional), pieces),
                        ([b"1234", b"5678"], False),
                        msg=pieces,
                    )

    def test_a_request_over_the_limit_is_refused(self) -> None:
        """A request one byte over the limit is refused; the requests before it are returned."""
        for delimiter, optional, ends in (
            (b";", b"", [b";"]),
            (b"END", b"", [b"END"]),
            (b"\n", b"\r", [b"\n", b"\r\n"]),
        ):
            for end in ends:
                for pieces in every_cut(b"1234" + end + b"12345" + end + b"6" + end):
                    self.assertEqual(
                        fed(DelimiterDecoder(4, delimiter, optional), pieces),
                        ([b"1234"], True),
                        msg=pieces,
                    )

    def test_an_optional_part_too_many_is_data(self) -> None:
        """A second optional part is data, so it counts."""
        for pieces in every_cut(b"123\r\r\n1234\r\r\n"):
            self.assertEqual(
                fed(DelimiterDecoder(4, b"\n", b"\r"), pieces), ([b"123\r"], True), msg=pieces
            )

    def test_an_endless_request_is_refused_where_no_end_could_help(self) -> None:
        """An endless request is refused at the first byte after which no delimiter could help."""
        for delimiter, optional, last in ((b";", b"", 5), (b"END", b"", 7), (b"\n", b"\r", 6)):
            decoder = DelimiterDecoder(4, delimiter, optional)
            self.assertEqual(fed(decoder, [b"x"] * (last - 1)), ([], False))
            with self.assertRaises(FrameError):
                decoder.feed(b"x")

    def test_an_endless_request_in_one_piece_is_refused(self) -> None:
        """An endless request in one piece is refused; the requests before it are returned."""
        with self.assertRaises(FrameError) as caught:
            DelimiterDecoder(4, b";").feed(b"a;b;12345")
        self.assertEqual(caught.exception.requests, [b"a", b"b"])

    def test_the_error_names_the_limit(self) -> None:
        """The error has the limit, and the number of bytes found."""
        with self.assertRaises(FrameError) as caught:
            DelimiterDecoder(4, b";").feed(b"123456;")
        self.assertEqual(
            str(caught.exception), "expected a request of at most 4 bytes, found 6 or more"
        )


class CostTests(SynchronousTestCase):
    """The cost of a request that arrives in many pieces."""

    def test_a_delimiter_is_searched_for_once(self) -> None:
        """At each piece, no more bytes than a delimiter has are searched again."""
        for delimiter in (b";", b"END"):
            pieces = [bytes(64)] * 16384
            total = 64 * len(pieces)

            class Buffer(CountingBuffer):
                pass

            class Decoder(DelimiterDecoder):
                buffer_type = Buffer

            requests, failed = fed(Decoder(total, delimiter), [*pieces, delimiter])
            self.assertEqual(([len(request) for request in requests], failed), ([total], False))
            self.assertGreater(Buffer.searched, total * 0.99)
            self.assertLess(Buffer.searched, total * 1.05)

    def test_a_header_is_looked_up_twice(self) -> None:
        """A header is read when it is complete and when its request is, and not at other pieces."""
        looks: list[int] = []

        def header(_buffer: bytearray, at: int, limit: int) -> tuple[int, int]:
            looks.append(at)
            return at + 1, limit

        size = 2**20
        requests, failed = fed(SizedDecoder(size, header), [b"#", *[bytes(64)] * (size // 64)])
        self.assertEqual(([len(request) for request in requests], failed), ([size], False))
        self.assertEqual(looks, [0, 0])

    def test_a_header_is_looked_up_once_for_each_complete_request(self) -> None:
        """The headers of complete requests are read once."""
        looks: list[int] = []

        def header(_buffer: bytearray, at: int, _limit: int) -> tuple[int, int]:
            looks.append(at)
            return at, 2

        SizedDecoder(9, header).feed(b"aabbcc")
        self.assertEqual(looks, [0, 2, 4])


def one_byte_header(buffer: bytearray, at: int, _limit: int) -> tuple[int, int]:
    """Read a length of one byte."""
    return at + 1, buffer[at]


def slow_header(buffer: bytearray, at: int, _limit: int) -> tuple[int, int] | None:
    """Read a length in the third byte."""
    return (at + 3, buffer[at + 2]) if len(buffer) > at + 2 else None


class SizedDecoderTests(SynchronousTestCase):
    """`SizedDecoder` returns requests whose header has their size."""

    def test_pipelined_requests_come_in_order(self) -> None:
        """All complete requests are returned in order; an empty one is a request, too."""
        self.assertEqual(
            SizedDecoder(9, one_byte_header).feed(b"\1a\2bc\0\1d"), [b"a", b"bc", b"", b"d"]
        )

    def test_an_unfinished_request_is_kept(self) -> None:
        """An unfinished request is kept with its header until the rest arrives."""
        decoder = SizedDecoder(9, one_byte_header)
        self.assertEqual([decoder.feed(b"\1a\3bc"), len(decoder)], [[b"a"], 3])
        self.assertEqual([decoder.feed(b"d"), len(decoder)], [[b"bcd"], 0])

    def test_pieces_of_any_size_give_the_same_requests(self) -> None:
        """A stream can be cut within or between a header, a request and a trailer."""
        for pieces in every_cut(b"..\3abc--..\0--..\1d--"):
            decoder = SizedDecoder(9, slow_header, b"--")
            self.assertEqual(fed(decoder, pieces), ([b"abc", b"", b"d"], False), msg=pieces)
            self.assertEqual(len(decoder), 0, msg=pieces)

    def test_a_wrong_trailer_is_refused(self) -> None:
        """The error shows both trailers; the requests before it are returned."""
        for pieces in every_cut(b"\1a--\2bc-+\1d--"):
            self.assertEqual(
                fed(SizedDecoder(9, one_byte_header, b"--"), pieces), ([b"a"], True), msg=pieces
            )
        with self.assertRaises(FrameError) as caught:
            SizedDecoder(9, one_byte_header, b"--").feed(b"\1a-+")
        self.assertEqual(str(caught.exception), "expected b'--' after a request, found b'-+'")

    def test_a_header_that_is_refused(self) -> None:
        """An error of the header carries the requests before it."""

        def header(buffer: bytearray, at: int, _limit: int) -> tuple[int, int]:
            if buffer[at] == 0xFF:
                raise FrameError("never 255")
            return one_byte_header(buffer, at, _limit)

        with self.assertRaisesRegex(FrameError, "never 255") as caught:
            SizedDecoder(9, header).feed(b"\1a\0\xff\1b")
        self.assertEqual(caught.exception.requests, [b"a", b""])

    def test_a_request_at_the_limit(self) -> None:
        """The header and the trailer do not count."""
        for pieces in every_cut(b"..\4abcd--..\4efgh--"):
            self.assertEqual(
                fed(SizedDecoder(4, slow_header, b"--"), pieces),
                ([b"abcd", b"efgh"], False),
                msg=pieces,
            )

    def test_a_request_over_the_limit_is_refused_by_its_header(self) -> None:
        """A size over the limit is refused before its data; the requests before it are returned."""
        for pieces in every_cut(b"..\4abcd--..\5"):
            self.assertEqual(
                fed(SizedDecoder(4, slow_header, b"--"), pieces), ([b"abcd"], True), msg=pieces
            )

    def test_the_error_names_the_limit(self) -> None:
        """The error has the limit, and the size in the header."""
        with self.assertRaises(FrameError) as caught:
            SizedDecoder(4, one_byte_header).feed(b"\x06")
        self.assertEqual(
            str(caught.exception), "expected a request of at most 4 bytes, found 6 or more"
        )

    @PROPERTY
    @given(cut_streams([b"\0", b"\1", b"\2", b"\5", b"-", b"--", b"a"]), st.integers(1, 4))
    def test_random_pieces_give_the_same_requests(
        self, streams: tuple[bytes, list[bytes]], limit: int
    ) -> None:
        """The requests and the error are the same, however the stream is cut."""
        stream, pieces = streams
        whole = fed(SizedDecoder(limit, one_byte_header, b"-"), [stream])
        self.assertEqual(fed(SizedDecoder(limit, one_byte_header, b"-"), pieces), whole)
        self.assertEqual(fed(SizedDecoder(limit, one_byte_header, b"-"), single(stream)), whole)


class Reversed:
    """A framing of a user: a line, backwards."""

    def decoder(self, limit: int) -> Decoder:
        """Return a decoder of lines."""
        return DelimiterDecoder(limit, b"\n")

    def encode(self, payload: bytes) -> bytes:
        """Return the payload backwards."""
        return payload[::-1] + b"\n"


class FramingTests(SynchronousTestCase):
    """What a framing says of itself."""

    def test_names(self) -> None:
        """Messages and summaries use the name."""
        framings: list[BaseFraming] = [Chunk(), Line(), Netstring(), Fixed(1), Resp()]
        framings += [Delimiter(b"x"), LengthField(2), LengthPrefix(4), Mixed(Line(), Chunk())]
        framings += [HeaderBody(Line(), b"(1)")]
        self.assertEqual(
            [framing.name for framing in framings],
            [
                *("chunk", "line", "netstring", "fixed:1", "resp", "delimiter:x", "length:big:2"),
                "int32",
                *("mixed", "head and body"),
            ],
        )

    def test_terminators(self) -> None:
        """Lines and delimiters have a terminator, which no payload can contain; others have not."""
        self.assertEqual(
            [Line().terminator, Line(b"\n").terminator, Delimiter(b"ab").terminator],
            [b"\n", b"\n", b"ab"],
        )
        for framing in (Chunk(), Netstring(), Fixed(1), Resp(), LengthPrefix(1), LengthField(2)):
            self.assertEqual(framing.terminator, b"")

    def test_requests_and_replies_are_framed_alike(self) -> None:
        """A framing is the framing of its requests and replies, except `Mixed`."""
        self.assertEqual((Line().requests, Line().replies), (Line(), Line()))
        mixed = Mixed(Line(), Netstring())
        self.assertEqual((mixed.requests, mixed.replies), (Line(), Netstring()))

    def test_a_client_of_a_mixed_framing(self) -> None:
        """A client sends in the framing of requests, and reads in the framing of replies."""
        mixed = Mixed(Resp(), Chunk())
        self.assertEqual(mixed.encode_request(b"PING"), b"*1\r\n$4\r\nPING\r\n")
        self.assertEqual(mixed.reply_decoder(9).feed(b"a\nb"), [b"a\nb"])
        self.assertEqual(mixed.encode(b"a"), b"a")

    def test_a_client_of_resp(self) -> None:
        """A request is sent as an array of its words, and replies are values."""
        self.assertEqual(Resp().encode_request(b"GET 'a b'"), b"*2\r\n$3\r\nGET\r\n$3\r\na b\r\n")
        self.assertEqual(Resp().reply_decoder(99).feed(b"+OK\r\n:1\r\n"), [b"+OK", b":1"])

    def test_a_client_of_chunks(self) -> None:
        """A reply is what is received at once, also if it is larger than a request can be."""
        self.assertEqual(Chunk().reply_decoder(5000).feed(bytes(5000)), [bytes(5000)])

    def test_a_client_of_another_framing(self) -> None:
        """Requests are framed as replies are."""
        self.assertEqual(Line(b"\n").encode_request(b"a"), b"a\n")
        self.assertEqual(Line().reply_decoder(9).feed(b"a\nb\r\n"), [b"a", b"b"])

    def test_a_framing_of_a_user(self) -> None:
        """An object with a decoder and an encoder gets the defaults."""
        framing = complete_framing(Reversed())
        self.assertEqual((framing.name, framing.terminator), ("Reversed", b""))
        self.assertEqual(framing.encode_request(b"ab"), b"ba\n")
        self.assertEqual(framing.reply_decoder(9).feed(b"a\n"), [b"a"])
        self.assertIs(framing.requests, framing)

    def test_a_complete_framing_stays_as_it_is(self) -> None:
        """A `BaseFraming` needs no defaults."""
        framing = Line()
        self.assertIs(complete_framing(framing), framing)


MEMCACHED = HeaderBody(Line(), rb"^set \S+ (\d+)", b"\r\n")
HTTP = HeaderBody(Delimiter(b"\r\n\r\n"), rb"(?i)length: (\d+)")

#: Framings, the bytes that a client has sent, and what the request lacks that they begin.
UNFINISHED: list[tuple[BaseFraming, bytes, str]] = [
    (Line(), b"STAT", "no line end"),
    (Line(), b"STAT\r", "no line end"),
    (Delimiter(b"\n"), b"STAT", "no line end"),
    (Delimiter(b"\r\n"), b"STAT\n", r"no delimiter b'\r\n'"),
    (Delimiter(b"END"), b"aEN", "no delimiter b'END'"),
    (Fixed(100), bytes(46), "46 of 100 bytes"),
    (Netstring(), b"1", "no colon after the length"),
    (Netstring(), b"10:", "0 of 10 bytes"),
    (Netstring(), b"10:abc", "3 of 10 bytes"),
    (Netstring(), b"3:abc", "no b',' after the request"),
    (LengthPrefix(4), b"\0\0\0", "3 of 4 bytes of the length"),
    (LengthPrefix(4), b"\0\0\0\5", "0 of 5 bytes"),
    (LengthPrefix(2, "little", inclusive=True), b"\7\0ab", "2 of 5 bytes"),
    (LengthField(2, offset=4), b"abcd\0", "5 of 6 bytes of the header"),
    (LengthField(2, offset=4), b"abcd\0\4ef", "8 of 10 bytes"),
    (LengthField(2, offset=4, strip=0, adjust=-6), b"abcd\0\12", "6 of 10 bytes"),
    (LengthField(2, adjust=2, strip=1), b"\0\1a", "2 of 4 bytes"),
    (MEMCACHED, b"set a 3", "no line end after the head"),
    (MEMCACHED, b"set a 3\r\n", "0 of 3 bytes of the body"),
    (MEMCACHED, b"set a 3\r\nab", "2 of 3 bytes of the body"),
    (MEMCACHED, b"set a 3\r\nabc\r", r"no b'\r\n' after the body"),
    (HTTP, b"GET / HTTP/1.1\r\n", r"no delimiter b'\r\n\r\n' after the head"),
    (HTTP, b"PUT\r\nLength: 9\r\n\r\nab", "2 of 9 bytes of the body"),
    (Resp(), b"PING", "no line end"),
    (Resp(), b"*2", "no line end"),
    (Resp(), b"*2\r\n", "0 of 2 arguments"),
    (Resp(), b"*2\r\n$3", "0 of 2 arguments"),
    (Resp(), b"*2\r\n$3\r\nGET\r\n", "1 of 2 arguments"),
    (Resp(), b"*2\r\n$3\r\nGET\r\n$10\r\nab", "2 of 10 bytes of argument 2"),
    (Resp(), b"*1\r\n$3\r\nGET\r", r"no b'\r\n' after argument 1"),
    (Mixed(Fixed(3), Line()), b"a", "1 of 3 bytes"),
]

#: The same for replies that a client waits for.
UNFINISHED_REPLIES: list[tuple[BaseFraming, bytes, str]] = [
    (Resp(), b"+OK", "no line end"),
    (Resp(), b"$5\r\nab", "2 of 5 bytes of a value"),
    (Resp(), b"$2\r\nab\r", r"no b'\r\n' after a value"),
    (Resp(), b"*3\r\n:1\r\n", "2 more values"),
    (Resp(), b"*2\r\n:1\r\n", "1 more value"),
    (Resp(), b"*2\r\n:1\r\n:", "no line end"),
    (Mixed(Line(), Fixed(2)), b"a", "1 of 2 bytes"),
]


class UnfinishedTests(SynchronousTestCase):
    """What a request lacks that a client has begun."""

    def test_each_framing(self) -> None:
        """Each framing says what is missing, and returns the bytes as they came."""
        for framing, data, missing in UNFINISHED:
            decoder = framing.decoder(999)
            self.assertEqual(decoder.feed(data), [])
            self.assertEqual(unfinished(decoder), Unfinished(data, missing), msg=(framing, data))

    def test_replies(self) -> None:
        """A decoder of replies says the same for a client."""
        for framing, data, missing in UNFINISHED_REPLIES:
            decoder = framing.reply_decoder(999)
            self.assertEqual(decoder.feed(data), [])
            self.assertEqual(unfinished(decoder), Unfinished(data, missing), msg=(framing, data))

    def test_byte_by_byte_and_after_requests(self) -> None:
        """The answer is the same for single bytes, and for what follows complete requests."""
        whole: dict[BaseFraming, bytes] = {
            Line(): b"a\n",
            Fixed(100): bytes(100),
            Netstring(): b"1:a,",
            LengthPrefix(4): b"\0\0\0\1a",
            MEMCACHED: b"set a 1\r\na\r\n",
            HTTP: b"GET\r\n\r\n",
            Resp(): b"*1\r\n$1\r\na\r\nb\n",
        }
        for framing, data, missing in UNFINISHED:
            decoder = framing.decoder(999)
            for byte in single(whole.get(framing, b"") + data):
                decoder.feed(byte)
            self.assertEqual(unfinished(decoder), Unfinished(data, missing), msg=(framing, data))

    def test_after_a_request_nothing_is_unfinished(self) -> None:
        """There is no unfinished request at the start and after a complete one."""
        for framing, data in ((Line(), b"a\n"), (Resp(), b"*0\r\n"), (Chunk(), b"abc")):
            decoder = framing.decoder(99)
            self.assertIsNone(unfinished(decoder))
            decoder.feed(data)
            self.assertIsNone(unfinished(decoder))

    def test_a_decoder_of_a_user(self) -> None:
        """A decoder that has no such method keeps a request that has no end."""

        class Keeping:
            def feed(self, data: bytes) -> list[bytes]:
                return []

            def __len__(self) -> int:
                return 3

        self.assertEqual(unfinished(Keeping()), Unfinished(b"", "no end"))


class IsNewTests(SynchronousTestCase):
    """What a decoder says of itself between two requests."""

    #: A framing of each kind, and the pieces of which its streams consist.
    CASES: ClassVar[list[tuple[BaseFraming, list[bytes]]]] = [
        (Chunk(3), [b"a", b"bcde"]),
        (Line(), [b"a", b"\r", b"\n", b"\r\n", b"bcd\n"]),
        (Delimiter(b"ab"), [b"a", b"b", b"ab", b"x"]),
        (Fixed(3), [b"a", b"bc", b"def"]),
        (Netstring(), [b"1:a,", b"0:,", b"3:", b"abc", b","]),
        (LengthPrefix(2), [b"\0", b"\1", b"\0\2ab"]),
        (LengthField(2, offset=1), [b"\0", b"\1", b"x\0\2ab"]),
        (HeaderBody(Line(), rb"^set (\d+)"), [b"get\n", b"set 2\n", b"ab", b"\r\n", b"s"]),
        (Resp(), [b"PING\r\n", b"*1\r\n", b"$2\r\nab\r\n", b"*0\r\n", b"$0\r\n\r\n", b"a"]),
    ]

    @PROPERTY
    @given(st.data())
    def test_a_new_decoder_finds_the_same(self, data: st.DataObject) -> None:
        """A decoder that says that it is new finds in what follows what a new one finds."""
        framing, tokens = data.draw(st.sampled_from(self.CASES))
        before, after = data.draw(cut_streams(tokens)), data.draw(cut_streams(tokens))
        decoder = framing.decoder(100)
        _requests, has_failed = fed(decoder, before[1])
        if not has_failed and is_new(decoder):
            self.assertEqual(len(decoder), 0)
            self.assertEqual(fed(decoder, after[1]), fed(framing.decoder(100), after[1]))

    def test_between_requests(self) -> None:
        """A decoder is new at the start and after a request, and not within one."""
        for framing, request in (
            (Line(), b"ab\n"),
            (Fixed(3), b"abc"),
            (Netstring(), b"1:a,"),
            (HeaderBody(Line(), rb"^set (\d+)"), b"set 2\nab"),
            (Resp(), b"*1\r\n$2\r\nab\r\n"),
        ):
            decoder = framing.decoder(100)
            self.assertTrue(is_new(decoder), framing)
            for size in range(1, len(request)):
                decoder.feed(request[size - 1 : size])
                self.assertFalse(is_new(decoder), (framing, size))
            decoder.feed(request[-1:])
            self.assertTrue(is_new(decoder), framing)

    def test_a_decoder_that_does_not_say(self) -> None:
        """A decoder without the property is not known to be new."""

        class Whole:
            def feed(self, data: bytes) -> list[bytes]:
                return [data]

            def __len__(self) -> int:
                return 0

        self.assertFalse(is_new(Whole()))
