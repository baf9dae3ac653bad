"""Scripts that answer as recordings do."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from reqresp import Script, parse_framing
from reqresp.recording import Conversation, Event, Recording, RecordingError, Sender, parse
from reqresp.recording.conversations import Header
from reqresp.recording.scripting import make_script
from tests.support.recorded import HEADER
from tests.support.scripted import Scripted


class ScriptingTests(Scripted):
    """What a script has, and how it answers."""

    def made(self, *lines: str, framing: str = "line") -> str:
        """Return the script for a recording with these lines."""
        recording = parse(HEADER + "".join(f"{it}\n" for it in lines), "it.rec")
        text = make_script(recording, framing, parse_framing(framing))
        self.assertEqual(Script.parse(text).warnings, ())
        return text

    def serving(self, *lines: str, framing: str = "line") -> Any:
        """Return a server with the script for a recording with these lines."""
        return self.server(self.made(*lines, framing=framing))

    def test_rules(self) -> None:
        """Each request has one rule, in their order; the greeting comes first."""
        text = self.made(
            *("< 220 hi\\r\\n", "> NOOP\\r\\n", "< 250 ok\\r\\n", "> HELP\\r\\n"),
            *("< 1\\r\\n", "< 2\\r\\n", "> NOOP\\r\\n", "< 250 ok\\r\\n", "> DATA\\r\\n"),
        )
        self.assertEqual(
            text,
            """\
# Made by reqresp script from it.rec.
framing  = "line"
greeting = "220 hi"

[[rule]]
equals = "NOOP"
reply  = "250 ok"

[[rule]]
equals = "HELP"
reply  = ["1", "2"]

[[rule]]
equals = "DATA"
silent = true
""",
        )

    def test_several_replies(self) -> None:
        """All that follows a request before the next one answers it."""
        client = self.join(
            self.serving("> HELP\\n", "< 1\\r\\n", "< 2\\r\\n", "> x\\n", "< y\\r\\n")
        )
        client.send(b"x\nHELP\n")
        self.assertEqual(client.received(), b"y\r\n1\r\n2\r\n")

    def test_pipelines(self) -> None:
        """Of requests that came together, each has one reply, and the last has the rest."""
        client = self.join(self.serving("> a\\n", "> b\\n", "< 1\\r\\n", "< 2\\r\\n", "< 3\\r\\n"))
        client.send(b"b\na\n")
        self.assertEqual(client.received(), b"2\r\n3\r\n1\r\n")

    def test_replies_that_come_later(self) -> None:
        """A reply that had not come when the client went on belongs to the earlier request."""
        lines = ("> a\\n", "> b\\n", "< 1\\r\\n", "> c\\n", "< 2\\r\\n", "< 3\\r\\n")
        client = self.join(self.serving(*lines))
        client.send(b"c\nb\na\n")
        self.assertEqual(client.received(), b"3\r\n2\r\n1\r\n")

    def test_requests_without_reply(self) -> None:
        """If there are fewer replies than requests, the first ones have none."""
        lines = ("> set a noreply\\n", "> get a\\n", "< 1\\r\\n", "> quit\\n", "<eof")
        text = self.made(*lines)
        self.assertIn('equals = "set a noreply"\nsilent = true\n', text)
        self.assertIn('equals = "get a"\nreply  = "1"\n', text)
        self.assertIn('equals = "quit"\nclose  = true\n', text)

    def test_other_answers_in_turn(self) -> None:
        """If nothing came between different answers, they are given in turn."""
        lines = (
            "> INCR\\n",
            "< 1\\r\\n",
            "> INCR\\n",
            "< 2\\r\\n",
            "-- 2",
            "> INCR\\n",
            "< 1\\r\\n",
        )
        server = self.serving(*lines)
        for _ in range(2):
            self.assertEqual(self.ask(self.join(server), "INCR", "INCR"), ["1|", "2|"])

    def test_states(self) -> None:
        """If another request explains a different answer, it leads to a state."""
        lines = (
            *("> GET\\n", "< none\\r\\n", "> SET\\n", "< ok\\r\\n", "> GET\\n", "< 1\\r\\n"),
            *("> DEL\\n", "< ok\\r\\n", "> GET\\n", "< none\\r\\n", "> PING\\n", "< PONG\\r\\n"),
        )
        text = self.made(*lines)
        self.assertIn('when   = "after SET"\nequals = "GET"\nreply  = "1"\n', text)
        self.assertIn('when   = "*"\nequals = "PING"\n', text)
        client = self.join(self.server(text))
        asked = ("GET", "SET", "GET", "GET", "DEL", "GET", "PING", "SET", "GET")
        self.assertEqual(
            self.ask(client, *asked),
            ["none|", "ok|", "1|", "1|", "ok|", "none|", "PONG|", "ok|", "1|"],
        )

    def test_states_of_several_conversations(self) -> None:
        """What was asked before in the same conversation counts."""
        lines = (
            *("-- 1", "> GET\\n", "< denied\\r\\n"),
            *("-- 2", "> LOGIN\\n", "< ok\\r\\n", "> GET\\n", "< 1\\r\\n"),
            *("-- 3", "> GET\\n", "< denied\\r\\n"),
        )
        server = self.serving(*lines)
        self.assertEqual(self.ask(self.join(server), "GET"), ["denied|"])
        self.assertEqual(self.ask(self.join(server), "LOGIN", "GET"), ["ok|", "1|"])

    def test_answers_that_nothing_explains(self) -> None:
        """Answers of conversations that begin alike are given in turn, and a comment says so."""
        text = self.made("-- 1", "> TIME\\n", "< 1\\r\\n", "-- 2", "> TIME\\n", "< 2\\r\\n")
        self.assertIn("# Nothing in the recording explains", text)
        server = self.server(text)
        self.assertEqual([self.ask(self.join(server), "TIME") for _ in "12"], [["1|"], ["2|"]])

    def test_endings(self) -> None:
        """A connection that the server has closed or reset is closed or reset."""
        lines = ("> QUIT\\n", "< bye\\r\\n", "<eof", "-- 2", "> DIE\\n", "< x\\r\\n", "<reset")
        server = self.serving(*lines)
        quitting, dying = self.join(server), self.join(server)
        quitting.send(b"QUIT\n")
        self.assertEqual((quitting.received(), quitting.got_eof), (b"bye\r\n", True))
        dying.send(b"DIE\n")
        self.assertEqual((dying.received(), dying.got_reset), (b"x\r\n", True))

    def test_endings_of_some_answers(self) -> None:
        """If only some answers in turn ended the connection, a comment says so."""
        lines = ("-- 1", "> a\\n", "< 1\\r\\n", "> a\\n", "<eof")
        self.assertIn("# Some of these replies ended the connection.", self.made(*lines))

    def test_greetings_that_differ(self) -> None:
        """One greeting is taken, and a comment says that there were others."""
        text = self.made("-- 1", "< a\\r\\n", "> x\\n", "-- 2", "< b\\r\\n", "> x\\n")
        self.assertIn("# 2 conversations began in different ways", text)
        self.assertIn('greeting = "a"', text)

    def test_the_framing_of_replies(self) -> None:
        """Lines that end with LF alone are replied so; another difference is a comment."""
        self.assertIn("reply_framing = 'line:\\n'", self.made("> a\\n", "< 1\\n"))
        mixed = self.made("> a\\n", "< 1\\n", "> b\\n", "< 2\\r\\n")
        self.assertIn("# The replies were framed in another way", mixed)

    def test_readable_strings(self) -> None:
        """Text is text, in quotes that need no escapes; other bytes are hex or base64."""
        text = self.made(
            *('> say "é"\\n', "< it's\\r\\n", "> \\xff\\n", "< " + r"\x00" * 60 + "\\r\\n"),
            *("> x\\n", "< " + r"\xff" * 200 + "\\r\\n"),
        )
        self.assertIn("equals = 'say \"é\"'", text)
        self.assertIn('reply  = "it\'s"', text)
        self.assertIn('equals = { hex = "ff" }', text)
        self.assertIn('reply  = { base64 = "AAAA', text)
        self.assertIn('reply  = { base64 = """\n////', text)

    def test_redis(self) -> None:
        """With the framing of Redis, commands are written as people type them."""
        text = self.made(
            *("> *2\\r\\n", "> $3\\r\\n", "> GET\\r\\n", "> $1\\r\\n", "> a\\r\\n"),
            *("< $1\\r\\n", "< 1\\r\\n"),
            framing="resp",
        )
        self.assertIn('equals = "GET a"', text)
        client = self.join(self.server(text))
        client.send(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n")
        self.assertEqual(client.received(), b"$1\r\n1\r\n")

    def test_large_requests(self) -> None:
        """A script for large requests allows them."""
        text = self.made(f"> {'x' * 100_000}\\n", "< ok\\r\\n")
        self.assertEqual(Script.parse(text).limits.max_request, 200_000)

    def test_what_is_incomplete(self) -> None:
        """Bytes of a request or a reply that is not complete are left out, and counted."""
        self.assertIn("# 3 bytes at the end", self.made("> a\\n", "< 1\\r\\n", "> abc"))

    def test_nothing(self) -> None:
        """Conversations in which nothing is said make no rule."""
        recording = parse(HEADER + "-- 1\n>eof\n<eof\n")
        text = make_script(recording, "line", parse_framing("line"))
        self.assertNotIn("rule", text)

    def test_marks(self) -> None:
        """A mark is a problem: a script has templates instead."""
        with self.assertRaisesRegex(RecordingError, "it.rec:2: a mark cannot become a script"):
            self.made("> a\\<id>\\n")
        with self.assertRaisesRegex(RecordingError, "it.rec:4: a mark cannot become a script"):
            self.made("> a\\n", "> b\\n", "> \\<id>\\n")

    def test_the_service(self) -> None:
        """The first line names the recording, and the service."""
        recording = Recording(Header(service="127.0.0.1:1"), (), "it.rec")
        text = make_script(recording, "line", parse_framing("line"))
        self.assertTrue(text.startswith("# Made by reqresp script from it.rec, of 127.0.0.1:1.\n"))

    @settings(max_examples=60, deadline=None)
    @example([[("a", "1"), ("a", "2"), ("b", "1"), ("a", "1"), ("a", "2")]])
    @example([[*zip("aabacbcabcb", "13322311111", strict=True)]])
    @given(
        st.lists(
            st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("123"))).filter(bool),
            min_size=1,
            max_size=3,
        )
    )
    def test_any_requests(self, talks: list[list[tuple[str, str]]]) -> None:
        """Any script passes, and one conversation alone is answered as it was."""

        def script(chosen: list[list[tuple[str, str]]]) -> str:
            conversations = tuple(
                Conversation(
                    number,
                    "",
                    tuple(
                        Event(sender, (f"{it}\r\n".encode(),))
                        for asked in talk
                        for sender, it in zip(Sender, asked, strict=True)
                    ),
                )
                for number, talk in enumerate(chosen, 1)
            )
            return make_script(Recording(Header(), conversations), "line", parse_framing("line"))

        self.assertEqual(Script.parse(script(talks)).warnings, ())
        self.setUp()
        client = self.join(self.server(script(talks[:1])))
        asked = [request for request, _ in talks[0]]
        self.assertEqual(self.ask(client, *asked), [f"{reply}|" for _, reply in talks[0]])
