"""Sigkill: SIGKILL under load and restart on the same port, many times."""

import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median

from tests.reliability.pipelining import SCRIPT, talk
from tests.reliability.serving import serving, tracebacks, working_directory
from tests.reliability.values import Figure, Say, at_least, exactly, scaled, unbounded

ROUNDS = 100
CLIENTS = 10
#: The longest load before the kill, in seconds, unless the journal was not written often enough.
SECONDS = 0.3
#: The writes of the journal before a kill: what one of them tears is seen in the next.
WRITES = 2


def run(scale: float, say: Say) -> list[Figure]:
    """Kill the server many times; check the replies before, and the journal."""
    rounds = scaled(ROUNDS, scale, 4)
    random = Random(1)  # noqa: S311 (no secret)
    count: Counter[str] = Counter()
    starts: list[float] = []
    port = 0
    with working_directory() as directory:
        directory.joinpath("it.toml").write_text(SCRIPT)
        journal = TornJournal(directory / "it.jsonl")
        for number in range(1, rounds + 1):
            port, took, found = _round(directory, port, random, journal.has_grown)
            starts.append(took)
            count += found
            journal.check()
            journal.tear(random)
            if number % 10 == 0 or number == rounds:
                say(f"{number} of {rounds}: {count['replies']:,} replies")
    return [
        exactly("starts on the port of the killed server", len(starts), rounds),
        unbounded("time until it listens, median", median(starts), "s"),
        at_least("replies before the kills", count["replies"], rounds),
        exactly("clients with a wrong reply (incomplete ones excepted)", count["wrong"], 0),
        at_least("complete lines in the journal", journal.whole, rounds),
        exactly("starts after an incomplete last line", journal.torn, rounds - 1),
        exactly("of these, that begin with a new line", journal.continued, journal.torn),
        exactly("other incomplete lines", journal.broken, 0),
        exactly("tracebacks in the logs", count["tracebacks"], 0),
    ]


class TornJournal:
    """
    A journal whose last line is cut after each kill, as when the machine fails.

    The kernel writes a buffer as a whole, so a kill alone leaves complete lines nearly always.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = b""
        self._size = self._writes = 0
        self.whole = self.broken = self.torn = self.continued = 0

    def has_grown(self) -> bool:
        """Return whether the server has written `WRITES` times since the last cut."""
        size = self._path.stat().st_size
        if size > self._size:
            self._size = size
            self._writes += 1
        return self._writes >= WRITES

    def check(self) -> None:
        """Count the lines that the killed server has written."""
        text = self._path.read_bytes()
        added = text.removeprefix(self._before)
        if self._before and not self._before.endswith(b"\n"):
            self.torn += 1
            self.continued += text.startswith(self._before) and added.startswith(b"\n")
        *lines, _incomplete = added.removeprefix(b"\n").split(b"\n")
        whole = sum(map(_is_whole, lines))
        self.whole += whole
        self.broken += len(lines) - whole

    def tear(self, random: Random) -> None:
        """Cut the last line somewhere, if it is complete."""
        text = self._path.read_bytes()
        if text.endswith(b"\n"):
            size = len(text.splitlines(keepends=True)[-1])
            text = text[: -random.randrange(1, size)]
            self._path.write_bytes(text)
        self._before = text
        self._size, self._writes = len(text), 0


def _is_whole(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _round(
    directory: Path, port: int, random: Random, is_enough: Callable[[], bool]
) -> tuple[int, float, Counter[str]]:
    began = time.monotonic()
    options = ("--script=it.toml", "--journal=it.jsonl", f"--port={port}")
    with serving(*options, directory=directory) as server:
        port = server.port
        took = time.monotonic() - began
        talkers = talk(
            port,
            CLIENTS,
            random.uniform(0.02, SECONDS),
            lambda: server.signal(signal.SIGKILL),
            random,
            is_enough,
        )
        server.wait()
    found = {
        "replies": sum(talker.replies for talker in talkers),
        "wrong": sum(not talker.is_right() for talker in talkers),
        "tracebacks": tracebacks(server),
    }
    return port, took, Counter(found)
