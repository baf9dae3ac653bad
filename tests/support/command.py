"""CommandTestCase: the command ``reqresp``, run in this process."""

import io
from contextlib import redirect_stderr, redirect_stdout

from twisted.trial.unittest import SynchronousTestCase

from reqresp.cli.main import main
from tests.support.live import PATIENCE, Ended, temporary
from tests.support.peer import Peer


class CommandTestCase(SynchronousTestCase):
    """Helpers for tests of the command."""

    def run_command(self, *arguments: str) -> Ended:
        """Run the command in this process, and return its status and output."""
        output = io.TextIOWrapper(io.BytesIO())
        errors = io.StringIO()
        with redirect_stdout(output), redirect_stderr(errors):
            try:
                status = main(arguments)
            except SystemExit as exit_:
                status = int(exit_.code or 0)
        assert isinstance(output.buffer, io.BytesIO)
        return Ended(status, output.buffer.getvalue().decode(), errors.getvalue())

    def good(self, *arguments: str) -> list[str]:
        """Return the lines that it prints; it must succeed without errors."""
        ended = self.run_command(*arguments)
        self.assertEqual((ended.status, ended.errors), (0, ""))
        return ended.output.splitlines()

    def ask(self, peer: Peer, *arguments: str) -> Ended:
        """Run ``reqresp ask`` for *peer* with a long timeout."""
        return self.run_command("ask", f"--timeout={PATIENCE}", str(peer.address), *arguments)

    def refused(self, *arguments: str) -> str:
        """Return the message about wrong arguments, which must be one line."""
        ended = self.run_command(*arguments)
        self.assertEqual((ended.status, ended.output), (2, ""))
        command, message = ended.errors.split(": error: ", 1)
        self.assertRegex(command, "^reqresp( [a-z]+)?$")
        self.assertEqual(ended.errors.count("\n"), 1, ended.errors)
        help_ = f" (see {command} --help)\n"
        self.assertTrue(message.endswith(help_), message)
        return message.removesuffix(help_)

    def script(self, text: str) -> str:
        """Return the path of a new script with this *text*."""
        path = temporary(self) / "it.toml"
        path.write_text(text)
        return str(path)
