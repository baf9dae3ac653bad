"""Feeds: the lines of a file, each read when it is sent."""

import os

from twisted.logger import LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from reqresp.script import Script, ScriptError
from reqresp.script.explain import explain
from reqresp.script.feeds import MAX_LINE_BYTES, Feed, FeedEndError, FeedError
from reqresp.script.files import AnyFiles, ScriptFiles
from tests.support.descriptors import descriptors
from tests.support.listening import logged_events
from tests.support.live import temporary
from tests.support.scripted import Scripted
from tests.support.wire import Wire


class FeedTests(SynchronousTestCase):
    """`Feed` takes one line after another."""

    def setUp(self) -> None:
        self.path = temporary(self) / "feed.txt"

    def feed(self, content: bytes, *, repeat: bool = False) -> Feed:
        """Return the feed of a file with this content."""
        self.path.write_bytes(content)
        return ScriptFiles(self.path.parent).feed("feed.txt", repeat=repeat)

    def taken(self, feed: Feed, count: int = 99) -> list[bytes]:
        """Return up to *count* lines."""
        counts: dict[str, int] = {}
        found: list[bytes] = []
        while len(found) < count:
            try:
                found.append(feed.take(counts, "rule[0]"))
            except FeedEndError:
                break
        return found

    def test_lines(self) -> None:
        """Without their endings, whatever the last line ends with, and however long they are."""
        long = b"x" * MAX_LINE_BYTES
        for content, expected in (
            (b"a\nb\r\n\n\rc\r\r\n", [b"a", b"b", b"", b"\rc\r"]),
            (b"a\nb", [b"a", b"b"]),
            (b"\n", [b""]),
            (b"%b\r\n%b\n%b" % (long, long, long), [long] * 3),
            (b"x" * 4095 + b"\r\ny", [b"x" * 4095, b"y"]),
        ):
            self.assertEqual(self.taken(self.feed(content)), expected, content[:9])
            again = self.taken(self.feed(content, repeat=True), 2 * len(expected))
            self.assertEqual(again, expected * 2)

    def test_readers(self) -> None:
        """Each rule reads on its own."""
        feed = self.feed(b"a\nb\n")
        counts: dict[str, int] = {}
        places = ("rule[0]", "rule[1]", "rule[0]")
        self.assertEqual([feed.take(counts, it) for it in places], [b"a", b"a", b"b"])

    def test_a_line_that_is_too_long(self) -> None:
        """It is refused, and no more than that is read of it."""
        for end in (b"", b"\n", b"x" * 10_000):
            feed = self.feed(b"ok\n" + b"x" * (MAX_LINE_BYTES + 1) + end)
            with self.assertRaises(FeedError) as caught:
                self.taken(feed)
            self.assertEqual(
                str(caught.exception),
                f"'{self.path}' has a line of more than 65536 bytes, which begins at byte 3",
            )

    def test_a_file_that_changes(self) -> None:
        """What is appended is read; where no line begins any more, the error says why."""
        for content, expected in (
            (b"a\nb\nc\n", "c"),
            (b"a\n", "has shrunk: it ends before byte 4"),
            (b"abcd\ne", "has changed: no line begins at byte 4"),
            (b"a\nx\nc\n", "has changed: another line ends at byte 4"),
            (b"abc\nc\n", "has changed: another line ends at byte 4"),
            (None, "cannot be read: No such file or directory"),
        ):
            feed = self.feed(b"a\nb\n")
            counts: dict[str, int] = {}
            feed.take(counts, "")
            feed.take(counts, "")
            self.path.unlink()
            if content is not None:
                self.path.write_bytes(content)
            try:
                found = feed.take(counts, "").decode()
            except FeedError as error:
                found = str(error).removeprefix(f"'{self.path}' ")
            self.assertEqual(found, expected)

    def test_a_file_that_is_written_anew(self) -> None:
        """Its next line is read if the one before is as it was, also where it begins again."""
        for size, repeat in ((1, False), (MAX_LINE_BYTES, False), (1, True)):
            last = b"b" * size
            feed = self.feed(b"a\n%b\n" % last, repeat=repeat)
            counts: dict[str, int] = {}
            for _ in range(4 if repeat else 2):
                feed.take(counts, "")
            self.path.write_bytes(b"x\n%b\nc\n" % last)
            self.assertEqual(feed.take(counts, ""), b"c")
            self.path.write_bytes(b"x\n%b\nx\nd\n" % last)
            with self.assertRaisesRegex(FeedError, "another line ends"):
                feed.take(counts, "")

    def test_whether_a_line_is_left(self) -> None:
        """It is known without reading; a file that cannot be read has one, which then fails."""
        counts: dict[str, int] = {}
        feed = self.feed(b"a\nb")
        self.assertTrue(feed.has_line(counts, ""))
        counts[f" {self.path} {feed.version}"] = 3
        self.assertFalse(feed.has_line(counts, ""))
        self.assertTrue(self.feed(b"a\nb", repeat=True).has_line(counts, ""))
        self.path.unlink()
        self.assertTrue(feed.has_line(counts, ""))

    def test_a_link_that_is_made_later(self) -> None:
        """It is not followed out of the directory."""
        feed = self.feed(b"a\n")
        self.path.unlink()
        self.path.symlink_to("/etc/passwd")
        with self.assertRaisesRegex(FeedError, "is outside of the directory"):
            feed.take({}, "")

    def test_files(self) -> None:
        """A script names those of its directory; code names any; none is empty."""
        self.feed(b"a\n")
        base = self.path.parent
        (base / "empty").touch()
        inner = base / "inner"
        inner.mkdir()
        found = AnyFiles(inner).feed("../feed.txt", repeat=False)
        self.assertEqual(self.taken(found), [b"a"])
        for files in (ScriptFiles(base), AnyFiles(base)):
            with self.assertRaises(ValueError) as caught:
                files.feed("empty", repeat=True)
            self.assertEqual(
                str(caught.exception), f"'{base}/empty' is empty: expected at least one line"
            )
        with self.assertRaisesRegex(ValueError, "is outside of the directory"):
            ScriptFiles(inner).feed("../feed.txt", repeat=False)
        with self.assertRaisesRegex(ValueError, "no file can be named here"):
            ScriptFiles(None).feed("feed.txt", repeat=False)


class RuleTests(Scripted):
    """Rules that send the lines of a file."""

    def setUp(self) -> None:
        super().setUp()
        self.base = temporary(self)
        self.feed = self.base / "feed.txt"
        self.feed.write_text("a\nb\n")

    def parse(self, text: str) -> Script:
        """Return a script in the directory of the feed."""
        return Script.parse(text, "it.toml", self.base)

    def wires(self, text: str, count: int = 1) -> list[Wire]:
        """Return clients of one server."""
        factory = self.factory(self.parse(text))
        return [self.join(factory) for _ in range(count)]

    def ticks(self, wire: Wire, count: int) -> str:
        """Return what is received in *count* seconds, with a space after each."""
        received = []
        for _ in range(count):
            wire.wait(1)
            received.append(wire.received().decode().strip())
        return " ".join(received)

    def test_requests(self) -> None:
        """All connections share the lines, or each has its own; without more the rule ends."""
        rule = 'rule = [{ %s reply = { lines = "feed.txt" } }, { reply = "end" }]'
        one, two = self.wires(rule % "", 2)
        self.assertEqual([*self.ask(one, "x"), *self.ask(two, "x", "x")], ["a|", "b|", "end|"])
        one, two = self.wires(rule % 'scope = "connection",', 2)
        self.assertEqual(self.ask(one, "x", "x", "x"), ["a|", "b|", "end|"])
        self.assertEqual(self.ask(two, "x"), ["a|"])

    def test_timers(self) -> None:
        """Each connection has the whole feed; without ``repeat`` the timer stops at its end."""
        rule = 'rule = [{ every = 1, reply = { lines = "feed.txt", repeat = true } }]'
        [one] = self.wires(rule)
        self.assertEqual(self.ticks(one, 5), "a b a b a")
        running = self.reactor.getDelayedCalls()
        [one] = self.wires(rule.replace(", repeat = true", ""))
        self.assertEqual(self.ticks(one, 4), "a b  ")
        self.assertEqual(self.reactor.getDelayedCalls(), running)

    def test_answers(self) -> None:
        """In greetings, steps, cycles, and for what no rule matches."""
        [one, two, three] = self.wires('greeting = { reply = { lines = "feed.txt" } }', 3)
        self.assertEqual([it.received() for it in (one, two, three)], [b"a\r\n", b"b\r\n", b""])
        [wire] = self.wires("""
            [[rule]]
            equals = "do"
            do = [{ send = { lines = "feed.txt" } }, { send = { lines = "feed.txt", raw = true } }]
            [[rule]]
            cycle = ["x", { lines = "feed.txt", repeat = true }]
        """)
        self.assertEqual(self.ask(wire, "do", "do", "y", "y", "y"), ["a|b", "x|", "a|", "x|", "b|"])
        [wire] = self.wires('[unmatched]\nreply = { lines = "feed.txt" }')
        self.assertEqual(self.ask(wire, "x", "x", "x"), ["a|", "b|", ""])
        self.assertTrue(wire.got_eof)

    def test_a_line_is_read_once(self) -> None:
        """Whether a rule is used up is known without reading its next line."""
        reads = []
        pread = os.pread

        def counted(descriptor: int, size: int, at: int) -> bytes:
            reads.append(at)
            return pread(descriptor, size, at)

        [wire] = self.wires('rule = [{ reply = { lines = "feed.txt" } }, { reply = "end" }]')
        self.patch(os, "pread", counted)
        self.assertEqual(self.ask(wire, "x", "x", "x"), ["a|", "b|", "end|"])
        self.assertEqual(reads, [0, 0])

    def test_two_lines_for_a_reply(self) -> None:
        """The rule is used up if there is only one."""
        self.feed.write_text("a\nb\nc\n")
        [wire] = self.wires("""
            rule = [{ reply = [{ lines = "feed.txt" }, { lines = "feed.txt" }] }, { reply = "end" }]
        """)
        self.assertEqual(self.ask(wire, "x", "x"), ["a|b|", "end|"])

    def test_no_descriptor_stays_open(self) -> None:
        """A file is open only while a line is read."""
        wires = self.wires('rule = [{ every = 1, reply = { lines = "feed.txt" } }]', 20)
        before = descriptors()
        wires[0].wait(1)
        self.assertEqual({it.received() for it in wires}, {b"a\r\n"})
        self.assertEqual(descriptors(), before)

    def test_a_file_that_is_gone(self) -> None:
        """One line in the log, and a reset; of requests and of timers alike."""
        for text in ("every = 1", 'starts_with = ""'):
            self.feed.write_text("a\n")
            [wire] = self.wires(f'[[rule]]\n{text}\nreply = {{ lines = "feed.txt" }}')
            self.feed.unlink()
            logged = logged_events(self, LogLevel.warn)
            wire.send(b"x\n" if "every" not in text else b"")
            wire.wait(1)
            self.assertTrue(wire.got_reset)
            [line] = [formatEvent(it) for it in logged]
            self.assertIn("feed.txt' cannot be read: No such file or directory; resetting", line)
            self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_line_that_is_no_frame(self) -> None:
        """As for a template, the connection is reset."""
        self.feed.write_bytes(b"a\n" + b"x" * 300 + b"\n")
        [wire] = self.wires('framing = "int8"\nrule = [{ reply = { lines = "feed.txt" } }]')
        wire.send(b"\1x")
        self.assertEqual(wire.received(), b"\1a")
        wire.send(b"\1x")
        self.assertTrue(wire.got_reset)
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_what_scripts_say(self) -> None:
        """The file is watched, and a changed one is another script."""
        text = 'rule = [{ every = 2, reply = { lines = "feed.txt" } }]'
        first, second = self.parse(text), self.parse(text)
        self.assertEqual(first.files, {self.feed.resolve()})
        self.assertTrue(first.is_same(second))
        self.assertFalse(first.is_same(self.parse(text.replace('" }', '", repeat = true }'))))
        self.feed.write_text("b\na\nc\n")
        self.assertFalse(first.is_same(self.parse(text)))

    def test_explain(self) -> None:
        """It takes the lines in turn, and foresees those of timers; a problem is said."""
        script = self.parse("""
            [[rule]]
            every = 2
            reply = { lines = "feed.txt" }
            [[rule]]
            reply = { lines = "feed.txt", repeat = true }
        """)
        lines = explain(script, [b"x", b"x", b"x"]).splitlines()
        shown = [it.strip() for it in lines if it.startswith(("    >", "every"))]
        self.assertEqual(shown, ["> b'a'", "> b'b'", "> b'a'", "every 2 s", "> b'a'"])
        self.feed.unlink()
        self.assertIn(
            f"    rule[1], line 5: '{self.feed}' cannot be read: No such file or directory;"
            " resetting",
            explain(script, [b"x"]).splitlines(),
        )

    def test_problems(self) -> None:
        """Each is located."""
        (self.base / "empty").touch()
        only_sent = "expected no lines: they are only for what is sent"
        feed = '{ lines = "feed.txt" }'
        empty = f"{str(self.base / 'empty')!r} is empty: expected at least one line"
        missing = f"{str(self.base / 'no')!r} cannot be read: No such file or directory"
        for text, path, expected in (
            ('reply = { lines = "empty" }', "reply", empty),
            ('reply = { lines = "no" }', "reply", missing),
            (
                'reply = { text = "a", repeat = true }',
                "reply",
                "expected no repeat: it is for lines",
            ),
            (f"equals = {feed}\nsilent = true", "equals", only_sent),
            (
                f'equals = {{ template = "{{a}}", let = {{ a = {feed} }} }}\nsilent = true',
                "equals",
                only_sent,
            ),
            (f'set = {{ a = {feed} }}\nreply = "x"', "set.a", only_sent),
            (
                f"matches = {feed}\nsilent = true",
                "matches",
                "expected no lines: this key takes only fixed bytes",
            ),
        ):
            with self.assertRaises(ScriptError) as caught:
                self.parse(f"[[rule]]\n{text}")
            found = [(it.path, it.message) for it in caught.exception.problems]
            self.assertEqual(found, [(f"rule[0].{path}", expected)], text)
