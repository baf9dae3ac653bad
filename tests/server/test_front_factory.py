"""A factory whose connections share one front, whatever they carry."""

from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from reqresp.server.connections import Connections
from reqresp.server.front_factory import FrontFactory, front_of
from reqresp.transport.access import Access, Networks, parse_networks

PEER = IPv4Address("TCP", "192.0.2.1", 1234)


class Plain(FrontFactory):
    """Its connections carry nothing."""

    def build_connection(self, peer: IAddress) -> Any:
        made = Protocol()
        made.peer = peer  # type: ignore[attr-defined]
        return made


class FrontFactoryTests(SynchronousTestCase):
    """What the front decides."""

    def make(self, denied: str = "198.51.100.0/24") -> Plain:
        """Return a factory that refuses some clients."""
        access = Access(None, parse_networks(denied))
        return Plain(Connections(clock=cast(Any, Clock()), access=access))

    def test_an_admitted_client_gets_a_connection(self) -> None:
        """It is built with the client's address."""
        self.assertEqual(self.make().buildProtocol(PEER).peer, PEER)

    def test_a_refused_client_gets_none(self) -> None:
        """It is counted, by the kind of the refusal."""
        factory = self.make("192.0.2.0/24")
        self.assertFalse(hasattr(factory.buildProtocol(PEER), "peer"))
        self.assertEqual((factory.refused, sum(factory.refusals.values())), (1, 1))

    def test_a_factory_without_connections_has_drained_at_once(self) -> None:
        """Nothing is open, and nothing was accepted."""
        factory = self.make()
        self.successResultOf(factory.drain(1))
        self.assertEqual((factory.open, factory.accepted), (0, 0))

    def test_its_front(self) -> None:
        """Parts of the same server find it; it counts nothing unless told to."""
        front = Connections(clock=cast(Any, Clock()), access=Access(None, Networks()))
        factory = Plain(front)
        self.assertIs(front_of(factory), front)
        self.assertIsNone(factory.counters)
        self.assertIs(factory.clock, front.clock)
