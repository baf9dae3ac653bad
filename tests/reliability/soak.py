"""Soak: all kinds of clients at full load for ten minutes."""

import os
import time

from tests.reliability.askers import REPLY, REQUEST, Askers
from tests.reliability.crowd import ask_all, crowd, listen_to, send
from tests.reliability.serving import (
    MIB,
    back_to,
    descriptors,
    descriptors_allowed,
    growth_allowed,
    serving,
    tracebacks,
)
from tests.reliability.values import (
    Figure,
    Say,
    at_least,
    at_most,
    exactly,
    growth,
    unbounded,
)
from tests.support.live import Server

SECONDS = 600
SAMPLES = 60
#: The growth of memory that is allowed, in bytes: in any case, and without short connections.
GROWTH = 2 * MIB
NOISE = MIB
#: The short connections of each sample at least: together, what they would leave exceeds noise.
LEAST = 50
#: Seconds in which a sample waits for the ends of short connections.
SETTLED = 1.0


def run(scale: float, say: Say) -> list[Figure]:
    """Sample memory and descriptors while all kinds of clients are served."""
    seconds = max(3.0, SECONDS * scale)
    memory: list[float] = []
    files: list[float] = []
    connections: list[float] = []
    with (
        descriptors_allowed(2000),
        serving("--framing=line", "--journal=/dev/null") as server,
        Askers(server.port, 50) as closed,
        Askers(server.port, 10, depth=32, pause=5) as pipelined,
    ):
        began, used, ours = time.monotonic(), server.processor_time(), sum(os.times()[:2])
        passers, regular = Passers(server), descriptors(server)
        for number in range(1, SAMPLES + 1):
            least = passers.count + LEAST
            while time.monotonic() < began + seconds * number / SAMPLES or passers.count < least:
                passers.turn()
            memory.append(server.memory())
            connections.append(passers.count)
            files.append(back_to(server, regular, SETTLED))
            if number % 6 == 0:
                replies = closed.answered + pipelined.answered
                say(
                    f"{time.monotonic() - began:.0f} of {seconds:.0f} s: {replies:,} replies, "
                    f"{memory[-1] / MIB:.1f} MiB, {files[-1]} descriptors"
                )
        took = time.monotonic() - began
        busy = 100 * (server.processor_time() - used) / took
        clients = 100 * (sum(os.times()[:2]) - ours) / took
    return [
        unbounded("processor used by the server", busy, "%"),
        unbounded("processor used by its clients", clients, "%"),
        unbounded("memory at the end", memory[-1] / MIB, "MiB"),
        at_most(
            "growth of memory, from the first third to the last",
            growth(memory) / MIB,
            growth_allowed(growth(connections), NOISE, GROWTH) / MIB,
            "MiB",
        ),
        at_most("growth of descriptors, likewise", growth(files), 0),
        at_least("short connections", passers.count, SAMPLES * LEAST),
        exactly("of these, with a lost or wrong reply", passers.wrong, 0),
        exactly("tracebacks in the log", tracebacks(server), 0),
        *closed.figures(),
        *pipelined.figures(),
    ]


class Passers:
    """Short connections: some send a request, some reset, some are slow."""

    def __init__(self, server: Server) -> None:
        self._port = server.port
        self.count = self.wrong = 0

    def turn(self) -> None:
        """Run connections of each kind at the same time."""
        with crowd(self._port, 30) as asking, crowd(self._port, 5) as slow:
            for sock in asking:
                send(sock, REQUEST)
            for byte in REQUEST[:-1]:
                for sock in slow:
                    send(sock, bytes((byte,)))
                time.sleep(0.002)
            with crowd(self._port, 15) as leaving:
                for sock in leaving:
                    send(sock, REQUEST * 20 + b"half a requ")
            self.wrong += sum(fate.received != REPLY for fate in listen_to(asking, len(REPLY)))
            self.wrong += len(slow) - ask_all(slow, REQUEST[-1:], REPLY)
        self.count += 30 + 5 + 15
