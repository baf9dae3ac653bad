"""The real twistd, and pid files, logs and UNIX sockets that it cannot use."""

import os
import signal
import subprocess
from unittest import SkipTest

from tests.support import live
from tests.support.live import twistd
from tests.support.live_case import LiveTestCase

#: What a server is told whose pid file or lock has its own number.
LEFT_OVER = "which is this one: left over, unless another container uses it"
OTHER = "pass another path, or none: twistd --pidfile= reqresp"


class RefusedFilesTests(LiveTestCase):
    """twistd ends before it listens, with one line."""

    def refusal(self, *options: str, wrap: tuple[str, ...] = ()) -> str:
        """Return the line with which twistd is refused, from its first option on."""
        ended = live.run_all(self.directory, {"": [*wrap, *twistd(), *options]})[""]
        self.assertEqual((ended.status, ended.output), (1, ""), ended)
        self.assertRegex(ended.errors, r"\Areqresp: .*\n\Z")
        return ended.errors.removeprefix("reqresp: ").rstrip("\n")

    def test_two_in_a_directory(self) -> None:
        """The second server in a directory is refused; the pid file of the first one stays."""
        first = self.stopped(live.start(self.directory, "--pidfile=twistd.pid", "reqresp", "-p0"))
        self.assertGreater(first.port, 0)
        path = self.directory / "twistd.pid"
        for options in (("-n", "reqresp", "--port=0"), ("reqresp", "--port=0")):
            self.assertEqual(
                self.refusal(*options),
                f"--pidfile: {path}: names process {first.pid}, which is running; {OTHER}",
            )
        self.assertEqual(path.read_text(), str(first.pid))

    def test_killed_as_process_1(self) -> None:
        """After SIGKILL of process 1 of a container, its pid file and its lock are left over."""
        container = (live.program("unshare"), "--pid", "--fork", "--kill-child")
        if subprocess.run([*container, "true"], capture_output=True).returncode:
            raise SkipTest("no process may be process 1 here")
        listen = ("reqresp", "--listen=unix:s", "--listen=tcp:0:interface=127.0.0.1")
        options = ("--pidfile=twistd.pid", *listen)
        server = self.stopped(live.start(self.directory, *options, wrap=container))
        self.assertGreater(server.port, 0)
        server.signal(signal.SIGKILL)
        server.wait()
        path = self.directory / "twistd.pid"
        self.assertEqual(path.read_text(), "1")
        self.assertEqual(
            self.refusal("-n", *options, wrap=container),
            f"--pidfile: {path}: names process 1, {LEFT_OVER}; remove it, or pass none:"
            " twistd --pidfile= reqresp",
        )
        self.assertEqual(
            self.refusal("-n", "--pidfile=", *listen, wrap=container),
            f"cannot listen on unix:s: s.lock names process 1, {LEFT_OVER}; remove it and s",
        )

    def test_directory_that_cannot_be_written(self) -> None:
        """A pid file or a log is refused with the system's reason, in place of a traceback."""
        wrap: tuple[str, ...] = ()
        if os.geteuid() == 0:
            # As root it could write there nevertheless.
            wrap = (live.program("setpriv"), "--bounding-set=-dac_override,-dac_read_search")
            os.chown(self.directory, 1, 1)
        self.directory.chmod(0o555)
        self.addCleanup(self.directory.chmod, 0o700)
        self.assertEqual(
            self.refusal("-n", "reqresp", "--port=0", wrap=wrap),
            f"--pidfile: {self.directory}/twistd.pid: Permission denied; {OTHER}",
        )
        self.assertEqual(
            self.refusal("--pidfile=", "reqresp", "--port=0", wrap=wrap),
            f"--logfile: {self.directory}/twistd.log: Permission denied; pass another path",
        )

    def test_server_that_has_ended(self) -> None:
        """What a killed server left is removed if no process has its number."""
        pid_file = self.directory / "twistd.pid"
        options = ("--pidfile=twistd.pid", "reqresp", "--listen=unix:s", "--listen=tcp:0")
        for _ in range(2):
            server = self.stopped(live.start(self.directory, *options))
            self.assertGreater(server.port, 0)
            self.assertEqual(pid_file.read_text(), str(server.pid))
            server.signal(signal.SIGKILL)
            server.wait()
