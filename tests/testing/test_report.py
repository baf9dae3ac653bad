"""What a failed test is told, compared with tests/golden."""

import os
import re
from pathlib import Path
from typing import Any

from reqresp import Latency
from reqresp.steps import Request
from reqresp.testing._base import BaseServer
from tests.testing.test_expectation import FakeCase

GOLDEN = Path(__file__).parent.parent / "golden"


def golden(name: str, text: str) -> tuple[str, str]:
    """
    Give what stands in tests/golden, and *text* in the same form.

    With ``REQRESP_GOLDEN`` in the environment it is written there first.
    """
    text = re.sub(r"(127\.0\.0\.1|\[::1\]):\d+", r"\1:PORT", text)
    path = GOLDEN / f"{name}.txt"
    if "REQRESP_GOLDEN" in os.environ:
        path.write_text(text + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").rstrip("\n"), text


class VerdictTests(FakeCase):
    """The conversation, and what is wrong with it."""

    def serve(self, **what: Any) -> BaseServer:
        server = super().serve(**what)
        server.name = "127.0.0.1:40123"
        return server

    def assert_told(self, name: str) -> None:
        text = re.sub(r"(test_verdict\.py):\d+", r"\1:LINE", self.server.problems())
        told, text = golden(name, text)
        self.assertEqual(text, told, "see golden() in tests/test_verdict.py")

    def test_nothing_is_wrong(self) -> None:
        """Then nothing is told; an expectation that is no verified one may wait for ever."""
        server = self.serve()
        server.on("STAT")
        server.expect("NOOP").reply("+OK")
        self.ask(b"NOOP")
        self.assertEqual(server.problems(), "")

    def test_an_unexpected_request_that_is_near(self) -> None:
        """To what is unmet: they are compared."""
        server = self.serve()
        server.on("USER ann").reply("+OK")
        server.expect("STAT").reply("+OK 2 320")
        self.ask(b"USER ann", b"STAS")
        self.assert_told("near")

    def test_the_nearest_of_several_is_compared(self) -> None:
        """Of all that came; what differs from the start is not near to anything."""
        server = self.serve(framing="netstring")
        server.expect("RETR 100").reply("x")
        server.expect(starts_with=["\0", "abc"], times=2).reply("x")
        for data in (b"3:xyz,", b"8:RETR 1\r\n,", b"9:RETR 1000,", b"4:ab\0\xff,"):
            self.connect().send(data)
        self.assert_told("nearest")

    def test_nothing_came(self) -> None:
        """There is no conversation to be shown."""
        server = self.serve()
        server.expect_next("HELO").reply("hi")
        server.expect(matches="QUIT.*", ignore_case=True).close()
        server.expect(b"\xff")
        self.assert_told("nothing_came")

    def test_only_some_came(self) -> None:
        """They are counted."""
        server = self.serve()
        server.expect(starts_with="RCPT", times=3).reply("250")
        self.ask(b"RCPT a", b"RCPT b")
        self.assert_told("some_came")

    def test_not_in_its_turn(self) -> None:
        """What came too early is there, but not as it should have been."""
        server = self.serve()
        server.expect_next("RETR 1").reply("+OK")
        server.expect_next("DELE 1").reply("+OK")
        self.ask(b"DELE 1")
        self.assert_told("turn")

    def test_only_unexpected(self) -> None:
        """They are compared with what was expected, or said to have come too often."""
        server = self.serve()
        server.expect("STAT").reply("+OK")
        server.on("NOOP").reply("+OK")
        for request in (b"STAT", b"STAT", b"NOOQ", b"QUIT"):
            self.ask(request)
        self.assert_told("stray")

    def test_all_kinds_of_answers(self) -> None:
        """Endings, silence, faults, what is not answered yet, what was no request."""
        server = self.serve(framing="netstring", greeting="hello", faults=[Latency(delay=1)])
        server.on("silence")
        server.on("close").reply("bye").close()
        server.on("abort").abort()
        server.on("hang").hang()
        server.on("half").reply("1", "2").half_close()
        server.on("raw").reply(b"\x00\xff", raw=True).fault("slicer", size=1)
        server.on("late").wait(10).reply("x")
        for request in (b"silence", b"close", b"abort", b"hang", b"half", b"raw", b"?", b"late"):
            wire = self.connect()
            wire.send(b"%d:%s," % (len(request), request))
            wire.wait(3)
            wire.wait(3)
        self.connect().send(b"12x:")
        self.reactor.advance(1)
        self.assert_told("answers")

    def test_errors(self) -> None:
        """Of handlers; what they say may have lines."""

        def function(request: Request) -> bytes:
            if request.data == b"a":
                raise ValueError("it is\nno x")
            return b"y\nz"

        self.serve().on(size=1).call(function)
        self.ask(b"a")
        self.ask(b"x")
        self.assert_told("errors")

    def test_long_conversations_are_cut(self) -> None:
        """To their end; long requests and replies to their start; and problems to the first."""
        server = self.serve()
        server.on(starts_with="n").reply("x" * 1000)
        for number in range(12):
            server.expect(f"never {number}")
        self.ask(*(b"n%d" % number for number in range(60)))
        self.ask(b"y" * 1000)
        _, before, *lines = server.problems().splitlines()
        self.assertEqual(before, "  ... 11 before")
        self.assertTrue(lines[0].startswith(f"  #1 < b'n11'  > b'{'x' * 80}'...  (on, "), lines[0])
        self.assertEqual(lines[49], f"  #2 < b'{'y' * 80}'...  unexpected; closed")
        self.assertEqual(len(lines), 50 + 11)
        self.assertEqual(lines[-1], "unmet: 2 more")

    def test_strays_are_cut(self) -> None:
        """The first are told."""
        self.serve()
        for number in range(12):
            self.ask(b"%d" % number)
        self.assertIn("\nunexpected: 2 more", self.server.problems())
        self.assertEqual(self.server.problems().count("unexpected; closed"), 12)

    def test_what_was_forgotten_is_counted(self) -> None:
        """Where memory did not suffice."""
        server = self.serve()
        server._journal._most = 3
        server.expect("never")
        server.on("a").reply("x")
        wire = self.connect()
        for _ in range(10):
            wire.send(b"a\r\n")
        self.assertIn("expectation unmet\n  ... 8 before\n  #1 < b'a'", server.problems())

    def test_the_lines_are_those_of_the_test(self) -> None:
        """Whatever called it; helpers count as tests."""
        server = self.serve()

        def helper() -> None:
            server.expect("a").reply("b")

        helper()
        line = helper.__code__.co_firstlineno + 1
        self.assertIn(f'unmet: expect "a" 0 of 1 (test_verdict.py:{line})', server.problems())

    def test_nobody_minds(self) -> None:
        """Then what is unexpected is shown all the same, if something else is wrong."""
        server = self.serve(strict=False)
        server.on("STAT").reply("+OK")
        server.expect("NOOP").reply("+OK")
        self.ask(b"STAS")
        self.assert_told("not_strict")

    def test_a_conversation(self) -> None:
        """Is told whenever somebody asks."""
        server = self.serve(framing="resp")
        server.on("GET a").reply("$1\r\n1")
        self.connect().send(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n")
        self.assertRegex(
            server.conversation(),
            r"^#1 < b'GET a'  > b'\$1\\r\\n1\\r\\n'  \(on, test_verdict\.py:\d+\)$",
        )
