"""Sighup: SIGHUP with a new script and journal under load, many times."""

import json
import signal
import time
from pathlib import Path

from tests.reliability.askers import Askers
from tests.reliability.serving import serving, tracebacks, working_directory
from tests.reliability.values import Figure, Say, at_least, exactly, scaled
from tests.support.live import Client, Server

ROUNDS = 100
CLIENTS = 50
#: The pause between a client's requests, in milliseconds.
PAUSE = 5
#: The shortest load in each round, in seconds.
SECONDS = 0.1


class Newcomer:
    """A client that connects, sends one request and disconnects; the reply has a number."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.asked = self.wrong = self.backwards = 0
        self.last = 0

    def ask(self) -> int:
        """Connect again; return the number in the reply."""
        self.asked += 1
        with Client(("127.0.0.1", self._server.port)) as client:
            client.send(b"newcomer\n")
            client.half_close()
            reply = client.rest()
        words = reply.split()
        if reply != b"generation %d\r\n" % int(words[-1] if words else -1):
            self.wrong += 1
            return self.last
        self.backwards += int(words[1]) < self.last
        self.last = int(words[1])
        return self.last


def run(scale: float, say: Say) -> list[Figure]:
    """Replace script and journal, and send SIGHUP, while clients connect and send requests."""
    rounds = scaled(ROUNDS, scale, 5)
    old = b"generation 0\r\n"
    late = 0
    with working_directory() as directory:
        _write(directory, 0)
        with serving("--script=it.toml", "--journal=it.jsonl", directory=directory) as server:
            newcomer = Newcomer(server)
            with Askers(server.port, CLIENTS, pause=PAUSE, reply=old) as askers:
                for number in range(1, rounds + 1):
                    _write(directory, number)
                    (directory / "it.jsonl").rename(directory / f"{number}.jsonl")
                    server.signal(signal.SIGHUP)
                    loaded = time.monotonic() + SECONDS
                    while time.monotonic() < loaded or not _is_done(server, number):
                        newcomer.ask()
                    late += newcomer.ask() != number
                    if number % 10 == 0 or number == rounds:
                        say(f"{number} of {rounds}: {askers.answered + newcomer.asked:,} replies")
            server.stop()
        lines = [
            json.loads(line)
            for path in directory.glob("*.jsonl")
            for line in path.read_text().splitlines()
        ]
    requests = sum(line["event"] == "answered" for line in lines)
    return [
        exactly("connections with an older script than one before", newcomer.backwards, 0),
        exactly("of these, after the log said that the new one is loaded", late, 0),
        exactly("lost or wrong replies to new clients", newcomer.wrong, 0),
        exactly(
            "requests in the journals",
            requests,
            askers.answered + newcomer.asked,
        ),
        exactly("tracebacks in the log", tracebacks(server), 0),
        at_least("connections of new clients", newcomer.asked, rounds),
        *askers.figures(),
    ]


def _write(directory: Path, generation: int) -> None:
    written = directory / "new.toml"
    written.write_text(f'rule = [{{ reply = "generation {generation}" }}]\n')
    written.rename(directory / "it.toml")


def _is_done(server: Server, number: int) -> bool:
    lines = server.log.lines()
    reloaded = sum("reloaded" in line for line in lines)
    reopened = sum("reopened as a new file" in line for line in lines)
    return reloaded >= number and reopened >= number
