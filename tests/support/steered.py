"""Steered: a test case with a twistd in another process, which its control server steers."""

import shutil
import socket
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support import live

SCRIPT = """
framing = "line"
[[rule]]
equals = "NOOP"
reply = "+OK"
"""


class Steered(SynchronousTestCase):
    """Has a server for each of its tests."""

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        (self.directory / "it.toml").write_text(SCRIPT, encoding="utf-8")
        options = ("--port=0", "--control=0", "--script=it.toml")
        self.server = live.start(self.directory, "reqresp", *options, ports=2)
        self.addCleanup(self.server.stop)

    @property
    def url(self) -> str:
        """Where the server is controlled."""
        return f"http://127.0.0.1:{self.server.ports[1]}"

    def ask(self, *requests: bytes) -> bytes:
        """Send lines on a new connection, end it, and return all that was received."""
        with socket.create_connection(("127.0.0.1", self.server.port), live.PATIENCE) as client:
            client.sendall(b"".join(it + b"\n" for it in requests))
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b""))
