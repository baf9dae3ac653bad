"""The real twistd with a script, and what its clients see."""

import signal
from pathlib import Path

from tests.support import live
from tests.support.live import twistd
from tests.support.live_case import LiveTestCase


class ScriptTests(LiveTestCase):
    """``twistd reqresp --script``."""

    TEXT = 'greeting = "hello"\nrule = [{ equals = "a", reply = "old" }]\n'

    def write(self, text: str = TEXT) -> Path:
        path = self.directory / "it.toml"
        path.write_text(text)
        return path

    def test_answers(self) -> None:
        """The script's greeting and replies are sent; a request without a rule closes."""
        self.write()
        with self.serve("--script=it.toml").connect() as client:
            client.send(b"a\nb\n")
            self.assertEqual(client.rest(), b"hello\r\nold\r\n")

    def test_a_seed_that_was_not_given_is_logged(self) -> None:
        """The seed is logged, so that a run can be repeated."""
        self.write('[[fault]]\nkind = "corrupt"\n')
        self.serve("--script=it.toml").log.wait(r"seed of the faults: \d+")

    def test_a_reset_on_connect(self) -> None:
        """``reset_peer`` on connect is a real RST for the client."""
        self.write('greeting = "hello"\n[[fault]]\non = "connect"\nkind = "reset_peer"\n')
        with self.serve("-s", "it.toml").connect() as client:
            self.assertTrue(client.is_reset())

    def test_problems(self) -> None:
        """All errors of the script are printed, one a line; the status is 1 and nothing listens."""
        path = self.write("framig = 1\nstart = 2\n")
        command = [*twistd(), "-n", "--pidfile=", "reqresp", "-p", "0", "-s", "it.toml"]
        ended = live.run_all(self.directory, {"": command})[""]
        self.assertEqual(ended.status, 1)
        self.assertEqual(
            ended.errors.splitlines(),
            [
                f"reqresp: {path}:1: framig: unknown key 'framig'; did you mean framing?",
                f"{path}:2: start: expected a string, found 2",
            ],
        )
        self.assertNotIn("Traceback", ended.output)
        self.assertNotIn("starting on", ended.output)

    def test_watch(self) -> None:
        """A changed file is used by itself; a broken script is logged once, and changes nothing."""
        path = self.write('rule = [{ reply.file = "body" }]')
        body = self.directory / "body"
        body.write_text("1")
        server = self.serve("--script=it.toml", "--watch")
        self.assertEqual(self.connect(server).ask(b"a\n", 3), b"1\r\n")
        body.write_text("two")
        server.log.wait(f"reloaded {path} for new connections")
        self.assertEqual(self.connect(server).ask(b"a\n", 5), b"two\r\n")
        self.write("rule = 5\n")
        server.log.wait("reload failed; keeping the current rules: .*rule: expected a list")
        self.assertEqual(self.connect(server).ask(b"a\n", 5), b"two\r\n")
        new = self.directory / "new"
        new.write_text(self.TEXT)
        new.replace(path)
        server.log.wait(f"reloaded {path} for new connections", 2)
        self.assertEqual(self.connect(server).ask(b"a\n", 12), b"hello\r\nold\r\n")
        server.stop()
        self.assertEqual(server.log.text().count("reload failed"), 1)

    def test_watch_a_feed(self) -> None:
        """A feed that is written anew begins with its first line for clients to come."""
        path = self.write('rule = [{ reply.lines = "feed.txt" }]')
        feed = self.directory / "feed.txt"
        feed.write_text("1\n2\n3\n")
        server = self.serve("--script=it.toml", "--watch")
        old = self.connect(server)
        self.assertEqual(old.ask(b"a\na\n", 6), b"1\r\n2\r\n")
        new = self.directory / "new"
        new.write_text("x\ny\nz\n")
        new.replace(feed)
        server.log.wait(f"reloaded {path} for new connections")
        self.assertEqual(self.connect(server).ask(b"a\n", 3), b"x\r\n")
        with self.assertRaises(ConnectionResetError):  # its line 2 is there no more
            old.ask(b"a\n", 3)
        server.log.wait("has changed: another line ends at byte 4; resetting")

    def test_watch_with_workers(self) -> None:
        """Each worker watches the files."""
        path = self.write()
        server = self.serve("--script=it.toml", "--watch", "--workers=2")
        server.log.wait("is ready", 2)
        path.write_text('rule = [{ reply = "newer" }]')
        server.log.wait(f"reloaded {path} for new connections", 2)
        for _ in range(4):
            self.assertEqual(self.connect(server).ask(b"a\n", 7), b"newer\r\n")

    def test_reload(self) -> None:
        """SIGHUP gives new clients the new rules; with a broken script, the current rules stay."""
        path = self.write()
        server = self.serve("--script=it.toml")
        old = self.connect(server)
        self.assertEqual(old.ask(b"a\n", 12), b"hello\r\nold\r\n")
        path.write_text("rule = [{ equals = 'a', reply = 'new' }]\n")
        server.signal(signal.SIGHUP)
        server.log.wait("reloaded")
        new = self.connect(server)
        self.assertEqual(new.ask(b"a\n", 5), b"new\r\n")
        self.assertEqual(old.ask(b"a\n", 5), b"old\r\n")
        path.write_text("rule = [{ equals = 'a', repl = 'broken' }]\nframig = 1")
        server.signal(signal.SIGHUP)
        server.log.wait("reload failed; keeping the current rules: .*unknown key 'repl'")
        server.log.wait(":2: framig: unknown key")
        self.assertEqual(self.connect(server).ask(b"a\n", 5), b"new\r\n")
        self.assertEqual(old.ask(b"a\n", 5), b"old\r\n")
