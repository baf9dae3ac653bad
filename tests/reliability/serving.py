"""
Serving: a real ``twistd reqresp``, and its memory, descriptors and processor time.

Knows processes and Linux's /proc.  It must not know clients.
"""

import re
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.support import live
from tests.support.live import PATIENCE, Server

MIB = 2**20
KIB = 2**10
#: The memory that may remain of each connection that has ended, in bytes: one that is kept takes
#: ten times as much.
_REMAINS = 200
#: What the log says about events that it has left out, and seconds until it has said so.
_MORE = re.compile(r"\b(\d+) more like the last one\b")
_REPORTED = 10.0
#: The interval for polling, in seconds.
_POLL = 0.02


@contextmanager
def serving(
    *options: str, directory: Path | None = None, is_quiet: bool = True, **how: Any
) -> Iterator[Server]:
    """
    Run ``twistd reqresp`` with *options* on a free port, and stop it at the end.

    :param directory: its working directory; None: a new one.
    :param is_quiet: whether it logs only problems.
    :param how: further arguments for `tests.support.live.start`.
    """
    with working_directory(directory) as place:
        arguments = ["reqresp", *(["--quiet"] if is_quiet else []), *options]
        if not any(option.startswith(("--port", "--listen")) for option in options):
            arguments.append("--port=0")
        with live.start(place, *arguments, **how) as server:
            yield server


@contextmanager
def embedding(code: str) -> Iterator[Server]:
    """Run twistd with the application that *code* makes (see `tests.support.live.embed`)."""
    with working_directory() as place, live.embed(place, code) as server:
        yield server


@contextmanager
def working_directory(given: Path | None = None) -> Iterator[Path]:
    """Yield a temporary directory, or *given*."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="reqresp-") as name:
        yield Path(name)


@contextmanager
def descriptors_allowed(count: int) -> Iterator[None]:
    """
    Raise the limit of open files to *count*, for this process and its children.

    :raises OSError, ValueError: the hard limit is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def descriptors(server: Server) -> int:
    """Return how many files *server* has open."""
    return len([*Path(f"/proc/{server.pid}/fd").iterdir()])


def growth_allowed(connections: float, noise: float, most: float) -> float:
    """
    Return how many bytes a server may grow by while *connections* come and go.

    :param noise: by how much it may grow without any.
    :param most: by how much it may grow in any case.
    """
    return min(most, noise + _REMAINS * connections)


def until(reached: Callable[[], bool], patience: float = PATIENCE) -> bool:
    """Wait until *reached* returns true; return whether it did within *patience* seconds."""
    deadline = time.monotonic() + patience
    while not reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def up_to(server: Server, count: int, patience: float = PATIENCE) -> int:
    """Wait until *server* has at least *count* open files; return their number."""
    until(lambda: descriptors(server) >= count, patience)
    return descriptors(server)


def back_to(server: Server, count: int, patience: float = PATIENCE) -> int:
    """Wait until *server* has at most *count* open files; return their number."""
    until(lambda: descriptors(server) <= count, patience)
    return descriptors(server)


def share(server: Server, seconds: float) -> float:
    """Return the processor time of *server* during *seconds*, in percent of a processor."""
    used, began = server.processor_time(), time.monotonic()
    time.sleep(seconds)
    return 100 * (server.processor_time() - used) / (time.monotonic() - began)


def metrics(server: Server) -> dict[str, float]:
    """Return the metrics of *server*, whose second port has the pages; they may be a second old."""
    connection = HTTPConnection("127.0.0.1", server.ports[1], timeout=PATIENCE)
    with closing(connection):
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def reported(server: Server, words: str, expected: int) -> int:
    """
    Return how many events the log reports: lines with *words*, and how many more there were.

    Wait until they are as many as *expected*: the last ones are reported a few seconds later.
    """

    def count() -> int:
        lines = server.log.lines()
        more = (int(found[1]) for line in lines if (found := _MORE.search(line)))
        return sum(words in line for line in lines) + sum(more)

    until(lambda: count() >= expected, _REPORTED)
    return count()


def tracebacks(server: Server) -> int:
    """Return how many tracebacks are in the log."""
    return server.log.text().count("Traceback (most recent call last)")
