"""Workers: one of two workers killed under load, many times."""

import os
import signal
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from statistics import median

from tests.reliability.askers import REPLY, REQUEST
from tests.reliability.crowd import ask_all, crowd, listen_to, send
from tests.reliability.serving import serving, until
from tests.reliability.values import Figure, Say, at_least, at_most, exactly, scaled, unbounded
from tests.support.live import Server, processor_time

ROUNDS = 100
WORKERS = 2
CLIENTS = 40
#: The clients in the accept queue when a worker is killed.
QUEUED = 20
#: The processor time that a new worker takes until it accepts, in seconds.
START = 1.5


class Tally:
    """The results of all rounds."""

    def __init__(self) -> None:
        self.others = self.others_served = 0
        self.queued_served = self.own = self.own_ended = 0
        self.back: list[float] = []
        self.starts: list[float] = []


def run(scale: float, say: Say) -> list[Figure]:
    """Kill the workers in turn; check the other clients, and time the restart."""
    rounds = scaled(ROUNDS, scale, 4)
    tally = Tally()
    with serving("--framing=line", f"--workers={WORKERS}") as server:
        port = server.port
        server.log.wait(r"\) is ready$", WORKERS)
        with crowd(port, CLIENTS) as clients:
            ask_all(clients, REQUEST, REPLY)
        for number in range(1, rounds + 1):
            _round(server, port, tally)
            if number % 10 == 0 or number == rounds:
                say(f"{number} of {rounds}: restarted within {max(tally.back):.2f} s")
        left = len(workers(server))
        status = server.stop()
    restarts = server.log.text().count("killed by SIGKILL; restarting now")
    return [
        exactly(
            "clients of the other worker that are still served", tally.others_served, tally.others
        ),
        exactly(
            "clients in the accept queue that are served", tally.queued_served, rounds * QUEUED
        ),
        exactly("clients of the killed worker whose connection ends", tally.own_ended, tally.own),
        at_least("clients of the worker with fewer clients", min(tally.others, tally.own), 1),
        exactly("restarts without a delay, according to the log", restarts, rounds),
        at_most("processor time of a new worker until it accepts", max(tally.starts), START, "s"),
        unbounded("time from the kill until a new worker accepts, median", median(tally.back), "s"),
        unbounded("longest time", max(tally.back), "s"),
        exactly("workers at the end", left, WORKERS),
        exactly("exit status: ended by SIGTERM", status, -signal.SIGTERM),
        exactly("tracebacks in the log", server.log.text().count("Traceback"), 0),
    ]


def _round(server: Server, port: int, tally: Tally) -> None:
    victim, other = sorted(workers(server), key=started)
    with crowd(port, CLIENTS) as clients:
        ask_all(clients, REQUEST, REPLY)  # then all are accepted
        own = served_by(victim, port, clients)
        others = served_by(other, port, clients)
        # Both are stopped, so that new clients wait in the accept queue.
        for worker in (victim, other):
            os.kill(worker, signal.SIGSTOP)
        with crowd(port, QUEUED) as queued:
            for client in queued:
                send(client, REQUEST)
            killed = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            os.kill(other, signal.SIGCONT)
            tally.others += len(others)
            tally.others_served += ask_all(others, REQUEST, REPLY)
            fates = listen_to(queued, len(REPLY))
            tally.queued_served += sum(fate.received == REPLY for fate in fates)
        tally.own += len(own)
        tally.own_ended += sum(fate.ended is not None for fate in listen_to(own, None))
        until(lambda: accepts(server, port, {victim, other}))
        tally.back.append(time.monotonic() - killed)
        tally.starts += [processor_time(it) for it in {*workers(server)} - {victim, other}]
        tally.others_served -= len(others) - ask_all(others, REQUEST, REPLY)


def accepts(server: Server, port: int, old: Iterable[int]) -> bool:
    """Connect a few clients; return whether a worker that is not *old* serves one of them."""
    with crowd(port, 8) as clients:
        ask_all(clients, REQUEST, REPLY)
        new = {*workers(server)} - {*old}
        return any(served_by(worker, port, clients) for worker in new)


def workers(server: Server) -> list[int]:
    """Return the running child processes of *server*."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == server.pid and fields[0] != "Z":
                found.append(int(path.parent.name))
    return found


def started(process: int) -> int:
    """Return when *process* was started, in clock ticks since the machine's start."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])


def served_by(worker: int, port: int, clients: list[socket.socket]) -> list[socket.socket]:
    """Return those of *clients* whose connection *worker* has accepted."""
    held = set()
    with suppress(OSError):  # it may have ended
        for path in Path(f"/proc/{worker}/fd").iterdir():
            with suppress(OSError):
                held.add(str(path.readlink()))
    ends = _ends(port)
    return [client for client in clients if ends.get(client.getsockname()[1]) in held]


def _ends(port: int) -> dict[int, str]:
    """Return the server's sockets of connections to *port*, by the client's port."""
    found = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].partition(":")[2], 16) == port:
            found[int(fields[2].partition(":")[2], 16)] = f"socket:[{fields[9]}]"
    return found
