"""
Processes: a server process on its own core, from its start to its end.

Knows processes and cores.  It must not know replies or loads.
"""

import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import frozen

from bench.measure import listening_ports
from bench.values import UnavailableError

ROOT = Path(__file__).resolve().parent.parent
_PLUGIN_PATH = ROOT / "bench" / "servers" / "plugin"
_POLL = 0.001


@frozen
class Cores:
    """The core of the server, and the core of the load."""

    server: int
    load: int


@frozen
class Server:
    """A server process that listens."""

    pid: int
    port: int
    seconds_to_listen: float


def choose_cores() -> Cores:
    """
    Choose two of the allowed cores, and move this process, with all loads, to one of them.

    :raises UnavailableError: there is only one core, which server and load would share.
    """
    if sys.platform != "linux":
        raise UnavailableError("this needs Linux: /proc, and processes bound to a core")
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise UnavailableError("two cores are needed: one for the server, one for the load")
    cores = Cores(server=allowed[-1], load=allowed[0])
    os.sched_setaffinity(0, {cores.load})
    return cores


def _free_port() -> int:
    """Return a free port, for servers that cannot choose one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(command: Sequence[str], core: int, limit: float = 20) -> Iterator[Server]:
    """
    Start *command* on *core*, wait until it listens, and kill its process group at the end.

    ``{port}`` in the command stands for a free port, and ``{second}`` for another one.  Without
    ``{port}`` the server chooses a port, which the kernel reports.

    :raises UnavailableError: the process ended, or did not listen within *limit* seconds.
    """
    asked = _free_port() if any("{port}" in word for word in command) else None
    second = str(_free_port())
    words = [word.replace("{port}", str(asked)).replace("{second}", second) for word in command]
    with (
        tempfile.TemporaryDirectory(prefix="reqresp-bench-") as folder,
        tempfile.TemporaryFile() as errors,
    ):
        begun = time.monotonic()
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(core), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=folder,
            env=_environment(),
            # A new process group, so that children of the server can be killed with it.
            start_new_session=True,
        )
        try:
            while (found := _port(process.pid, asked)) is None:
                if process.poll() is not None:
                    errors.seek(0)
                    raise UnavailableError(f"ended before listening: {_last_line(errors.read())}")
                if time.monotonic() - begun > limit:
                    raise UnavailableError(f"did not listen within {limit:.0f} s")
                time.sleep(_POLL)
            yield Server(process.pid, found, time.monotonic() - begun)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run_to_end(command: Sequence[str], core: int, limit: float = 20) -> tuple[float, float]:
    """
    Run *command* on *core* to its end, and return its seconds and its CPU seconds.

    :raises UnavailableError: it failed, or took longer than *limit* seconds.
    """
    with tempfile.TemporaryDirectory(prefix="reqresp-bench-") as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begun = time.monotonic()
        try:
            done = subprocess.run(
                ["taskset", "--cpu-list", str(core), *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd=folder,
                env=_environment(),
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(f"did not end within {limit:.0f} s") from error
        seconds = time.monotonic() - begun
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise UnavailableError(f"status {done.returncode}: {_last_line(done.stderr)}")
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _port(pid: int, asked: int | None) -> int | None:
    try:
        ports = listening_ports(pid)
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # the process has ended
        return None
    if asked is not None:
        return asked if asked in ports else None
    return min(ports, default=None)


def _environment() -> dict[str, str]:
    # The reqresp and the plugins of this source tree, installed or not.
    path = os.pathsep.join([str(ROOT), str(_PLUGIN_PATH)])
    return {**os.environ, "PYTHONPATH": path}


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "no output"
