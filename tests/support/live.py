"""
Live: the real twistd as a subprocess, clients on real sockets, and other programs.

Nothing here sleeps.  A server is ready when its log says so, and has ended when its pipe ends.
Timeouts are long: they end only a test that hangs.
"""

import errno
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest import SkipTest

from attrs import frozen

#: Seconds that anything waits for at most.
PATIENCE = 60.0


def twistd(python: str = sys.executable) -> list[str]:
    """Return the command that runs twistd as its own script does."""
    return [python, "-c", "from twisted.scripts.twistd import run; run()"]


def program(name: str) -> str:
    """
    Return the path of the program *name*.

    :raises SkipTest: it is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise SkipTest(f"the program {name} is not installed")
    return found


class Log:
    """The lines that arrive on a pipe; a thread reads them."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._pipe:
            with self._changed:
                self._lines.append(line.decode(errors="backslashreplace").rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def lines(self) -> list[str]:
        """Return the lines so far."""
        with self._changed:
            return [*self._lines]

    def text(self) -> str:
        """Return the lines so far as one text."""
        return "\n".join(self.lines())

    def wait(self, pattern: str, count: int = 1) -> list["re.Match[str]"]:
        """
        Wait for *count* lines in which *pattern* is found.

        :raises AssertionError: the log ended without them, or they took too long.
        """
        found: list[re.Match[str]] = []
        seen = 0

        def enough() -> bool:
            # Only new lines: a busy server logs tens of thousands.
            nonlocal seen
            new = self._lines[seen:]
            seen += len(new)
            found.extend(match for line in new if (match := re.search(pattern, line)))
            return len(found) >= count or self._ended

        with self._changed:
            self._changed.wait_for(enough, PATIENCE)
        assert len(found) >= count, f"no {pattern!r} in:\n{self.text()}"
        return found

    def find(self, pattern: str, start: int) -> int:
        """
        Wait for a line, from the *start*-th, in which *pattern* is found.

        Return the number of the line after it.

        :raises AssertionError: the log ended without it, or it took too long.
        """
        found: list[int] = []

        def is_found() -> bool:
            lines = enumerate(self._lines[start:], start + 1)
            found.extend(number for number, line in lines if re.search(pattern, line))
            return bool(found) or self._ended

        with self._changed:
            self._changed.wait_for(is_found, PATIENCE)
        assert found, f"no {pattern!r} from line {start} of:\n{self.text()}"
        return found[0]

    def close(self) -> None:
        """Wait for the end of the pipe, and close it."""
        self._thread.join(PATIENCE)
        self._pipe.close()


class Server:
    """
    A twistd that runs or starts; use it in a ``with``, or stop it.

    Only what needs a port waits until all ports are open, so several servers can start at once.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", ports: int) -> None:
        self.process = process
        self.pid = process.pid
        self.log = Log(process.stdout)
        self._ports = ports

    @property
    def ports(self) -> list[int]:
        """The port numbers, in the order in which the server opens them."""
        return [int(match[1]) for match in self.log.wait(r" starting on (\d+)$", self._ports)]

    @property
    def port(self) -> int:
        """The first port number."""
        return self.ports[0]

    def connect(self, number: int = 0) -> "Client":
        """Connect to the *number*-th port."""
        return Client(("127.0.0.1", self.ports[number]))

    def signal(self, number: int) -> None:
        """Send the process a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; return its status (negative: the signal that ended it)."""
        try:
            status = self.process.wait(PATIENCE)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait(PATIENCE)
            self.log.close()
        return status

    def stop(self) -> int:
        """Stop it, unless it has ended."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.wait()

    def memory(self) -> int:
        """Return its resident memory in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        match = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        assert match is not None
        return int(match[1]) * 1024

    def processor_time(self) -> float:
        """Return the processor time that it has used, in seconds."""
        return processor_time(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()


def processor_time(process: int) -> float:
    """Return the processor time that *process* has used, in seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Client:
    """A blocking client on a real socket; use it in a ``with``, or close it."""

    def __init__(self, address: Any, family: int = socket.AF_INET) -> None:
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self._reset_at_once = False
        try:
            self.socket.connect(address)
        except ConnectionResetError:  # by a server that accepted and reset it at once
            self._reset_at_once = True
        except BaseException:
            self.socket.close()
            raise

    def send(self, data: bytes) -> None:
        """Send all of *data*."""
        self.socket.sendall(data)

    def half_close(self) -> None:
        """End the client's side."""
        self.socket.shutdown(socket.SHUT_WR)

    def receive(self, size: int) -> bytes:
        """Return *size* bytes, or fewer if EOF comes first."""
        self._check()
        received = bytearray()
        while len(received) < size and (data := self.socket.recv(size - len(received))):
            received += data
        return bytes(received)

    def ask(self, data: bytes, size: int = len(b"response")) -> bytes:
        """Send *data*; return a reply of *size* bytes."""
        self.send(data)
        return self.receive(size)

    def rest(self) -> bytes:
        """Return all bytes until EOF."""
        self._check()
        received = bytearray()
        while data := self.socket.recv(64 * 1024):
            received += data
        return bytes(received)

    def _check(self) -> None:
        if self._reset_at_once:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))

    def is_reset(self) -> bool:
        """Receive everything; return whether it ended with a reset, not with EOF."""
        try:
            self.rest()
        except ConnectionResetError:
            return True
        return False

    def fill(self, data: bytes, most: int, turn: Callable[[], object]) -> int:
        """
        Send *data* over and over, up to *most* bytes or until nothing more can be sent.

        :param turn: called whenever the kernel accepts no more; gives the server time to read.
        :returns: how many bytes were sent.
        """
        sent = idle = 0
        self.socket.setblocking(False)
        view = memoryview(data)
        # In a turn the server may read as little as 4 KiB, and the kernel may want to get rid of
        # a megabyte before it accepts more.
        while sent < most and idle < 1000:
            try:
                sent += self.socket.send(view[sent % len(data) :])
                idle = 0
            except BlockingIOError:
                idle += 1
                turn()
        self.socket.settimeout(PATIENCE)
        return sent

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()


def start(
    directory: Path,
    *arguments: str,
    ports: int = 1,
    python: str = sys.executable,
    wrap: Sequence[str] = (),
    **popen: Any,
) -> Server:
    """
    Run twistd with *arguments*, in the foreground, with its log on a pipe.

    :param directory: the working directory, where it writes its pid file.
    :param ports: the number of TCP ports that it listens on.
    :param python: the interpreter that twistd is installed for.
    :param wrap: a command that runs the command after it.
    """
    command = [*wrap, *twistd(python), "--nodaemon", "--pidfile=", "--logfile=-", *arguments]
    return Server(
        subprocess.Popen(
            command,
            cwd=directory,
            stdin=popen.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **popen,
        ),
        ports,
    )


def start_on(directory: Path, listening: socket.socket, *options: str) -> Server:
    """Run reqresp with *options* on the socket *listening*, as systemd would pass it."""
    # As the first descriptor after stderr, for this process alone.
    shell = 'export LISTEN_FDS=1 LISTEN_FDNAMES=it LISTEN_PID=$$; exec "$@" 3<&0'
    return start(
        directory,
        *("reqresp", "--listen=systemd:domain=INET:index=0", *options),
        wrap=["sh", "-c", shell, "sh"],
        stdin=listening,
    )


#: The beginning of an application that embeds the factory.
EMBEDDING = """\
import signal
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from reqresp import *
from reqresp.daemon.listeners import Listener
from reqresp.daemon.service import ReqRespService

def serve(respond, drain=5, **options):
    service = ReqRespService(
        [Listener("it", serverFromString(reactor, "tcp:0:interface=127.0.0.1:backlog=1024"))],
        ReqRespFactory(respond, **options),
        drain,
        reactor,
    )
    application = Application("embedding")
    service.setServiceParent(application)
    return application

"""


def embed(directory: Path, code: str) -> Server:
    """Run twistd with an application, which is `EMBEDDING` and then *code*."""
    directory.joinpath("app.tac").write_text(EMBEDDING + code)
    return start(directory, "--python=app.tac")


@frozen
class Ended:
    """The output of a command, and its exit status."""

    status: int
    output: str
    errors: str


def run_all(
    directory: Path, commands: Mapping[str, Sequence[str]], **popen: Any
) -> dict[str, Ended]:
    """Run *commands* at the same time, and wait for all of them."""
    processes = {
        name: subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **popen,
        )
        for name, command in commands.items()
    }
    ended: dict[str, Ended] = {}
    try:
        for name, process in processes.items():
            output, errors = process.communicate(timeout=PATIENCE)
            ended[name] = Ended(process.returncode, output.decode(), errors.decode())
    finally:
        for process in processes.values():
            if process.poll() is None:
                process.kill()
                process.communicate()
    return ended


def temporary(test: Any) -> Path:
    """Return a directory for *test*, with a path short enough for a UNIX socket."""
    directory = tempfile.TemporaryDirectory(prefix="reqresp-")
    test.addCleanup(directory.cleanup)
    return Path(directory.name)


def shared_python() -> str:
    """
    Return an interpreter like this one that every user may run.

    :raises SkipTest: there is none; perhaps this one is in a home directory.
    """
    system = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    for path in map(Path, (sys.executable, system)):
        real = path.resolve()
        if real.exists() and all(it.stat().st_mode & 0o001 for it in (real, *real.parents)):
            return str(path)
    raise SkipTest("only root may run this Python")


@cache
def pem() -> bytes:
    """
    Return the files of a key and of a self-signed certificate for localhost.

    :raises SkipTest: openssl, which makes them, is not installed.
    """
    openssl = program("openssl")
    with tempfile.TemporaryDirectory(prefix="reqresp-") as directory:
        key, certificate = Path(directory, "key.pem"), Path(directory, "cert.pem")
        subprocess.run(
            [
                *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
                *("-nodes", "-keyout", str(key), "-out", str(certificate), "-days", "2"),
                *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            ],
            check=True,
            capture_output=True,
            timeout=PATIENCE,
        )
        return key.read_bytes() + certificate.read_bytes()
