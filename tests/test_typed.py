"""The sample program in tests/typed, which type checkers check as code of a user."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp import Journal, ReqRespFactory
from tests.support.live import temporary
from tests.support.wire import FakeReactor, Wire
from tests.typed.embedding import load, make_factory


class EmbeddingTests(SynchronousTestCase):
    """What a client of the sample receives."""

    def test_steps(self) -> None:
        """Two parts, half a second apart, then a close."""
        journal = Journal()
        reactor = FakeReactor()
        wire = Wire(make_factory(journal, reactor), reactor)
        wire.send(b"stat\r\n")
        self.assertEqual(wire.received(), b"one moment\r\n")
        wire.wait(0.5)
        wire.send(b"QUIT\r\n")
        self.assertEqual(wire.received(), b"STAT\r\nbye\r\n")

    def test_script(self) -> None:
        """A script becomes a factory, or its problems a text."""
        path = temporary(self) / "it.toml"
        path.write_text("rule = [{ equals = 'a', reply = 'b' }]")
        self.assertIsInstance(load(path), ReqRespFactory)
        path.write_text("rule = [{ equals = 'a', repply = 'b' }]")
        self.assertIn("repply", str(load(path)))
