"""LengthField: requests that have their length in a field of their header."""

from struct import pack
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import FrameError, LengthField, LengthPrefix, unfinished
from tests.support.streams import PROPERTY, cut, every_cut, fed, single

LIMIT = 65536

#: Protocols: their framing, what a client sends, and the requests in it.
TALKS: dict[str, tuple[LengthField, bytes, list[bytes]]] = {
    "DNS over TCP": (
        LengthField(2),
        b"\0\x0c\xab\xcd\1\0\0\1\0\0\0\0\0\0" + b"\0\0" + b"\0\1x",
        [b"\xab\xcd\1\0\0\1\0\0\0\0\0\0", b"", b"x"],
    ),
    "Modbus/TCP": (
        LengthField(2, offset=4),
        b"\0\1\0\0\0\6\1\3\0\0\0\2" + b"\0\2\0\0\0\2\1\7",
        [b"\0\1\0\0\0\6\1\3\0\0\0\2", b"\0\2\0\0\0\2\1\7"],
    ),
    "Modbus/TCP, its header dropped": (
        LengthField(2, offset=4, strip=6),
        b"\0\1\0\0\0\6\1\3\0\0\0\2" + b"\0\2\0\0\0\2\1\7",
        [b"\1\3\0\0\0\2", b"\1\7"],
    ),
    "PostgreSQL's start-up": (
        LengthField(4, adjust=-4),
        b"\0\0\0\x08\4\xd2\x16\x2f" + b"\0\0\0\x0f\0\3\0\0user\0a\0" + b"\0\0\0\4",
        [b"\4\xd2\x16\x2f", b"\0\3\0\0user\0a\0", b""],
    ),
    "PostgreSQL": (
        LengthField(4, offset=1, adjust=-4),
        b"Q\0\0\0\x0dSELECT 1\0" + b"S\0\0\0\4",
        [b"Q\0\0\0\x0dSELECT 1\0", b"S\0\0\0\4"],
    ),
    "MySQL": (
        LengthField(3, adjust=1, encoding="little"),
        b"\1\0\0\0\x0e" + b"\2\0\0\7\1x" + b"\0\0\0\1",
        [b"\0\x0e", b"\7\1x", b"\1"],
    ),
    "a length that counts more than its header": (
        LengthField(1, adjust=-3),
        b"\3" + b"\5ab" + b"\4a",
        [b"", b"ab", b"a"],
    ),
    "a checksum after it": (LengthField(1, adjust=2, strip=0), b"\1a##\0##", [b"\1a##", b"\0##"]),
    "half a header": (LengthField(2, offset=2, strip=1), b"ab\0\1x", [b"b\0\1x"]),
    "ISO 8583": (
        LengthField(4, encoding="ascii"),
        b"00120800\x80\0\0\0\0\0\0\0" + b"0000" + b"0001x",
        [b"0800\x80\0\0\0\0\0\0\0", b"", b"x"],
    ),
    "a BCD length that counts itself": (
        LengthField(2, adjust=-2, encoding="bcd"),
        b"\0\x12" + b"0123456789" + b"\0\2" + b"\1\2" + bytes(100),
        [b"0123456789", b"", bytes(100)],
    ),
    "MQTT": (
        LengthField(offset=1, encoding="varint", size=4),
        b"\xc0\0" + b"\x30\5\0\1axx" + b"\x30\x80\1" + bytes(128),
        [b"\xc0\0", b"\x30\5\0\1axx", b"\x30\x80\1" + bytes(128)],
    ),
    "protocol buffers": (LengthField(encoding="varint"), b"\2ab\0\1c", [b"ab", b"", b"c"]),
    "LDAP": (
        LengthField(offset=1, encoding="ber"),
        b"\x30\5\2\1\1\x42\0" + b"\x30\x84\0\0\0\5\2\1\1\x42\0",
        [b"\x30\5\2\1\1\x42\0", b"\x30\x84\0\0\0\5\2\1\1\x42\0"],
    ),
    "LDAP, its header dropped": (
        LengthField(offset=1, encoding="ber", strip=2),
        b"\x30\x84\0\0\0\5\2\1\1\x42\0" + b"\x30\0",
        [b"\2\1\1\x42\0", b""],
    ),
    "a length that is kept": (
        LengthField(encoding="ber", strip=0),
        b"\1a\x81\2ab",
        [b"\1a", b"\x81\2ab"],
    ),
    "a trailer": (
        LengthField(3, encoding="ascii", trailer=b"\r\n"),
        b"002\r\n\r\n000\r\n",
        [b"\r\n", b""],
    ),
    "64 bits": (LengthField(8, encoding="little"), b"\2" + bytes(7) + b"ab", [b"ab"]),
}

#: Encodings whose length says its own size.
OWN = ("varint", "ber")
#: The sizes of each encoding.
SIZES: dict[Any, list[Any]] = {
    **{encoding: [1, 2, 3, 4, 8] for encoding in ("big", "little")},
    **{encoding: [2, 3, 4, 9] for encoding in ("ascii", "bcd")},
    **{encoding: [None, 2, 4] for encoding in OWN},
}


@st.composite
def lengths(draw: st.DrawFn) -> LengthField:
    """Return a framing of this kind whose frames can be short."""
    encoding, sizes = draw(st.sampled_from([*SIZES.items()]))
    size = draw(st.sampled_from(sizes))
    offset = draw(st.integers(0, 3))
    strip = draw(st.integers(0, offset + (1 if encoding in OWN else size)))
    adjust = draw(st.integers(-6, 6))
    trailer = draw(st.sampled_from([b"", b"--"]))
    return LengthField(size, offset, adjust, encoding, strip, trailer)


def written(framing: LengthField, length: int) -> bytes:
    """Return *length* in the encoding of *framing*."""
    size: Any = framing.size
    match framing.encoding:
        case "ascii":
            return str(length).zfill(size).encode()
        case "bcd":
            return bytes.fromhex(str(length).zfill(2 * size))
        case "varint":
            groups = f"{length:b}".zfill(7 * (1 + (length >= 128) + (length >= 16384)))
            sevens = [groups[at : at + 7] for at in range(0, len(groups), 7)][::-1]
            marks = ["1"] * (len(sevens) - 1) + ["0"]
            return bytes(int(mark + bits, 2) for mark, bits in zip(marks, sevens, strict=True))
        case "ber":
            count = (length >= 128) + (length >= 256)
            return bytes([0x80 + count] * bool(count)) + length.to_bytes(max(1, count), "big")
        case _:
            return length.to_bytes(size, framing.encoding)


def frame(framing: LengthField, data: bytes) -> bytes:
    """Return the frame that a client sends: the header with the length, and *data*."""
    length = written(framing, len(data) - framing.adjust)
    return b"#" * framing.offset + length + data + framing.trailer


def request_in(framing: LengthField, data: bytes) -> bytes:
    """Return the request in the frame of *data*."""
    whole = frame(framing, data).removesuffix(framing.trailer)
    is_whole_header = framing.encoding in OWN and framing.strip > framing.offset
    return data if is_whole_header else whole[framing.strip :]


class TalkTests(SynchronousTestCase):
    """What clients send."""

    def test_requests_are_found_however_they_are_cut(self) -> None:
        """Requests of real protocols are found, cut within header and data."""
        for name, (framing, stream, requests) in TALKS.items():
            for pieces in every_cut(stream):
                decoder = framing.decoder(LIMIT)
                self.assertEqual(fed(decoder, pieces), (requests, False), msg=name)
                self.assertEqual(len(decoder), 0, msg=name)

    def test_the_default_of_strip(self) -> None:
        """By default a header that is only a length is stripped, and no other header."""
        self.assertEqual([LengthField(2).strip, LengthField(4, adjust=-4).strip], [2, 4])
        self.assertEqual([LengthField(2, 4).strip, LengthField(4, 1, -4).strip], [0, 0])

    def test_prefixes_are_short_forms(self) -> None:
        """A `LengthPrefix` decodes and encodes like its `LengthField`."""
        for size in (1, 2, 4):
            for encoding in ("big", "little"):
                for inclusive in (False, True):
                    order: Any = encoding
                    short = LengthPrefix(size, order, inclusive)
                    full = LengthField(size, 0, -size if inclusive else 0, order)
                    written = full.encode(b"abc")
                    self.assertEqual(short.encode(b"abc"), written)
                    self.assertEqual(fed(short.decoder(9), single(written)), ([b"abc"], False))

    @PROPERTY
    @given(st.data())
    def test_random_pieces_give_the_same_requests(self, data: st.DataObject) -> None:
        """The requests and the error are the same, however the stream is cut."""
        framing = data.draw(lengths())
        limit = framing.offset + 15 + data.draw(st.integers(0, 9))
        sense = st.binary(min_size=max(0, framing.adjust), max_size=12).map(
            lambda payload: frame(framing, payload)
        )
        stream = b"".join(data.draw(st.lists(sense | st.binary(max_size=3), max_size=6)))
        pieces = cut(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=9)))
        whole = fed(framing.decoder(limit), [stream])
        self.assertEqual(fed(framing.decoder(limit), pieces), whole)
        self.assertEqual(fed(framing.decoder(limit), single(stream)), whole)

    @PROPERTY
    @given(lengths(), st.lists(st.binary(max_size=12)), st.integers(0, 9))
    def test_random_bytes_raise_only_frame_errors(
        self, framing: LengthField, noise: list[bytes], more: int
    ) -> None:
        """Any bytes raise a FrameError at most, and no more than the limit is kept."""
        limit = framing.offset + 15 + more
        decoder = framing.decoder(limit)
        _, failed = fed(decoder, noise)  # lets any other exception out
        self.assertTrue(failed or len(decoder) <= limit + framing.offset + 11)


class EncodeTests(SynchronousTestCase):
    """How replies are wrapped."""

    def refusal(self, framing: LengthField, payload: bytes) -> str:
        """Return the error for *payload*."""
        with self.assertRaises(FrameError) as caught:
            framing.encode(payload)
        return str(caught.exception)

    def test_a_leading_length_is_added(self) -> None:
        """A length without other header bytes is added, and counts what *adjust* says."""
        for framing, payload, sent in (
            (LengthField(2), b"abc", b"\0\3abc"),
            (LengthField(4, adjust=-4), b"abc", b"\0\0\0\7abc"),
            (LengthField(3, adjust=1, encoding="little"), b"\1abc", b"\3\0\0\1abc"),
            (LengthField(8), b"", bytes(8)),
            (LengthField(1, adjust=-3), b"a", b"\4a"),
        ):
            self.assertEqual(framing.encode(payload), sent)

    def test_a_whole_frame_is_sent_as_it_is(self) -> None:
        """A reply is a whole frame if the header has more bytes or is not stripped."""
        for framing, sent in (
            (LengthField(2, offset=4), b"\0\1\0\0\0\3\1\x83\2"),
            (LengthField(2, offset=4, strip=6), b"\0\1\0\0\0\3\1\x83\2"),
            (LengthField(4, offset=1, adjust=-4), b"Z\0\0\0\5I"),
            (LengthField(1, adjust=2, strip=0), b"\1a##"),
            (LengthField(2, encoding="little", strip=1), b"\1\0a"),
        ):
            self.assertEqual(framing.encode(sent), sent)

    def test_a_whole_frame_with_another_length_is_refused(self) -> None:
        """The error has the expected and the found length."""
        self.assertEqual(
            self.refusal(LengthField(2, offset=4), b"\0\1\0\0\0\4\1\x83\2"),
            r"expected the length 3 in a frame of 9 bytes, found 4:"
            r" b'\x00\x01\x00\x00\x00\x04\x01\x83\x02'",
        )
        self.assertEqual(
            self.refusal(LengthField(4, offset=1, adjust=-4), b"Z\0\0\0\1I"),
            r"expected the length 5 in a frame of 6 bytes, found 1: b'Z\x00\x00\x00\x01I'",
        )
        self.assertLess(len(self.refusal(LengthField(2, offset=4), bytes(9999))), 300)

    def test_a_frame_has_a_header(self) -> None:
        """A frame that is shorter than its header is refused."""
        self.assertEqual(
            self.refusal(LengthField(2, offset=4), b"\0\1\0\0\0"),
            r"expected a header of 6 bytes, found a frame of 5: b'\x00\x01\x00\x00\x00'",
        )
        self.assertEqual(LengthField(2, offset=4).encode(bytes(6)), bytes(6))

    def test_a_length_has_its_bound(self) -> None:
        """A payload that is one byte too long for its length is refused, with its size."""
        for framing, longest, full in (
            (LengthField(1), 255, b"\xff"),
            (LengthField(1, adjust=2), 257, b"\xff"),
            (LengthField(2, adjust=-2), 65533, b"\xff\xff"),
            (LengthField(3, encoding="ascii"), 999, b"999"),
            (LengthField(1, adjust=1, encoding="bcd"), 100, b"\x99"),
            (LengthField(2, encoding="varint"), 2**14 - 1, b"\xff\x7f"),
            (LengthField(1, encoding="ber"), 127, b"\x7f"),
            (LengthField(2, encoding="ber"), 255, b"\x81\xff"),
        ):
            sent = framing.encode(bytes(longest))
            self.assertEqual(sent[:-longest], full)
            self.assertEqual(
                self.refusal(framing, bytes(longest + 1)),
                f"expected a payload of at most {longest} bytes, the most that its length can"
                f" say, found {longest + 1}",
            )

    def test_uncounted_bytes_are_required(self) -> None:
        """A payload must have the bytes that the length does not count."""
        framing = LengthField(3, adjust=2)
        self.assertEqual(framing.encode(b"ab"), b"\0\0\0ab")
        self.assertEqual(
            self.refusal(framing, b"a"),
            "expected a payload of at least 2 bytes, found 1",
        )

    @PROPERTY
    @given(lengths(), st.lists(st.binary(min_size=6, max_size=99), max_size=5))
    def test_an_encoded_request_can_be_decoded(
        self, framing: LengthField, payloads: list[bytes]
    ) -> None:
        """A decoder finds the payloads that the same framing has encoded."""
        if not framing.offset and framing.strip == (1 if framing.encoding in OWN else framing.size):
            stream = b"".join(map(framing.encode, payloads))
            requests = payloads
        else:
            frames = [frame(framing, payload) for payload in payloads]
            stream = b"".join(
                framing.encode(whole.removesuffix(framing.trailer)) for whole in frames
            )
            requests = [request_in(framing, payload) for payload in payloads]
        self.assertEqual(fed(framing.decoder(LIMIT), [stream]), (requests, False))


class EncodingTests(SynchronousTestCase):
    """How a length is written."""

    def test_lengths_are_written_as_the_standards_say(self) -> None:
        """Each length has the shortest form."""
        for framing, size, header in (
            (LengthField(4, encoding="ascii"), 45, b"0045"),
            (LengthField(2, encoding="bcd"), 145, b"\1\x45"),
            (LengthField(encoding="varint"), 127, b"\x7f"),
            (LengthField(encoding="varint"), 128, b"\x80\1"),
            (LengthField(encoding="varint"), 16383, b"\xff\x7f"),
            (LengthField(encoding="varint"), 16384, b"\x80\x80\1"),
            (LengthField(encoding="ber"), 127, b"\x7f"),
            (LengthField(encoding="ber"), 128, b"\x81\x80"),
            (LengthField(encoding="ber"), 256, b"\x82\1\0"),
        ):
            sent = framing.encode(bytes(size))
            self.assertEqual(sent, header + bytes(size))
            self.assertEqual(fed(framing.decoder(LIMIT), single(sent)), ([bytes(size)], False))

    def test_longer_forms_are_read(self) -> None:
        """Zeros before the digits of a length change nothing, also in a whole frame of a reply."""
        for encoding, header in (("ber", b"\x84\0\0\0\1"), ("varint", b"\x81\x80\0")):
            kind: Any = encoding
            self.assertEqual(LengthField(encoding=kind).decoder(9).feed(header + b"a"), [b"a"])
            framing = LengthField(encoding=kind, offset=1)
            self.assertEqual(framing.encode(b"0" + header + b"a"), b"0" + header + b"a")

    def test_what_is_no_length(self) -> None:
        """The message has the bytes that are none."""
        for framing, stream, problem in (
            (LengthField(4, encoding="ascii"), b"GET ", "a length in digits, found b'GET '"),
            (LengthField(2, encoding="ascii"), b" 1", "a length in digits, found b' 1'"),
            (
                LengthField(2, encoding="bcd"),
                b"\0\x1a",
                r"a length with two digits a byte, found b'\x00\x1a'",
            ),
            (
                LengthField(size=4, encoding="varint"),
                b"\x80" * 4,
                r"a length of at most 4 bytes, found b'\x80\x80\x80\x80' and more",
            ),
            (
                LengthField(encoding="ber"),
                b"\x80",
                r"a definite BER length of at most 9 bytes, found b'\x80'",
            ),
            (
                LengthField(encoding="ber", size=3),
                b"\x83",
                r"a definite BER length of at most 3 bytes, found b'\x83'",
            ),
        ):
            for pieces in ([stream], single(stream)):
                decoder = framing.decoder(LIMIT)
                self.assertEqual(fed(decoder, pieces[:-1]), ([], False))
                with self.assertRaises(FrameError) as caught:
                    decoder.feed(pieces[-1])
                self.assertEqual(str(caught.exception), f"expected {problem}")

    def test_an_unfinished_length(self) -> None:
        """What is missing of a length whose size is not known is its end."""
        for framing, missing in (
            (LengthField(encoding="ber"), "no end of the length"),
            (LengthField(encoding="ber", offset=1), "no end of the header"),
            (LengthField(4, encoding="ascii"), "1 of 4 bytes of the length"),
        ):
            decoder = framing.decoder(LIMIT)
            decoder.feed(b"\x82" if framing.encoding == "ber" else b"0")
            begun = unfinished(decoder)
            self.assertEqual(begun and begun.missing, missing)

    def test_a_trailer_must_follow(self) -> None:
        """Something else is an error; the trailer is added to a whole frame, too."""
        framing = LengthField(1, offset=1, trailer=b"\r\n")
        self.assertEqual(framing.encode(b"#\1a"), b"#\1a\r\n")
        with self.assertRaises(FrameError) as caught:
            framing.decoder(9).feed(b"#\1abc")
        self.assertEqual(str(caught.exception), r"expected b'\r\n' after a request, found b'bc'")


class LimitTests(SynchronousTestCase):
    """The limit of a request, and the smallest length."""

    def test_a_limit_counts_the_request(self) -> None:
        """The limit counts a header that is kept; a byte more is refused by the header."""
        for framing, limit in (
            (LengthField(2), 4),
            (LengthField(2, offset=4), 10),
            (LengthField(2, offset=4, strip=6), 4),
            (LengthField(4, adjust=-4), 4),
            (LengthField(2, offset=2, strip=1), 7),
            (LengthField(3, encoding="ascii"), 4),
            (LengthField(offset=1, encoding="ber", strip=2), 4),
            (LengthField(offset=1, encoding="varint"), 6),
        ):
            good, bad = frame(framing, b"1234"), frame(framing, b"12345")
            header = framing.offset + len(written(framing, 5))
            request = request_in(framing, b"1234")
            for pieces in every_cut(good + good):
                self.assertEqual(
                    fed(framing.decoder(limit), pieces), ([request, request], False), msg=framing
                )
            for pieces in every_cut(good + bad[:header]):
                self.assertEqual(
                    fed(framing.decoder(limit), pieces), ([request], True), msg=framing
                )
            self.assertEqual(fed(framing.decoder(limit), single(bad[: header - 1])), ([], False))

    def test_a_huge_length_is_refused(self) -> None:
        """A length of eight bytes of 255 is refused."""
        with self.assertRaises(FrameError) as caught:
            LengthField(8).decoder(4).feed(b"\xff" * 8)
        self.assertEqual(
            str(caught.exception),
            f"expected a request of at most 4 bytes, found {2**64 - 1} or more",
        )

    def test_a_length_that_counts_a_header_is_no_smaller(self) -> None:
        """A length below the header that it counts is refused; earlier requests are returned."""
        for framing, least in (
            (LengthField(4, adjust=-4), 4),
            (LengthField(2, offset=4, adjust=-6), 6),
            (LengthField(2, encoding="little", adjust=-5), 5),
            (LengthField(4, encoding="ascii", adjust=-4), 4),
        ):
            good = frame(framing, b"ab")
            head = b"#" * framing.offset
            bad = head + written(framing, least - 1)
            empty = head + written(framing, least)
            for pieces in every_cut(good + empty + bad):
                requests = [good[framing.strip :], empty[framing.strip :]]
                self.assertEqual(fed(framing.decoder(LIMIT), pieces), (requests, True))
            with self.assertRaises(FrameError) as caught:
                framing.decoder(LIMIT).feed(bad)
            self.assertEqual(
                str(caught.exception),
                f"expected a length of at least {least} (it counts bytes of the header),"
                f" found {least - 1}",
            )

    def test_some_request_must_be_within_the_limit(self) -> None:
        """A framing without requests in the limit is an error when the decoder is made."""
        for framing, smallest in (
            (LengthField(2, offset=4), 6),
            (LengthField(2, adjust=3), 3),
            (LengthField(4, adjust=-4, strip=0), 4),
            (LengthField(2, offset=2, adjust=1, strip=1), 4),
            (LengthField(offset=1, encoding="ber"), 2),
        ):
            framing.decoder(smallest)
            with self.assertRaises(ValueError) as caught:
                framing.decoder(smallest - 1)
            self.assertEqual(
                str(caught.exception),
                f"expected a limit of at least {smallest} bytes for a request,"
                f" found {smallest - 1}",
            )

    def test_a_large_request_in_many_pieces(self) -> None:
        """64 MiB in pieces of 1 KiB are copied once; copied at each piece it would be 2 TiB."""
        size, piece = 2**26, bytes(1024)
        decoder = LengthField(4, offset=4).decoder(size + 8)
        requests, failed = fed(decoder, [pack(">4xI", size), *[piece] * (size // 1024)])
        self.assertEqual(([len(request) for request in requests], failed), ([size + 8], False))


class ValueTests(SynchronousTestCase):
    """Framings are values."""

    def test_invalid_arguments_are_refused(self) -> None:
        """A wrong parameter is an error when the framing is made."""
        wrong: list[dict[str, Any]] = [
            *({"size": size} for size in (-1, 0, 5, 7, 9)),
            {"size": 2, "offset": -1},
            {"size": 2, "encoding": "middle"},
            {"encoding": "middle"},
            {},
            {"size": 0, "encoding": "ascii"},
            {"size": 19, "encoding": "ascii"},
            {"size": 10, "encoding": "bcd"},
            {"size": 10, "encoding": "varint"},
            {"encoding": "ber", "strip": 2},
            {"size": 2, "strip": -1},
            {"size": 2, "strip": 3},
            {"size": 2, "offset": 4, "strip": 7},
        ]
        for arguments in wrong:
            with self.assertRaises(ValueError, msg=arguments):
                LengthField(**arguments)

    def test_framings_with_the_same_values_are_equal(self) -> None:
        """A parameter that is left out has its default value."""
        self.assertEqual(LengthField(2), LengthField(2, 0, 0, "big", 2))
        self.assertNotEqual(LengthField(2), LengthField(2, strip=0))
        self.assertEqual(
            repr(LengthField(2, 4)),
            "LengthField(size=2, offset=4, adjust=0, encoding='big', strip=0, trailer=b'')",
        )
