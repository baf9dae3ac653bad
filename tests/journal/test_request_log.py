"""RequestLog: when lines are logged, and their order among all lines about connections."""

import json
from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure

from reqresp import Close, Line, Request, RequestLog, Script, Table, Wait
from reqresp.exchanges import Exchanges
from reqresp.journal.lines import MAX_TEXTS, LogFormat
from reqresp.journal.request_log import (
    LOG_DELAY,
    MAX_LINES_PER_EVENT,
    MAX_WAITING_CHARACTERS,
)
from reqresp.steps import Send
from tests.support.conversation import Conversation

PEER = IPv4Address("TCP", "192.0.2.1", 1111)


class Logged(Conversation):
    """A server with a request log, and what is logged."""

    def setUp(self) -> None:
        super().setUp()
        logs = capturedLogs()
        self.logged: Any = logs.__enter__()
        self.addCleanup(logs.__exit__, None, None, None)
        self.log = RequestLog(self.reactor)

    def factory(self, respond: Any = None, **options: Any) -> Any:
        options.setdefault("framing", Line())
        return super().factory(respond, observers=[self.log], **options)

    def events(self) -> list[list[str]]:
        """Return the lines of each event so far."""
        return [formatEvent(event).split("\n") for event in self.logged]

    def lines(self) -> list[str]:  # type: ignore[override]  # of the log, not of a framing
        """Return all lines, after the delay."""
        self.reactor.advance(LOG_DELAY)
        return [line for event in self.events() for line in event]


class DelayTests(Logged):
    """When lines are logged."""

    def answered(self, *requests: bytes) -> None:
        """Report *requests* as answered."""
        self.log.received(PEER, 1, requests)
        steps = [(Send(b"A"),)] * len(requests)
        self.log.answered(Exchanges(PEER, 1, 1, requests, lambda _requests: steps))

    def test_lines_of_a_short_time_are_one_event(self) -> None:
        """All lines until the delay is over are in one event at level info, in order."""
        first = self.join(self.factory(Table({}, otherwise=b"A")))
        first.send(b"a\nb\n")
        second = self.join(first.factory)
        second.send(b"c\n")
        self.assertEqual(self.events(), [])
        self.reactor.advance(LOG_DELAY)
        self.assertEqual(
            self.events(),
            [
                [
                    "#1 127.0.0.1:50000 connected",
                    "#1 < 'a'  > 'A'",
                    "#1 < 'b'  > 'A'",
                    "#2 127.0.0.1:50000 connected",
                    "#2 < 'c'  > 'A'",
                ]
            ],
        )
        self.assertEqual([event["log_level"] for event in self.logged], [LogLevel.info])

    def test_later_lines_are_another_event(self) -> None:
        """What comes after the delay is an event of its own, and a quiet time logs nothing."""
        for request in (b"a", b"b"):
            self.answered(request)
            self.reactor.advance(LOG_DELAY)
            self.reactor.advance(LOG_DELAY)
        self.assertEqual(self.events(), [["#1 < 'a'  > 'A'"], ["#1 < 'b'  > 'A'"]])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_one_timer(self) -> None:
        """Any number of lines start one timer."""
        self.answered(*[b"a"] * 1500)
        self.log.disconnected(PEER, 1, Failure(ConnectionDone()))
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)

    def test_many_lines_are_logged_without_waiting(self) -> None:
        """As many lines as fit into an event are logged at once, so that memory is limited."""
        most = MAX_LINES_PER_EVENT
        self.answered(*[b"a"] * (most - 1))
        self.assertEqual(self.events(), [])
        self.answered(*[b"a"] * (most + 501))
        self.assertEqual([len(lines) for lines in self.events()], [most, most, 500])

    def test_long_lines_are_logged_without_waiting(self) -> None:
        """Few long lines take as much memory as many short ones."""
        line = b"a" * 1000
        count = MAX_WAITING_CHARACTERS // len(line)
        self.answered(*[line] * (count // 2))
        self.assertEqual(self.events(), [])
        self.answered(*[line] * count)
        self.assertEqual([len(lines) for lines in self.events()], [count // 2 + count])

    def test_a_read_of_many_lines(self) -> None:
        """The lines of a read that is answered at once are several events if they are many."""
        most = MAX_LINES_PER_EVENT
        wire = self.join(self.factory(Table({}, otherwise=b"A")))
        wire.send(b"\n" * (2 * most))
        self.reactor.advance(LOG_DELAY)
        sizes = [len(lines) for lines in self.events()]
        self.assertEqual((max(sizes), sum(sizes)), (most, 2 * most + 1))

    def test_known_reads_of_many_connections(self) -> None:
        """Lines of known reads name their connections, in the order of the reads."""
        factory = self.factory(Table({b"a": b"A"}))
        wires = [self.join(factory) for _ in range(3)]
        for wire in (*wires, *reversed(wires)):
            wire.send(b"a\n")
        self.reactor.advance(LOG_DELAY)
        lines = [line for event in self.events() for line in event if " < " in line]
        self.assertEqual(lines, [f"#{it} < 'a'  > 'A'" for it in (1, 2, 3, 3, 2, 1)])

    def test_flush(self) -> None:
        """`flush` logs at once, and the timer that runs logs nothing more."""
        self.answered(b"a")
        self.log.flush()
        self.log.flush()
        self.reactor.advance(LOG_DELAY)
        self.assertEqual(self.events(), [["#1 < 'a'  > 'A'"]])

    def test_the_last_lines_are_logged(self) -> None:
        """When the reactor has stopped, the lines that wait are logged."""
        reactor = MemoryReactorClock()
        log = RequestLog(reactor)
        log.connected(PEER, 1)
        for call, arguments, options in reactor.triggers["after"]["shutdown"]:
            call(*arguments, **options)
        self.assertEqual(self.events(), [["#1 192.0.2.1:1111 connected"]])

    def test_braces_are_no_format(self) -> None:
        """Braces in a request or an address are shown as they are, not as fields of an event."""
        self.answered(b"{lines} {log_level} {0} {} {{ %s {x")
        self.log.connected(UNIXAddress(b"/{lines}"), 2)
        self.assertEqual(
            self.lines(),
            ["#1 < '{lines} {log_level} {0} {} {{ %s {x'  > 'A'", "#2 '/{lines}' connected"],
        )


class ServiceTests(Logged):
    """A service among several."""

    def test_its_name(self) -> None:
        """Each line begins with it; as JSON, it is a key."""
        for log_format in LogFormat:
            self.logged.clear()
            self.log = RequestLog(self.reactor, log_format, service="smtp")
            client = self.join(self.factory(Table({}, otherwise=b"A")))
            client.send(b"a\n")
            client.send(b"a\n")
            lines = self.lines()
            self.assertEqual(len(lines), 3)
            for line in lines:
                if log_format is LogFormat.PLAIN:
                    self.assertRegex(line, r"^smtp (#[0-9]+|.*connected)")
                else:
                    self.assertEqual(json.loads(line)["service"], "smtp")


class OrderTests(Logged):
    """Lines are in the order of events."""

    def test_a_miss_is_logged_when_it_is_answered(self) -> None:
        """A request that no rule matches is logged once, after what was answered before it."""
        script = Script.parse('rule = [{ equals = "a", reply = "A" }]')
        wire = self.join(self.factory(script))
        wire.send(b"a\nx\n")
        wire.reset()
        self.assertEqual(
            self.lines()[1:4],
            [
                "#1 < 'a'  > 'A'  (rule[0], line 1)",
                "#1 < 'x'  > close  "
                "(no rule matches; nearest: rule[0], line 1, equals differs at byte 0)",
                "#1 127.0.0.1:50000 disconnected: "
                "Connection to the other side was lost in a non-clean fashion.",
            ],
        )

    def test_a_reply_that_takes_time(self) -> None:
        """An exchange is logged when its reply is complete."""
        wire = self.join(self.factory(lambda _request: (Wait(1), b"A")))
        wire.send(b"a\n")
        self.assertEqual(self.lines(), ["#1 127.0.0.1:50000 connected"])
        wire.wait(1)
        self.assertEqual(self.lines()[1:], ["#1 < 'a'  > wait 1 s, 'A'"])

    def test_a_request_without_a_complete_reply(self) -> None:
        """A request whose client leaves first is logged before the end of its connection."""
        wire = self.join(self.factory(lambda _request: (Wait(1), b"A")))
        wire.send(b"a\n")
        wire.reset()
        self.assertEqual(self.lines()[1], "#1 < 'a'  unanswered")
        self.assertIn("disconnected", self.lines()[2])

    def test_lines_of_the_server_keep_their_place(self) -> None:
        """What the server logs about a connection comes after the exchanges before it."""

        def respond(request: Request) -> Any:
            if request.data == b"fail":
                raise RuntimeError("no answer")
            return request.data

        for sent, text in ((b"a\nfail\n", "failed; aborting"), (b"a\n" + b"x" * 99, "closing")):
            factory = self.factory(respond, limits={"max_request": 9})
            self.join(factory).send(sent)
            shown = ["failed" if "failed" in it else it for it in self.lines()]
            at = next(at for at, it in enumerate(self.lines()) if text in it)
            self.assertIn("#1 < 'a'  > 'a'", shown[:at], text)
            self.logged.clear()
        self.flushLoggedErrors(RuntimeError)

    def test_an_unfinished_request_keeps_its_place(self) -> None:
        """An unfinished request is logged after what was answered, and before the end."""
        wire = self.join(self.factory(Table({}, otherwise=b"A")))
        wire.send(b"a\nb")
        wire.send_eof()
        self.assertEqual(
            self.lines()[1:3],
            ["#1 < 'a'  > 'A'", "127.0.0.1:50000: unfinished request b'b': no line end"],
        )

    def test_an_idle_connection_keeps_its_place(self) -> None:
        """An idle connection is logged after the lines that wait."""
        factory = self.factory(Table({}, otherwise=b"A"), limits={"idle_timeout": 0.004})
        wire = self.join(factory)
        for _ in range(5):
            self.log.connected(PEER, 2)  # a line that waits
            wire.wait(0.001)
        lines = self.lines()
        idle = next(at for at, line in enumerate(lines) if "idle" in line)
        self.assertEqual(lines[:idle], [lines[0], *["#2 192.0.2.1:1111 connected"] * 5])


class KnownReadTests(Logged):
    """Lines of reads that were answered before are written in bulk."""

    def test_the_lines_are_in_the_order_of_events(self) -> None:
        """Also where some reads are known, and others are not or are of several requests."""
        factory = self.factory(Table({b"a": b"A", b"b": b"B"}, otherwise=b"?"))
        first, second = self.join(factory), self.join(factory)
        first.send(b"a\n", b"a\n", b"x\n", b"a\n")
        second.send(b"a\n", b"b\na\n", b"a", b"\n", b"a\n")
        numbers = [1, 2, *[1] * 4, *[2] * 5]
        shown = [line.partition(" ") for line in self.lines()]
        self.assertEqual([number for number, _, _ in shown], [f"#{it}" for it in numbers])
        self.assertEqual("".join(text[3] for _, _, text in shown if text[0] == "<"), "aaxaabaaa")

    def test_a_new_config_has_lines_of_its_own(self) -> None:
        """What one config answers is not shown for another, on connections of both."""
        factory = self.factory(Table({b"a": b"A"}))
        old = self.join(factory)
        old.send(b"a\n", b"a\n")
        factory.reconfigure(Table({b"a": b"B"}), framing=Line())
        new = self.join(factory)
        new.send(b"a\n", b"a\n")
        old.send(b"a\n")
        lines = [line for line in self.lines() if "<" in line]
        self.assertEqual(lines, [f"#{n} < 'a'  > '{c}'" for n, c in ("1A", "1A", "2B", "2B", "1A")])

    def test_memory_for_lines_is_bounded(self) -> None:
        """Of very many different requests, the lines are right."""
        replies = {b"%d" % number: b"A" for number in range(MAX_TEXTS + 2)}
        wire = self.join(self.factory(Table(replies)))
        for request in [*replies, *replies]:
            wire.send(request + b"\n")
        lines = [line for line in self.lines() if "<" in line]
        expected = [f"#1 < {request.decode()!r}  > 'A'" for request in replies]
        self.assertEqual(lines, expected * 2)


class FormatTests(Logged):
    """The format that is chosen."""

    def test_json(self) -> None:
        """Each line is an entry, as in a journal file, in the order of events."""
        self.log = RequestLog(self.reactor, "json", now=lambda: 5.0)
        wire = self.join(self.factory(Table({b"q": (b"Q", Close())}, otherwise=b"A")))
        wire.send(b"a\nb\n", b"c\nq\n")
        wire.reset()
        entries = [json.loads(line) for line in self.lines()]
        self.assertEqual(
            [(it["event"], it.get("number"), it.get("request")) for it in entries],
            [
                ("connected", None, None),
                ("answered", 1, "a"),
                ("answered", 2, "b"),
                ("answered", 3, "c"),
                ("answered", 4, "q"),
                ("disconnected", None, None),
            ],
        )
        self.assertEqual(
            entries[2],
            {
                "event": "answered",
                "at": 5.0,
                "sent": 5.0,
                "connection": 1,
                "peer": "127.0.0.1:50000",
                "number": 2,
                "request": "b",
                "by": "table",
                "steps": [{"send": "A"}],
            },
        )

    def test_another_format(self) -> None:
        """A format that does not exist is an error."""
        with self.assertRaises(ValueError):
            RequestLog(self.reactor, "xml")

    def test_constants_look_like_other_replies(self) -> None:
        """A reply has the same line whether it is a constant or not, also after a reload."""
        table = Table({b"a": b"A"}, otherwise=b"?")
        constant = self.factory(table)
        other = self.factory(lambda request: table.steps(request.data))
        for factory in (constant, other):
            wire = self.join(factory)
            wire.send(b"a\nb\n", b"a\n", b"a\nb\n", b"x" * 3000 + b"\n")
        constant.reconfigure(Table({b"a": b"B"}), framing=Line())
        self.join(constant).send(b"a\n")
        lines = [line for line in self.lines() if "<" in line]
        self.assertEqual(lines[:6], lines[6:12])
        self.assertEqual(lines[0:3], ["#1 < 'a'  > 'A'", "#1 < 'b'  > '?'", "#1 < 'a'  > 'A'"])
        self.assertEqual(lines[12], "#2 < 'a'  > 'B'")
