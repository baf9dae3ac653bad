"""What a relay leaves in journals and in the log."""

import json
from typing import Any

from twisted.logger import capturedLogs

from reqresp.faults import Direction
from reqresp.journal import (
    Connected,
    Disconnected,
    Entry,
    Journal,
    JournalFile,
    LogFormat,
    Passed,
    RequestLog,
    UpstreamEnded,
    UpstreamFailed,
    UpstreamOpened,
)
from reqresp.relay import RelayFactory
from reqresp.server.counters import Counters
from tests.support import live
from tests.support.relayed import RELAY_PORT, SERVICE_PORT, RelayedCase


class JournaledCase(RelayedCase):
    """A relay with observers."""

    def setUp(self) -> None:
        super().setUp()
        self.counters = Counters()
        self.journal = Journal()
        self.path = live.temporary(self) / "it.jsonl"
        self.file = JournalFile(self.path, self.reactor, max_entry=10)
        self.log = RequestLog(self.reactor)
        self.json = RequestLog(self.reactor, LogFormat.JSON)
        self.addCleanup(self.file.close)
        self.reactor.tcpServers.clear()
        self.serve()
        factory = RelayFactory(
            self.upstream(),
            clock=self.reactor,
            observers=[self.journal, self.file, self.log, self.json],
            counters=self.counters,
        )
        self.reactor.listenTCP(RELAY_PORT, factory)

    def exchange(self) -> None:
        """Have a client and the service send something, and end."""
        client, service = self.connect_both()
        client.send(b"PING\r\n")
        service.transport.write(b"+PONG\r\n" * 2)
        self.advance(0)
        client.half_close()
        self.advance(0)
        service.transport.loseConnection()
        self.advance(1)


class JournalTests(JournaledCase):
    """What is kept of bytes that passed."""

    def test_entries_are_in_the_order_of_events(self) -> None:
        """Bytes of each read, EOF, and the connection to the service."""
        self.exchange()
        entries: list[Entry] = self.journal.entries()
        kinds = [type(it) for it in entries if not isinstance(it, Passed)]
        self.assertEqual(kinds, [Connected, UpstreamOpened, UpstreamEnded, Disconnected])
        passed = [(it.direction, it.data) for it in entries if isinstance(it, Passed)]
        self.assertEqual(
            passed,
            [
                (Direction.UPSTREAM, b"PING\r\n"),
                (Direction.DOWNSTREAM, b"+PONG\r\n" * 2),
                (Direction.UPSTREAM, b""),
                (Direction.DOWNSTREAM, b""),
            ],
        )

    def test_a_line_is_bounded(self) -> None:
        """It holds the beginning, and the whole size."""
        self.exchange()
        self.file.flush()
        lines: list[Any] = [json.loads(it) for it in self.path.read_text().splitlines()]
        passed = [it for it in lines if it["event"] == "passed"]
        self.assertEqual(
            [it.get("data", it.get("eof")) for it in passed],
            ["PING\r\n", {"text": "+PONG\r\n+PO", "size": 14, "truncated": True}, True, True],
        )

    def test_much_that_passes_is_dropped_from_memory(self) -> None:
        """The bytes count, as those of requests do."""
        journal = Journal(most_bytes=10_000)
        for _ in range(10):
            journal.passed(Any, 1, Direction.UPSTREAM, b"x" * 4000)  # type: ignore[arg-type]
        self.assertEqual((len(journal.entries()), journal.dropped), (2, 8))

    def test_a_service_that_cannot_be_reached(self) -> None:
        """The entry has the reason, and a counter counts it."""
        self.reactor.tcpServers[:] = [it for it in self.reactor.tcpServers if it[0] != SERVICE_PORT]
        self.connect()
        entries = self.journal.entries()
        self.assertEqual([type(it) for it in entries], [Connected, UpstreamFailed, Disconnected])
        self.assertIn("refused", entries[1].reason)  # type: ignore[union-attr]
        self.assertEqual(self.counters.upstream_failures, {"refused": 1})


class LogTests(JournaledCase):
    """What is logged of bytes that pass."""

    def test_lines(self) -> None:
        """As requests and replies are, with the number of the connection."""
        with capturedLogs() as events:
            self.exchange()
            self.log.flush()
            self.json.flush()
        text = "\n".join(str(it["lines"]) for it in events if "lines" in it)
        plain = [it for it in text.splitlines() if it.startswith("#")]
        self.assertRegex(plain[0], r"^#1 \S+ connected$")
        self.assertEqual(
            plain[1:6],
            [
                "#1 upstream connected",
                r"#1 < 'PING\r\n'",
                r"#1 > '+PONG\r\n+PONG\r\n'",
                "#1 < EOF",
                "#1 > EOF",
            ],
        )
        self.assertRegex(plain[6], "^#1 upstream disconnected: Connection was closed cleanly")
        [passed, *_] = [json.loads(it) for it in text.splitlines() if '"passed"' in it]
        self.assertEqual((passed["stream"], passed["data"]), ("upstream", "PING\r\n"))
