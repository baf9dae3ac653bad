"""Whether workers can use the files that options name."""

import os
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.options import Options
from reqresp.daemon.worker_files import journal_path, why_unusable
from tests.support import live


class WorkerFilesTests(SynchronousTestCase):
    """One line for what is of no use, and no file where there was none."""

    def setUp(self) -> None:
        self.directory = live.temporary(self)

    def why(self, *arguments: str) -> str | None:
        options = Options()
        options.parseOptions(["--workers=2", *arguments])
        return why_unusable(options)

    def test_names(self) -> None:
        """The number is in the name, which stays one of its kind."""
        names = {"it.jsonl": "it.worker-2.jsonl", "it": "it.worker-2", ".it": ".it.worker-2"}
        found = {name: journal_path(Path("/a", name), 2) for name in names}
        self.assertEqual(found, {name: Path("/a", it) for name, it in names.items()})

    def test_nothing_to_use(self) -> None:
        """Without files nothing can be wrong with them."""
        self.assertIsNone(self.why())

    def test_journals(self) -> None:
        """One can be made, or written; none is."""
        self.assertIsNone(self.why(f"--journal={self.directory}/it.jsonl"))
        self.assertEqual([*self.directory.iterdir()], [])
        old = self.directory / "it.worker-1.jsonl"
        old.write_text("old\n")
        self.assertIsNone(self.why(f"--journal={self.directory}/it.jsonl"))
        self.assertEqual(old.read_text(), "old\n")

    def test_journals_of_no_use(self) -> None:
        """A directory, one in none, and a pipe that nobody reads."""
        os.mkfifo(self.directory / "it.worker-2")
        cases = {
            str(self.directory): f"{self.directory}: Is a directory",
            "/": "/: Is a directory",
            "/no/such": "/no/such.worker-1: No such file or directory",
            f"{self.directory}/it": f"{self.directory}/it.worker-2: No such device or address",
        }
        self.assertEqual(
            {path: self.why(f"--journal={path}") for path in cases},
            {path: f"--journal: {why}" for path, why in cases.items()},
        )

    def test_what_may_not_be_used(self) -> None:
        """Root may use all, so the system is played here."""
        path = self.directory / "it"
        path.write_text("")
        forbidden: set[Any] = set()
        self.patch(os, "access", lambda path, *_, **__: path not in forbidden)
        for option in ("script", "tls-cert", "tls-key", "client-ca"):
            given = [f"--{option}={path}", f"--tls-cert={path if option == 'tls-cert' else '/b'}"]
            self.assertIsNone(self.why(*given))
            forbidden.add(path)
            told = f"{path}: it cannot be read by the user that workers run as"
            self.assertEqual(self.why(*given), told)
            forbidden.clear()
        forbidden.add(self.directory)
        told = f"--journal: {self.directory}/new.worker-1: Permission denied"
        self.assertEqual(self.why(f"--journal={self.directory}/new"), told)
        forbidden.add(sys.executable)
        self.assertIn("cannot be run by the user", self.why() or "")
