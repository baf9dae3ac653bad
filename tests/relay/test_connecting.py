"""One connection to a service: what an endpoint gets, and what it keeps."""

import weakref
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from reqresp.relay._connecting import connect
from reqresp.relay.upstream import Upstream

ADDRESS = IPv4Address("TCP", "192.0.2.1", 6379)


@implementer(IStreamClientEndpoint)
class Keeping:
    """An endpoint that keeps its factory, as connectors do."""

    factory: Any

    def connect(self, protocolFactory: Any) -> Deferred[Any]:  # noqa: N803, Twisted's name
        self.factory = protocolFactory
        return Deferred()


class FactoryTests(SynchronousTestCase):
    """The factory that a connector keeps until the connection ends."""

    def setUp(self) -> None:
        self.endpoint = Keeping()
        self.protocol = Protocol()
        client: Any = None  # of use only for a PROXY header
        connect(Upstream(self.endpoint, "service"), ADDRESS, client, self.protocol)

    def test_it_connects_the_protocol_once(self) -> None:
        """A second connection of the same attempt is refused."""
        transport = StringTransport()
        self.endpoint.factory.buildProtocol(ADDRESS).makeConnection(transport)
        self.assertIs(self.protocol.transport, transport)
        self.assertIsNone(self.endpoint.factory.buildProtocol(ADDRESS))

    def test_it_keeps_nothing_of_a_connection_that_is_made(self) -> None:
        """An idle connection takes no memory for how it was made."""
        self.endpoint.factory.buildProtocol(ADDRESS).makeConnection(StringTransport())
        kept = weakref.ref(self.protocol)
        del self.protocol.transport, self.protocol
        self.assertIsNone(kept())
