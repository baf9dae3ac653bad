"""What a relay has in common with every server: endings, drain, idle timeout and counters."""

from twisted.logger import capturedLogs

from reqresp.relay import Unreachable
from reqresp.relay.relay import QUIET_SECONDS
from reqresp.server.counters import Counters
from reqresp.server.limits import Limits
from reqresp.server.observers import Direction
from reqresp.transport.access import Access, parse_networks
from tests.support.relayed import RELAY_PORT, SERVICE_PORT, RelayedCase, Watcher


class UnreachableTests(RelayedCase):
    """A service that refuses connections."""

    def serve(self) -> None:
        pass

    def test_the_client_is_reset_and_one_line_says_why(self) -> None:
        """The line names the client, the service and the reason."""
        with capturedLogs() as events:
            client = self.connect()
        self.assertTrue(client.got_reset)
        [line] = [it["log_format"].format(**it) for it in events if "upstream" in it]
        self.assertRegex(
            line,
            rf"^127.0.0.1:\d+: upstream .*:{SERVICE_PORT} refused the connection; resetting$",
        )
        self.assertEqual(self.factory.open, 0)


class CloseUnreachableTests(RelayedCase):
    """The same, with ``unreachable`` set to close."""

    arguments = {"unreachable": Unreachable.CLOSE}

    def serve(self) -> None:
        pass

    def test_the_client_sees_eof(self) -> None:
        """It is closed, not reset, also if it has sent something."""
        client = self.reactor.connect_peer(RELAY_PORT)
        client.send(b"hello")
        self.advance(0)
        self.assertTrue(client.got_eof)
        self.assertFalse(client.got_reset)


class DrainTests(RelayedCase):
    """A relay that stops."""

    def test_a_client_that_has_its_reply_is_closed_soon(self) -> None:
        """The last bytes came from the service: the exchange is complete."""
        client, service = self.connect_both()
        client.send(b"request")
        service.transport.write(b"reply")
        self.advance(0)
        drained = self.factory.drain(10)
        self.advance(QUIET_SECONDS)
        self.assertEqual((client.received(), client.got_eof), (b"reply", True))
        client.close()
        service.transport.loseConnection()
        self.advance(0)
        self.successResultOf(drained)

    def test_a_client_that_waits_gets_its_reply_first(self) -> None:
        """The relay waits for the service until the deadline."""
        client, service = self.connect_both()
        client.send(b"request")
        self.factory.drain(10)
        self.advance(5)
        self.assertFalse(client.got_eof)
        service.transport.write(b"reply")
        self.advance(2 * QUIET_SECONDS)
        self.assertEqual((client.received(), client.got_eof), (b"reply", True))

    def test_what_is_left_at_the_deadline_is_reset(self) -> None:
        """Both sides see a reset."""
        client, service = self.connect_both()
        client.send(b"request")
        drained = self.factory.drain(1)
        self.advance(1)
        self.assertTrue(client.got_reset)
        self.assertTrue(service.was_reset)
        self.successResultOf(drained)


class IdleTests(RelayedCase):
    """The idle timeout."""

    arguments = {"limits": Limits(idle_timeout=60)}

    def test_a_silent_connection_is_closed(self) -> None:
        """Both sides are closed, in order."""
        client, service = self.connect_both()
        for _ in range(8):
            self.advance(15)
        self.assertTrue(client.got_eof)
        self.assertTrue(service.eof)

    def test_bytes_of_either_side_keep_it_open(self) -> None:
        """A service that only sends is not idle."""
        client, service = self.connect_both()
        for _ in range(20):
            self.advance(15)
            service.transport.write(b".")
        self.advance(0)
        self.assertFalse(client.got_eof)


class CountersTests(RelayedCase):
    """What is counted."""

    def setUp(self) -> None:
        self.counters = Counters()
        self.arguments = {"counters": self.counters}
        super().setUp()

    def test_bytes_are_counted_as_the_client_sees_them(self) -> None:
        """Received is what the client has sent, sent is what it gets."""
        client, service = self.connect_both()
        client.send(b"12345")
        service.transport.write(b"123")
        self.advance(0)
        self.assertEqual((self.counters.received, self.counters.sent), (5, 3))


class AdmissionTests(RelayedCase):
    """The limit of connections."""

    arguments = {"limits": Limits(max_connections=1)}

    def test_a_client_over_the_limit_is_reset(self) -> None:
        """It gets no connection upstream."""
        self.connect_both()
        client = self.connect()
        self.assertTrue(client.got_reset)
        self.assertEqual((len(self.services.made), self.factory.refused), (1, 1))


class AccessTests(RelayedCase):
    """An access list."""

    arguments = {"access": Access(deny=parse_networks("192.0.2.0/24"))}

    def test_a_client_that_is_denied_is_reset(self) -> None:
        """It gets no connection upstream; others are forwarded."""
        denied = self.reactor.connect_peer(RELAY_PORT, ("192.0.2.1", 50000))
        self.advance(0)
        self.assertTrue(denied.got_reset)
        self.assertEqual((self.services.made, self.factory.refused), ([], 1))
        client, service = self.connect_both()
        client.send(b"request")
        self.advance(0)
        self.assertEqual((service.got, self.factory.refused), (b"request", 1))


class ObserverTests(RelayedCase):
    """What observers of a relay receive."""

    def setUp(self) -> None:
        self.watcher = Watcher()
        self.arguments = {"observers": [self.watcher]}
        super().setUp()

    def test_the_events_of_one_client(self) -> None:
        """They come in the order in which they happen."""
        client, service = self.connect_both()
        client.send(b"request")
        service.transport.write(b"reply")
        service.transport.loseConnection()
        self.advance(0)
        client.close()
        self.advance(0)
        self.assertEqual(
            self.watcher.events,
            [
                *(("connected", 1), ("opened", 1)),
                *((Direction.UPSTREAM, b"request"), (Direction.DOWNSTREAM, b"reply")),
                (Direction.DOWNSTREAM, b""),
                *(("ended", 1), ("disconnected", 1)),
            ],
        )

    def test_a_half_close_is_reported_at_once(self) -> None:
        """EOF is an event of its own direction; the other one goes on."""
        client, service = self.connect_both()
        client.half_close()
        service.transport.write(b"late")
        self.advance(0)
        self.assertEqual(
            self.watcher.events[2:], [(Direction.UPSTREAM, b""), (Direction.DOWNSTREAM, b"late")]
        )

    def test_a_reset_is_not_eof(self) -> None:
        """A side that was reset has not ended its bytes in order."""
        client, _service = self.connect_both()
        client.send(b"half")
        client.reset()
        self.advance(1)
        self.assertEqual(
            self.watcher.events[2:],
            [(Direction.UPSTREAM, b"half"), ("ended", 1), ("disconnected", 1)],
        )


class FailureObserverTests(RelayedCase):
    """A service that cannot be reached."""

    def setUp(self) -> None:
        self.watcher = Watcher()
        self.arguments = {"observers": [self.watcher]}
        super().setUp()

    def serve(self) -> None:
        pass

    def test_the_events_of_one_client(self) -> None:
        """Nothing was opened, and nothing ends."""
        self.connect()
        self.assertEqual(
            self.watcher.events, [("connected", 1), ("failed", 1), ("disconnected", 1)]
        )
