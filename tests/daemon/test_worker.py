"""Commands from a worker's parent; whole workers are tested in tests/live/test_workers.py."""

import os

from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.worker import CommandReader
from tests.support.wire import FakeReactor


class CommandReaderTests(SynchronousTestCase):
    """Commands that come through a real pipe."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.reader, self.writer = os.pipe()
        self.addCleanup(os.close, self.reader)
        self.calls: list[str] = []
        self.commands = CommandReader(
            self.reactor,
            {b"one": lambda: self.calls.append("one"), b"two": lambda: self.calls.append("two")},
            lambda: self.calls.append("end"),
            self.reader,
        )

    def send(self, data: bytes) -> None:
        os.write(self.writer, data)
        self.assertIsNone(self.commands.doRead())

    def test_lines(self) -> None:
        """Each command is called once its line is complete, in order."""
        self.send(b"one\ntwo\no")
        self.send(b"ne\n")
        self.assertEqual(self.calls, ["one", "two", "one"])
        os.close(self.writer)

    def test_unknown(self) -> None:
        """An unknown command, perhaps of a later version, is ignored."""
        self.send(b"three\none\n")
        self.assertEqual(self.calls, ["one"])
        os.close(self.writer)

    def test_the_end(self) -> None:
        """The end of the pipe is notified, and its descriptor stays in use."""
        self.assertIn(self.commands, self.reactor.readers)
        os.close(self.writer)
        why = self.commands.doRead()
        self.assertIsNotNone(why)
        self.reactor._disconnectSelectable(self.commands, why, True)
        self.assertEqual(self.calls, ["end"])
        self.assertNotIn(self.commands, self.reactor.readers)
        self.assertEqual(os.read(self.reader, 1), b"")
