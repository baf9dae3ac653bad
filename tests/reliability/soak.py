"""Soak: all kinds of clients at full load for ten minutes."""

import os
import time

from tests.reliability.askers import REPLY, REQUEST, Askers
from tests.reliability.crowd import ask_all, connect, crowd, listen_to, reset
from tests.reliability.serving import MIB, descriptors, descriptors_allowed, serving, tracebacks
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
#: The growth of memory that is allowed, in bytes.
GROWTH = 2 * MIB
#: Descriptors of connections that are being opened or closed.
PASSING = 8


def run(scale: float, say: Say) -> list[Figure]:
    """Sample memory and descriptors while all kinds of clients are served."""
    seconds = max(3.0, SECONDS * scale)
    memory: list[float] = []
    files: list[float] = []
    with (
        descriptors_allowed(2000),
        serving("--framing=line", "--journal=/dev/null") as server,
        Askers(server.port, 50) as closed,
        Askers(server.port, 10, depth=32, pause=5) as pipelined,
    ):
        began, used, ours = time.monotonic(), server.processor_time(), sum(os.times()[:2])
        passers = Passers(server)
        for number in range(1, SAMPLES + 1):
            while time.monotonic() < began + seconds * number / SAMPLES:
                passers.turn()
            memory.append(server.memory())
            files.append(descriptors(server))
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
            GROWTH / MIB,
            "MiB",
        ),
        at_most("growth of descriptors, likewise", growth(files), PASSING),
        at_least("short connections", passers.count, SAMPLES),
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
        """Run a few connections of each kind."""
        for _ in range(10):
            self._ask()
        for _ in range(5):
            sock = connect(self._port)
            sock.send(REQUEST * 20 + b"half a requ")
            reset(sock)
        self._ask_slowly()
        self.count += 10 + 5 + 5

    def _ask(self) -> None:
        with connect(self._port) as sock:
            sock.sendall(REQUEST)
            [fate] = listen_to([sock], len(REPLY))
            self.wrong += fate.received != REPLY

    def _ask_slowly(self) -> None:
        with crowd(self._port, 5) as slow:
            for byte in REQUEST[:-1]:
                for sock in slow:
                    sock.send(bytes((byte,)))
                time.sleep(0.002)
            self.wrong += len(slow) - ask_all(slow, REQUEST[-1:], REPLY)
