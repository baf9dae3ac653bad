"""Listening on inherited sockets, with real sockets and a fake reactor."""

import os
import socket
from contextlib import closing
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp.transport.accept_modes import accept_mode
from reqresp.transport.accepting import Acceptance
from reqresp.transport.inherited import inherited_endpoint
from tests.support import live
from tests.support.wire import FakeReactor


class Greeting(Protocol):
    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"hello")


class SharedTests(SynchronousTestCase):
    """Two ports that share one socket."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.factory = ServerFactory.forProtocol(Greeting)
        self.factory.noisy = False
        self.addCleanup(self.close)

    def port(self, listening: socket.socket) -> Any:
        """Return a port on an inherited duplicate of *listening*."""
        endpoint = inherited_endpoint(self.reactor, os.dup(listening.fileno()))
        self.name = endpoint.name
        port: Any = self.successResultOf(endpoint.listen(self.factory))
        return port

    def close(self) -> None:
        """Close the ports and all connections."""
        for reader in [*self.reactor.readers]:
            reader.connectionLost(Failure(ConnectionDone()))

    def clients(self, address: Any, count: int, family: int = socket.AF_INET) -> list[live.Client]:
        clients = [live.Client(address, family) for _ in range(count)]
        for client in clients:
            self.addCleanup(client.close)
        return clients

    def test_one_client_at_a_time(self) -> None:
        """Each port accepts one client in its turn, so that clients are spread over processes."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            one, other = self.port(listening), self.port(listening)
            self.assertEqual(self.name, "{}:{}".format(*listening.getsockname()))
            clients = self.clients(listening.getsockname(), 4)
            for port in (one, other, one, other, one):
                port.doRead()
            self.assertEqual([client.receive(5) for client in clients], [b"hello"] * 4)
            self.assertEqual((one.sessionno, other.sessionno), (2, 2))

    def test_the_other_goes_on(self) -> None:
        """When one port is closed, the other one still accepts."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            one, other = self.port(listening), self.port(listening)
            one.connectionLost(Failure(ConnectionDone()))
            [client] = self.clients(listening.getsockname(), 1)
            other.doRead()
            self.assertEqual(client.receive(5), b"hello")

    def test_refused_by_both(self) -> None:
        """What clients send is read once both accept again, also if it comes late."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            address = listening.getsockname()
            ports = [self.port(listening), self.port(listening)]
            acceptances = [Acceptance(port) for port in ports]
            for how in ("refuse", "now"):
                for each in acceptances:
                    each.begin(accept_mode(how))
                if how == "refuse":
                    self.assertRaises(ConnectionRefusedError, self.clients, address, 1)
            self.clients(address, 1)
            accepted, _ = listening.accept()
            with closing(accepted):
                accepted.setblocking(False)
                self.assertRaises(BlockingIOError, accepted.recv, 1)  # no EOF

    def test_unix_sockets(self) -> None:
        """A UNIX socket keeps its path and mode when a port is closed."""
        path = live.temporary(self) / "it.sock"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            listening.listen()
            path.chmod(0o600)
            port = self.port(listening)
            self.assertEqual(self.name, f"unix:{path}")
            [client] = self.clients(str(path), 1, socket.AF_UNIX)
            port.doRead()
            for transport in [*self.reactor.writers]:
                transport.doWrite()
            self.assertEqual(client.receive(5), b"hello")
            port.connectionLost(Failure(ConnectionDone()))
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)

    def test_ipv6(self) -> None:
        """The name of an IPv6 endpoint has brackets."""
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
            self.port(listening)
            self.assertEqual(self.name, f"[::1]:{listening.getsockname()[1]}")

    def test_what_is_no_socket(self) -> None:
        """A descriptor that is not a socket raises OSError."""
        with open(os.devnull) as file:  # noqa: PTH123 (a descriptor is wanted)
            self.assertRaises(OSError, inherited_endpoint, self.reactor, file.fileno())
