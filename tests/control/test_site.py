"""The site: what a browser, a load balancer and a hostile client receive."""

from typing import Any

from twisted.logger import capturedLogs

from reqresp.control._channel import REQUEST_TIMEOUT
from reqresp.control._limited_site import MAX_CLIENTS
from reqresp.control.prometheus import MAX_AGE, ServerCollector
from tests.support.visited import HEALTH, Visited, parsed


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
        """``/readyz`` is 200 if new clients are accepted, else 503, at every moment."""
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
            "http://it/metrics",
        ):
            self.assertEqual(self.get(path)[::2], (404, "not found\n"), path)

    def test_other_methods(self) -> None:
        """Other methods than GET and HEAD are 405, before their body arrives."""
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "get"):
            for length in ("Content-Length: 0", "Content-Length: 9", "Transfer-Encoding: chunked"):
                status, headers, text = self.get("/metrics", method, length)
                self.assertEqual((status, text), (405, "only GET and HEAD\n"))
                self.assertEqual(headers["Allow"], "GET, HEAD")

    def test_another_host(self) -> None:
        """A request that names another site in ``Host`` is 403, whatever it asks for."""
        for path in ("/metrics", "/healthz", "/readyz", "/no"):
            for method in ("GET", "POST", "OPTIONS"):
                status, _, text = self.get(path, method, host="evil.example:9100")
                self.assertEqual(status, 403, (method, path))
                self.assertIn("host 'evil.example' not allowed: ", text)
                self.assertIn("pass --http-host evil.example\n", text)

    def test_a_host_that_is_none(self) -> None:
        """What cannot be a host is refused, and not shown."""
        status, _, text = self.get("/metrics", host="<script>")
        self.assertEqual(status, 403)
        expected = "host not allowed: expected one header Host, with a name or an address\n"
        self.assertEqual(text, expected)

    def test_without_a_host(self) -> None:
        """A request without ``Host`` is answered: load balancers send such."""
        wire = self.visit()
        wire.send(b"GET /readyz HTTP/1.0\r\n\r\n")
        self.assertEqual(parsed(wire.received())[::2], (200, "ready\n"))


class NamedPagesTests(Visited):
    """A site that allows further hosts."""

    hosts = ("metrics.example",)

    def test_a_host_that_was_named(self) -> None:
        """A name that the site was given is allowed, others are not."""
        self.assertEqual(self.get("/healthz", host="metrics.example:9100")[0], 200)
        self.assertEqual(self.get("/healthz", host="other.example")[0], 403)


class CrowdedTests(Visited):
    """No client can keep another one from a page."""

    def test_silent_clients(self) -> None:
        """Silent clients do not keep a new client out: it takes the place of the oldest one."""
        wires = [self.visit() for _ in range(MAX_CLIENTS)]
        self.assertEqual(self.get("/readyz")[0], 200)
        self.assertTrue(wires[0].got_reset)
        self.assertTrue(all(wire.is_open for wire in wires[1:]))
        wires[1].send(HEALTH)
        self.assertEqual(parsed(wires[1].received())[0], 200)

    def test_many_connections_of_one_address(self) -> None:
        """A new connection takes the place of one of the address with the most."""
        balancer = self.visit("192.0.2.1")
        wires = [self.visit("192.0.2.66") for _ in range(3 * MAX_CLIENTS)]
        self.assertEqual(sum(wire.is_open for wire in wires), MAX_CLIENTS - 1)
        self.assertTrue(all(wire.got_reset for wire in wires if not wire.is_open))
        balancer.send(HEALTH)
        self.assertEqual(parsed(balancer.received())[0], 200)

    def test_connections_that_end_leave_their_place(self) -> None:
        """A connection that has ended counts no more."""
        wires = [self.visit() for _ in range(MAX_CLIENTS)]
        wires[-1].reset()
        self.assertEqual(self.get("/healthz")[0], 200)
        self.assertFalse(any(wire.got_reset for wire in wires))

    def test_the_site_stops(self) -> None:
        """All connections are reset when the site stops, those with an unread page included."""
        deaf = self.visit()
        deaf.stop_reading()
        deaf.send(b"GET /metrics HTTP/1.1\r\nHost: it\r\n\r\n")
        silent = self.visit()
        self.site.stopFactory()
        self.reactor.advance(0)
        self.assertFalse(deaf.is_open)
        self.assertTrue(silent.got_reset)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_pages_are_made_once_a_second(self) -> None:
        """However many clients ask, the metrics are collected once a second."""
        collected = []
        collect = ServerCollector.collect

        def count(collector: ServerCollector) -> Any:
            collected.append(collector)
            return collect(collector)

        self.patch(ServerCollector, "collect", count)
        for _ in range(10):
            self.assertEqual(self.get("/metrics")[0], 200)
        self.assertEqual(len(collected), 1)
        self.reactor.advance(MAX_AGE)
        self.get("/metrics")
        self.assertEqual(len(collected), 2)


class SecrecyTests(Visited):
    """What clients send is neither logged nor shown, and neither is an error of ours."""

    def test_nothing_is_logged(self) -> None:
        """Neither valid nor malformed requests are logged."""
        with capturedLogs() as logs:
            self.get("/metrics")
            self.get("/no", "HEAD")
            self.get("/metrics", "POST", "Content-Length: 0")
            self.get("/metrics", host="evil.example")
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
