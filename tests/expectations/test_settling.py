"""When a verdict can be given."""

from reqresp.expectations.results import Results
from reqresp.expectations.settling import is_settled, unfinished
from reqresp.journal import Incomplete
from reqresp.server.front_factory import front_of
from tests.support.expecting import Expecting


class SettlingTests(Expecting):
    """What is left to do on the connections of a server."""

    def is_settled(self, *, waits_for_clients: bool = False, strict: bool = True) -> bool:
        results = self.expectations.observer
        assert isinstance(results, Results)
        return is_settled(
            results,
            front_of(self.server_factory),
            waits_for_clients=waits_for_clients,
            strict=strict,
        )

    def test_an_expectation_that_can_still_be_met(self) -> None:
        """It is waited for while a client is connected, or can connect."""
        client = self.serve()
        self.assertTrue(self.is_settled())
        self.expectations.add({"kind": "expect", "equals": "a", "reply": "b"})
        self.assertFalse(self.is_settled())
        client.reset()
        self.assertTrue(self.is_settled())
        self.assertFalse(self.is_settled(waits_for_clients=True))
        self.ask(self.another(), "a")
        self.assertTrue(self.is_settled())

    def test_a_reply_that_is_under_way(self) -> None:
        """A client that waits for its reply is waited for."""
        client = self.serve()
        self.expectations.add({"kind": "on", "reply": "x", "delay": 1})
        client.send(b"a\r\nb\r\n")
        self.assertFalse(self.is_settled())
        client.wait(1)
        client.wait(1)
        self.assertTrue(self.is_settled())

    def test_a_request_that_has_begun(self) -> None:
        """Its end is waited for, if it would be a problem."""
        client = self.serve()
        client.send(b"NO")
        self.assertFalse(self.is_settled())
        self.assertTrue(self.is_settled(strict=False))
        [entry] = unfinished(front_of(self.server_factory))
        assert isinstance(entry, Incomplete)
        self.assertEqual((entry.connection, entry.data, entry.missing), (1, b"NO", "no line end"))
        client.send(b"OP\r\n")
        self.assertTrue(self.is_settled())
        self.assertEqual(unfinished(front_of(self.server_factory)), [])
