"""A real twistd with a journal: what clients see, and what is in the file."""

import json
import os
import select
import signal
from pathlib import Path
from typing import Any

from tests.support import live
from tests.support.live import Server, twistd
from tests.support.live_case import LiveTestCase


class JournalTests(LiveTestCase):
    """``twistd reqresp --journal`` with real clients, signals and disks."""

    def setUp(self) -> None:
        super().setUp()
        self.path = self.directory / "it.jsonl"

    def journaling(self, *options: str) -> Server:
        return self.serve("--journal=it.jsonl", "--framing=line", *options)

    def lines(self, path: Path | None = None) -> list[Any]:
        """Return the lines of the file, which must be complete."""
        text = (path or self.path).read_text()
        self.assertTrue(text.endswith("\n") or not text)
        return [json.loads(line) for line in text.splitlines()]

    def requests(self, path: Path | None = None) -> list[str]:
        return [line["request"] for line in self.lines(path) if "request" in line]

    def test_is_complete_when_it_was_stopped(self) -> None:
        """After a stop the file has all replies, those during the drain included."""
        (self.directory / "it.toml").write_text(
            'rule = [{ equals = "a", reply = "A" }, { equals = "slow", delay = 0.2, reply = "S" }]'
        )
        server = self.journaling("--script=it.toml")
        client = self.connect(server)
        self.begin(client, b"slow\n")
        server.signal(signal.SIGTERM)
        self.assertEqual(client.rest(), b"S\r\n")
        self.assertEqual(server.wait(), -signal.SIGTERM)
        lines = self.lines()
        self.assertEqual(
            [line["event"] for line in lines],
            ["connected", "answered", "answered", "disconnected"],
        )
        slow = lines[2]
        self.assertEqual((slow["by"], slow["steps"]), ("rule[1]", [{"wait": 0.2}, {"send": "S"}]))
        self.assertGreaterEqual(slow["sent"] - slow["at"], 0.15)

    def test_is_written_while_it_runs(self) -> None:
        """Entries are written while the server runs; the reader of a pipe receives them."""
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        client = self.connect(self.journaling())
        client.ask(b"a\nb\n", 20)
        data = b""
        while data.count(b"\n") < 3:
            self.assertTrue(select.select([reader], [], [], live.PATIENCE)[0])
            data += os.read(reader, 10_000)
        self.assertEqual(
            [json.loads(line).get("request") for line in data.splitlines()], [None, "a", "b"]
        )

    def test_rotation(self) -> None:
        """After a rename and SIGHUP, a new file is written; each request is in exactly one file."""
        server = self.journaling()
        client = self.connect(server)
        paths = []
        for turn in range(3):
            for number in range(100):
                client.ask(b"%d\n" % (100 * turn + number), 10)
            paths.append(self.path.with_name(f"old.{turn}"))
            self.path.rename(paths[-1])
            server.signal(signal.SIGHUP)
            server.log.wait("reopened as a new file", turn + 1)
        client.ask(b"300\n", 10)
        server.stop()
        found = [request for path in (*paths, self.path) for request in self.requests(path)]
        self.assertEqual(found, [str(number) for number in range(301)])
        self.assertEqual(self.requests(), ["300"])

    def test_rotation_with_a_script(self) -> None:
        """SIGHUP reloads the script and reopens the journal."""
        script = self.directory / "it.toml"
        script.write_text('rule = [{ reply = "old" }]')
        server = self.journaling("--script=it.toml")
        self.assertEqual(self.connect(server).ask(b"a\n", 5), b"old\r\n")
        script.write_text('rule = [{ reply = "new" }]')
        old = self.path.rename(self.path.with_name("old"))
        server.signal(signal.SIGHUP)
        server.log.wait("reopened as a new file")
        server.log.wait("reloaded")
        self.assertEqual(self.connect(server).ask(b"b\n", 5), b"new\r\n")
        server.stop()
        self.assertEqual((self.requests(old), self.requests()), (["a"], ["b"]))

    def test_standard_output(self) -> None:
        """With a dash, the lines of the journal stand among those of the log, each whole."""
        server = self.serve("--journal=-", "--framing=line")
        client = self.connect(server)
        client.ask(b"a\n", 10)
        server.log.wait('"request":"a"')
        server.signal(signal.SIGHUP)
        client.ask(b"b\n", 10)
        server.stop()
        lines = [json.loads(it) for it in server.log.text().splitlines() if it.startswith("{")]
        self.assertEqual([it["request"] for it in lines if "request" in it], ["a", "b"])

    def test_a_full_disk(self) -> None:
        """A full disk is logged once and costs no reply, and its end is logged."""
        self.path.symlink_to("/dev/full")
        server = self.journaling()
        client = self.connect(server)
        for _ in range(20):
            self.assertEqual(client.ask(b"x" * 10_000 + b"\n", 10), b"response\r\n")
        server.log.wait("cannot be written: No space left on device; retrying")
        self.path.unlink()
        server.signal(signal.SIGHUP)
        server.log.wait("can be written again; 0 entries lost")
        server.stop()
        self.assertEqual(len(self.requests()), 20)
        self.assertEqual(server.log.text().count("No space left"), 1)
        self.assertNotIn("Traceback", server.log.text())

    def test_limited_file_size(self) -> None:
        """A limit on file sizes neither ends the server nor splits a line."""
        server = self.stopped(
            live.start(
                self.directory,
                *("reqresp", "--port=0", "--framing=line", "--journal=it.jsonl"),
                wrap=["prlimit", "--fsize=20000"],
            )
        )
        client = self.connect(server)
        for _ in range(20):
            self.assertEqual(client.ask(b"x" * 5000 + b"\n", 10), b"response\r\n")
        server.log.wait("cannot be written: File too large")
        self.assertEqual(client.ask(b"a\n", 10), b"response\r\n")
        server.stop()
        self.assertLessEqual(self.path.stat().st_size, 20_000)
        server.log.wait(r"closed; \d+ entries lost")

    def test_paths_that_are_of_no_use(self) -> None:
        """A journal that cannot be opened is one line, status 1, and no listening port."""
        command = [*twistd(), "-n", "--pidfile=", "reqresp", "-p", "0", "--journal"]
        paths = {"no/such": "No such file or directory", ".": "Is a directory"}
        ended = live.run_all(self.directory, {path: [*command, path] for path in paths})
        for path, reason in paths.items():
            self.assertEqual(ended[path].status, 1)
            where = os.path.normpath(self.directory / path)
            self.assertEqual(ended[path].errors, f"reqresp: --journal: {where}: {reason}\n")
            self.assertNotIn("starting on", ended[path].output)

    def test_the_mode_of_the_file(self) -> None:
        """Only the owner can read the file."""
        self.assertEqual(self.connect(self.journaling()).ask(b"a\n", 10), b"response\r\n")
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
