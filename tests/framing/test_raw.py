"""Raw frames: what is found keeps its bytes as they came, in any framing, however it is cut."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import (
    BaseFraming,
    Chunk,
    Command,
    Delimiter,
    Fixed,
    Framed,
    FrameError,
    HeaderBody,
    LengthPrefix,
    Line,
    Mixed,
    Netstring,
    RawFrames,
    Resp,
    feed_run,
    is_new,
    unfinished,
    with_raw,
)
from reqresp.framing._raw import RawDecoder
from reqresp.framing._resp_commands import CommandDecoder, _whole_commands
from reqresp.framing._resp_values import ValueDecoder
from tests.support.streams import PROPERTY, cut, every_cut, fed

LIMIT = 1000

MEMCACHED = HeaderBody(Line(), rb"^set \S+ \d+ \d+ (\d+)", body_end=b"\r\n")

#: Frames of each framing, each of which is one request and one reply.
FRAMES: dict[BaseFraming, list[bytes]] = {
    Line(): [b"a\r\n", b"\n", b"b c\n", b"\rd\r\r\n"],
    Delimiter(b"aab"): [b"aab", b"xaab", b"aaab"],
    Netstring(): [b"0:,", b"3:a,b,", b"1:\n,"],
    LengthPrefix(1): [b"\0", b"\2ab", b"\1\n"],
    Fixed(2): [b"ab", b"\r\n"],
    MEMCACHED: [b"get a\r\n", b"set k 0 0 3\r\na\r\n\r\n", b"set k 0 0 0\r\n\r\n"],
}
COMMANDS = [b"PING\r\n", b"*1\r\n$2\r\n\r\n\r\n", b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", b" get 'a b'\n"]
VALUES = [
    b"+OK\r\n",
    b":-1\r\n",
    b"$2\r\n\r\n\r\n",
    b"$-1\r\n",
    b"*2\r\n:1\r\n$1\r\na\r\n",
    b"_\r\n",
]


class OnlyFeeds:
    """A decoder as a user may write it: it has `feed` and a length."""

    def __init__(self) -> None:
        self._decoder = Line().decoder(LIMIT)

    def __len__(self) -> int:
        return len(self._decoder)

    def feed(self, data: bytes) -> list[bytes]:
        return self._decoder.feed(data)


def raws(requests: list[bytes]) -> list[bytes]:
    """Return the raw bytes of *requests*, which are all `Framed`."""
    return [request.raw for request in requests if isinstance(request, Framed)]


class RequestTests(SynchronousTestCase):
    """Requests with their raw bytes."""

    def test_each_framing_in_all_pieces(self) -> None:
        """The requests are those that the decoder finds, and their raw bytes are the stream."""
        for framing, frames in FRAMES.items():
            expected, _ = fed(framing.decoder(LIMIT), [b"".join(frames)])
            for pieces in every_cut(b"".join(frames)):
                decoder = with_raw(framing.decoder(LIMIT))
                found, failed = fed(decoder, pieces)
                self.assertEqual((found, raws(found), failed), (expected, frames, False))
                self.assertEqual((len(decoder), is_new(decoder)), (0, True))

    def test_runs_of_each_framing_in_all_pieces(self) -> None:
        """A run has the same requests, and their bytes are those of the stream."""
        for framing, frames in FRAMES.items():
            stream = b"".join(frames)
            expected, _ = fed(framing.decoder(LIMIT), [stream])
            for pieces in every_cut(stream):
                decoder = with_raw(framing.decoder(LIMIT))
                runs = [feed_run(decoder, piece) for piece in pieces]
                self.assertEqual([it for requests, _ in runs for it in requests], expected)
                self.assertEqual(b"".join(raw for _, raw in runs), stream)

    def test_commands_have_their_raw_bytes_anyway(self) -> None:
        """They need no other decoder."""
        decoder = CommandDecoder(LIMIT)
        self.assertIs(with_raw(decoder), decoder)
        found = decoder.feed(b"".join(COMMANDS))
        self.assertEqual(raws(found), COMMANDS)
        more: list[bytes] = []
        CommandDecoder(LIMIT).feed_raw(b"".join(COMMANDS), more)
        self.assertEqual(more, COMMANDS)

    def test_a_decoder_of_a_user(self) -> None:
        """One that only has `feed` is fed byte by byte."""
        for pieces in every_cut(b"a\r\n\nb\n"):
            decoder = with_raw(OnlyFeeds())
            found, _ = fed(decoder, pieces)
            self.assertEqual((found, raws(found)), ([b"a", b"", b"b"], [b"a\r\n", b"\n", b"b\n"]))
            self.assertFalse(is_new(decoder))

    def test_chunks(self) -> None:
        """A piece is its own raw bytes."""
        found = with_raw(Chunk(2).decoder(LIMIT)).feed(b"abc")
        self.assertEqual((found, raws(found)), ([b"ab", b"c"], [b"ab", b"c"]))

    def test_requests_before_an_error(self) -> None:
        """They have their raw bytes, too."""
        for decoder, stream in (
            (Line().decoder(3), b"a\r\nb\ntoo long\n"),
            (Line().decoder(3), b"a\r\nb\ntoo long"),
            (Netstring().decoder(9), b"1:a,1:b,x"),
            (OnlyFeeds(), b"a\r\nb\n" + b"x" * 2000),
        ):
            with self.assertRaises(FrameError) as caught:
                RawDecoder(decoder).feed(stream)
            found = [*caught.exception.requests]
            self.assertEqual(found, [b"a", b"b"])
            self.assertEqual(b"".join(raws(found)), stream[: len(b"".join(raws(found)))])

    def test_an_unfinished_request(self) -> None:
        """It is that of the decoder."""
        decoder = with_raw(Line().decoder(LIMIT))
        decoder.feed(b"a\nbe")
        begun = unfinished(decoder)
        self.assertEqual((begun and begun.data, len(decoder)), (b"be", 2))
        decoder.feed(b"gun\n")
        self.assertIsNone(unfinished(decoder))

    def test_a_copy_has_its_raw_bytes(self) -> None:
        """As a command has."""
        from copy import copy

        found = Framed(b"a", b"a\n")
        self.assertEqual((copy(found), copy(found).raw), (b"a", b"a\n"))


class ReplyTests(SynchronousTestCase):
    """Frames of replies."""

    def test_each_framing_in_all_pieces(self) -> None:
        """The frames together are the stream."""
        cases: list[tuple[BaseFraming, list[bytes]]] = [*FRAMES.items(), (Resp(), VALUES)]
        for framing, frames in cases:
            for pieces in every_cut(b"".join(frames)):
                decoder = RawFrames(framing.reply_decoder(LIMIT))
                found = [frame for piece in pieces for frame in decoder.feed(piece)]
                self.assertEqual((found, decoder.unfinished), (frames, b""))

    def test_what_has_begun(self) -> None:
        """The rest of a stream that ends within a reply."""
        decoder = RawFrames(Resp().reply_decoder(LIMIT))
        self.assertEqual(decoder.feed(b"+OK\r\n*2\r\n:1\r\n$9\r\nhal"), [b"+OK\r\n"])
        self.assertEqual(decoder.unfinished, b"*2\r\n:1\r\n$9\r\nhal")

    def test_frames_before_an_error(self) -> None:
        """They are in the error; the bytes after them are unfinished."""
        for good in (b"+OK\r\n:1\r\n", b"_\r\n"):
            decoder = RawFrames(Resp().reply_decoder(LIMIT))
            with self.assertRaises(FrameError) as caught:
                decoder.feed(good + b"HTTP/1.1\r\n")
            self.assertEqual(b"".join(caught.exception.requests), good)
            self.assertEqual(decoder.unfinished[-10:], b"HTTP/1.1\r\n")

    def test_a_reply_that_is_too_large(self) -> None:
        """It is an error as soon as that is known."""
        for stream in (b"$2000\r\n", b"+" + b"x" * 2000, b"+" + b"x" * 2000 + b"\r\n"):
            with self.assertRaises(FrameError):
                RawFrames(Resp().reply_decoder(LIMIT)).feed(stream)

    @PROPERTY
    @given(st.lists(st.sampled_from([*VALUES, b"x"]), max_size=8), st.data())
    def test_values_are_those_of_the_decoder(self, tokens: list[bytes], data: Any) -> None:
        """The shorter way for common values finds the same as the decoder."""
        stream = b"".join(tokens)
        pieces = cut(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
        expected = fed(ValueDecoder(LIMIT), pieces)
        decoder = ValueDecoder(LIMIT)

        class Raw:
            def feed(self, piece: bytes) -> list[bytes]:
                return decoder.feed_raw(piece, [])

        self.assertEqual(fed(Raw(), pieces), expected)  # type: ignore[arg-type]  # for this test

    def test_which_framings_end_replies(self) -> None:
        """All but chunks; of two framings, that of replies counts."""
        self.assertTrue(all(framing.ends_replies for framing in FRAMES))
        self.assertTrue(Resp().ends_replies)
        self.assertFalse(Chunk().ends_replies)
        self.assertTrue(Mixed(Chunk(), Line()).ends_replies)
        self.assertFalse(Mixed(Line(), Chunk()).ends_replies)


class WholeCommandTests(SynchronousTestCase):
    """The shorter way for commands as clients send them."""

    @PROPERTY
    @given(
        st.lists(
            st.lists(st.sampled_from([b"", b"a", b"GET", b"\r\n", b"$1", b"x" * 600]), max_size=4),
            max_size=6,
        ),
        st.integers(0, 40),
        st.integers(20, 2000),
    )
    def test_they_are_those_of_the_decoder(
        self, commands: list[list[bytes]], missing: int, limit: int
    ) -> None:
        """However the last one is cut: the same commands, with the same raw bytes."""
        stream = b"".join(
            b"*%d\r\n" % len(it) + b"".join(b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in it)
            for it in commands
        )
        stream = stream[: len(stream) - missing]
        expected, _ = fed(CommandDecoder(limit), [bytes([it]) for it in stream])
        found, size = _whole_commands(stream, limit)
        self.assertEqual(found, expected[: len(found)])
        self.assertEqual(raws(found), raws(expected)[: len(found)])
        self.assertEqual(size, sum(map(len, raws(found))))
        self.assertEqual(fed(CommandDecoder(limit), [stream])[0], expected)
        self.assertTrue(all(type(it) is Command for it in found))


class PushTests(SynchronousTestCase):
    """What a RESP server sends by itself."""

    def confirmation(self, mark: bytes, word: bytes) -> bytes:
        return mark + b"3\r\n$%d\r\n%b\r\n$1\r\na\r\n:1\r\n" % (len(word), word)

    def test_pushes(self) -> None:
        """Of RESP3, only the confirmation of a command answers it."""
        answers = Resp().answers
        self.assertFalse(answers(b"GET a", b">2\r\n+message\r\n+x\r\n"))
        self.assertFalse(answers(b"GET a", b">2\r\n+invalidate\r\n*1\r\n+k\r\n"))
        self.assertFalse(answers(b"GET a", self.confirmation(b">", b"subscribe")))
        self.assertTrue(answers(b"subscribe a", self.confirmation(b">", b"subscribe")))
        self.assertTrue(answers(b"SUBSCRIBE a b", self.confirmation(b">", b"subscribe")))
        self.assertFalse(answers(b"PSUBSCRIBE a", self.confirmation(b">", b"subscribe")))

    def test_messages_of_resp2(self) -> None:
        """A message does not answer what a subscribed client may send."""
        message = self.confirmation(b"*", b"message").replace(b":1\r\n", b"$2\r\nhi\r\n")
        answers = Resp().answers
        for command in (b"PING", b"SUBSCRIBE b", b"unsubscribe", b"QUIT"):
            self.assertFalse(answers(command, message), command)
        self.assertTrue(answers(b"LRANGE a 0 9", message))
        self.assertTrue(answers(b"PING", b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"))

    def test_confirmations_of_resp2(self) -> None:
        """One of another command was sent for another channel."""
        answers = Resp().answers
        self.assertTrue(answers(b"subscribe a", self.confirmation(b"*", b"subscribe")))
        self.assertFalse(answers(b"PING", self.confirmation(b"*", b"subscribe")))
        self.assertFalse(answers(b"GET a", self.confirmation(b"*", b"unsubscribe")))
        elements = b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n$1\r\n1\r\n"
        self.assertTrue(answers(b"LRANGE a 0 9", elements))

    def test_other_values_answer(self) -> None:
        """Whatever the command is."""
        for value in VALUES:
            self.assertTrue(Resp().answers(b"PING", value))

    def test_marks(self) -> None:
        """Only values that start with one of these may be pushes."""
        self.assertEqual(Resp().push_marks, frozenset(b">*"))
        self.assertEqual(Mixed(Line(), Resp()).push_marks, frozenset(b">*"))
        self.assertEqual(Line().push_marks, frozenset())
        self.assertTrue(Line().answers(b"a", b">b\n"))
        self.assertFalse(Mixed(Line(), Resp()).answers(b"a", b">1\r\n+b\r\n"))
