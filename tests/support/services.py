"""
Services: real programs on loopback, for live tests.

Each function starts a program and returns once it accepts connections.  A program that cannot
choose a free port by itself is started again on another one if its port is taken meanwhile.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest import SkipTest

from attrs import field, frozen

from reqresp._text import format_host_port
from tests.support import live
from tests.support.live import PATIENCE, Log

HOST = "127.0.0.1"
#: Attempts to start a program on a port that was free just before.
ATTEMPTS = 20
#: Runs what refuses to run as root.
UNPRIVILEGED = "nobody"
#: Where Debian installs the programs of PostgreSQL's server, which are not on the path.
POSTGRESQL = Path("/usr/lib/postgresql")

#: What a program prints if another process listens on its port.
_TAKEN = "Address already in use"

#: An SMTP server that prints each message.
_SMTP = """\
import asyncio, sys
from aiosmtpd.handlers import Debugging
from aiosmtpd.smtp import SMTP

async def main():
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(Debugging(sys.stdout), hostname="mail.example", ident="ESMTP"), "127.0.0.1", 0
    )
    print("listening on", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@frozen
class Service:
    """
    A program that accepts connections; use it in a ``with``, or stop it.

    :param process: the program.
    :param log: what it prints.
    :param directory: its files; removed when it stops.
    :param port: the TCP port that it listens on.
    :param path: the UNIX socket that it listens on, too; None: none.
    """

    process: "subprocess.Popen[bytes]"
    log: Log
    directory: Path
    port: int
    path: Path | None = None
    host: str = HOST
    _ending: ExitStack = field(factory=ExitStack, repr=False)

    @property
    def address(self) -> tuple[str, int]:
        """Its host and its port."""
        return self.host, self.port

    @property
    def forward(self) -> str:
        """The value of ``--forward`` for it."""
        return format_host_port(self.host, self.port)

    def stop(self) -> None:
        """End the program, and wait for its end; nothing listens afterwards."""
        self._ending.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()


def redis_server() -> Service:
    """Start redis, which keeps its data in memory; it has a UNIX socket, too."""
    program = live.program("redis-server")

    def command(directory: Path, port: int) -> list[str]:
        return [
            *(program, "--bind", HOST, "--port", str(port)),
            *("--unixsocket", str(directory / "it.sock")),
            *("--save", "", "--appendonly", "no", "--daemonize", "no"),
        ]

    return _start_on_free_port(command, "[Rr]eady to accept connections", path="it.sock")


def memcached() -> Service:
    """Start memcached."""
    program = live.program("memcached")

    def command(_directory: Path, port: int) -> list[str]:
        return [program, "-u", UNPRIVILEGED, "-l", HOST, "-p", str(port), "-U", "0", "-vv"]

    return _start_on_free_port(command, "server listening")


def postgresql() -> Service:
    """
    Start PostgreSQL with an empty database *postgres*, whose owner *postgres* needs no password.

    It has a UNIX socket, too.
    """
    found = sorted(POSTGRESQL.glob("*/bin/initdb"))
    if not found:
        raise SkipTest("the programs initdb and postgres of PostgreSQL are not installed")
    initdb, program = found[-1], found[-1].with_name("postgres")
    user = _unprivileged()

    def command(directory: Path, port: int) -> list[str]:
        if user:
            shutil.chown(directory, **user)
        subprocess.run(
            [
                *(initdb, "--pgdata=data", "--auth=trust", "--username=postgres"),
                *("--encoding=UTF8", "--locale=C", "--no-sync", "--wal-segsize=1"),
            ],
            check=True,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            **user,
        )
        return [
            *(str(program), "-D", "data", "-p", str(port), "-k", str(directory), "-F"),
            *("-c", f"listen_addresses={HOST}", "-c", "timezone=UTC"),
        ]

    return _start_on_free_port(
        command,
        "ready to accept connections",
        path=".s.PGSQL.{port}",
        stop_signal=signal.SIGINT,  # does not wait for clients
        **user,
    )


def smtp_server() -> Service:
    """Start aiosmtpd, which accepts each message, and prints it."""
    try:
        import aiosmtpd  # noqa: F401, asks whether it is installed
    except ModuleNotFoundError:
        raise SkipTest("the package aiosmtpd is not installed") from None
    return _start(lambda _: [sys.executable, "-c", _SMTP], r"listening on (\d+)")


def tls_echo(*arguments: str) -> Service:
    """
    Start ``openssl s_server``, which sends each line back reversed, to one client after another.

    Its certificate is `live.pem`, for localhost.

    :param arguments: for example ``-Verify 1 -CAfile FILE``.
    """
    program = live.program("openssl")
    pem = live.pem()

    def command(directory: Path) -> list[str]:
        (directory / "it.pem").write_bytes(pem)
        return [
            *(program, "s_server", "-accept", f"{HOST}:0", "-rev"),
            *("-cert", "it.pem", "-key", "it.pem", *arguments),
        ]

    return _start(command, r"^ACCEPT .*:(\d+)$")


def haproxy(configuration: str, bind: str = "", host: str = HOST) -> Service:
    """
    Start HAProxy with one frontend.

    :param configuration: what follows the line ``frontend``, without ``bind``.
    :param bind: options of ``bind``, for example ``accept-proxy``.
    :param host: the address that it listens on.
    """
    program = live.program("haproxy")
    with closing(socket.create_server((host, 0), family=_family(host))) as listening:
        port = listening.getsockname()[1]

        def command(directory: Path) -> list[str]:
            (directory / "it.cfg").write_text(
                "defaults\n"
                " timeout connect 60s\n timeout client 60s\n timeout server 60s\n"
                f"frontend it\n bind fd@{listening.fileno()} {bind}\n{configuration}"
            )
            return [program, "-W", "-db", "-f", "it.cfg"]

        return _start(
            command, "Loading success", port=port, host=host, pass_fds=(listening.fileno(),)
        )


def free_port(host: str = HOST) -> int:
    """Return a port number that is free at this moment."""
    with closing(socket.create_server((host, 0), family=_family(host))) as listening:
        port: int = listening.getsockname()[1]
        return port


def _start_on_free_port(
    command: Callable[[Path, int], Sequence[str]], ready: str, path: str = "", **options: Any
) -> Service:
    """Start what *command* returns for a directory and a free port."""
    for _ in range(ATTEMPTS):
        port = free_port()

        def with_port(directory: Path, port: int = port) -> Sequence[str]:
            return command(directory, port)

        try:
            return _start(with_port, ready, port=port, path=path.format(port=port), **options)
        except _PortTakenError:
            continue
    raise AssertionError(f"no free port in {ATTEMPTS} attempts")


def _start(
    command: Callable[[Path], Sequence[str]],
    ready: str,
    *,
    port: int | None = None,
    path: str = "",
    host: str = HOST,
    stop_signal: signal.Signals = signal.SIGTERM,
    **popen: Any,
) -> Service:
    """
    Start what *command* returns for a directory, which is its working directory.

    :param ready: matches a line that it prints when it accepts connections.
    :param port: the port; None: the first group of *ready*.
    :raises _PortTakenError: it says that its address is in use.
    """
    # The path is short: it has to fit into the address of a UNIX socket.
    directory = Path(tempfile.mkdtemp(prefix="reqresp-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        process = subprocess.Popen(
            command(directory),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **popen,
        )
        log = Log(process.stdout)
        stack.callback(_end, process, log, stop_signal)
        found = log.wait(f"{ready}|{_TAKEN}")[0]
        if found[0] == _TAKEN:
            raise _PortTakenError
        return Service(
            process,
            log,
            directory,
            int(found[1]) if port is None else port,
            directory / path if path else None,
            host,
            stack.pop_all(),
        )


class _PortTakenError(Exception):
    """Another process listens on the port."""


def _end(process: "subprocess.Popen[bytes]", log: Log, number: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(number)
    try:
        process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(PATIENCE)
        log.close()


def _unprivileged() -> dict[str, Any]:
    """Return who runs what refuses to run as root: nothing unless this process does."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(UNPRIVILEGED)
    return {"user": user.pw_uid, "group": user.pw_gid}


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
