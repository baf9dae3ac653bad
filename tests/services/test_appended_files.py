"""The recording of a server, as options name it; `test_build` has the journal."""

import os
from pathlib import Path

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.definitions import option_definition
from reqresp.recording import load
from reqresp.recording.recorder import Recorder
from reqresp.relay import RelayFactory
from reqresp.server.front_factory import front_of
from reqresp.server.observers import Direction
from reqresp.services.appended_files import find_append_problem, worker_path
from tests.support import live
from tests.support.daemon import Making, parsed, refusal

PEER = IPv4Address("TCP", "127.0.0.1", 50000)


class RecordTests(Making):
    """A relay that records."""

    def setUp(self) -> None:
        self.path = live.temporary(self) / "it.rec"

    def test_a_recording(self) -> None:
        """It names the service, is reopened on SIGHUP, and is complete at the end."""
        made = self.make("--forward=127.0.0.1:80", f"--record={self.path}", "--redact=a(?P<b>c)")
        assert isinstance(made.served.factory, RelayFactory)
        events = front_of(made.served.factory).events
        self.assertTrue(events.reports_passed)
        events.connected(PEER, 1)
        events.passed(PEER, 1, Direction.UPSTREAM, b"acd")
        old = self.path.rename(self.path.with_name("old"))
        made.service.on_hangup[0]()
        events.passed(PEER, 1, Direction.UPSTREAM, b"x")
        made.service.on_end[0]()
        self.assertEqual(load(old).header.service, "127.0.0.1:80")
        recording = load(self.path)
        self.assertEqual(recording.header.redacted, ("b",))
        self.assertEqual(recording.conversations[0].peer, "127.0.0.1:50000")

    def test_the_name_of_a_socket(self) -> None:
        """A service behind a UNIX socket is written as in the option."""
        made = self.make("--forward=unix:/run/it", f"--record={self.path}")
        made.service.on_end[0]()
        self.assertEqual(load(self.path).header.service, "unix:/run/it")

    def test_the_service_of_a_script(self) -> None:
        """A script can name the service; without one in either place, nothing can be recorded."""
        script = self.path.with_name("it.toml")
        script.write_text('[upstream]\naddress = "127.0.0.1:81"\n')
        made = self.make(f"--script={script}", f"--record={self.path}")
        made.service.on_end[0]()
        self.assertEqual(load(self.path).header.service, "127.0.0.1:81")
        script.write_text('rule = [{ reply = "a" }]')
        with self.assertRaises(SystemExit) as caught:
            self.make(f"--script={script}", f"--record={self.path}")
        self.assertEqual(
            caught.exception.code,
            "reqresp: --record: requires --forward, or [upstream] in the script",
        )

    def test_needs_a_service(self) -> None:
        """Only what passes a relay is recorded."""
        self.assertIn("--record requires --forward", refusal("--record=it.rec"))
        self.assertIn("--redact requires --record", refusal("--forward=a:1", "--redact=a"))

    def test_wrong_patterns(self) -> None:
        """The line says why RE2 refuses one."""
        text = refusal("--forward=a:1", "--record=it.rec", "--redact=a", "--redact=(")
        self.assertIn("--redact: invalid RE2 pattern '(': missing ): (", text)

    def test_unusable_paths(self) -> None:
        """The line names the path and the reason."""
        self.path.write_text("precious\n")
        for path, reason in {
            self.path / "no": "Not a directory",
            self.path.parent: "Is a directory",
            self.path: "expected a recording, or no file: it has other contents",
        }.items():
            with self.assertRaises(SystemExit) as caught:
                self.make("--forward=127.0.0.1:80", f"--record={path}")
            self.assertEqual(caught.exception.code, f"reqresp: --record: {path}: {reason}")
        self.assertEqual(self.path.read_text(), "precious\n")


class WorkerTests(SynchronousTestCase):
    """Recordings of workers."""

    def test_names(self) -> None:
        """Each worker has a file of its own; without workers the name is as it was given."""
        self.assertEqual(worker_path(Path("/a/it.rec"), 2), Path("/a/it.worker-2.rec"))
        self.assertEqual(worker_path(Path("/a/it.rec"), None), Path("/a/it.rec"))

    def test_a_file_that_a_worker_cannot_write(self) -> None:
        """It is found without creating any."""
        directory = live.temporary(self)
        os.mkfifo(directory / "it.worker-2")
        options = parsed("--workers=2", "--forward=a:1", f"--record={directory}/it")
        self.assertEqual(
            find_append_problem(option_definition(options), 2),
            f"--record: {directory}/it.worker-2: No such device or address",
        )
        self.assertEqual([it.name for it in directory.iterdir()], ["it.worker-2"])

    def test_workers_record_as_they_are_told(self) -> None:
        """The options of a worker are those of its parent, with an absolute path."""
        options = parsed("--workers=2", "--forward=a:1", "--record=it", "--redact=b", "--redact=c")
        again = parsed(*options.arguments)
        self.assertIsInstance(again["record"], Path)
        self.assertTrue(again["record"].is_absolute())
        self.assertEqual(again["redact"], ["b", "c"])

    def test_a_recorder_is_a_file(self) -> None:
        """It is reopened and closed like a journal."""
        self.assertLessEqual({"reopen", "close", "flush"}, {*dir(Recorder)})
