"""RequestLog: the lines in the log, their levels and their events."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp.journal.request_log import RequestLog

ONE = IPv4Address("TCP", "192.0.2.1", 1111)
TWO = IPv6Address("TCP", "2001:db8::2", 2222)


class Log:
    """A request log, and what it has logged."""

    def __init__(self, events: Sequence[LogEvent]) -> None:
        self._events = events
        self.clock = Clock()
        self.request_log = RequestLog(self.clock)

    def turn(self) -> None:
        """End the reactor turn."""
        self.clock.advance(0)

    def received(self, *requests: bytes, peer: IAddress = ONE) -> None:
        self.request_log.received(peer, 1, requests)

    def gone(self, peer: IAddress = ONE) -> None:
        self.request_log.disconnected(peer, 1, Failure(ConnectionDone()))

    def events(self) -> list[list[str]]:
        """Return the lines of each event."""
        return [formatEvent(event).split("\n") for event in self._events]

    def levels(self) -> list[tuple[LogLevel, str]]:
        """Return the level and the text of each event."""
        return [(event["log_level"], formatEvent(event)) for event in self._events]


@contextmanager
def log() -> Iterator[Log]:
    with capturedLogs() as events:
        yield Log(events)


class TurnTests(SynchronousTestCase):
    """When lines are logged."""

    def test_one_event_for_all_requests_of_a_turn(self) -> None:
        """All requests of a turn are in one event, in order, for any number of connections."""
        with log() as it:
            it.received(b"a", b"b")
            it.received(b"c", peer=TWO)
            it.received(b"d")
            it.turn()
            self.assertEqual(
                it.events(),
                [
                    [
                        "from client 192.0.2.1:1111: b'a'",
                        "from client 192.0.2.1:1111: b'b'",
                        "from client [2001:db8::2]:2222: b'c'",
                        "from client 192.0.2.1:1111: b'd'",
                    ]
                ],
            )

    def test_nothing_before_the_turn_is_over(self) -> None:
        """Nothing is logged before the end of the turn."""
        with log() as it:
            it.received(b"a")
            self.assertEqual(it.events(), [])

    def test_each_turn_has_its_own_event(self) -> None:
        """Each turn has one event, with its own lines only."""
        with log() as it:
            for request in (b"a", b"b"):
                it.received(request)
                it.turn()
            self.assertEqual(
                it.events(),
                [["from client 192.0.2.1:1111: b'a'"], ["from client 192.0.2.1:1111: b'b'"]],
            )

    def test_a_quiet_turn_logs_nothing(self) -> None:
        """A turn without requests logs nothing and starts no timer."""
        with log() as it:
            it.received(b"a")
            it.turn()
            self.assertEqual(it.clock.getDelayedCalls(), [])
            it.turn()
            self.assertEqual(len(it.events()), 1)

    def test_a_turn_needs_one_timer(self) -> None:
        """A turn starts one timer, for any number of requests."""
        with log() as it:
            it.received(*[b"a"] * 1500)
            it.gone()
            self.assertEqual(len(it.clock.getDelayedCalls()), 1)

    def test_1000_lines_are_logged_without_waiting(self) -> None:
        """A thousand lines are logged at once, so that memory is limited."""
        with log() as it:
            it.received(*[b"a"] * 999)
            self.assertEqual(it.events(), [])
            it.received(b"a")
            self.assertEqual([len(lines) for lines in it.events()], [1000])

    def test_what_comes_after_1000_lines_is_logged_too(self) -> None:
        """Lines after the first thousand are logged at the end of the turn, once."""
        with log() as it:
            it.received(*[b"a"] * 2500)
            it.turn()
            it.turn()
            self.assertEqual([len(lines) for lines in it.events()], [1000, 1000, 500])


class LevelTests(SynchronousTestCase):
    """The levels of the lines."""

    def test_requests_are_at_level_info(self) -> None:
        """Requests are logged at level info."""
        with log() as it:
            it.received(b"a")
            it.turn()
            self.assertEqual(it.levels(), [(LogLevel.info, "from client 192.0.2.1:1111: b'a'")])

    def test_a_connection_is_logged_in_order(self) -> None:
        """Connects and disconnects are at level debug, before and after the requests of a turn."""
        with log() as it:
            it.request_log.connected(ONE, 7)
            it.received(b"a")
            it.request_log.disconnected(ONE, 7, Failure(ConnectionDone()))
            it.turn()
            self.assertEqual(
                it.levels(),
                [
                    (LogLevel.debug, "#7 192.0.2.1:1111 connected"),
                    (LogLevel.info, "from client 192.0.2.1:1111: b'a'"),
                    (
                        LogLevel.debug,
                        "#7 192.0.2.1:1111 disconnected: Connection was closed cleanly.",
                    ),
                ],
            )

    def test_many_connections_make_one_event(self) -> None:
        """All connects of a turn are one event, and all disconnects are another."""
        with log() as it:
            for peer in (ONE, TWO):
                it.request_log.connected(peer, 1)
                it.gone(peer)
            it.turn()
            self.assertEqual([len(lines) for lines in it.events()], [2, 2])


class LineTests(SynchronousTestCase):
    """The text of a line."""

    def line(self, request: bytes, peer: IAddress = ONE) -> str:
        """Return the only line that *request* leaves in the log."""
        with log() as it:
            it.received(request, peer=peer)
            it.turn()
            [[line]] = it.events()
        return line

    def test_1024_bytes_are_shown_whole(self) -> None:
        """A request of 1024 bytes is shown whole."""
        request = b"x" * 1024
        self.assertEqual(self.line(request), f"from client 192.0.2.1:1111: {request!r}")

    def test_a_longer_request_is_cut(self) -> None:
        """A longer request is cut, and its size is shown."""
        self.assertEqual(
            self.line(b"x" * 1024 + b"y"),
            f"from client 192.0.2.1:1111: {b'x' * 1024!r}... (1025 bytes)",
        )

    def test_an_empty_request_has_a_line(self) -> None:
        """An empty request has a line."""
        self.assertEqual(self.line(b""), "from client 192.0.2.1:1111: b''")

    def test_line_ends_forge_no_lines(self) -> None:
        """Line ends in a request are shown as escapes."""
        line = self.line("a\n\r\v\f\x1c\x85\u2028from client".encode())
        self.assertEqual(line.splitlines(), [line])
        self.assertIn(r"a\n\r", line)

    def test_braces_are_no_format(self) -> None:
        """Braces in a request are shown as they are, not as fields of a log event."""
        line = self.line(b"{lines} {log_level} {0} {} {{ %s {x")
        self.assertEqual(line, "from client 192.0.2.1:1111: b'{lines} {log_level} {0} {} {{ %s {x'")

    def test_a_client_without_a_name(self) -> None:
        """A client of a UNIX socket without a name is shown as ``a UNIX socket``."""
        self.assertEqual(self.line(b"a", UNIXAddress(None)), "from client a UNIX socket: b'a'")

    def test_an_address_forges_no_lines(self) -> None:
        """Line ends in the path of a UNIX socket are shown as escapes."""
        with log() as it:
            it.received(b"a", peer=UNIXAddress(b"/run/a: b'a'\nfrom client b"))
            it.turn()
            self.assertEqual([len(lines) for lines in it.events()], [1])

    def test_braces_in_an_address_are_no_format(self) -> None:
        """Braces in an address are shown as they are."""
        self.assertEqual(self.line(b"a", UNIXAddress(b"/{lines}")), "from client '/{lines}': b'a'")
