"""The notation of recordings: what is read, and what is wrong."""

import tempfile
from pathlib import Path

from hypothesis import settings
from twisted.trial.unittest import SynchronousTestCase

from reqresp._errors import MAX_PROBLEMS
from reqresp.recording import (
    Conversation,
    End,
    Event,
    Header,
    Mark,
    RecordingError,
    Sender,
    load,
    parse,
)
from reqresp.recording.notation import TORN

PROPERTY = settings(derandomize=True, deadline=None)
CLIENT, SERVER = Sender.CLIENT, Sender.SERVER
HEADER = "# reqresp recording 1\n"


def events(text: str) -> list[tuple[Event, ...]]:
    """Return the events of each conversation in *text*, which has no header."""
    return [it.events for it in parse(HEADER + text).conversations]


def problems(text: str) -> list[str]:
    """Return the problems of *text*."""
    try:
        parse(text, "a.rec")
    except RecordingError as error:
        return str(error).split("\n")
    return []


class ReadingTests(SynchronousTestCase):
    """What lines mean."""

    def test_a_conversation(self) -> None:
        """Bytes, times, ends and the peer are read."""
        text = (
            "-- 1 127.0.0.1:50000\n"
            "(0.25 s)\n"
            "< 220 hi\\r\\n\n"
            "> PING\\r\\n\n"
            "(0.2 s)\n"
            "(0.3 s)\n"
            "< +PONG\\r\\n\n"
            ">eof\n"
            "<reset\n"
        )
        [found] = parse(HEADER + text).conversations
        self.assertEqual(
            found,
            Conversation(
                1,
                "127.0.0.1:50000",
                (
                    Event(SERVER, (b"220 hi\r\n",), 0.25),
                    Event(CLIENT, (b"PING\r\n",)),
                    Event(SERVER, (b"+PONG\r\n",), 0.5),
                    Event(CLIENT, End.EOF),
                    Event(SERVER, End.RESET),
                ),
            ),
        )
        self.assertEqual([it.line for it in found.events], [4, 5, 8, 9, 10])
        self.assertEqual(found.line, 2)

    def test_the_header(self) -> None:
        """It says when, what and what was redacted; keys of later versions are ignored."""
        line = "# reqresp recording 1 at=2026-11-28T09:30:00Z of=unix:/a\\x20b redacted=a,b new=1\n"
        self.assertEqual(
            parse(line).header, Header("2026-11-28T09:30:00Z", "unix:/a b", ("a", "b"))
        )

    def test_lines_of_one_side_are_joined_unless_time_passes(self) -> None:
        """Where a read ended is not kept; when it came is."""
        self.assertEqual(
            events("> a\n> b\n(1 s)\n> c\n"),
            [(Event(CLIENT, (b"ab",)), Event(CLIENT, (b"c",), 1.0))],
        )

    def test_base64(self) -> None:
        """Base64 is joined like text."""
        self.assertEqual(events("> a\n>base64 AAE=\n"), [(Event(CLIENT, (b"a\0\1",)),)])

    def test_a_line_without_data(self) -> None:
        """A line that has a sender alone says nothing."""
        self.assertEqual(
            events("> \n>base64 \n< a\n"), [(Event(CLIENT, ()), Event(SERVER, (b"a",)))]
        )

    def test_conversations_are_independent(self) -> None:
        """What another conversation does in between changes nothing, not even times."""
        one = "-- 1\n> a\n(0.2 s)\n< b\n"
        both = "-- 1\n> a\n-- 2\n(5 s)\n> x\n-- 1\n(0.2 s)\n-- 2\n< y\n-- 1\n< b\n"
        self.assertEqual(events(both)[0], events(one)[0])

    def test_conversations_come_in_the_order_of_their_beginning(self) -> None:
        """Numbers are names: they need not be in order."""
        found = parse(HEADER + "-- 7 a\n> a\n-- 3\n> b\n-- 7\n< c\n").conversations
        self.assertEqual([(it.number, it.peer) for it in found], [(7, "a"), (3, "")])

    def test_one_conversation_needs_no_number(self) -> None:
        """Lines before any ``--`` belong to conversation 1."""
        self.assertEqual([it.number for it in parse(HEADER + "> a\n").conversations], [1])

    def test_recordings_can_be_appended(self) -> None:
        """After another header, a number is that of another conversation."""
        text = (
            HEADER
            + "-- 1\n> a\n-- 5\n> b\n# reqresp recording 1 redacted=x\n-- 1\n> c\n-- 2\n> d\n"
        )
        recording = parse(text)
        self.assertEqual([it.number for it in recording.conversations], [1, 5, 6, 2])
        self.assertEqual(recording.header.redacted, ("x",))

    def test_comments_and_blank_lines_mean_nothing(self) -> None:
        """They can stand anywhere, also between lines that are joined."""
        self.assertEqual(events("# one\n> a\n\n#two\n  \n> b\n"), [(Event(CLIENT, (b"ab",)),)])

    def test_marks(self) -> None:
        """A mark has a name and perhaps a size; a doubled backslash begins none."""
        self.assertEqual(
            events("> a\\<n>b\\<m:4>\\\\<n>\n< \\<n>\n"),
            [
                (
                    Event(CLIENT, (b"a", Mark("n"), b"b", Mark("m", 4), b"\\<n>")),
                    Event(SERVER, (Mark("n"),)),
                )
            ],
        )

    def test_line_ends_of_other_systems(self) -> None:
        """CR before LF, and a byte order mark, are what an editor adds."""
        [conversation] = parse("\ufeff# reqresp recording 1\r\n> a \r\n").conversations
        self.assertEqual(conversation.events, (Event(CLIENT, (b"a ",)),))

    def test_a_torn_last_line_is_left_out(self) -> None:
        """What a crash leaves of a line has no meaning; a warning names it."""
        recording = parse(HEADER + "> a\n> b", "a.rec")
        self.assertEqual(recording.conversations[0].events, (Event(CLIENT, (b"a",)),))
        self.assertEqual(
            [*map(str, recording.warnings)],
            ["a.rec:3: an incomplete line, as a crash leaves it; leaving it out"],
        )

    def test_a_torn_line_before_another_recording_is_left_out(self) -> None:
        """Recording goes on in the file that a crash has left; a comment says where."""
        recording = parse(HEADER + "> a\n> b\\\n" + TORN.decode() + HEADER + "> c\n", "a.rec")
        self.assertEqual(
            [it.events for it in recording.conversations],
            [(Event(CLIENT, (b"a",)),), (Event(CLIENT, (b"c",)),)],
        )
        self.assertEqual(
            [*map(str, recording.warnings)],
            ["a.rec:3: an incomplete line, as a crash leaves it; leaving it out"],
        )


class ProblemTests(SynchronousTestCase):
    """What is wrong in a recording."""

    def test_without_a_header(self) -> None:
        """Nothing else is read of a file that is not a recording."""
        for text in ("", "> a\n", "# reqresp recording\n> a\n?\n"):
            found = text.split("\n")[0]
            self.assertEqual(
                problems(text),
                [f"a.rec:1: expected the header '# reqresp recording 1'; found {found!r}"],
            )

    def test_another_version(self) -> None:
        """Nothing else is read of a later version, wherever its header is."""
        why = "expected version 1 of the notation of recordings, found version 2"
        self.assertEqual(problems("# reqresp recording 2 x=y\n?\n"), [f"a.rec:1: {why}"])
        self.assertEqual(problems(HEADER + "# reqresp recording 2\n"), [f"a.rec:2: {why}"])

    def test_all_at_once(self) -> None:
        """Each wrong line is reported with its number."""
        text = (
            "hello\n>a\n> \\q\n>base64 A\n(1s)\n(99999999999 s)\n-- x\n-- 0\n"
            "> \\<\n> \\<1>\n> \\<a:0>\n< \\<b>\n>\n"
        )
        found = problems(HEADER + text)
        self.assertEqual(
            [it.split(": ")[0] for it in found], [f"a.rec:{line}" for line in range(2, 15)]
        )
        whole = "\n".join(found)
        for part in (
            "expected '> ' or '< ' and data, >base64, >eof, >reset, '-- N', '(0.2 s)' or '#';"
            " found 'hello'",
            r"unknown escape \q; expected one of",
            "expected base64, found 'A' (",
            "expected a time such as '(0.2 s)', found '(1s)'",
            "expected '-- N' with a number from 1; found '-- 0'",
            r"expected a mark such as \<name> or \<name:4>, found '\\<a:0>'",
            r"the client has sent no \<b> before",
        ):
            self.assertIn(part, whole)

    def test_after_an_end(self) -> None:
        """A side that has ended sends nothing; after a reset nobody does."""
        self.assertEqual(
            problems(HEADER + ">eof\n< a\n> b\n>eof\n>reset\n< c\n-- 2\n> d\n"),
            [
                "a.rec:4: this side has sent EOF in line 2",
                "a.rec:5: this side has sent EOF in line 2",
                "a.rec:7: the connection was reset in line 6",
            ],
        )

    def test_marks_without_an_end(self) -> None:
        """A mark without a size ends where the bytes after it begin, so there must be some."""
        self.assertEqual(
            problems(HEADER + "> \\<a>\n> x\\<b>\\<c>y\n(1 s)\n> \\<d:2>\n> \\<e>\n< \\<a>\n"),
            [
                "a.rec:3: \\<b> has no end: expected bytes after it, or a size as in \\<b:4>",
                "a.rec:6: \\<e> has no end: expected bytes after it, or a size as in \\<e:4>",
            ],
        )

    def test_very_many(self) -> None:
        """A bounded number is shown."""
        found = problems(HEADER + "?\n" * 2 * MAX_PROBLEMS)
        self.assertEqual(len(found), MAX_PROBLEMS + 1)
        self.assertEqual(found[-1], f"a.rec: more than {MAX_PROBLEMS} problems; some are not shown")


class FileTests(SynchronousTestCase):
    """`load`."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "a.rec"

    def test_any_bytes(self) -> None:
        """Bytes that are not UTF-8 are read as they are."""
        self.path.write_bytes(HEADER.encode() + b"> \xff\xc3\xa9\n")
        recording = load(self.path)
        self.assertEqual(recording.conversations[0].events, (Event(CLIENT, (b"\xff\xc3\xa9",)),))
        self.assertEqual(recording.name, str(self.path))

    def test_a_file_that_cannot_be_read(self) -> None:
        """The error names it."""
        with self.assertRaises(RecordingError) as caught:
            load(self.path)
        self.assertEqual(
            str(caught.exception), f"{self.path}: cannot be read: No such file or directory"
        )
