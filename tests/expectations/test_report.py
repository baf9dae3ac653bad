"""The text of failed tests, compared with the files in tests/golden."""

import re
from typing import Any

from twisted.internet.address import IPv4Address

from reqresp import Latency
from reqresp.exchanges import Exchanges
from reqresp.expectations.report import Findings
from reqresp.expectations.results import Results
from reqresp.journal import Journal
from reqresp.steps import Request, Send
from reqresp.testing import BaseServer
from tests.support.golden import golden
from tests.support.server_case import ServerCase


class ReportTests(ServerCase):
    """Tests for the conversation and the problems."""

    def serve(self, **arguments: Any) -> BaseServer:
        server = super().serve(**arguments)
        server.name = "127.0.0.1:40123"
        return server

    def assert_problems(self, name: str) -> None:
        text = re.sub(r"(test_report\.py):\d+", r"\1:LINE", self.server.problems())
        expected, text = golden(name, text)
        self.assertEqual(text, expected, "see golden() in tests/expectations/test_report.py")

    def test_nothing_is_wrong(self) -> None:
        """There is no text if all expectations are met; ``on`` expects nothing."""
        server = self.serve()
        server.on("STAT")
        server.expect("NOOP").reply("+OK")
        self.ask(b"NOOP")
        self.assertEqual(server.problems(), "")

    def test_an_unexpected_request_that_is_near(self) -> None:
        """An unmet expectation is compared with an unexpected request that is near to it."""
        server = self.serve()
        server.on("USER ann").reply("+OK")
        server.expect("STAT").reply("+OK 2 320")
        self.ask(b"USER ann", b"STAS")
        self.assert_problems("near")

    def test_the_nearest_of_several_is_compared(self) -> None:
        """The nearest request is compared; one that differs in the first byte is not near."""
        server = self.serve(framing="netstring")
        server.expect("RETR 100").reply("x")
        server.expect(starts_with=["\0", "abc"], times=2).reply("x")
        for data in (b"3:xyz,", b"8:RETR 1\r\n,", b"9:RETR 1000,", b"4:ab\0\xff,"):
            self.connect().send(data)
        self.assert_problems("nearest")

    def test_no_request(self) -> None:
        """Without a request, the text has no conversation."""
        server = self.serve()
        server.expect_next("HELO").reply("hi")
        server.expect(matches="QUIT.*", ignore_case=True).close()
        server.expect(b"\xff")
        self.assert_problems("no_request")

    def test_too_few_requests(self) -> None:
        """An unmet expectation shows how many requests it has received."""
        server = self.serve()
        server.expect(starts_with="RCPT", times=3).reply("250")
        self.ask(b"RCPT a", b"RCPT b")
        self.assert_problems("too_few")

    def test_out_of_order(self) -> None:
        """An unmet expectation says that its request was received too early."""
        server = self.serve()
        server.expect_next("RETR 1").reply("+OK")
        server.expect_next("DELE 1").reply("+OK")
        self.ask(b"DELE 1")
        self.assert_problems("out_of_order")

    def test_only_unexpected(self) -> None:
        """An unexpected request is compared with the expectations if all are met."""
        server = self.serve()
        server.expect("STAT").reply("+OK")
        server.on("NOOP").reply("+OK")
        for request in (b"STAT", b"STAT", b"NOOQ", b"QUIT"):
            self.ask(request)
        self.assert_problems("unexpected")

    def test_all_kinds_of_replies(self) -> None:
        """A line shows data, endings, faults, a missing reply, or why a frame is malformed."""
        server = self.serve(framing="netstring", greeting="hello", faults=[Latency(delay=1)])
        server.on("nothing")
        server.on("close").reply("bye").close()
        server.on("abort").abort()
        server.on("hang").hang()
        server.on("half").reply("1", "2").half_close()
        server.on("raw").reply(b"\x00\xff", raw=True).fault("slicer", size=1)
        server.on("late").wait(10).reply("x")
        for request in (b"nothing", b"close", b"abort", b"hang", b"half", b"raw", b"?", b"late"):
            wire = self.connect()
            wire.send(b"%d:%s," % (len(request), request))
            wire.wait(3)
            wire.wait(3)
        self.connect().send(b"12x:")
        self.reactor.advance(1)
        self.assert_problems("replies")

    def test_unfinished_requests(self) -> None:
        """A request without its end is a problem, with its bytes and what it lacks."""
        server = self.serve()
        server.on("USER ann").reply("+OK")
        server.expect("STAT").reply("+OK 2 320")
        server.expect("QUIT").close()
        gone = self.connect()
        gone.send(b"USER ann\r\nSTAT")
        gone.send_eof()
        self.connect().send(b"QUI")
        self.assert_problems("unfinished")
        self.assertEqual(
            server.conversation().splitlines()[1:],
            [
                "#1 < b'STAT'      unfinished: no line end",
                "#2 < b'QUI'       unfinished: no line end",
            ],
        )

    def test_unfinished_requests_of_other_framings(self) -> None:
        """The text says what is missing in the terms of the framing."""
        server = self.serve(framing="int16")
        self.connect().send(b"\x00\x64" + b"a" * 46)
        self.assertIn("1 unfinished request\n", server.problems())
        self.assertIn("unfinished: 46 of 100 bytes", server.problems())

    def test_errors(self) -> None:
        """What a handler raises is shown, also if the message has several lines."""

        def function(request: Request) -> bytes:
            if request.data == b"a":
                raise ValueError("it is\nno x")
            return b"y\nz"

        self.serve().on(size=1).call(function)
        self.ask(b"a")
        self.ask(b"x")
        self.assert_problems("errors")

    def test_long_conversations(self) -> None:
        """The last lines, the start of long data, and the first problems are shown."""
        server = self.serve()
        server.on(starts_with="n").reply("x" * 1000)
        for number in range(12):
            server.expect(f"never {number}")
        self.ask(*(b"n%d" % number for number in range(60)))
        self.ask(b"y" * 1000)
        _, before, *lines = server.problems().splitlines()
        self.assertEqual(before, "  ... 11 earlier lines omitted")
        self.assertTrue(lines[0].startswith(f"  #1 < b'n11'  > b'{'x' * 80}'...  (on, "), lines[0])
        self.assertEqual(lines[49], f"  #2 < b'{'y' * 80}'...  unexpected; connection closed")
        self.assertEqual(len(lines), 50 + 11)
        self.assertEqual(lines[-1], "unmet: 2 more")

    def test_many_unexpected_requests(self) -> None:
        """The first of many unexpected requests are described."""
        self.serve()
        for number in range(12):
            self.ask(b"%d" % number)
        self.assertIn("\nunexpected: 2 more", self.server.problems())
        self.assertEqual(self.server.problems().count("unexpected; connection closed"), 12)

    def test_dropped_entries_are_counted(self) -> None:
        """The lines that the journal no longer has are counted."""
        journal = Journal(most=3)
        peer = IPv4Address("TCP", "127.0.0.1", 50000)
        for number in range(1, 11):
            journal.received(peer, 1, [b"a"])
            journal.answered(Exchanges(peer, 1, number, [b"a"], lambda _requests: [(Send(b"x"),)]))
        results = Results()
        results.malformed = 1
        findings = Findings(
            name="it",
            encode=bytes,
            entries=journal.entries(),
            dropped=journal.dropped,
            results=results,
            strict=True,
        )
        self.assertIn(
            "1 malformed request\n  ... 7 earlier lines omitted\n  #1 < b'a'", findings.problems()
        )

    def test_the_line_of_an_expectation(self) -> None:
        """It is the line that calls ``expect``, also in a helper of the test."""
        server = self.serve()

        def helper() -> None:
            server.expect("a").reply("b")

        helper()
        line = helper.__code__.co_firstlineno + 1
        self.assertIn(
            f'unmet: expect "a" (test_report.py:{line}): received 0 of 1', server.problems()
        )

    def test_a_server_that_is_not_strict(self) -> None:
        """An unexpected request is shown in the conversation, and is not a problem."""
        server = self.serve(strict=False)
        server.on("STAT").reply("+OK")
        server.expect("NOOP").reply("+OK")
        self.ask(b"STAS")
        self.assert_problems("not_strict")

    def test_a_conversation(self) -> None:
        """The conversation can be asked for at any time."""
        server = self.serve(framing="resp")
        server.on("GET a").reply("$1\r\n1")
        self.connect().send(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n")
        self.assertRegex(
            server.conversation(),
            r"^#1 < b'GET a'  > b'\$1\\r\\n1\\r\\n'  \(on, test_report\.py:\d+\)$",
        )
