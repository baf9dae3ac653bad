"""Recording what passes a relay, by the real twistd."""

import signal
import socket
import time
from pathlib import Path

from reqresp.recording import End, Recording, Sender, load
from tests.support.live import PATIENCE, Server
from tests.support.live_case import LiveTestCase

CLIENT, SERVER = Sender.CLIENT, Sender.SERVER


class RecordTests(LiveTestCase):
    """A relay in front of reqresp itself."""

    def setUp(self) -> None:
        super().setUp()
        self.path = self.directory / "it.rec"
        self.service = self.serve("--framing=line", "--response=+OK")

    def recording(self, *options: str) -> Server:
        """Return a relay that records."""
        return self.serve(f"--forward=127.0.0.1:{self.service.port}", "--record=it.rec", *options)

    def ask(self, relay: Server, request: bytes) -> None:
        """Send *request*, then EOF, and read to the end."""
        with socket.create_connection(("127.0.0.1", relay.port), PATIENCE) as client:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            while client.recv(1000):
                pass

    def wait_for(self, part: bytes) -> None:
        """Wait until the file has *part*, which is written a moment after it has passed."""
        deadline = time.monotonic() + PATIENCE
        while part not in self.path.read_bytes():
            self.assertLess(time.monotonic(), deadline, "it was not recorded")
            time.sleep(0.01)

    def data(self, recording: Recording) -> list[list[object]]:
        """Return the data of each conversation, without times."""
        return [[it.data for it in one.events] for one in recording.conversations]

    def test_a_conversation(self) -> None:
        """Bytes and EOF of both sides are in a file that only the owner can read."""
        relay = self.recording("--redact=PASS (?P<password>.+)\\r")
        self.ask(relay, b"PASS hunter2\r\n")
        relay.stop()
        text = self.path.read_bytes()
        self.assertNotIn(b"hunter2", text)
        self.assertIn(b"redacted=password\n", text)
        [conversation] = load(self.path).conversations
        self.assertEqual(
            {(it.sender, it.data) for it in conversation.events[1:]},
            {(CLIENT, End.EOF), (SERVER, (b"+OK\r\n",)), (SERVER, End.EOF)},
        )
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_sigkill_leaves_whole_lines(self) -> None:
        """What was written before counts, and recording goes on in the same file."""
        relay = self.recording()
        client = socket.create_connection(("127.0.0.1", relay.port), PATIENCE)
        self.addCleanup(client.close)
        client.settimeout(PATIENCE)
        client.sendall(b"a\r\n")
        self.assertEqual(client.recv(100), b"+OK\r\n")
        self.wait_for(b"+OK")
        relay.signal(signal.SIGKILL)
        relay.wait()
        self.assertEqual(self.data(load(self.path)), [[(b"a\r\n",), (b"+OK\r\n",)]])
        with self.path.open("ab") as file:
            file.write(b"> tor")
        again = self.recording()
        self.ask(again, b"b\r\n")
        again.stop()
        recording = load(self.path)
        self.assertEqual(len(recording.warnings), 1)
        self.assertEqual([it[0] for it in self.data(recording)], [(b"a\r\n",), (b"b\r\n",)])

    def test_rotation(self) -> None:
        """SIGHUP continues in a new file."""
        relay = self.recording()
        self.ask(relay, b"a\r\n")
        self.wait_for(b"<eof")
        old = self.path.rename(self.path.with_name("old"))
        relay.signal(signal.SIGHUP)
        relay.log.wait("reopened as a new file")
        self.ask(relay, b"b\r\n")
        relay.stop()
        self.assertEqual(
            [self.data(load(path))[0][0] for path in (old, self.path)], [(b"a\r\n",), (b"b\r\n",)]
        )

    def test_workers(self) -> None:
        """Each has a file of its own, and numbers of its own."""
        relay = self.recording("--workers=2")
        for _ in range(4):
            self.ask(relay, b"a\r\n")
        relay.stop()
        files = sorted(Path(self.directory).glob("it.worker-*.rec"))
        self.assertEqual([it.name for it in files], ["it.worker-1.rec", "it.worker-2.rec"])
        numbers = [one.number for file in files for one in load(file).conversations]
        self.assertEqual((len(numbers), len({*numbers})), (4, 4))

    def test_a_full_disk(self) -> None:
        """One line, and clients are served as before."""
        self.path.symlink_to("/dev/full")
        relay = self.recording()
        self.ask(relay, b"a\r\n")
        relay.log.wait("recording .*: cannot be written: No space left on device; retrying")
        self.ask(relay, b"b\r\n")
        relay.stop()
        self.assertNotIn("Traceback", relay.log.text())
