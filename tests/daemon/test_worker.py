"""What a worker's parent tells it; the worker itself is in test_live_workers."""

import os

from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.worker import Commands
from tests.support.wire import FakeReactor


class CommandsTests(SynchronousTestCase):
    """On a real pipe."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.reader, self.writer = os.pipe()
        self.addCleanup(os.close, self.reader)
        self.calls: list[str] = []
        self.commands = Commands(
            self.reactor,
            {b"one": lambda: self.calls.append("one"), b"two": lambda: self.calls.append("two")},
            lambda: self.calls.append("end"),
            self.reader,
        )

    def say(self, data: bytes) -> None:
        os.write(self.writer, data)
        self.assertIsNone(self.commands.doRead())

    def test_lines(self) -> None:
        """Each is done once it is complete, in order."""
        self.say(b"one\ntwo\no")
        self.say(b"ne\n")
        self.assertEqual(self.calls, ["one", "two", "one"])
        os.close(self.writer)

    def test_unknown(self) -> None:
        """A later version may say more than this one knows."""
        self.say(b"three\none\n")
        self.assertEqual(self.calls, ["one"])
        os.close(self.writer)

    def test_the_end(self) -> None:
        """Is told, and leaves something in the place of the pipe."""
        self.assertIn(self.commands, self.reactor.readers)
        os.close(self.writer)
        why = self.commands.doRead()
        self.assertIsNotNone(why)
        self.reactor._disconnectSelectable(self.commands, why, True)
        self.assertEqual(self.calls, ["end"])
        self.assertNotIn(self.commands, self.reactor.readers)
        self.assertEqual(os.read(self.reader, 1), b"")
