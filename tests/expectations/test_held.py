"""A request whose client waits, and what becomes of it."""

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Call
from reqresp.expectations.held import WaitingRequest


class WaitingRequestTests(SynchronousTestCase):
    """A request is answered once, while its client is connected."""

    def setUp(self) -> None:
        self.waiting = WaitingRequest(
            Call(b"a", IPv4Address("TCP", "127.0.0.1", 5), 3, 1, groups={}, variables={}, server={})
        )

    def test_an_answer(self) -> None:
        """It is what the request gets; there is no second one."""
        self.assertEqual(self.waiting.condition, "waiting")
        self.waiting.complete(b"A")
        self.assertEqual(self.successResultOf(self.waiting.answered), b"A")
        with self.assertRaisesRegex(RuntimeError, "b'a' on connection 3: was answered"):
            self.waiting.complete(b"B")

    def test_a_client_that_leaves(self) -> None:
        """It cannot be answered any more."""
        self.waiting.answered.cancel()
        self.failureResultOf(self.waiting.answered, CancelledError)
        with self.assertRaisesRegex(RuntimeError, "connection 3: its connection has ended"):
            self.waiting.complete(b"A")
