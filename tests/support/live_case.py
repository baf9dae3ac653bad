"""LiveTestCase: a test case that starts real twistd servers and stops them."""

from twisted.trial.unittest import SynchronousTestCase

from tests.support import live
from tests.support.live import Client, Server


class LiveTestCase(SynchronousTestCase):
    """A directory for each test, and servers that are stopped after it."""

    def setUp(self) -> None:
        self.directory = live.temporary(self)

    def serve(self, *options: str, ports: int = 1) -> Server:
        """A running ``twistd reqresp``, on a port of its own unless *options* say otherwise."""
        if not any(option.startswith(("--port", "--listen")) for option in options):
            options = ("--port=0", *options)
        return self.stopped(live.start(self.directory, "reqresp", *options, ports=ports))

    def serve_unix(self) -> tuple[Server, str]:
        """One on a UNIX socket, and the path of that, which is open by now."""
        server = self.serve("--listen=unix:it.sock", "--listen=tcp:0:interface=127.0.0.1")
        # The log tells of a UNIX socket before it is open; of the port after it, too.
        self.assertEqual(len(server.ports), 1)
        return server, str(self.directory / "it.sock")

    def embed(self, code: str) -> Server:
        """A running application."""
        return self.stopped(live.embed(self.directory, code))

    def stopped(self, server: Server) -> Server:
        """Have *server* stopped when the test is over."""
        self.addCleanup(server.stop)
        return server

    def connect(self, server: Server, number: int = 0) -> Client:
        """A client of the *number*-th port, closed when the test is over."""
        client = server.connect(number)
        self.addCleanup(client.close)
        return client
