"""LiveTestCase: a test case that starts real twistd servers and stops them."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support import live
from tests.support.live import Client, Server


class LiveTestCase(SynchronousTestCase):
    """A test case with a directory, and servers that are stopped after each test."""

    def setUp(self) -> None:
        self.directory = live.temporary(self)

    def serve(self, *options: str, ports: int = 1, **popen: Any) -> Server:
        """
        Start ``twistd reqresp``, on a free port unless *options* say where it listens.

        :param popen: arguments for the process, as those of `subprocess.Popen`.
        """
        if not any(option.startswith(("--port", "--listen")) for option in options):
            options = ("--port=0", *options)
        return self.stopped(live.start(self.directory, "reqresp", *options, ports=ports, **popen))

    def serve_unix(self) -> tuple[Server, str]:
        """Start a server on a UNIX socket; return it and the path of the socket, which is open."""
        server = self.serve("--listen=unix:it.sock", "--listen=tcp:0:interface=127.0.0.1")
        # The log names a UNIX socket before it is open; the port is opened after it.
        self.assertEqual(len(server.ports), 1)
        return server, str(self.directory / "it.sock")

    def embed(self, code: str) -> Server:
        """Start an application."""
        return self.stopped(live.embed(self.directory, code))

    def stopped(self, server: Server) -> Server:
        """Stop *server* after the test."""
        self.addCleanup(server.stop)
        return server

    def begin(self, client: Client, request: bytes, before: bytes = b"") -> None:
        """
        Send *before* and *request*, and return once the server has taken up the request.

        It is sent together with the request ``a``, whose reply is ``A``: the log has a request when
        it is answered.
        """
        self.assertEqual(client.ask(before + b"a\n" + request, 3), b"A\r\n")

    def connect(self, server: Server, number: int = 0) -> Client:
        """Return a client of the *number*-th port, which is closed after the test."""
        client = server.connect(number)
        self.addCleanup(client.close)
        return client
