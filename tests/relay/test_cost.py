"""What a read of a relay costs, in calls, which are the same on any machine."""

from reqresp.relay.relay import Relay
from reqresp.server.front_factory import front_of
from tests.support.calls import called_by
from tests.support.relayed import RelayedCase

#: Parts of the paths of modules that pass bytes on, without the network in memory.
PASSING = ("reqresp/relay/", "reqresp/server/", "reqresp/transport/", "reqresp/faults/")


class CostTests(RelayedCase):
    """The functions of ours that one read calls."""

    arguments = {"seed": 1}

    def calls(self) -> list[str]:
        """Name the functions that a read from the client calls on a new connection."""
        self.connect_both()
        relay = [*front_of(self.factory)][-1]
        assert isinstance(relay, Relay)
        return called_by(lambda: relay.client.dataReceived(b"a"), PASSING)

    def test_without_faults(self) -> None:
        """Bytes are written to the other transport at once."""
        self.assertEqual(self.calls(), ["Side.dataReceived"])

    def test_faults_that_do_not_apply(self) -> None:
        """Those of the other direction, those that luck spares, and those that were removed."""
        plain = self.calls()
        with self.factory.fault("latency", stream="upstream", delay=0):
            self.assertGreater(len(self.calls()), 3 * len(plain))
        self.assertEqual(self.calls(), plain)
        self.factory.fault("latency", stream="downstream", delay=1)
        self.factory.fault("latency", stream="upstream", delay=1, probability=0)
        self.assertEqual(self.calls(), plain)

    def test_an_open_connection_whose_fault_is_removed(self) -> None:
        """It is as before, as soon as nothing is held any more."""
        plain = self.calls()
        relay = [*front_of(self.factory)][-1]
        assert isinstance(relay, Relay)
        slow = self.factory.fault("latency", stream="upstream", delay=1)
        self.assertIsNotNone(relay.client.link)
        slow.remove()
        self.assertIsNone(relay.client.link)
        self.assertEqual(self.calls(), plain)
