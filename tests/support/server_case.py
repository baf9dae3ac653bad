"""ServerCase: a test case with a server of the fixture and its clients."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp.testing import BaseServer
from tests.support.wire import FakeReactor, Wire


class ServerCase(SynchronousTestCase):
    """A test case with a server in memory and clients that tests control."""

    def serve(self, **arguments: Any) -> BaseServer:
        self.reactor = FakeReactor()
        self.server = BaseServer(self.reactor, **arguments)
        return self.server

    def connect(self) -> Wire:
        return Wire(self.server.factory, self.reactor)

    def ask(self, *requests: bytes) -> bytes:
        """Send lines on a new connection; return what was received."""
        wire = self.connect()
        wire.send(b"".join(it + b"\r\n" for it in requests))
        return wire.received()
