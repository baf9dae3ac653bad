"""The real twistd, and files that others have replaced or may not read."""

import os
import signal

from tests.support.issued import ours
from tests.support.live_case import LiveTestCase


class ReplacedTests(LiveTestCase):
    """Files that are something else when SIGHUP reads them again."""

    def test_pipes(self) -> None:
        """A pipe without a writer holds nobody up: the server answers, and keeps what it had."""
        (self.directory / "it.toml").write_text('rule = [{ equals = "a", reply = "A" }]')
        (self.directory / "it.pem").write_bytes(ours())
        files = "--script=it.toml", "--tls-cert=it.pem", "--journal=it.jsonl"
        server = self.serve("--metrics=0", *files, ports=2)
        # The port of metrics answers without TLS.
        self.assertEqual(len(server.ports), 2)
        for name in ("it.toml", "it.pem", "it.jsonl"):
            (self.directory / name).unlink()
            os.mkfifo(self.directory / name)
        server.signal(signal.SIGHUP)
        server.log.wait(r"keeping the current rules: .*it\.toml: is not a regular file")
        server.log.wait(r"keeping the current certificate: .*it\.pem: is not a regular file")
        server.log.wait(r"it\.jsonl: cannot be reopened: .*; keeping the open file")
        client = self.connect(server, 1)
        client.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertIn(b" 200 ", client.rest().splitlines()[0])
        self.assertEqual(server.stop(), -signal.SIGTERM)
