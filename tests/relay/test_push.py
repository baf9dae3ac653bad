"""What is pushed to a client of a service, and a client that is closed or reset from outside."""

from typing import Any

from twisted.internet.interfaces import IAddress

from reqresp import Counters, Observer, Unasked
from reqresp.server.pushes import MAX_PUSHED_BYTES, PushError
from tests.support.forwarded import ForwardedCase
from tests.support.relayed import RelayedCase, Watcher


class PushWatcher(Watcher):
    """Keeps what is sent without a request, too."""

    def sent(self, peer: IAddress, connection: int, data: bytes, by: Unasked) -> None:
        self.events.append((by, data))


class RelayTests(RelayedCase):
    """A connection of a relay."""

    def setUp(self) -> None:
        self.watcher = PushWatcher()
        self.counters = Counters()
        self.arguments = {"observers": [self.watcher], "counters": self.counters}
        super().setUp()

    def test_a_push_goes_to_the_client(self) -> None:
        """The client gets it between the bytes of the service, which gets nothing."""
        client, service = self.connect_both()
        service.transport.write(b"ab")
        self.factory.connections.push(1, b"!")
        self.advance(0)
        service.transport.write(b"cd")
        self.advance(0)
        self.assertEqual(client.received(), b"!abcd")
        self.assertEqual(service.got, b"")
        self.assertIn((Unasked.PUSH, b"!"), self.watcher.events)
        [info] = self.factory.connections
        self.assertEqual(
            (self.counters.sent, info.sent, info.received, info.requests), (5, 5, 0, 0)
        )

    def test_a_push_past_faults(self) -> None:
        """Faults of the direction hold what the service sends, and not what is pushed."""
        client, service = self.connect_both()
        with self.factory.fault("latency", stream="downstream", delay=1):
            service.transport.write(b"ab")
            self.advance(0)
            self.factory.connections.push(1, b"!")
            self.advance(0)
            self.assertEqual(client.received(), b"!")
            self.advance(1)
            self.assertEqual(client.received(), b"ab")

    def test_what_is_received_is_counted(self) -> None:
        """The table has the bytes of both directions."""
        client, _service = self.connect_both()
        client.send(b"12345")
        self.advance(0)
        [info] = self.factory.connections
        self.assertEqual(info.received, 5)

    def test_a_client_that_does_not_read(self) -> None:
        """What it does not receive is bounded."""
        client, _service = self.connect_both()
        client.stop_reading()
        self.factory.connections.push(1, b"x" * MAX_PUSHED_BYTES)
        self.assertRaises(PushError, self.factory.connections.push, 1, b"!")
        client.resume_reading()
        self.advance(0)
        self.factory.connections.push(1, b"!")
        self.advance(0)
        self.assertEqual(len(client.received()), MAX_PUSHED_BYTES + 1)

    def test_after_the_end_of_the_service(self) -> None:
        """A client that has got EOF gets nothing more."""
        client, service = self.connect_both()
        service.transport.loseWriteConnection()
        self.advance(0)
        self.assertTrue(client.got_eof)
        with self.assertRaisesRegex(PushError, "^connection 1: it cannot send$"):
            self.factory.connections.push(1, b"!")

    def test_a_close(self) -> None:
        """Both sides see EOF, after what was sent."""
        client, service = self.connect_both()
        client.send(b"ab")
        self.advance(0)
        service.transport.write(b"cd")
        self.advance(0)
        self.factory.connections.close(1)
        self.advance(0)
        self.assertEqual((client.received(), client.got_eof), (b"cd", True))
        self.assertEqual((service.got, service.was_reset), (b"ab", False))
        client.half_close()
        self.advance(2)
        self.assertEqual(len(self.factory.connections), 0)

    def test_a_reset(self) -> None:
        """Both sides see a reset."""
        client, service = self.connect_both()
        self.factory.connections.reset(1)
        self.advance(0)
        self.assertTrue(client.got_reset)
        self.assertTrue(service.was_reset)
        self.assertEqual(len(self.factory.connections), 0)


class ForwardedTests(ForwardedCase):
    """A connection whose requests are forwarded."""

    respond = "framing = 'line'\nunmatched = { forward = true }\n"

    def test_a_push_while_the_service_is_awaited(self) -> None:
        """It leaves at once, between replies, and the reply comes after it."""
        sent: list[bytes] = []

        class Watching(Observer):
            def sent(self, peer: IAddress, connection: int, data: bytes, by: Unasked) -> None:
                sent.append(data)

        self.start(self.respond, observers=[Watching()])
        client, service = self.connect_both()
        client.send(b"a\nb\n")
        self.advance(0)
        service.transport.write(b"A\r\n")
        self.advance(0)
        self.push(b"!")
        service.transport.write(b"B\r\n")
        self.advance(0)
        self.assertEqual((client.received(), sent), (b"A\r\n!B\r\n", [b"!"]))

    def push(self, data: bytes) -> Any:
        self.factory.connections.push(1, data)
        self.advance(0)

    def test_a_close_and_a_reset(self) -> None:
        """The connection to the service ends as that of the client does."""
        for act, was_reset in (("close", False), ("reset", True)):
            self.start(self.respond)
            client, service = self.connect_both()
            client.send(b"a\n")
            self.advance(0)
            getattr(self.factory.connections, act)(1)
            self.advance(0)
            client.half_close()
            self.advance(2)
            self.assertEqual(service.was_reset, was_reset)
            self.assertEqual((client.got_reset, client.received()), (was_reset, b""))
