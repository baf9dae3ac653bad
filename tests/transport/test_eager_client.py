"""The eager client transport; ``tests.twisted_suite`` runs Twisted's own tests on it."""

import socket
import sys
from typing import Any

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorPluggableNameResolver, IReactorTCP
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from reqresp.testing import InMemoryReactor
from reqresp.transport.eager_client import EagerClient, EagerConnector, EagerConnects
from reqresp.transport.lean_reactor import LeanReactor


class EagerConnectsTests(SynchronousTestCase):
    """A reactor whose connections write eagerly."""

    def test_connections_of_a_reactor_with_sockets_are_eager(self) -> None:
        """It makes a transport of its own, and connects it."""
        its: Any = reactor
        assert isinstance(its, PosixReactorBase)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            factory = ClientFactory.forProtocol(Protocol)
            factory.noisy = False
            port = listening.getsockname()[1]
            connector = EagerConnects(reactor).connectTCP("127.0.0.1", port, factory)
            self.assertIsInstance(connector.transport, EagerClient)
            connector.disconnect()

    def test_reactors_without_sockets_connect_as_usual(self) -> None:
        """A test in memory opens no socket."""
        memory: Any = MemoryReactorClock()
        EagerConnects(memory).connectTCP("127.0.0.1", 80, ClientFactory(), 3)
        [(host, port, _, timeout, _)] = memory.tcpClients
        self.assertEqual((host, port, timeout), ("127.0.0.1", 80, 3))

    def test_everything_else_is_the_reactor_s(self) -> None:
        """Endpoints find its interfaces and its clock."""
        memory: Any = InMemoryReactor()
        eager = EagerConnects(memory)
        self.assertTrue(IReactorTCP.providedBy(eager))
        self.assertTrue(IReactorPluggableNameResolver.providedBy(eager))
        memory.advance(5)
        self.assertEqual(eager.seconds(), 5)


class LayoutTests(ReactorBuilder, SynchronousTestCase):
    """How much a transport takes; the bench measures whole connections."""

    reactorFactory = LeanReactor  # noqa: N815, Twisted's name

    def test_connections_that_begin_together_share_one_layout(self) -> None:
        """A dict with keys of its own takes five times as much."""

        class New(EagerClient):
            """A class whose layout no earlier test has made."""

        class Connector(EagerConnector):
            def _makeTransport(self) -> New:  # noqa: N802, Twisted's name
                return New(self.host, self.port, self.bindAddress, self, self.reactor)

        its: Any = self.buildReactor()
        count = 40
        listening = socket.create_server(("127.0.0.1", 0), backlog=count)
        self.addCleanup(listening.close)
        sizes: list[int] = []

        class Connected(Protocol):
            transport: Any

            def connectionMade(self) -> None:
                sizes.append(sys.getsizeof(vars(self.transport)))
                if len(sizes) == count:
                    its.stop()

        factory = ClientFactory()
        factory.protocol = Connected
        factory.noisy = False
        for _ in range(count):
            port = listening.getsockname()[1]
            Connector("127.0.0.1", port, factory, 30, None, its).connect()
        self.runReactor(its, 30)
        self.assertEqual(len(sizes), count)
        self.assertLess(max(sizes), 400)
