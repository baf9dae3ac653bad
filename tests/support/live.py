"""
Live: the real twistd as a subprocess, clients on real sockets, and other programs.

Nothing here sleeps.  A server is ready when its log says so, and is gone when its pipe ends; the
time-outs are nets for what should never happen, and generous.
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

#: Seconds after which something that waits has gone wrong.
PATIENCE = 60.0


def twistd(python: str = sys.executable) -> list[str]:
    """Run twistd as its own script does, wherever that was installed."""
    return [python, "-c", "from twisted.scripts.twistd import run; run()"]


def program(name: str) -> str:
    """
    Find the program *name*.

    :raises SkipTest: it is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise SkipTest(f"the program {name} is not installed")
    return found


class Log:
    """The lines that come out of a pipe, read by a thread of its own."""

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
        """What was logged so far."""
        with self._changed:
            return [*self._lines]

    def text(self) -> str:
        """The same in one piece."""
        return "\n".join(self.lines())

    def wait(self, pattern: str, count: int = 1) -> list["re.Match[str]"]:
        """
        Wait for *count* lines in which *pattern* is found.

        :raises AssertionError: the log ended, or took too long, without.
        """
        found: list[re.Match[str]] = []

        def enough() -> bool:
            found[:] = [match for line in self._lines if (match := re.search(pattern, line))]
            return len(found) >= count or self._ended

        with self._changed:
            self._changed.wait_for(enough, PATIENCE)
        assert len(found) >= count, f"no {pattern!r} in:\n{self.text()}"
        return found

    def close(self) -> None:
        """Wait for the end of the pipe, and close it."""
        self._thread.join(PATIENCE)
        self._pipe.close()


class Server:
    """
    A twistd that runs, or is about to; use it in a ``with``, or stop it.

    Whatever needs to know a port waits until all are open, so several can be started at once.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", ports: int) -> None:
        self.process = process
        self.pid = process.pid
        self.log = Log(process.stdout)
        self._ports = ports

    @property
    def ports(self) -> list[int]:
        """The numbers of its ports, in the order in which it opens them."""
        return [int(match[1]) for match in self.log.wait(r" starting on (\d+)$", self._ports)]

    @property
    def port(self) -> int:
        """The number of the first port."""
        return self.ports[0]

    def connect(self, number: int = 0) -> "Client":
        """Connect to the *number*-th port."""
        return Client(("127.0.0.1", self.ports[number]))

    def signal(self, number: int) -> None:
        """Send the process a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end, and tell its status (negative: the signal that ended it)."""
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
        """Bytes of its resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        match = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        assert match is not None
        return int(match[1]) * 1024

    def processor_time(self) -> float:
        """Seconds of processor time that it has used, in user and system mode."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()


class Client:
    """A blocking client on a real socket; use it in a ``with``, or close it."""

    def __init__(self, address: Any, family: int = socket.AF_INET) -> None:
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self._reset_at_once = False
        try:
            self.socket.connect(address)
        except ConnectionResetError:  # by a server that has accepted, and was quicker than we
            self._reset_at_once = True
        except BaseException:
            self.socket.close()
            raise

    def send(self, data: bytes) -> None:
        """Send all of *data*."""
        self.socket.sendall(data)

    def half_close(self) -> None:
        """Send no more."""
        self.socket.shutdown(socket.SHUT_WR)

    def receive(self, size: int) -> bytes:
        """Receive *size* bytes, fewer only if EOF comes first."""
        self._check()
        received = bytearray()
        while len(received) < size and (data := self.socket.recv(size - len(received))):
            received += data
        return bytes(received)

    def ask(self, data: bytes, size: int = len(b"response")) -> bytes:
        """Send *data*, and receive a reply of *size* bytes."""
        self.send(data)
        return self.receive(size)

    def rest(self) -> bytes:
        """Receive all until EOF."""
        self._check()
        received = bytearray()
        while data := self.socket.recv(64 * 1024):
            received += data
        return bytes(received)

    def _check(self) -> None:
        if self._reset_at_once:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))

    def is_reset(self) -> bool:
        """Receive what comes, and tell whether it ended with a reset, not with EOF."""
        try:
            self.rest()
        except ConnectionResetError:
            return True
        return False

    def fill(self, data: bytes, most: int, turn: Callable[[], object]) -> int:
        """
        Send *data* over and over, up to *most* bytes or until nothing more can be sent.

        :param turn: gives the server the time to read; called whenever the kernel takes no more.
        :returns: how many bytes were sent.
        """
        sent = idle = 0
        self.socket.setblocking(False)
        view = memoryview(data)
        while sent < most and idle < 30:
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
    Run twistd with *arguments*, in the foreground, its log on a pipe.

    :param directory: where it runs, and leaves its pid file.
    :param ports: how many TCP ports it will listen on.
    :param python: the interpreter that has the twistd to run.
    :param wrap: a command that runs the command which follows it.
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


#: What an application that embeds the factory says first.
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
    """Run twistd with an application that *code* makes after `EMBEDDING`."""
    directory.joinpath("app.tac").write_text(EMBEDDING + code)
    return start(directory, "--python=app.tac")


@frozen
class Ended:
    """What a command said, and its status."""

    status: int
    output: str
    errors: str


def run_all(
    directory: Path, commands: Mapping[str, Sequence[str]], **popen: Any
) -> dict[str, Ended]:
    """Run *commands* at once, and wait for all of them."""
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
    """A directory that goes with *test*; its path is short enough for a UNIX socket."""
    directory = tempfile.TemporaryDirectory(prefix="reqresp-")
    test.addCleanup(directory.cleanup)
    return Path(directory.name)


@cache
def pem() -> bytes:
    """
    A key, and a certificate for localhost that it signs.

    :raises SkipTest: there is no openssl to make them.
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
