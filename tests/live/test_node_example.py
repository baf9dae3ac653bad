"""The example suite in JavaScript: it starts reqresp, programs it over HTTP, and verifies."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support import live

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "node"


class NodeTests(SynchronousTestCase):
    """``node --test examples/node``."""

    def run_example(self, directory: Path) -> "subprocess.CompletedProcess[str]":
        node = live.program("node")
        twistd = live.temporary(self) / "twistd"
        run = "from twisted.scripts.twistd import run; run()"
        twistd.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{run}" "$@"\n')
        twistd.chmod(0o700)
        return subprocess.run(
            [node, "--test", str(directory)],
            cwd=EXAMPLE.parent.parent,
            env={**os.environ, "TWISTD": str(twistd), "PYTHONPATH": str(EXAMPLE.parent.parent)},
            capture_output=True,
            text=True,
            timeout=live.PATIENCE,
            check=False,
        )

    def test_the_suite_passes(self) -> None:
        """All tests of the client pass, and no server is left running."""
        done = self.run_example(EXAMPLE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"(?m)^\W+pass 5$")

    def test_the_suite_finds_a_wrong_client(self) -> None:
        """A client that asks for something else makes it fail."""
        directory = live.temporary(self)
        shutil.copytree(EXAMPLE, directory, dirs_exist_ok=True)
        client = directory / "pop3.mjs"
        text = client.read_text(encoding="utf-8")
        client.write_text(text.replace('ask("STAT")', 'ask("LIST")'), encoding="utf-8")
        done = self.run_example(directory)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout, "(not ok 1 -|✖) the messages are counted")
