"""Sigterm: SIGTERM under load, many times."""

import json
import signal
from collections import Counter
from pathlib import Path
from random import Random

from tests.reliability.pipelining import SCRIPT, talk
from tests.reliability.serving import serving, tracebacks, working_directory
from tests.reliability.values import Figure, Say, at_least, exactly, scaled

ROUNDS = 100
CLIENTS = 10
#: The longest load before the signal, in seconds.
SECONDS = 0.3


def run(scale: float, say: Say) -> list[Figure]:
    """Stop a loaded server many times; compare its journal with the replies to clients."""
    rounds = scaled(ROUNDS, scale, 3)
    random = Random(1)  # noqa: S311 (no secret)
    count: Counter[str] = Counter()
    for number in range(1, rounds + 1):
        with working_directory() as directory:
            count += _round(directory, random)
        if number % 10 == 0 or number == rounds:
            say(f"{number} of {rounds}: {count['answered']:,} requests answered")
    return [
        exactly("ends by SIGTERM", count["ended"], rounds),
        at_least("requests in the journals", count["answered"], rounds),
        exactly("of these, without a reply", count["unanswered"], 0),
        exactly("of these, with an incomplete reply at the client", count["lost"], 0),
        exactly("clients with a wrong, misplaced or incomplete reply", count["wrong"], 0),
        exactly("connections that end with EOF", count["EOF"], rounds * CLIENTS),
        exactly("tracebacks in the logs", count["tracebacks"], 0),
    ]


def _round(directory: Path, random: Random) -> Counter[str]:
    directory.joinpath("it.toml").write_text(SCRIPT)
    with serving("--script=it.toml", "--journal=it.jsonl", directory=directory) as server:
        talkers = talk(
            server.port,
            CLIENTS,
            random.uniform(0.02, SECONDS),
            lambda: server.signal(signal.SIGTERM),
            random,
        )
        status = server.wait()
    lines = [json.loads(line) for line in (directory / "it.jsonl").read_text().splitlines()]
    answered = Counter(line["peer"] for line in lines if line["event"] == "answered")
    return Counter(
        {
            "ended": status == -signal.SIGTERM,
            "answered": answered.total(),
            "unanswered": sum(line["event"] == "unanswered" for line in lines),
            "lost": sum(abs(answered[talker.address] - talker.replies) for talker in talkers),
            "wrong": sum(not (talker.is_right() and talker.is_whole()) for talker in talkers),
            "EOF": sum(talker.ended == "EOF" for talker in talkers),
            "tracebacks": tracebacks(server),
        }
    )
