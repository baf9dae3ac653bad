"""Disk: a journal on a full disk."""

import json
import os
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from tests.reliability.crowd import ask_all, crowd
from tests.reliability.serving import KIB, MIB, serving, tracebacks
from tests.reliability.values import Figure, Say, at_least, exactly, scaled
from tests.support.live import Server

#: The clients; each request and its reply make an entry of about 1.3 kB.
CLIENTS = 20
REQUEST = b"x" * 1000 + b"\n"
REPLY = b"response\r\n"
ROUNDS = 3
#: The requests with free space, and without: more than the journal buffers.
BEFORE = 400
FULL = 2000
#: The free space when a round starts, in bytes.
ROOM = 128 * KIB
_SIZE = 32 * MIB


class Disk(Protocol):
    """Something that can be full."""

    #: The error message when it is full.
    error: str
    directory: Path

    def fill(self, server: Server) -> None:
        """Fill it, except for `ROOM`."""

    def free(self, server: Server) -> None:
        """Make space again."""


class Mounted:
    """A file system in memory, filled by a large file."""

    error = "No space left on device"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._ballast = directory / "ballast"

    def fill(self, server: Server) -> None:
        free = os.statvfs(self.directory)
        with self._ballast.open("wb") as file, suppress(OSError):
            file.write(bytes(max(0, free.f_bavail * free.f_frsize - ROOM)))

    def free(self, server: Server) -> None:
        self._ballast.unlink()


class Limited:
    """A limit on the size of files, if mounting is not allowed."""

    error = "File too large"

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def fill(self, server: Server) -> None:
        size = (self.directory / "it.jsonl").stat().st_size
        self._limit(server, size + ROOM)

    def free(self, server: Server) -> None:
        self._limit(server, resource.RLIM_INFINITY)

    def _limit(self, server: Server, size: int) -> None:
        _soft, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(
            server.pid, resource.RLIMIT_FSIZE, (min(size, hard) if size > 0 else hard, hard)
        )


@contextmanager
def a_disk() -> Iterator[Disk]:
    """Mount a small file system; if that is not allowed, limit the size of files."""
    with tempfile.TemporaryDirectory(prefix="reqresp-") as name:
        if not _ran("mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "reqresp", name):
            yield Limited(Path(name))
            return
        try:
            yield Mounted(Path(name))
        finally:
            _ran("umount", "--lazy", name)


def _ran(*command: str) -> bool:
    with suppress(FileNotFoundError):
        return not subprocess.run(command, check=False, capture_output=True).returncode
    return False


def run(scale: float, say: Say) -> list[Figure]:
    """Fill the disk while clients send requests, make space, and count the journal's entries."""
    rounds = scaled(ROUNDS, scale, 2)
    answered = asked = 0
    with (
        a_disk() as disk,
        serving("--framing=line", "--journal=it.jsonl", directory=disk.directory) as server,
        crowd(server.port, CLIENTS) as clients,
    ):
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds}: requests with free space")
            turns = BEFORE // CLIENTS
            answered += sum([ask_all(clients, REQUEST, REPLY) for _ in range(turns)])
            disk.fill(server)
            say(f"requests without ({disk.error})")
            full = FULL // CLIENTS
            answered += sum([ask_all(clients, REQUEST, REPLY) for _ in range(full)])
            asked += (turns + full) * CLIENTS
            server.log.wait(f"cannot be written: {disk.error}; retrying", number)
            disk.free(server)
            server.log.wait(r"can be written again; \d+ entries lost", number)
        for client in clients:
            client.close()
        server.stop()
        entries = [
            json.loads(line) for line in (disk.directory / "it.jsonl").read_text().splitlines()
        ]
    lost = sum(entry["entries"] for entry in entries if entry["event"] == "lost")
    kept = sum(entry["event"] != "lost" for entry in entries)
    requests = sum(entry["event"] == "answered" for entry in entries)
    said = server.log.text()
    return [
        exactly("replies, with and without a full disk", answered, asked),
        at_least("lost entries, according to the journal", lost, rounds),
        exactly(
            "entries in the journal or counted as lost",
            kept + lost,
            asked + 2 * CLIENTS,
        ),
        at_least("requests in the journal", requests, asked - lost),
        exactly("log lines about a full disk", said.count(disk.error), rounds),
        exactly("log lines about its end", said.count("can be written again"), rounds),
        exactly("tracebacks in the log", tracebacks(server), 0),
    ]
