"""Commands from a worker's parent; whole workers are tested in tests/live/test_workers.py."""

import os
import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.worker import CommandReader
from tests.support.wire import FakeReactor


class CommandReaderTests(SynchronousTestCase):
    """Commands that come through a real socket."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        reader, self.writer = socket.socketpair()
        self.reader = reader.detach()
        self.addCleanup(os.close, self.reader)
        self.addCleanup(self.writer.close)
        self.calls: list[str] = []
        self.sockets: list[tuple[Any, int]] = []
        self.commands = CommandReader(
            self.reactor,
            {b"one": lambda: self.calls.append("one"), b"two": lambda: self.calls.append("two")},
            lambda: self.calls.append("end"),
            lambda *it: self.sockets.append(it),
            self.reader,
        )
        self.addCleanup(self.commands.channel.detach)

    def send(self, data: bytes) -> None:
        self.writer.sendall(data)
        self.assertIsNone(self.commands.doRead())

    def test_lines(self) -> None:
        """Each command is called once its line is complete, in order."""
        self.send(b"one\ntwo\no")
        self.send(b"ne\n")
        self.assertEqual(self.calls, ["one", "two", "one"])

    def test_unknown(self) -> None:
        """An unknown command, perhaps of a later version, is ignored."""
        self.send(b"three\none\n")
        self.assertEqual(self.calls, ["one"])

    def test_sockets(self) -> None:
        """Each comes with what it is for, and no other process inherits it."""
        with socket.create_server(("127.0.0.1", 0)) as shared:
            self.writer.sendall(b"one\n")
            for name in (b'["a", "b"]', b'["c", "d"]'):
                socket.send_fds(self.writer, [b"socket %s\n" % name], [shared.fileno()])
            for _ in range(3):
                self.assertIsNone(self.commands.doRead())
            self.assertEqual([it for it, _ in self.sockets], [["a", "b"], ["c", "d"]])
            for _, descriptor in self.sockets:
                self.assertFalse(os.get_inheritable(descriptor))
                with socket.socket(fileno=descriptor) as it:
                    self.assertEqual(it.getsockname(), shared.getsockname())
        self.assertEqual(self.calls, ["one"])
        self.assertIsNone(self.commands.doRead())

    def test_the_end(self) -> None:
        """The end of the socket is notified, and its descriptor stays in use."""
        self.assertIn(self.commands, self.reactor.readers)
        self.writer.close()
        why = self.commands.doRead()
        self.assertIsNotNone(why)
        self.reactor._disconnectSelectable(self.commands, why, True)
        self.assertEqual(self.calls, ["end"])
        self.assertNotIn(self.commands, self.reactor.readers)
        self.assertEqual(os.read(self.reader, 1), b"")
