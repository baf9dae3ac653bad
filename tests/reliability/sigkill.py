"""Sigkill: killed under load, and started again on the same port, over and over."""

import json
import signal
import time
from collections import Counter
from pathlib import Path
from random import Random
from statistics import median

from tests.reliability.pipelining import SCRIPT, talk
from tests.reliability.serving import serving, tracebacks, working_directory
from tests.reliability.values import Figure, Say, at_least, at_most, exactly, scaled, told

ROUNDS = 100
CLIENTS = 10
SECONDS = 0.3


def run(scale: float, say: Say) -> list[Figure]:
    """Kill it a hundred times; see what clients got until then, and what the journal holds."""
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
        exactly("starts on the port of the one that was killed", len(starts), rounds),
        told("until it listens, the median", median(starts), "s"),
        at_least("replies until then", count["replies"], rounds),
        exactly("clients with a reply that is wrong, but for its end", count["wrong"], 0),
        at_least("whole lines in the journal", entries, 1),
        at_most("torn lines in it, one for each kill at most", torn, rounds),
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
    """Count the lines that are torn, and those that are whole."""
    torn = whole = 0
    for line in journal.read_bytes().splitlines():
        try:
            json.loads(line)
        except ValueError:
            torn += 1
            continue
        whole += 1
    return torn, whole
