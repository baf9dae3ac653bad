"""A real twistd with metrics, read over HTTP while it serves and while it stops."""

import http.client
import os
import signal

from prometheus_client.parser import text_string_to_metric_families

from reqresp.control._limited_site import MAX_CLIENTS
from tests.support.live import PATIENCE, Server
from tests.support.live_case import LiveTestCase


class MetricsTests(LiveTestCase):
    """``twistd reqresp --metrics``."""

    def measured(self, *options: str) -> Server:
        return self.serve("--metrics=0", "--framing=line", *options, ports=2)

    def get(
        self, server: Server, path: str, *, method: str = "GET", body: bytes = b"", host: str = "it"
    ) -> tuple[int, str]:
        """Request a page; return its status and its text."""
        asked = http.client.HTTPConnection("127.0.0.1", server.ports[1], timeout=PATIENCE)
        self.addCleanup(asked.close)
        asked.request(method, path, body, {"Host": host})
        response = asked.getresponse()
        return response.status, response.read().decode()

    def metrics(self, server: Server) -> dict[str, float]:
        """Return the values of the metrics without labels."""
        status, text = self.get(server, "/metrics")
        self.assertEqual(status, 200)
        return {
            sample.name: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if not sample.labels
        }

    def test_what_clients_did(self) -> None:
        """Requests and bytes are counted, process metrics are shown, and nothing is logged."""
        server = self.measured()
        client = self.connect(server)
        for _ in range(3):
            self.assertEqual(client.ask(b"request\n", 10), b"response\r\n")
        metrics = self.metrics(server)
        self.assertEqual(metrics["reqresp_connections_open"], 1)
        self.assertEqual(metrics["reqresp_requests_total"], 3)
        self.assertEqual(metrics["reqresp_replies_total"], 3)
        self.assertEqual(metrics["reqresp_received_bytes_total"], 24)
        self.assertEqual(metrics["reqresp_sent_bytes_total"], 30)
        self.assertEqual(metrics["reqresp_reply_seconds_count"], 3)
        self.assertGreater(metrics["reqresp_reply_seconds_sum"], 0)
        self.assertLess(metrics["reqresp_reply_seconds_sum"], PATIENCE)
        self.assertGreater(metrics["process_open_fds"], 0)
        self.assertEqual(self.get(server, "/healthz"), (200, "ok\n"))
        self.assertNotIn("HTTP/1.1", server.log.text())

    def test_hosts(self) -> None:
        """A name that a web site can own is refused in ``Host``, unless an option allows it."""
        server = self.measured("--http-host=metrics.example")
        self.assertEqual(self.get(server, "/healthz", host="metrics.example:1"), (200, "ok\n"))
        status, text = self.get(server, "/healthz", host="evil.example")
        self.assertEqual(status, 403)
        self.assertIn("pass --http-host evil.example", text)

    def test_an_upload(self) -> None:
        """A client that uploads gets its reply, without a reset that could destroy it."""
        server = self.measured()
        for size in (0, 1, 1_000_000):
            found = self.get(server, "/metrics", method="POST", body=b"x" * size)
            self.assertEqual(found, (405, "only GET and HEAD\n"), size)

    def test_silent_and_pipelining_clients(self) -> None:
        """Neither keep a load balancer from ``/readyz``, or the server from stopping."""
        server = self.measured()
        silent = [self.connect(server, 1) for _ in range(2 * MAX_CLIENTS)]
        self.assertEqual(self.get(server, "/readyz"), (200, "ready\n"))
        flood = b"GET /metrics HTTP/1.1\r\nHost: it\r\n\r\n" * 1500
        for client in silent[-12:]:
            client.send(flood)
        self.assertEqual(self.get(server, "/readyz"), (200, "ready\n"))
        self.assertEqual(server.stop(), -signal.SIGTERM)

    def test_a_server_that_stops_says_so_first(self) -> None:
        """A stopping server is healthy but not ready, and shows metrics until it has drained."""
        (self.directory / "it.toml").write_text(
            "rule = [{ equals = 'a', reply = 'A' },"
            " { equals = 'slow', do = [{ wait = 60 }, { send = 'S' }] }]"
        )
        server = self.measured("--script=it.toml", "--drain=60", "--lame-duck=0.01")
        client = self.connect(server)
        self.assertEqual(self.get(server, "/readyz"), (200, "ready\n"))
        self.begin(client, b"slow\n")
        server.signal(signal.SIGTERM)
        server.log.wait("no longer ready")
        self.assertEqual(self.get(server, "/readyz"), (503, "not ready\n"))
        self.assertEqual(self.get(server, "/healthz"), (200, "ok\n"))
        metrics = self.metrics(server)
        self.assertEqual(metrics["reqresp_ready"], 0)
        requests, replies = metrics["reqresp_requests_total"], metrics["reqresp_replies_total"]
        self.assertEqual((requests, replies), (2, 1))
        os.kill(server.pid, signal.SIGTERM)
        self.assertEqual(server.wait(), -signal.SIGTERM)
