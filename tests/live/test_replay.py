"""The real twistd that replays recordings."""

import signal

from tests.support.live import Client
from tests.support.live_case import LiveTestCase

HEADER = "# reqresp recording 1\n"


class ReplayTests(LiveTestCase):
    """Tests for ``--replay``."""

    def write(self, *lines: str) -> None:
        """Write a recording with these lines."""
        text = HEADER + "".join(f"{line}\n" for line in lines)
        (self.directory / "it.rec").write_text(text, encoding="utf-8")

    def replies(self, client: Client, data: bytes) -> bytes:
        """Send *data* and then EOF, and return everything that comes."""
        with client:
            client.send(data)
            client.half_close()
            return client.rest()

    def test_replies_after_eof(self) -> None:
        """A client that sends EOF before the replies, as ``nc -N`` does, gets all of them."""
        self.write("< hi\\n", "> a\\n", "< 1\\n", "> b\\n", ">eof", "< 2\\n", "<eof")
        with self.serve("--replay=it.rec", "--pace=0.1") as server:
            self.assertEqual(self.replies(server.connect(), b"a\nb\n"), b"hi\n1\n2\n")

    def test_a_deviation(self) -> None:
        """A client that deviates is reset, and the log says where, also with ``--quiet``."""
        self.write("> a\\n", "< 1\\n", "> b\\n")
        with self.serve("--replay=it.rec", "--quiet") as server:
            with server.connect() as client:
                self.assertEqual(client.ask(b"a\n", 2), b"1\n")
                client.send(b"c\n")
                self.assertTrue(client.is_reset())
            server.log.wait(
                r"differs from conversation 1 at byte 2 \(.*it\.rec:4\): expected b'b\\n',"
                r" found b'c\\n'; resetting"
            )

    def test_reload(self) -> None:
        """SIGHUP reads the recording again."""
        self.write("> a\\n", "< old\\n")
        with self.serve("--replay=it.rec") as server:
            self.assertEqual(self.replies(server.connect(), b"a\n"), b"old\n")
            self.write("> a\\n", "< new\\n")
            server.signal(signal.SIGHUP)
            server.log.wait(r"reloaded .*it\.rec for new connections")
            self.assertEqual(self.replies(server.connect(), b"a\n"), b"new\n")

    def test_workers(self) -> None:
        """Each worker replays all conversations."""
        self.write("> a\\n", "< 1\\n")
        with self.serve("--replay=it.rec", "--workers=2") as server:
            server.log.wait("Listening on", 2)
            for _ in range(20):
                self.assertEqual(self.replies(server.connect(), b"a\n"), b"1\n")
