"""The site: what a browser, a load balancer and a hostile client receive."""

from typing import Any, cast

from twisted.logger import capturedLogs

from reqresp.control.prometheus import ServerCollector
from reqresp.control.site import MAX_CLIENTS, REQUEST_TIMEOUT, make_site
from tests.support.metered import Metered
from tests.support.wire import Wire


class Visited(Metered):
    """A site in memory, and its clients."""

    ready = True

    def setUp(self) -> None:
        super().setUp()
        self.site = make_site(self.factory(), self.counters, lambda: self.ready)
        self.site.startFactory()
        self.addCleanup(self.site.stopFactory)

    def visit(self) -> Wire:
        """Return a new client of the site."""
        return Wire(cast(Any, self.site), self.reactor)

    def get(self, path: str, method: str = "GET", *headers: str) -> tuple[int, dict[str, str], str]:
        """Request a page; return its status, headers and text."""
        wire = self.visit()
        lines = [f"{method} {path} HTTP/1.1", "Host: it", "Connection: close", *headers, "", ""]
        wire.send("\r\n".join(lines).encode())
        self.assertTrue(wire.got_eof)
        return parsed(wire.received())


def parsed(response: bytes) -> tuple[int, dict[str, str], str]:
    """Return the status, the headers and the text of an HTTP response."""
    head, _, text = response.decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), text


class PagesTests(Visited):
    """Each page has its status, its content type and its text."""

    def test_metrics(self) -> None:
        """``/metrics`` has the metrics, in the format that the request prefers."""
        status, headers, text = self.get("/metrics")
        self.assertEqual(status, 200)
        self.assertEqual(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        self.assertIn("\nreqresp_ready 1.0\n", text)
        accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
        _, headers, text = self.get("/metrics?a=b", "GET", accept)
        self.assertIn("application/openmetrics-text", headers["Content-Type"])
        self.assertTrue(text.endswith("# EOF\n"))

    def test_health(self) -> None:
        """``/healthz`` is 200, whether or not the server is ready."""
        self.ready = False
        status, headers, text = self.get("/healthz")
        self.assertEqual((status, text), (200, "ok\n"))
        self.assertEqual(headers["Content-Type"], "text/plain; charset=utf-8")

    def test_readiness(self) -> None:
        """``/readyz`` is 200 if new clients are accepted, else 503."""
        self.assertEqual(self.get("/readyz")[::2], (200, "ready\n"))
        self.ready = False
        self.assertEqual(self.get("/readyz")[::2], (503, "not ready\n"))

    def test_head(self) -> None:
        """HEAD has the status and headers of GET, and no text."""
        for path in ("/metrics", "/healthz", "/readyz", "/no"):
            status, headers, text = self.get(path, "HEAD")
            self.assertEqual((status, text), (self.get(path)[0], ""))
            self.assertGreater(int(headers["Content-Length"]), 1)

    def test_nothing_else(self) -> None:
        """Any other path is 404."""
        for path in (
            "/",
            "/metrics/",
            "/metrics/x",
            "/Metrics",
            "//metrics",
            "/../metrics",
            "/%00",
        ):
            self.assertEqual(self.get(path)[::2], (404, "not found\n"), path)

    def test_other_methods(self) -> None:
        """Other methods than GET and HEAD are 405."""
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "BREW"):
            status, headers, text = self.get("/metrics", method, "Content-Length: 0")
            self.assertEqual((status, text), (405, "only GET and HEAD\n"))
            self.assertEqual(headers["Allow"], "GET, HEAD")

    def test_a_connection_is_kept(self) -> None:
        """A client can request pages again and again on one connection."""
        wire = self.visit()
        for _ in range(5):
            wire.send(b"GET /healthz HTTP/1.1\r\nHost: it\r\n\r\n")
            self.assertEqual(parsed(wire.received())[2], "ok\n")
            wire.wait(REQUEST_TIMEOUT - 1)
        self.assertTrue(wire.is_open)


class HostileTests(Visited):
    """A hostile client costs little memory and time, and no log line."""

    def test_a_client_that_says_nothing(self) -> None:
        """A client that sends nothing is reset after the timeout."""
        wire = self.visit()
        wire.wait(REQUEST_TIMEOUT + 1)
        self.assertTrue(wire.got_reset)

    def test_a_client_that_says_little_at_a_time(self) -> None:
        """A received byte does not extend the time for a request."""
        wire = self.visit()
        for byte in b"GET /metrics HTTP/1.1\r\nHos":
            wire.send(bytes([byte]))
            wire.wait(1)
        self.assertTrue(wire.got_reset)

    def test_a_client_that_does_not_read(self) -> None:
        """A client that does not read is disconnected, and little is buffered for it."""
        wire = self.visit()
        wire.stop_reading()
        wire.send(b"GET /metrics HTTP/1.1\r\nHost: it\r\n\r\n" * 100)
        self.assertLess(wire.buffered, 1024 * 1024)
        wire.wait(REQUEST_TIMEOUT + 1)
        self.assertFalse(wire.is_open)

    def test_too_many_clients(self) -> None:
        """Connections over the limit are reset, until another one ends."""
        wires = [self.visit() for _ in range(MAX_CLIENTS)]
        self.assertTrue(self.visit().got_reset)
        wires[0].reset()
        wires[0] = self.visit()
        wires[0].send(b"GET /healthz HTTP/1.0\r\n\r\n")
        self.assertEqual(parsed(wires[0].received())[0], 200)
        self.assertTrue(all(wire.is_open for wire in wires[1:]))

    def test_an_upload(self) -> None:
        """The body of a request is discarded."""
        wire = self.visit()
        wire.send(b"POST /metrics HTTP/1.1\r\nHost: it\r\nContent-Length: 9000000\r\n\r\n")
        [request] = wire.protocol.requests
        for _ in range(100):
            wire.send(b"x" * 60_000)
        self.assertEqual(request.content.getvalue(), b"")

    def test_nothing_is_logged(self) -> None:
        """Neither valid nor malformed requests are logged."""
        with capturedLogs() as logs:
            self.get("/metrics")
            self.get("/no", "HEAD")
            self.get("/metrics", "POST", "Content-Length: 0")
            self.get("/metrics", "GET", "Accept: text/plain; version=evil")
            accept = b"GET /metrics HTTP/1.1\r\nHost: it\r\nAccept: \xff\r\n\r\n"
            for data in (accept, b"nonsense\r\n\r\n", b"\0" * 9999, b"GET / HTTP/9\r\n\r\n"):
                wire = self.visit()
                wire.send(data)
            self.visit().wait(REQUEST_TIMEOUT + 1)
        self.assertEqual(list(logs), [])

    def test_an_error_of_ours(self) -> None:
        """An error in our code is logged, and not shown on the page."""

        def fail(_self: Any) -> Any:
            raise ZeroDivisionError("secret")

        self.patch(ServerCollector, "collect", fail)
        status, _, text = self.get("/metrics")
        self.assertEqual(status, 500)
        self.assertNotIn("secret", text)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
