"""A connection of an HTTP client: one request, in a fixed time."""

from reqresp.control._channel import REQUEST_TIMEOUT
from reqresp.transport.stream import LINGER
from tests.support.visited import HEALTH, Visited, parsed


class OneRequestTests(Visited):
    """A connection answers one request, and closes."""

    def test_it_closes_after_the_reply(self) -> None:
        """The reply says that the connection closes, and EOF follows it."""
        wire = self.visit()
        wire.send(HEALTH)
        self.assertTrue(wire.got_eof)
        status, headers, text = parsed(wire.received())
        self.assertEqual((status, headers["Connection"], text), (200, "close", "ok\n"))

    def test_further_requests_are_dropped(self) -> None:
        """Of pipelined requests the first is answered, in however many pieces they arrive."""
        for pieces in ([HEALTH * 2000], [HEALTH] * 10, [HEALTH[:-2], HEALTH[-2:] + HEALTH, HEALTH]):
            wire = self.visit()
            wire.send(*pieces)
            self.assertEqual(wire.received().count(b"HTTP/1.1"), 1)
            self.assertFalse(wire.got_reset)
            wire.wait(LINGER)
            self.assertFalse(wire.is_open)

    def test_a_body_is_dropped(self) -> None:
        """The reply to an upload arrives, although the body is never read as such."""
        for more in (b"x" * 60_000, b"", HEALTH):
            wire = self.visit()
            wire.send(
                b"POST /metrics HTTP/1.1\r\nHost: it\r\nContent-Length: 9000000\r\n\r\n", more
            )
            for _ in range(20):
                wire.send(b"x" * 60_000)
            self.assertEqual(parsed(wire.received())[0], 405)
            self.assertFalse(wire.got_reset)

    def test_a_client_that_awaits_permission(self) -> None:
        """A client that expects 100 gets its reply at once, and sends no body."""
        wire = self.visit()
        head = b"PUT /metrics HTTP/1.1\r\nHost: it\r\nContent-Length: 9\r\n"
        wire.send(head + b"Expect: 100-continue\r\n\r\n")
        self.assertEqual(parsed(wire.received())[0], 405)

    def test_a_client_that_half_closes(self) -> None:
        """A client that ends its side after the request gets its reply."""
        wire = self.visit()
        wire.put(HEALTH)
        wire.send_eof()
        wire.turn()
        self.assertEqual(parsed(wire.received())[0], 200)
        self.assertFalse(wire.is_open)

    def test_a_client_that_leaves_before(self) -> None:
        """A client that ends its side within a request gets EOF."""
        wire = self.visit()
        wire.send(HEALTH[:9])
        wire.send_eof()
        wire.turn()
        self.assertEqual(wire.received(), b"")
        self.assertFalse(wire.is_open)

    def test_malformed_requests(self) -> None:
        """A malformed request ends the connection; what follows it is dropped."""
        for data in (
            b"nonsense\r\n\r\n",
            b"\r\n\r\n",
            b"GET /healthz HTTP/9\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nno colon\r\nHost: it\r\n\r\n",
        ):
            wire = self.visit()
            wire.send(data + HEALTH * 100)
            received = wire.received()
            self.assertEqual(received.count(b"HTTP/1.1 400"), 1, data[:50])
            self.assertEqual(received.count(b"HTTP/1.1"), 1, data[:50])
            self.assertTrue(wire.got_eof)

    def test_a_line_that_is_too_long(self) -> None:
        """A first line that is too long is 414, complete or not."""
        for pieces in ([b"x" * 10_000 + b"\r\n"], [b"x" * 10_000], [b"x" * 100] * 100):
            wire = self.visit()
            wire.send(*pieces)
            self.assertTrue(wire.got_eof)
            self.assertEqual(parsed(wire.received())[0], 414)

    def test_headers_that_are_too_large(self) -> None:
        """Headers of too many bytes, such as many cookies, or too many headers, are 431."""
        start = b"GET /healthz HTTP/1.1\r\nHost: it\r\n"
        for headers in (
            b"Cookie: " + b"x" * 9000 + b"\r\n",
            b"Cookie: " + b"x" * 9000,
            b"A: bcde\r\n" * 1200,
            b"A: b\r\n" * 100,
        ):
            wire = self.visit()
            wire.send(start + headers + b"\r\n", HEALTH * 100)
            received = wire.received()
            self.assertTrue(received.startswith(b"HTTP/1.1 431 Request Header"), headers[:20])
            self.assertEqual(received.count(b"HTTP/1.1"), 1)
            self.assertTrue(wire.got_eof)
            self.assertFalse(wire.got_reset)


class TimeTests(Visited):
    """A connection has a fixed time."""

    def test_a_client_that_says_nothing(self) -> None:
        """A client that sends nothing is reset after the timeout, not before."""
        wire = self.visit()
        wire.wait(REQUEST_TIMEOUT - 0.01)
        self.assertTrue(wire.is_open)
        wire.wait(0.01)
        self.assertTrue(wire.got_reset)

    def test_a_client_that_says_little_at_a_time(self) -> None:
        """A received byte does not extend the time for a request."""
        wire = self.visit()
        for byte in b"GET /metrics HTTP/1.1\r\nHos":
            wire.send(bytes([byte]))
            wire.wait(1)
        self.assertTrue(wire.got_reset)

    def test_a_client_that_does_not_read(self) -> None:
        """A client that does not read its page is disconnected, and one page is kept for it."""
        wire = self.visit()
        wire.stop_reading()
        wire.send(b"GET /metrics HTTP/1.1\r\nHost: it\r\n\r\n" * 100)
        self.assertLess(wire.buffered, 16 * 1024)
        wire.wait(REQUEST_TIMEOUT)
        self.assertFalse(wire.is_open)

    def test_a_client_that_never_closes(self) -> None:
        """After the reply a client has a second to close."""
        wire = self.visit()
        wire.send(HEALTH)
        wire.wait(LINGER - 0.01)
        self.assertTrue(wire.is_open)
        wire.wait(0.01)
        self.assertFalse(wire.is_open)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
