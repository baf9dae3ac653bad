"""``reqresp serve``: the server in the foreground, without twistd's options."""

import os
import signal
import subprocess
import sys
from typing import Any

from reqresp import __version__
from tests.support.command import CommandTestCase
from tests.support.live import Server, temporary


class ServeTests(CommandTestCase):
    """The server, its help and its messages."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(sys, "argv", [*sys.argv])

    def test_it_serves(self) -> None:
        """It answers and logs, without a pid file, until it is told to stop."""
        directory = temporary(self)
        process = subprocess.Popen(
            [sys.executable, "-m", "reqresp", "serve", "--port", "0"],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        with Server(process, ports=1) as server, server.connect() as client:
            self.assertEqual(client.ask(b"hello"), b"response")
            self.assertEqual([*directory.iterdir()], [])
            server.signal(signal.SIGINT)
            self.assertEqual(server.wait(), -signal.SIGINT)  # as twistd ends
            self.assertIn("'hello'", server.log.text())

    def test_process_1(self) -> None:
        """As process 1 of a container it handles SIGTERM before the reactor does."""
        handlers: dict[int, Any] = {}
        self.patch(os, "getpid", lambda: 1)
        self.patch(signal, "signal", handlers.__setitem__)
        self.good("serve", "--version")
        exits: list[int] = []
        self.patch(os, "_exit", exits.append)
        handlers[signal.SIGTERM](signal.SIGTERM, None)
        self.assertEqual(exits, [128 + signal.SIGTERM])

    def test_help(self) -> None:
        """The options are those of ``twistd reqresp``."""
        self.assertIn("serve ", "\n".join(self.good("--help")))
        self.assertIn("      --services=FILE ", "\n".join(self.good("serve", "--help")))
        self.assertIn(f"reqresp {__version__}", self.good("serve", "--version")[0])

    def test_wrong_arguments(self) -> None:
        """One line says what is wrong, and which command has the help."""
        for arguments, message in (
            (["--prot", "1"], "option --prot not recognized; did you mean --port?"),
            (["--port", "x"], "port: expected"),
            (["9999"], "unexpected argument '9999'"),
        ):
            ended = self.run_command("serve", *arguments)
            self.assertEqual((ended.status, ended.output), (2, ""))
            self.assertEqual(ended.errors.count("\n"), 1)
            self.assertIn(message, ended.errors)
            self.assertTrue(ended.errors.endswith(" (see reqresp serve --help)\n"), ended.errors)
