"""Sigkill: SIGKILL under load and restart on the same port, many times."""

import json
import signal
import time
from collections import Counter
from pathlib import Path
from random import Random
from statistics import median

from tests.reliability.pipelining import SCRIPT, talk
from tests.reliability.serving import serving, tracebacks, working_directory
from tests.reliability.values import Figure, Say, at_least, at_most, exactly, scaled, unbounded

ROUNDS = 100
CLIENTS = 10
SECONDS = 0.3


def run(scale: float, say: Say) -> list[Figure]:
    """Kill the server many times; check the replies before, and the journal."""
    rounds = scaled(ROUNDS, scale, 3)
    random = Random(1)  # noqa: S311 (no secret)
    count: Counter[str] = Counter()
    starts: list[float] = []
    port = 0
    with working_directory() as directory:
        directory.joinpath("it.toml").write_text(SCRIPT)
        for number in range(1, rounds + 1):
            port, took, found = _round(directory, port, random)
            starts.append(took)
            count += found
            if number % 10 == 0 or number == rounds:
                say(f"{number} of {rounds}: {count['replies']:,} replies")
        torn, entries = _read(directory / "it.jsonl")
    return [
        exactly("starts on the port of the killed server", len(starts), rounds),
        unbounded("time until it listens, median", median(starts), "s"),
        at_least("replies before the kills", count["replies"], rounds),
        exactly("clients with a wrong reply (incomplete ones excepted)", count["wrong"], 0),
        at_least("complete lines in the journal", entries, 1),
        at_most("incomplete lines, at most one for each kill", torn, rounds),
        exactly("tracebacks in the logs", count["tracebacks"], 0),
    ]


def _round(directory: Path, port: int, random: Random) -> tuple[int, float, Counter[str]]:
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
        )
        server.wait()
    found = {
        "replies": sum(talker.replies for talker in talkers),
        "wrong": sum(not talker.is_right() for talker in talkers),
        "tracebacks": tracebacks(server),
    }
    return port, took, Counter(found)


def _read(journal: Path) -> tuple[int, int]:
    """Return how many lines are incomplete, and how many complete."""
    torn = whole = 0
    for line in journal.read_bytes().splitlines():
        try:
            json.loads(line)
        except ValueError:
            torn += 1
            continue
        whole += 1
    return torn, whole
