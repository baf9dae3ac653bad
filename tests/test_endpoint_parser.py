"""The endpoint string ``eager:``."""

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IListeningPort,
)
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase


class EndpointStringTests(SynchronousTestCase):
    """``eager:`` takes the arguments of ``tcp:``, and works on reactors without sockets."""

    def assert_listens(self, description: str, *expected: object) -> None:
        """Assert that the string makes *reactor* listen as ``tcp:`` would."""
        factory = Factory()
        for prefix in ("eager", "tcp"):
            reactor = MemoryReactor()
            endpoint = serverFromString(reactor, f"{prefix}:{description}")
            port = self.successResultOf(endpoint.listen(factory))
            self.assertTrue(IListeningPort.providedBy(port))
            (listening,) = reactor.tcpServers
            self.assertEqual((listening[0], *listening[2:]), expected)
            self.assertIs(listening[1], factory)

    def test_the_port_alone(self) -> None:
        self.assert_listens("9999", 9999, 50, "")

    def test_an_interface(self) -> None:
        self.assert_listens("9999:interface=127.0.0.1", 9999, 50, "127.0.0.1")

    def test_an_ipv6_interface(self) -> None:
        self.assert_listens(r"9999:interface=\:\:1", 9999, 50, "::1")

    def test_a_backlog(self) -> None:
        self.assert_listens("9999:backlog=5", 9999, 5, "")

    def test_what_is_no_number_is_an_error(self) -> None:
        for description in ("http", "", "9999:backlog=many"):
            for prefix in ("eager", "tcp"):
                string = f"{prefix}:{description}"
                self.assertRaises(ValueError, serverFromString, MemoryReactor(), string)

    def test_an_unknown_argument_is_an_error(self) -> None:
        for prefix in ("eager", "tcp"):
            string = f"{prefix}:9999:bogus=1"
            self.assertRaises(TypeError, serverFromString, MemoryReactor(), string)
