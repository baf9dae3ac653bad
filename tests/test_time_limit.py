"""The time limit of tests under trial."""

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.live import PATIENCE, temporary
from tests.support.time_limit import SECONDS, VARIABLE

SUITE = """
import time
import tests  # as all our test modules do
from twisted.trial.unittest import SynchronousTestCase


class HangingTests(SynchronousTestCase):
    def test_1_passes(self):
        pass

    def test_2_hangs(self):
        time.sleep(600)
"""

PROJECT = Path(__file__).parent.parent


class TimeLimitTests(SynchronousTestCase):
    """A test that hangs is a failure with a stack."""

    def test_a_test_that_hangs(self) -> None:
        """The process ends, and the stack has the test."""
        directory = temporary(self)
        (directory / "test_suite.py").write_text(SUITE)
        done = subprocess.run(
            [sys.executable, "-m", "twisted.trial", "test_suite"],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env={**os.environ, "PYTHONPATH": str(PROJECT), VARIABLE: "0.5"},
        )
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"test_1_passes \.+ +\[OK\]")
        self.assertIn("in test_2_hangs", done.stderr)

    def test_the_limit_is_that_of_pytest(self) -> None:
        """Both runners allow a test the same time."""
        self.assertIn(f"\ntimeout = {SECONDS:g}\n", (PROJECT / "pyproject.toml").read_text())
