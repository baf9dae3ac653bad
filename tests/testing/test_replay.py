"""Test servers that replay recordings."""

import re
import warnings
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from reqresp.recording import RecordingError
from reqresp.script import ScriptError
from reqresp.testing import BaseServer, MemoryServer, UnusedRecordingWarning
from tests.support.golden import golden
from tests.support.recorded import HEADER, recorded
from tests.support.server_case import ServerCase

LOGIN = (
    *("-- 1", "> AUTH ann\\r\\n", "< +OK\\r\\n", "> GET a\\r\\n", "< 1\\r\\n"),
    *("-- 2", "> QUIT\\r\\n", "< +BYE\\r\\n"),
)


class ReplayTests(ServerCase):
    """Tests for ``replay=`` and ``unused=``."""

    def serve(self, *lines: str, **arguments: Any) -> BaseServer:
        if lines:
            arguments["replay"] = recorded(*lines)
        server = super().serve(**arguments)
        server.name = "127.0.0.1:40123"
        return server

    def assert_problems(self, name: str) -> None:
        expected, text = golden(
            name, re.sub(r"(test_\w+\.py):\d+", r"\1:LINE", self.server.problems())
        )
        self.assertEqual(text, expected)

    def verify(self) -> list[str]:
        """Verify the server, and return the warnings."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.server._verify()
        self.assertTrue(all(it.category is UnusedRecordingWarning for it in caught))
        return [str(it.message) for it in caught]

    def test_everything_as_recorded(self) -> None:
        """A client that does what was recorded gets its replies, and the test passes."""
        self.serve(*LOGIN)
        self.assertEqual(self.ask(b"AUTH ann", b"GET a"), b"+OK\r\n1\r\n")
        self.assertEqual(self.ask(b"QUIT"), b"+BYE\r\n")
        self.assertEqual(self.verify(), [])

    def test_variables_of_a_test(self) -> None:
        """They do not disturb the replay: the connection keeps its place in it."""
        server = self.serve(*LOGIN)
        server.on("who\r\n").set(user="ann").reply("?")
        server.on("who are you\r\n").reply(template="{user}")
        wire = self.connect()
        wire.send(b"AUTH ann\r\n", b"who\r\n", b"who are you\r\n", b"GET a\r\n")
        self.assertEqual(wire.received(), b"+OK\r\n?ann1\r\n")

    def test_a_deviation(self) -> None:
        """The failure shows the conversation, the position, and both sides of the difference."""
        self.serve(*LOGIN)
        wire = self.connect()
        wire.send(b"AUTH ann\r\n", b"GET b\r\n")
        self.connect().send(b"QUIT\r\nmore")
        self.assertTrue(wire.got_reset)
        self.assert_problems("deviation")

    def test_a_deviation_without_strict(self) -> None:
        """Without ``strict``, a deviation is no failure; the connection is reset nevertheless."""
        self.serve(*LOGIN, strict=False, unused="ignore")
        wire = self.connect()
        wire.send(b"AUTH bob\r\n")
        self.assertTrue(wire.got_reset)
        self.assertEqual(self.verify(), [])

    def test_what_was_not_asked_for_is_a_warning(self) -> None:
        """By default, what was recorded and never asked for is a warning at the end."""
        self.serve(*LOGIN)
        self.ask(b"AUTH ann")
        self.assertEqual(
            self.verify(),
            [
                "reqresp 127.0.0.1:40123: not all of the recording was asked for\n"
                "unused: conversation 1 (it.rec:5): a part that the client did not ask for, from"
                " b'GET a\\r\\n'\n"
                "unused: conversation 2 (it.rec:8), from b'QUIT\\r\\n'"
            ],
        )

    def test_what_was_not_asked_for_is_a_failure(self) -> None:
        """With ``unused="fail"``, it fails the test."""
        self.serve(*LOGIN, unused="fail")
        self.ask(b"QUIT")
        self.assert_problems("unused")

    def test_what_was_not_asked_for_is_ignored(self) -> None:
        """With ``unused="ignore"``, nothing is said."""
        self.serve(*LOGIN, unused="ignore")
        self.assertEqual(self.verify(), [])

    def test_much_that_was_not_asked_for(self) -> None:
        """The warning lists the first parts only."""
        self.serve(*(line for n in range(1, 15) for line in (f"-- {n}", f"> {n}", "< x")))
        [text] = self.verify()
        self.assertEqual(len(text.splitlines()), 12)
        self.assertTrue(text.endswith("\nunused: 4 more"), text)

    def test_a_mark_without_an_end(self) -> None:
        """A mark that the client never ends has a problem instead of two sides."""
        self.serve(r"> \<id>\n", "< x")
        self.connect().send(b"x" * 70_000)
        self.assertIn(r"at byte 65536 of the client: \<id> has no end", self.server.problems())

    def test_an_unknown_action(self) -> None:
        """``unused`` is one of three words."""
        with self.assertRaisesRegex(
            ScriptError, "unused: expected one of 'warn', 'fail', 'ignore'; found 'error'"
        ):
            self.serve(*LOGIN, unused="error")

    def test_expectations_come_first(self) -> None:
        """A request that an expectation matches is not compared with the recording."""
        server = self.serve(*LOGIN)
        server.expect(b"INFO\r\n").reply("fine", raw=True)
        wire = self.connect()
        wire.send(b"INFO\r\n", b"QUIT\r\n")
        self.assertEqual(wire.received(), b"fine+BYE\r\n")

    def test_sources_exclude_each_other(self) -> None:
        """A replay takes no script, function, framing or greeting."""
        replay = recorded(*LOGIN)
        for name, value in {
            "script": "it.toml",
            "respond": lambda _request: b"",
            "framing": "line",
            "greeting": "hi",
        }.items():
            arguments: dict[str, Any] = {name: value}
            with self.assertRaisesRegex(TypeError, f"expected one of .*replay.*; found .*{name}"):
                self.serve(replay=replay, **arguments)

    def test_a_path(self) -> None:
        """The recording can be named by its path; its problems are raised."""
        path = Path(mkdtemp()) / "it.rec"
        path.write_text(HEADER + "".join(f"{it}\n" for it in LOGIN), encoding="utf-8")
        self.serve(replay=str(path))
        self.assertEqual(self.ask(b"QUIT"), b"+BYE\r\n")
        with self.assertRaisesRegex(RecordingError, "No such file"):
            self.serve(replay=path.with_name("other.rec"))

    def test_in_memory(self) -> None:
        """Servers of all kinds take a replay."""
        with MemoryServer(replay=recorded("< hi", "<eof")) as server:
            peer = server.reactor.connect_peer(server.port)
            server.pump()
            self.assertEqual(peer.received(), b"hi")
