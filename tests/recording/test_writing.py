"""How recordings are written, and that they are read as they were."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.recording import (
    Conversation,
    End,
    Event,
    Header,
    Mark,
    Recording,
    Sender,
    parse,
    write,
)
from reqresp.recording.writing import write_bytes, write_data, write_time

PROPERTY = settings(derandomize=True, deadline=None)
CLIENT, SERVER = Sender.CLIENT, Sender.SERVER


class WritingTests(SynchronousTestCase):
    """How values are written."""

    def test_text(self) -> None:
        """A line ends after each LF; a blank at the end would be lost in an editor."""
        for data, lines in (
            (b"a\r\nb\n", b"> a\\r\\n\n> b\\n\n"),
            (b"a\\n\t", b"> a\\\\n\\t\n"),
            (b"221 ", b"> 221\\x20\n"),
            (b"\n\n", b"> \\n\n> \\n\n"),
            ("grün\n\x00x".encode(), "> grün\\n\n> \\0x\n".encode()),
            (b"\xff\\", b"> \\xff\\\\\n"),
        ):
            self.assertEqual(write_bytes(CLIENT, data), lines)

    def test_binary(self) -> None:
        """Much that is not text is written in base64, in lines; short bytes never are."""
        data = bytes(range(256)) * 40
        written = write_bytes(SERVER, data)
        self.assertEqual(written.count(b"<base64 "), 4)
        self.assertLess(len(written), 1.4 * len(data))
        self.assertEqual(write_bytes(SERVER, b"\xff" * 3), b"< \\xff\\xff\\xff\n")
        self.assertTrue(write_bytes(SERVER, "Привет, мир! ".encode() * 40).startswith(b"< \xd0"))

    def test_marks(self) -> None:
        """Marks stand between escaped bytes, which do not look like marks themselves."""
        data = (b"<\\<a>", Mark("a"), b"\n", Mark("b", 4))
        self.assertEqual(write_data(CLIENT, data), b"> <\\\\<a>\\<a>\\n\n> \\<b:4>\n")

    def test_times(self) -> None:
        """Microseconds are written; less is nothing."""
        self.assertEqual(write_time(0.25), b"(0.25 s)\n")
        self.assertEqual(write_time(20), b"(20 s)\n")
        self.assertEqual(write_time(0.0000012), b"(0.000001 s)\n")
        self.assertEqual(write_time(0.0000005), b"")

    def test_a_recording(self) -> None:
        """The whole text is what a recorder would have written."""
        recording = Recording(
            Header("2026-11-28T09:30:00Z", "unix:/a b", ("pass",)),
            (
                Conversation(
                    2,
                    "127.0.0.1:50000",
                    (
                        Event(CLIENT, (b"PING\r\n",), 0.5),
                        Event(SERVER, (b"+PONG\r\n",)),
                        Event(SERVER, End.EOF),
                    ),
                ),
            ),
        )
        self.assertEqual(
            write(recording).decode(),
            "# reqresp recording 1 at=2026-11-28T09:30:00Z of=unix:/a\\x20b redacted=pass\n"
            "-- 2 127.0.0.1:50000\n(0.5 s)\n> PING\\r\\n\n< +PONG\\r\\n\n<eof\n",
        )


#: Bytes of many kinds: short and long, text and binary.
BYTES = st.one_of(
    st.binary(min_size=1),
    st.sampled_from([b" ", b"\n", b"\\", b"\\<a>", b"\r\n", b"(1 s)\n-- 2\n", b"\xc3", b"\xa9"]),
    st.binary(min_size=1, max_size=8).map(lambda it: it * 600),
)
NAMES = st.sampled_from(["a", "nonce", "x-1"])


def data_of(sender: Sender) -> st.SearchStrategy[tuple[bytes | Mark, ...]]:
    """Return a strategy of what *sender* sends at once."""
    client = [
        BYTES,
        st.builds(lambda name, data: (Mark(name), data), NAMES, BYTES),
        st.builds(Mark, NAMES, st.integers(1, 999)),
    ]
    pieces = st.one_of(client if sender is CLIENT else [BYTES])
    return st.lists(pieces, min_size=1, max_size=4).map(merged)


def merged(pieces: list[object]) -> tuple[bytes | Mark, ...]:
    """Return *pieces*, tuples unpacked, with bytes in a row joined."""
    parts: list[bytes | Mark] = []
    for piece in pieces:
        for part in piece if isinstance(piece, tuple) else (piece,):
            if isinstance(part, bytes) and parts and isinstance(parts[-1], bytes):
                parts[-1] += part
            else:
                parts.append(part)
    return tuple(parts)


@st.composite
def conversations(draw: st.DrawFn, number: int) -> Conversation:
    """Return a conversation that can happen."""
    kept: list[Event] = []
    open_sides = [CLIENT, SERVER]
    for _ in range(draw(st.integers(0, 6))):
        if not open_sides:
            break
        sender = draw(st.sampled_from(open_sides))
        after = draw(st.integers(0, 10**7)) / 10**6
        what = draw(st.one_of(data_of(sender), st.sampled_from(End)))
        if isinstance(what, End):
            open_sides.remove(sender)
        elif kept and kept[-1].sender is sender and isinstance(kept[-1].data, tuple):
            after = after or 0.5  # without a time, it would be the same event
        kept.append(Event(sender, what, after))
        if what is End.RESET:
            break
    peer = draw(st.sampled_from(["", "127.0.0.1:50000", "[::1]:1", "'/a b'"]))
    return Conversation(number, peer, tuple(kept))


class RoundTripTests(SynchronousTestCase):
    """What is written is read."""

    @PROPERTY
    @given(
        st.lists(st.integers(1, 10**18 - 1), unique=True, max_size=3).flatmap(
            lambda numbers: st.tuples(*map(conversations, numbers))
        )
    )
    def test_a_recording_is_read_as_it_was_written(
        self, conversations: tuple[Conversation, ...]
    ) -> None:
        """Any bytes, marks, times and ends."""
        recording = Recording(Header(), conversations)
        self.assertEqual(parse(os.fsdecode(write(recording))), recording)

    @PROPERTY
    @given(st.binary(), st.binary())
    def test_any_header(self, made: bytes, service: bytes) -> None:
        """A service can have any name."""
        header = Header(os.fsdecode(made), os.fsdecode(service))
        self.assertEqual(parse(os.fsdecode(write(Recording(header, ())))).header, header)
