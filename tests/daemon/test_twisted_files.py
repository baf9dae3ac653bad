"""What is wrong with the files that Twisted will open or make itself."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.application.twist._options import TwistOptions
from twisted.internet.testing import MemoryReactor
from twisted.scripts._twistd_unix import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.options import Options
from reqresp.daemon.twisted_files import check_pid_and_log, check_socket
from reqresp.services.endpoints import EndpointSpec
from tests.support import live

NO_PID_FILE = "none: twistd --pidfile= reqresp"
OTHER = f"pass another path, or {NO_PID_FILE}"


class TwistedFilesTestCase(SynchronousTestCase):
    """Has a directory, in which twistd would run."""

    def setUp(self) -> None:
        self.directory = live.temporary(self)
        self.path = self.directory / "it.pid"

    def options(self, **of_twistd: Any) -> Options:
        """Return options of a twistd in the foreground, started with *of_twistd*."""
        made = Options()
        made.parent = ServerOptions(reactor=MemoryReactor())
        made.parent.update({"pidfile": "", "nodaemon": True} | of_twistd)
        return made

    def dead_pid(self) -> int:
        """Return the number of a process that has ended."""
        with subprocess.Popen([sys.executable, "-c", ""]) as process:
            return process.pid

    def other_pid(self) -> int:
        """Return the number of another process that runs until the end of the test."""
        process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        self.addCleanup(process.communicate)
        return process.pid

    def foreign_link(self, name: str) -> Path:
        """Make a symbolic link of another user, as root."""
        if os.geteuid() != 0:
            raise SkipTest("only root can make a link of another user")
        path = self.directory / name
        path.symlink_to("target")
        os.chown(path, 1, 1, follow_symlinks=False)
        return path


class PidFileTests(TwistedFilesTestCase):
    """The pid file, which twistd reads and then writes."""

    def why(self, **of_twistd: Any) -> str:
        """Return why the pid file is refused, without what all messages begin with."""
        with self.assertRaises(SystemExit) as caught:
            check_pid_and_log(self.options(pidfile=str(self.path), **of_twistd))
        beginning = f"reqresp: --pidfile: {self.path}: "
        self.assertEqual(str(caught.exception)[: len(beginning)], beginning)
        return str(caught.exception)[len(beginning) :]

    def test_usable(self) -> None:
        """A path is usable if a file can be created there; none is left.  No path is, too."""
        for path in (self.path, ""):
            check_pid_and_log(self.options(pidfile=str(path)))
        self.assertEqual([*self.directory.iterdir()], [])

    def test_none_of_twistd(self) -> None:
        """A worker has no options of twistd, and ``twist`` has no pid file."""
        of_twist = Options()
        of_twist.parent = TwistOptions()
        for options in (Options(), of_twist):
            check_pid_and_log(options)

    def test_running(self) -> None:
        """A file that names a running process is refused, also if that is of another user."""
        for pid in (self.other_pid(), 1):
            self.path.write_text(f"{pid}\n")
            self.assertEqual(self.why(), f"names process {pid}, which is running; {OTHER}")

        def kill(_pid: int, _signal: int) -> None:
            raise PermissionError

        self.patch(os, "kill", kill)
        self.assertEqual(self.why(), f"names process 1, which is running; {OTHER}")

    def test_itself(self) -> None:
        """A file with the process's own number is left over, as of process 1 in a container."""
        self.path.write_text(str(os.getpid()))
        self.assertEqual(
            self.why(),
            f"names process {os.getpid()}, which is this one: left over, unless another container"
            f" uses it; remove it, or pass {NO_PID_FILE}",
        )

    def test_ended(self) -> None:
        """A file that names a process that has ended is removed, as twistd would."""
        self.path.write_text(str(self.dead_pid()))
        check_pid_and_log(self.options(pidfile=str(self.path)))
        self.assertFalse(self.path.exists())

    def test_no_number(self) -> None:
        """A file with something else is kept."""
        for text in ("", "it", "-1", "0", "1.5", "9" * 20, "٣"):
            self.path.write_text(text)
            self.assertRegex(self.why(), r"^expected the number of a process, found '.*'; pass")
            self.assertEqual(self.path.read_text(), text)
        self.path.write_text("1" * 1000)
        self.assertEqual(self.why(), f"is larger than 100 bytes; {OTHER}")

    def test_no_file(self) -> None:
        """A pipe is refused at once, and a directory."""
        os.mkfifo(self.path)
        self.assertEqual(self.why(), f"is not a regular file; {OTHER}")
        self.path.unlink()
        self.path.mkdir()
        self.assertEqual(self.why(), f"is not a regular file; {OTHER}")

    def test_directory(self) -> None:
        """A directory in which no file can be created is refused; below a new root it is not."""
        self.path = self.directory / "no" / "it.pid"
        self.assertEqual(self.why(), f"No such file or directory; {OTHER}")
        check_pid_and_log(self.options(pidfile=str(self.path), chroot="/"))
        self.path = Path("/proc/it.pid")  # no user can create files there
        self.assertEqual(self.why(), f"No such file or directory; {OTHER}")

    def test_a_link_of_another_user(self) -> None:
        """Root would follow it, and write where the other user wants."""
        self.path = self.foreign_link("link")
        self.assertEqual(self.why(), f"{self.path} is a symbolic link of another user; {OTHER}")

    def test_control_characters(self) -> None:
        """A path or a text cannot forge a second line."""
        with self.assertRaises(SystemExit) as caught:
            check_pid_and_log(self.options(pidfile="/no\nreqresp: it/x"))
        self.assertIn(r"/no\nreqresp: it/x: No such", str(caught.exception))


class LogTests(TwistedFilesTestCase):
    """The log, which twistd opens before it has detached."""

    def why(self, **of_twistd: Any) -> str:
        """Return why the log is refused."""
        with self.assertRaises(SystemExit) as caught:
            check_pid_and_log(self.options(**of_twistd))
        return str(caught.exception)

    def test_usable(self) -> None:
        """A log can be a file, new or old, or no file; what is there stays as it is."""
        old = self.directory / "old"
        old.write_text("old")
        for name in (old, self.directory / "new", "-", "/dev/null"):
            check_pid_and_log(self.options(logfile=str(name)))
        check_pid_and_log(self.options(logfile="/no/it", syslog=True))
        self.assertEqual([*self.directory.iterdir()], [old])
        self.assertEqual(old.read_text(), "old")

    def test_unusable(self) -> None:
        """A path that cannot be opened as twistd does is refused, with the system's reason."""
        pipe = self.directory / "pipe"
        os.mkfifo(pipe)
        for path, reason in (
            (self.directory / "no" / "it", "No such file or directory"),
            (self.directory, "Is a directory"),
            (pipe, "Illegal seek"),
        ):
            self.assertEqual(
                self.why(logfile=str(path)),
                f"reqresp: --logfile: {path}: {reason}; pass another path",
            )

    def test_of_a_daemon(self) -> None:
        """A daemon has a log in its directory, if no other is given; in the foreground not."""
        here = Path.cwd()
        self.addCleanup(os.chdir, here)
        os.chdir("/proc")  # no user can create files there
        for flags in ({"nodaemon": True}, {"nodaemon": False, "debug": True}):
            check_pid_and_log(self.options(**flags))
        self.assertEqual(
            self.why(nodaemon=False),
            "reqresp: --logfile: /proc/twistd.log: No such file or directory; pass another path",
        )

    def test_a_link_of_another_user(self) -> None:
        """Root would follow it, and append to what the other user wants."""
        path = self.foreign_link("link")
        self.assertEqual(
            self.why(logfile=str(path)),
            f"reqresp: --logfile: {path}: {path} is a symbolic link of another user;"
            " pass another path",
        )


class SocketTests(TwistedFilesTestCase):
    """A UNIX socket, and its lock."""

    def setUp(self) -> None:
        super().setUp()
        self.spec = EndpointSpec.described(f"unix:{self.directory}/s")
        self.lock = self.directory / "s.lock"

    def check(self, description: str = "", **of_twistd: Any) -> None:
        spec = EndpointSpec.described(description) if description else self.spec
        check_socket(spec, self.options(**of_twistd))

    def why(self, description: str = "", **of_twistd: Any) -> str:
        """Return why the socket is refused, without what all messages begin with."""
        with self.assertRaises(SystemExit) as caught:
            self.check(description, **of_twistd)
        beginning = f"reqresp: cannot listen on {description or self.spec.name}: "
        self.assertEqual(str(caught.exception)[: len(beginning)], beginning)
        return str(caught.exception)[len(beginning) :]

    def test_no_lock_to_respect(self) -> None:
        """No lock, one of a process that has ended, and what is not a lock, do not matter."""
        self.check()
        for text in (str(self.dead_pid()), "it", "0", "9" * 20):
            self.lock.symlink_to(text)
            self.check()
            self.lock.unlink()
        self.lock.write_text("1")
        self.check()

    def test_running(self) -> None:
        """A lock of a process that runs is kept: it may be a server, or have its number."""
        self.lock.symlink_to("1")
        why = (
            f"{self.lock} names process 1, which is running; if that is not a server, remove the"
            f" lock and {self.directory}/s"
        )
        self.assertEqual(self.why(), why)
        self.assertEqual(self.why("unix:s", rundir=str(self.directory)), why)
        self.assertEqual(self.why(f"haproxy:unix:address={self.directory}/s"), why)
        self.assertTrue(self.lock.is_symlink())

    def test_itself(self) -> None:
        """A lock with the process's own number is left over, as of process 1 in a container."""
        self.lock.symlink_to(str(os.getpid()))
        self.assertEqual(
            self.why(),
            f"{self.lock} names process {os.getpid()}, which is this one: left over, unless"
            f" another container uses it; remove it and {self.directory}/s",
        )

    def test_without_a_lock(self) -> None:
        """A socket that shall have no lock, and one below another root, is not looked at."""
        self.lock.symlink_to("1")
        for described in (f"{self.spec.name}:lockfile=0", f"{self.spec.name}:666:50:0"):
            self.check(described)
        self.check(chroot="/")
        self.check("tcp:0")

    def test_directory(self) -> None:
        """A directory in which the final user cannot make a socket is refused."""
        self.patch(os, "access", lambda path, *_, **__: path != self.directory)
        self.assertEqual(self.why(), "Permission denied")
        self.check("unix:/no/such/directory/s")  # listening will say it
