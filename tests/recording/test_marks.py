"""Marks for what differs at each run, written into recordings."""

import os
from pathlib import Path
from tempfile import mkdtemp

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Send
from reqresp.recording import Conversation, Event, Recording, RecordingError, Sender, parse
from reqresp.recording._follower import Follower
from reqresp.recording._tracks import make_track
from reqresp.recording.conversations import Header
from reqresp.recording.marks import Marked, make_ignored, mark
from reqresp.recording.replay import Replay
from reqresp.recording.writing import write
from tests.support.recorded import HEADER, Recorded

#: Bytes that patterns of these tests match in part.
DATA = st.one_of(
    st.binary(min_size=1, max_size=400),
    st.text("ab0123456789\r\n\\ é", min_size=1).map(str.encode),
)


def marked(lines: str, *patterns: str) -> Marked:
    """Return a recording with these *lines* and marks."""
    return mark(HEADER + lines, [make_ignored(it) for it in patterns])


class MarkTests(SynchronousTestCase):
    """What becomes a mark."""

    def check(self, lines: str, expected: str, *patterns: str) -> None:
        text = marked(lines, *patterns).text
        self.assertEqual(text, HEADER + expected)
        parse(text)

    def test_a_value_and_its_echo(self) -> None:
        """What a pattern matches in a client's bytes is a mark, and its echo from the server."""
        self.check(
            "> id=4711;\\r\\n\n< ok 4711 4711\\r\\n\n< 471\n",
            "> id=\\<ignored>;\\r\\n\n< ok \\<ignored> \\<ignored>\\r\\n\n< 471\n",
            "[0-9]{4}",
        )

    def test_groups(self) -> None:
        """If a pattern has groups, only they are marks, with their names."""
        self.check(
            "> Message-ID: <a@b>\\r\\n\n> Date: today\\r\\n\n",
            "> Message-ID: <\\<id>>\\r\\n\n> Date: \\<ignored>\\r\\n\n",
            r"Message-ID: <(?P<id>[^>]*)>",
            r"Date: ([^\r]*)",
        )

    def test_other_values_have_other_names(self) -> None:
        """Each value of a conversation has a name of its own."""
        self.check(
            "> aaaa\\n\n> bbbb\\n\n> aaaa\\n\n< bbbb aaaa\n",
            "> \\<x>\\n\n> \\<x-2>\\n\n> \\<x>\\n\n< \\<x-2> \\<x>\n",
            r"(?P<x>\w+)",
        )

    def test_conversations_are_apart(self) -> None:
        """The values of a conversation are not looked for in others."""
        self.check(
            "-- 1\n> aaaa\\n\n-- 2\n> ?\\n\n< aaaa\n-- 1\n< aaaa\n",
            "-- 1\n> \\<ignored>\\n\n-- 2\n> ?\\n\n< aaaa\n-- 1\n< \\<ignored>\n",
            "a+",
        )

    def test_appended_recordings(self) -> None:
        """After another header, numbers begin again."""
        self.check(
            f"> aaaa\\n\n{HEADER}> b\\n\n< aaaa\n",
            f"> \\<ignored>\\n\n{HEADER}> b\\n\n< aaaa\n",
            "a+",
        )

    def test_short_values_are_not_looked_for(self) -> None:
        """A value of a few bytes would be found by chance in what the server sends."""
        self.check("> n=123\\n\n< 123\n", "> n=\\<ignored>\\n\n< 123\n", "[0-9]+")

    def test_sizes(self) -> None:
        """A mark has a size if nothing ends it, or if what follows is in it, or if it is binary."""
        self.check("> id=abcd\n< x\n", "> id=\\<ignored:4>\n< x\n", "abcd")
        self.check("> a.b.\n", "> \\<ignored:3>.\n", r"a\.b")
        self.check("> \\0\\x01;\n", "> \\<ignored:2>;\n", r"\x00\x01")
        self.check("> ab\n(1 s)\n> bc\n", "> a\\<ignored:2>\n(1 s)\n> c\n", "bb")
        self.check("> ab\n(1 s)\n> cd\n", "> \\<ignored:2>\n(1 s)\n> cd\n", "ab")
        self.check("> abcd\n", "> \\<ignored:2>\\<ignored-2:2>\n", "ab|cd")

    def test_across_lines_and_events(self) -> None:
        """A value that was cut becomes one mark, where it begins; lines keep their numbers."""
        self.check(
            "> x[one\\n\n> two\\n\n(0.5 s)\n> three]y\n< one\\ntwo\\nthree\n",
            "> x[\\<ignored:13>\n\n(0.5 s)\n> ]y\n< \\<ignored>\n",
            r"(?s)\[(.*)\]",
        )

    def test_not_across_replies(self) -> None:
        """Bytes before and after a reply are no value."""
        self.check("> a\n< x\n> b\n", "> a\n< x\n> b\n", "ab")

    def test_base64(self) -> None:
        """Around a mark in base64, the lines are cut."""
        self.check(
            ">base64 AAECAwQF\n<base64 AAECAwQF\n",
            ">base64 AA==\n> \\<ignored:4>\n>base64 BQ==\n"
            "<base64 AA==\n< \\<ignored>\n<base64 BQ==\n",
            r"\x01\x02\x03\x04",
        )
        self.check("> a\n>base64 AAEC\n> b\n", "> \\<ignored:4>\n\n> b\n", r"(?s)a...")

    def test_marks_that_are_there_already(self) -> None:
        """Older marks stay, and values are found between them."""
        self.check(
            "> \\<a>;bbbb;\\<c:4>\n< \\<a>bbbb\n",
            "> \\<a>;\\<ignored>;\\<c:4>\n< \\<a>\\<ignored>\n",
            "b+|a",
        )

    def test_parts_of_characters(self) -> None:
        """A value can begin or end within a character."""
        self.check("> é\n", "> \\xc3\\<ignored:1>\n", r"\xa9")
        self.check("> é;\n", "> \\<ignored:1>\\xa9;\n", r"\xc3")

    def test_a_blank_at_the_end(self) -> None:
        """A line does not end with a blank, which editors remove."""
        self.check("> a bb\\n\n> bc\n", "> a \\<ignored:4>\n> c\n", "bb\nb")
        self.check("> a\n(1 s)\n> a b\n", "> a\n(1 s)\n> a \\<ignored:1>\n", "b")
        self.check("> [\\n\n> ] a\n", "> \\<ignored:3>\n>  a\n", r"\[\n\]")

    def test_everything_else_stays(self) -> None:
        """Comments, blank lines, line ends, unusual escapes and a torn line are kept."""
        self.check(
            "# note\r\n\n-- 3 1.2.3.4:5\n(0.10 s)\n> \\x41 1234\\n\r\n<eof\n>ba",
            "# note\r\n\n-- 3 1.2.3.4:5\n(0.10 s)\n> \\x41 \\<ignored>\\n\r\n<eof\n>ba",
            "[0-9]+",
        )

    def test_torn_lines(self) -> None:
        """A line that a crash has left incomplete is left as it is."""
        torn = "> 12\\x\n# the line before is incomplete\n"
        self.check(torn + "> 34\n", torn + "> \\<ignored:2>\n", "[0-9]+")

    def test_counts(self) -> None:
        """How many marks each pattern has made is told, and how many echoes there are."""
        found = marked("> aaaa bb\\n\n< aaaa\n", "a+", "b+", "a", "c")
        self.assertEqual((found.counts, found.echoes), ((1, 1, 0, 0), 1))

    def test_many_values(self) -> None:
        """Only the last values are looked for in what the server sends."""
        lines = "".join(f"> {n:05}\\n\n" for n in range(150)) + "< 00000 00149\n"
        text = marked(lines, "[0-9]{5}").text
        self.assertTrue(text.endswith("< 00000 \\<ignored-150>\n"))

    def test_problems(self) -> None:
        """A file with problems is not marked; a pattern that RE2 refuses is an error."""
        with self.assertRaises(RecordingError):
            marked("oops\n", "a")
        with self.assertRaisesRegex(ValueError, "invalid RE2 pattern"):
            make_ignored("(")
        with self.assertRaisesRegex(ValueError, "expected a name such as nonce"):
            make_ignored("(?P<9a>x)")

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.tuples(st.sampled_from(Sender), DATA, st.booleans()),
            min_size=1,
        ),
        st.sampled_from(["[ab]+", r"(?s)\x00.", "(?P<n>[0-9]{4,})", "(?s)a.*b", r"\\+"]),
        st.integers(1, 100),
    )
    def test_any_recording(
        self, sent: list[tuple[Sender, bytes, bool]], pattern: str, size: int
    ) -> None:
        """With marks, a client that sends what was recorded gets the recorded replies."""
        events = tuple(Event(sender, (data,), float(gap)) for sender, data, gap in sent)
        text = os.fsdecode(write(Recording(Header(), (Conversation(1, "", events),))))
        [conversation] = parse(mark(text, [make_ignored(pattern)]).text).conversations
        track = make_track(conversation, 0)
        assert track is not None
        follower = Follower(track)
        steps = follower.begin()
        client = b"".join(data for sender, data, _ in sent if sender is Sender.CLIENT)
        for at in range(0, len(client), size):
            more, difference = follower.feed(client[at : at + size])
            self.assertIsNone(difference)
            steps += more
        said = b"".join(step.data for step in steps if isinstance(step, Send))
        expected = b"".join(data for sender, data, _ in sent if sender is Sender.SERVER)
        self.assertEqual(said, expected)


class ReplayedTests(Recorded):
    """Recordings with marks, replayed."""

    def test_ignore(self) -> None:
        """Patterns that are ignored when a recording is loaded let other values pass."""
        path = Path(mkdtemp()) / "it.rec"
        path.write_text(HEADER + "> id=4711\\r\\n\n< ok 4711\\r\\n\n", encoding="utf-8")
        factory = self.factory(Replay.load(path, ignore=["[0-9]+"]))
        client = self.join(factory)
        client.send(b"id=123456\r\n")
        self.assertEqual(client.received(), b"ok 123456\r\n")

    def test_a_pattern_that_matches_nothing(self) -> None:
        """A pattern without a match is a warning."""
        path = Path(mkdtemp()) / "it.rec"
        path.write_text(HEADER + "> a\n< b\n", encoding="utf-8")
        [warning] = Replay.load(path, ignore=["a", "b"]).warnings
        self.assertEqual(str(warning), f"{path}: the pattern 'b' matches nothing that clients send")
