"""A relay: what arrives at one side leaves at the other, bytes and endings alike."""

from twisted.logger import capturedLogs

from tests.support.relayed import RELAY_PORT, RelayedCase

KIB = 1024


class BytesTests(RelayedCase):
    """Bytes pass unchanged, at once, both ways."""

    def test_bytes_pass_both_ways(self) -> None:
        """The service gets what the client sends, and the client what the service sends."""
        client, service = self.connect_both()
        client.send(b"GET a\r\n", b"\x00\xff")
        self.assertEqual(service.got, b"GET a\r\n\x00\xff")
        service.transport.write(b"$1\r\nb\r\n")
        self.advance(0)
        self.assertEqual(client.received(), b"$1\r\nb\r\n")

    def test_a_service_may_speak_first(self) -> None:
        """A greeting reaches a client that has sent nothing."""
        client, service = self.connect_both()
        service.transport.write(b"220 ready\r\n")
        self.advance(0)
        self.assertEqual(client.received(), b"220 ready\r\n")

    def test_connections_that_succeed_are_not_logged(self) -> None:
        """Twisted would log two lines for each, with the name of a factory."""
        with capturedLogs() as events:
            client, service = self.connect_both()
            client.close()
            service.transport.loseConnection()
            self.advance(0)
        self.assertEqual((self.factory.open, [*events]), (0, []))

    def test_each_client_has_a_connection_of_its_own(self) -> None:
        """What one client sends is not mixed with what another sends."""
        (one, of_one), (other, of_other) = self.connect_both(), self.connect_both()
        one.send(b"1")
        other.send(b"2")
        self.assertEqual((of_one.got, of_other.got), (b"1", b"2"))

    def test_bytes_that_arrive_before_the_connection_upstream_are_kept(self) -> None:
        """What a client sends at once reaches the service."""
        client = self.reactor.connect_peer(RELAY_PORT)
        client.send(b"early")
        self.advance(0)
        self.assertEqual(self.services.made[0].got, b"early")


class BackpressureTests(RelayedCase):
    """A side that does not read stops the other from sending."""

    def test_a_client_that_does_not_read_stops_the_service(self) -> None:
        """The relay keeps little of an endless stream."""
        client, service = self.connect_both()
        client.stop_reading()
        service.transport.write(b"x" * 1000 * KIB)
        self.advance(0)
        self.assertGreater(len(service.transport.dataBuffer), 500 * KIB)
        client.resume_reading()
        self.advance(0)
        self.assertEqual(len(client.received()), 1000 * KIB)

    def test_a_service_that_does_not_read_stops_the_client(self) -> None:
        """What the client sends is delivered once the service reads on."""
        client, service = self.connect_both()
        service.transport.pauseProducing()
        for _ in range(40):
            client.send(b"x" * 64 * KIB)
        self.assertGreater(client.socket.peer.unread if client.socket.peer else 0, 1000 * KIB)
        service.transport.resumeProducing()
        self.advance(0)
        self.assertEqual(len(service.got), 40 * 64 * KIB)


class EndingTests(RelayedCase):
    """EOF, a close and a reset leave as they have arrived."""

    def test_a_half_close_of_the_client_is_passed_on_and_replies_still_come(self) -> None:
        """The service sees EOF; its reply, and then its EOF, reach the client."""
        client, service = self.connect_both()
        client.send(b"last request")
        client.half_close()
        self.assertEqual((service.got, service.eof), (b"last request", True))
        service.transport.write(b"late reply")
        service.transport.loseConnection()
        self.advance(0)
        self.assertEqual((client.received(), client.got_eof), (b"late reply", True))
        self.assertEqual(self.factory.open, 0)

    def test_a_half_close_of_the_service_is_passed_on_and_requests_still_go(self) -> None:
        """The client sees EOF, and can still send."""
        client, service = self.connect_both()
        service.transport.write(b"bye")
        service.transport.loseWriteConnection()
        self.advance(0)
        self.assertEqual((client.received(), client.got_eof), (b"bye", True))
        client.send(b"more")
        self.assertEqual(service.got, b"more")
        client.close()
        self.assertTrue(service.eof)

    def test_a_close_of_the_service_delivers_everything_first(self) -> None:
        """A client that reads slowly gets all of a reply after which the service closes."""
        client, service = self.connect_both()
        client.stop_reading()
        service.transport.write(b"x" * 500 * KIB)
        service.transport.loseConnection()
        self.advance(0)
        client.resume_reading()
        self.advance(0)
        self.assertEqual((len(client.received()), client.got_eof), (500 * KIB, True))

    def test_a_reset_of_the_client_reaches_the_service_as_a_reset(self) -> None:
        """The service does not take a client that has reset for one that has closed."""
        client, service = self.connect_both()
        client.send(b"half a req")
        client.reset()
        self.advance(1)
        self.assertEqual((service.got, service.was_reset), (b"half a req", True))
        self.assertEqual(self.factory.open, 0)

    def test_a_reset_of_the_service_reaches_the_client_as_a_reset(self) -> None:
        """The client gets what the service had sent, then a reset."""
        client, service = self.connect_both()
        service.transport.write(b"half a rep")
        self.advance(0)
        service.transport.abortConnection()
        self.advance(1)
        self.assertEqual((client.received(), client.got_reset), (b"half a rep", True))
        self.assertEqual(self.factory.open, 0)

    def test_a_client_that_leaves_an_endless_stream_ends_it(self) -> None:
        """The service is not left with a connection that goes nowhere."""
        client, service = self.connect_both()
        client.close()
        for _ in range(3):
            service.transport.write(b"x" * KIB)
            self.advance(0)
        self.assertIsNotNone(service.lost)
        self.assertEqual(self.factory.open, 0)
