"""The exit status after a wrong option."""

import subprocess
import sys
from contextlib import redirect_stderr
from io import StringIO

from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.exits import WRONG_USE, wrong_use


class WrongUseTests(SynchronousTestCase):
    """`wrong_use`."""

    def test_what_it_prints_and_returns(self) -> None:
        """It prints one line, and the exception has the same text and the status."""
        with redirect_stderr(StringIO()) as errors:
            error = wrong_use("--port: expected a number")
        self.assertEqual(errors.getvalue(), "reqresp: --port: expected a number\n")
        self.assertEqual(str(error), "reqresp: --port: expected a number")
        self.assertEqual(error.code, WRONG_USE)

    def test_it_is_one_line(self) -> None:
        """What is not printable is escaped: a program may have passed the option."""
        with redirect_stderr(StringIO()) as errors:
            wrong_use("--port: \x1b[2J\n\u202e")
        self.assertEqual(errors.getvalue(), "reqresp: --port: \\x1b[2J\\n\\u202e\n")

    def test_a_process(self) -> None:
        """A process that raises it ends with status 2, and prints nothing else."""
        program = "from reqresp.daemon.exits import wrong_use; raise wrong_use('it')"
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
        self.assertEqual((ran.returncode, ran.stdout, ran.stderr), (2, b"", b"reqresp: it\n"))
