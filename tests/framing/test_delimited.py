"""Framings of chunks, lines, delimiters, sizes and prefixes: requests, replies and limits."""

from collections.abc import Iterator
from struct import pack
from typing import Any, cast

from attrs.exceptions import FrozenInstanceError
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import (
    AnyLine,
    Chunk,
    Delimiter,
    Enclosed,
    Fixed,
    FrameError,
    Framing,
    LengthPrefix,
    Line,
    Netstring,
    Scpi,
    parse_framing,
)
from tests.support.framings import SPECIFIED
from tests.support.streams import cut, fed, single

# Each example draws one of many framings.
PROPERTY = settings(derandomize=True, max_examples=400)

KIB = 1024
MIB = KIB * KIB
LIMIT = 64 * KIB
#: The largest payload that hypothesis draws, in bytes.
LONGEST = 300


#: For each framing: what a client sends, the requests in it, a reply, and its frame.
TALKS: dict[str, tuple[bytes, list[bytes], bytes, bytes]] = {
    "chunk": (b"one\ntwo", [b"one\ntwo"], b"reply\n", b"reply\n"),
    "line": (b"one\r\n\ntwo\n", [b"one", b"", b"two"], b"reply", b"reply\r\n"),
    r"line:\n": (b"one\r\n\ntwo\n", [b"one", b"", b"two"], b"reply", b"reply\n"),
    "delimiter:END": (b"oneENDENDtwoEND", [b"one", b"", b"two"], b"reply", b"replyEND"),
    r"delimiter:\x00": (b"one\0two\r\n\0", [b"one", b"two\r\n"], b"reply", b"reply\0"),
    "netstring": (b"3:one,0:,12:hello world!,", [b"one", b"", b"hello world!"], b"a,", b"2:a,,"),
    "int8": (b"\3one\0\3two", [b"one", b"", b"two"], b"reply", b"\5reply"),
    "int16": (b"\0\3one\0\0\0\3two", [b"one", b"", b"two"], b"reply", b"\0\5reply"),
    "int16:little": (b"\3\0one\0\0\3\0two", [b"one", b"", b"two"], b"reply", b"\5\0reply"),
    "int32": (b"\0\0\0\3one" + bytes(4), [b"one", b""], b"reply", b"\0\0\0\5reply"),
    "int32:little": (b"\3\0\0\0one" + bytes(4), [b"one", b""], b"reply", b"\5\0\0\0reply"),
    "int8:inclusive": (b"\4one\1\4two", [b"one", b"", b"two"], b"reply", b"\6reply"),
    "int16:inclusive": (b"\0\5one\0\2", [b"one", b""], b"reply", b"\0\7reply"),
    "int32:little:inclusive": (b"\7\0\0\0one\4\0\0\0", [b"one", b""], b"r", b"\5\0\0\0r"),
    "fixed:3": (b"onetwo", [b"one", b"two"], b"six", b"six"),
}

#: For each framing: a request over a limit of 4 bytes, and the number of its byte that exceeds it.
ENDLESS: dict[str, tuple[bytes, int]] = {
    "line": (b"xxxxxxxx", 6),
    r"line:\n": (b"xxxxxxxx", 6),
    r"delimiter:\x00": (b"xxxxxxxx", 5),
    "delimiter:END": (b"xxxxxxxx", 7),
    "netstring": (b"5:xxxxx,", 2),
    "int8": (b"\5xxxxx", 1),
    "int16": (b"\0\5xxxxx", 2),
    "int16:little": (b"\5\0xxxxx", 2),
    "int32": (b"\0\0\0\5xxxxx", 4),
    "int32:little": (b"\5\0\0\0xxxxx", 4),
    "int8:inclusive": (b"\6xxxxx", 1),
    "int16:inclusive": (b"\0\7xxxxx", 2),
    "int32:little:inclusive": (b"\x09\0\0\0xxxxx", 4),
    "length:ascii:2": (b"05xxxxx", 2),
    "length:varint": (b"\5xxxxx", 1),
    "length:ber": (b"\5xxxxx", 1),
    "between:<:>": (b"<xxxxxxx", 6),
}

#: For each framing: a malformed or too large request.
FAULTS: dict[str, bytes] = {
    "line": bytes(LONGEST + 2),
    "delimiter:END": bytes(LONGEST + 1) + b"END",
    "netstring": b"3:abc;",
    "int32": b"\xff\xff\xff\xff",
    "int16:inclusive": b"\0\1",
    "int8:inclusive": b"\0",
}


def every_cut(stream: bytes) -> Iterator[list[bytes]]:
    """Yield the *stream* whole, in single bytes, and cut in two at every place."""
    yield [stream]
    yield single(stream)
    for place in range(1, len(stream)):
        yield cut(stream, [place])


def cuts(stream: bytes) -> st.SearchStrategy[list[bytes]]:
    """Return the *stream* in pieces, some of which can be empty."""
    places = st.lists(st.integers(0, len(stream)), max_size=20)
    return places.map(lambda places: cut(stream, places))


def payloads(framing: Framing) -> st.SearchStrategy[bytes]:
    """Return a strategy of payloads that *framing* can express."""
    match framing:
        case Chunk():
            return st.binary(min_size=1, max_size=1024)
        case Line(ending=ending):
            lines = st.binary(max_size=LONGEST).map(lambda data: data.replace(b"\n", b""))
            return lines if ending == b"\r\n" else lines.map(lambda data: data.rstrip(b"\r"))
        case Delimiter(delimiter=delimiter):
            letters = st.sampled_from([*single(delimiter), b"x", b"\n"])
            texts = st.lists(letters, max_size=20).map(b"".join)
            return texts.filter(lambda text: (text + delimiter).find(delimiter) == len(text))
        case AnyLine() | Scpi():  # without line ends, and without the sign of a block
            return st.binary(max_size=LONGEST).map(lambda it: it.translate(None, b"\r\n#"))
        case Enclosed(end=end):
            texts = st.binary(max_size=LONGEST)
            return texts.filter(lambda text: (text + end).find(end) == len(text))
        case LengthPrefix(size=1):
            return st.binary(max_size=254)
        case Fixed(size=size):
            return st.binary(min_size=size, max_size=size)
        case _:
            return st.binary(max_size=LONGEST)


@st.composite
def streams(draw: st.DrawFn) -> tuple[Framing, bytes, list[bytes]]:
    """Return a framing, a stream that resembles its requests, and the same in pieces."""
    framing = draw(st.sampled_from([parse_framing(name) for name in TALKS if name != "chunk"]))
    sense = payloads(framing).map(framing.encode)
    nonsense = st.sampled_from([b"\0", b"\1", b"\3", b"\r", b"\n", b"E", b"END", b"3:", b",", b"x"])
    stream = b"".join(draw(st.lists(sense | nonsense, max_size=8)))
    return framing, stream, draw(cuts(stream))


class TalkTests(SynchronousTestCase):
    """What a client sends and receives."""

    def test_requests_are_found_however_they_are_cut(self) -> None:
        """Requests are found in one segment, in single bytes and in any two pieces."""
        for specification, (stream, requests, _, _) in TALKS.items():
            if specification == "chunk":  # whose requests are the pieces
                continue
            for pieces in every_cut(stream):
                decoder = parse_framing(specification).decoder(LIMIT)
                self.assertEqual(fed(decoder, pieces), (requests, False), msg=specification)
                self.assertEqual(len(decoder), 0, msg=specification)

    def test_replies_are_wrapped(self) -> None:
        """A reply is wrapped as clients of the framing expect it."""
        for specification, (_, _, reply, frame) in TALKS.items():
            self.assertEqual(parse_framing(specification).encode(reply), frame, msg=specification)

    def test_decoders_share_no_state(self) -> None:
        """Connections share a framing, and each has a decoder of its own."""
        framing = Line()
        one, two = framing.decoder(LIMIT), framing.decoder(LIMIT)
        one.feed(b"o")
        self.assertEqual([two.feed(b"two\n"), one.feed(b"ne\n")], [[b"two"], [b"one"]])

    @PROPERTY
    @given(streams())
    def test_random_pieces_give_the_same_requests(
        self, drawn: tuple[Framing, bytes, list[bytes]]
    ) -> None:
        """The requests and the error are the same, however the stream is cut."""
        framing, stream, pieces = drawn
        whole = fed(framing.decoder(16), [stream])
        self.assertEqual(fed(framing.decoder(16), pieces), whole)
        self.assertEqual(fed(framing.decoder(16), single(stream)), whole)

    @PROPERTY
    @given(st.data())
    def test_an_encoded_request_can_be_decoded(self, data: st.DataObject) -> None:
        """A decoder finds any payloads that the same framing has encoded."""
        framing = data.draw(st.sampled_from([*SPECIFIED.values(), Delimiter(b"aab")]))
        requests = data.draw(st.lists(payloads(framing), max_size=5))
        frames = [framing.encode(request) for request in requests]
        if not isinstance(framing, Chunk):  # whose requests are the pieces
            frames = data.draw(cuts(b"".join(frames)))
        self.assertEqual(fed(framing.decoder(LIMIT), frames), (requests, False))

    @PROPERTY
    @given(
        st.sampled_from([*SPECIFIED.values()]), st.lists(st.binary(max_size=12)), st.integers(1, 20)
    )
    def test_random_bytes_raise_only_frame_errors(
        self, framing: Framing, noise: list[bytes], limit: int
    ) -> None:
        """Any bytes raise a FrameError at most, and no more than the limit is kept."""
        if isinstance(framing, Fixed):
            limit += framing.size
        decoder = framing.decoder(limit)
        _, failed = fed(decoder, noise)  # lets any other exception out
        self.assertTrue(failed or len(decoder) <= limit + 4)

    @PROPERTY
    @given(st.sampled_from(sorted(FAULTS)), st.data())
    def test_requests_before_an_error_are_returned(self, name: str, data: st.DataObject) -> None:
        """A malformed request does not lose the requests before it; none after it is returned."""
        framing = parse_framing(name)
        requests = data.draw(st.lists(payloads(framing), max_size=5))
        frames = b"".join(framing.encode(request) for request in requests)
        stream = frames + FAULTS[name] + frames
        self.assertEqual(fed(framing.decoder(LONGEST), data.draw(cuts(stream))), (requests, True))


class LimitTests(SynchronousTestCase):
    """The limit of a request."""

    def test_a_request_at_the_limit(self) -> None:
        """The framing does not count towards the limit."""
        for specification in ENDLESS:
            framing = parse_framing(specification)
            for pieces in every_cut(framing.encode(b"1234") + framing.encode(b"5678")):
                self.assertEqual(
                    fed(framing.decoder(4), pieces),
                    ([b"1234", b"5678"], False),
                    msg=(specification, pieces),
                )

    def test_a_request_over_the_limit_is_refused(self) -> None:
        """A request one byte over the limit is refused; the requests before it are returned."""
        for specification in ENDLESS:
            framing = parse_framing(specification)
            for pieces in every_cut(framing.encode(b"1234") + framing.encode(b"56789")):
                self.assertEqual(
                    fed(framing.decoder(4), pieces),
                    ([b"1234"], True),
                    msg=(specification, pieces),
                )

    def test_an_endless_request_is_refused_early(self) -> None:
        """An endless request is refused at the first byte that exceeds any request in the limit."""
        for specification, (stream, last) in ENDLESS.items():
            decoder = parse_framing(specification).decoder(4)
            before = single(stream)[: last - 1]
            self.assertEqual(fed(decoder, before), ([], False), msg=specification)
            with self.assertRaises(FrameError):
                decoder.feed(stream[last - 1 : last])

    def test_every_framing_is_limited(self) -> None:
        """Framings without a test here have one of their own, or keep no unfinished request."""
        names = {type(parse_framing(specification)) for specification in ENDLESS}
        every = {type(framing) for framing in SPECIFIED.values()}
        self.assertEqual(every - names, {AnyLine, Chunk, Fixed, Scpi})

    def test_a_line_at_the_limit_may_end_in_cr_lf(self) -> None:
        """CR LF does not count, wherever it is cut; another CR counts."""
        for pieces in every_cut(b"1234\r\n"):
            self.assertEqual(fed(Line().decoder(4), pieces), ([b"1234"], False), msg=pieces)
        for pieces in every_cut(b"1234\r\r\n"):
            self.assertEqual(fed(Line().decoder(4), pieces), ([], True), msg=pieces)

    def test_a_netstring_length_is_refused_by_its_digits(self) -> None:
        """A length is refused when it has too many digits, or at its colon."""
        for limit, allowed, refused in (
            (9, b"9:", b"10"),
            (10, b"10:", b"11:"),
            (10, b"99", b"100"),
            (99, b"99:", b"100"),
            (100, b"100:", b"101:"),
            (65536, b"65536:", b"65537:"),
            (65536, b"99999", b"100000"),
        ):
            self.assertEqual(fed(Netstring().decoder(limit), single(allowed)), ([], False))
            decoder = Netstring().decoder(limit)
            self.assertEqual(fed(decoder, single(refused)[:-1]), ([], False), msg=refused)
            with self.assertRaisesRegex(FrameError, f"of at most {limit} bytes"):
                decoder.feed(refused[-1:])

    def test_a_netstring_length_has_an_end(self) -> None:
        """Thousands of digits are refused at the same place, also in one piece."""
        for stream in (b"9" * 5000, b"9" * 5000 + b":"):
            for pieces in ([stream], single(stream)):
                self.assertEqual(fed(Netstring().decoder(LIMIT), pieces), ([], True))

    def test_chunks_are_cut_at_the_limit(self) -> None:
        """A chunk has at most 1024 bytes, and at most the limit."""
        self.assertEqual(Chunk().decoder(4).feed(b"12345"), [b"1234", b"5"])
        self.assertEqual(
            [len(chunk) for chunk in Chunk().decoder(LIMIT).feed(bytes(2049))], [1024, 1024, 1]
        )

    def test_the_size_of_chunks(self) -> None:
        """A chunk can have another size, which is at least a byte; the limit still holds."""
        self.assertEqual(Chunk(3).decoder(9).feed(b"12345"), [b"123", b"45"])
        self.assertEqual(Chunk(9).decoder(3).feed(b"12345"), [b"123", b"45"])
        self.assertEqual(len(Chunk(65536).decoder(65536).feed(bytes(65536))), 1)
        with self.assertRaises(ValueError):
            Chunk(0)

    def test_a_fixed_size_must_be_within_the_limit(self) -> None:
        """A size over the limit is an error when the decoder is made."""
        self.assertEqual(Fixed(4).decoder(4).feed(b"1234"), [b"1234"])
        with self.assertRaisesRegex(
            ValueError, "a limit of at least 5 bytes for a request, found 4"
        ):
            Fixed(5).decoder(4)


class FaultTests(SynchronousTestCase):
    """Malformed requests."""

    def refusal(self, framing: Framing, stream: bytes) -> str:
        """Return the error for the malformed *stream*."""
        with self.assertRaises(FrameError) as caught:
            framing.decoder(LIMIT).feed(stream)
        return str(caught.exception)

    def test_a_netstring_starts_with_a_plain_number(self) -> None:
        """A sign, a space, a leading zero or any other character is refused at once."""
        for stream in (
            b"x",
            b":",
            b",",
            b"-1:",
            b"+1:",
            b" 1:",
            b"01:",
            b"00:",
            b"1 :",
            b"1x",
            b"0x1",
        ):
            self.assertEqual(
                self.refusal(Netstring(), stream),
                f"expected the length of a netstring, found {stream!r}",
            )

    def test_a_netstring_ends_with_a_comma(self) -> None:
        """The error shows what stands in place of the comma."""
        self.assertEqual(
            self.refusal(Netstring(), b"3:abc\n"), r"expected b',' after a request, found b'\n'"
        )

    def test_an_inclusive_length_counts_itself(self) -> None:
        """An inclusive length below its own size is refused."""
        for size, encoding, stream in (
            (1, "big", b"\0"),
            (2, "big", b"\0\1"),
            (2, "little", b"\1\0"),
            (4, "big", b"\0\0\0\3"),
        ):
            framing = LengthPrefix(size, cast(Any, encoding), inclusive=True)
            self.assertIn(f"expected a length of at least {size}", self.refusal(framing, stream))


class EncodeTests(SynchronousTestCase):
    """Replies that a framing cannot express are refused."""

    def refusal(self, framing: Framing, payload: bytes) -> str:
        """Return the error for *payload*."""
        with self.assertRaises(FrameError) as caught:
            framing.encode(payload)
        return str(caught.exception)

    def test_a_line_cannot_hold_a_line_end(self) -> None:
        """A line with a line end is refused: a client would see two lines."""
        for payload in (b"a\nb", b"\n", b"a\n", b"a\r\nb"):
            self.assertEqual(
                self.refusal(Line(), payload),
                rf"expected a payload without the delimiter b'\n', found {payload!r}",
            )

    def test_a_line_can_end_with_cr_before_cr_lf(self) -> None:
        """A line can end with CR before CR LF: a client drops one CR only."""
        self.assertEqual(Line().encode(b"a\r"), b"a\r\r\n")

    def test_a_line_cannot_end_with_cr_before_lf(self) -> None:
        """A line that ends with CR before LF is refused: a client would drop the CR."""
        self.assertIn("does not end with CR", self.refusal(Line(b"\n"), b"a\r"))

    def test_a_payload_cannot_hold_its_delimiter(self) -> None:
        """A payload with the delimiter is refused, also if the two overlap at its end."""
        for payload in (b"aab", b"xaaby", b"aa"):
            self.assertIn(
                "without the delimiter", self.refusal(Delimiter(b"aab" * 2), payload + b"aabaab")
            )
        self.assertIn("without the delimiter", self.refusal(Delimiter(b"aa"), b"xa"))

    def test_a_long_payload_is_not_repeated_whole(self) -> None:
        """The error shows the start of a long payload."""
        self.assertLess(len(self.refusal(Line(), b"\n" * 9999)), 300)
        self.assertLess(len(self.refusal(Line(b"\n"), b"\r" * 9999)), 300)

    def test_a_length_has_its_bound(self) -> None:
        """A payload that is one byte too long for its prefix is refused, with its size."""
        for framing, longest in (
            (LengthPrefix(1), 255),
            (LengthPrefix(1, inclusive=True), 254),
            (LengthPrefix(2), 65535),
            (LengthPrefix(2, inclusive=True), 65533),
        ):
            self.assertEqual(
                framing.encode(bytes(longest)), b"\xff" * framing.size + bytes(longest)
            )
            self.assertEqual(
                self.refusal(framing, bytes(longest + 1)),
                f"expected a payload of at most {longest} bytes, the most that its length can"
                f" say, found {longest + 1}",
            )

    def test_fixed_requests_have_the_same_size(self) -> None:
        """A payload of another size is refused."""
        for payload in (b"", b"12", b"1234"):
            self.assertEqual(
                self.refusal(Fixed(3), payload),
                f"expected a payload of 3 bytes, found {len(payload)}",
            )


class CostTests(SynchronousTestCase):
    """
    Requests of 64 MiB that arrive 1 KiB at a time.

    This takes less than a second.  If each piece searched or copied all bytes again, it would read
    2 TiB.  `tests.framing.test_base` counts the bytes that are searched.
    """

    def largest(self, framing: Framing, head: bytes, tail: bytes) -> None:
        payload = bytes(KIB) * (64 * KIB)
        piece = bytes(KIB)
        decoder = framing.decoder(len(payload))
        requests, failed = fed(decoder, [head, *[piece] * (64 * KIB), tail])
        self.assertEqual((len(requests), failed), (1, False))
        self.assertTrue(requests[0] == payload)

    def test_netstring(self) -> None:
        """A large netstring in many pieces is copied once."""
        self.largest(Netstring(), b"67108864:", b",")

    def test_length_prefix(self) -> None:
        """A large request with a length prefix in many pieces is copied once."""
        self.largest(LengthPrefix(4), pack(">I", 64 * MIB), b"")

    def test_fixed(self) -> None:
        """A large request of a fixed size in many pieces is copied once."""
        self.largest(Fixed(64 * MIB), b"", b"")

    def test_line(self) -> None:
        """The end of a large line is searched once."""
        self.largest(Line(), b"", b"\r\n")

    def test_delimiter(self) -> None:
        """A delimiter of several bytes is searched once."""
        self.largest(Delimiter(b"END"), b"", b"END")


class ValueTests(SynchronousTestCase):
    """Framings are values."""

    def test_invalid_arguments_are_refused(self) -> None:
        """A wrong parameter is an error when the framing is made."""
        wrong: list[tuple[Any, tuple[Any, ...]]] = [
            (Delimiter, (b"",)),
            (Line, (b"\r",)),
            (Line, (b"",)),
            (LengthPrefix, (0,)),
            (LengthPrefix, (3,)),
            (LengthPrefix, (8,)),
            (LengthPrefix, (2, "middle")),
            (Fixed, (0,)),
            (Fixed, (-1,)),
        ]
        for framing, arguments in wrong:
            with self.assertRaises(ValueError):
                framing(*arguments)

    def test_a_framing_cannot_be_changed(self) -> None:
        """Connections share a framing, so it cannot be changed."""
        framing = Fixed(4)
        with self.assertRaises(FrozenInstanceError):
            framing.size = 5  # type: ignore[misc]
