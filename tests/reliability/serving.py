"""
Serving: a real ``twistd reqresp`` that is looked at from outside while it runs.

Knows processes and what Linux tells of them; nothing of clients.
"""

import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import live
from tests.support.live import PATIENCE, Server

MIB = 2**20
KIB = 2**10
#: Seconds between looks at what has no event.
_POLL = 0.02


@contextmanager
def serving(*options: str, directory: Path | None = None, **how: Any) -> Iterator[Server]:
    """
    Run ``twistd reqresp --quiet`` with *options* on a free port, and stop it in the end.

    :param directory: where it runs; one of its own unless given.
    :param how: more for `tests.support.live.start`.
    """
    with working_directory(directory) as place:
        arguments = ["reqresp", "--quiet", *options]
        if not any(option.startswith(("--port", "--listen")) for option in options):
            arguments.append("--port=0")
        with live.start(place, *arguments, **how) as server:
            yield server


@contextmanager
def embedding(code: str) -> Iterator[Server]:
    """Run twistd with an application that *code* makes (see `tests.support.live.embed`)."""
    with working_directory() as place, live.embed(place, code) as server:
        yield server


@contextmanager
def working_directory(given: Path | None = None) -> Iterator[Path]:
    """Give a directory that is removed in the end, unless one is *given*."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="reqresp-") as name:
        yield Path(name)


@contextmanager
def descriptors_allowed(count: int) -> Iterator[None]:
    """
    Let this process, and those that it starts, have *count* open files.

    :raises OSError, ValueError: the hard limit is below that.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def descriptors(server: Server) -> int:
    """Count the files that *server* has open."""
    return len([*Path(f"/proc/{server.pid}/fd").iterdir()])


def until(reached: Callable[[], bool], patience: float = PATIENCE) -> bool:
    """Wait until something is *reached*; tell whether it was within *patience*, in seconds."""
    deadline = time.monotonic() + patience
    while not reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def back_to(server: Server, count: int) -> int:
    """Wait until *server* has at most *count* open files; count those that it has then."""
    until(lambda: descriptors(server) <= count)
    return descriptors(server)


def share(server: Server, seconds: float) -> float:
    """Say what share of a processor *server* uses for *seconds*, in percent."""
    used, began = server.processor_time(), time.monotonic()
    time.sleep(seconds)
    return 100 * (server.processor_time() - used) / (time.monotonic() - began)


def tracebacks(server: Server) -> int:
    """Count the tracebacks in the log."""
    return server.log.text().count("Traceback (most recent call last)")
