"""Storms: tens of thousands of clients that connect and reset."""

from tests.reliability.askers import CALM, Askers
from tests.reliability.crowd import connect, reset
from tests.reliability.serving import (
    MIB,
    back_to,
    descriptors,
    growth_allowed,
    serving,
    tracebacks,
)
from tests.reliability.values import Figure, Say, at_most, exactly, scaled
from tests.support.live import Server

CONNECTIONS = 60_000
#: The bytes that a client sends before its reset: none, half a request, one request, or many.
LAST_BYTES = (b"", b"half a requ", b"request\n", b"request\n" * 500)
STORMS = 3
#: The growth of memory from the end of the first storm to that of the last, in bytes: in any case,
#: and without a connection that stays.  A storm outruns the server, more or less.
GROWTH = 7 * MIB
NOISE = 4 * MIB
#: The connections of a storm at least: what these would leave can be distinguished from noise.
LEAST = 2000


def run(scale: float, say: Say) -> list[Figure]:
    """Run several storms; measure memory and descriptors after each."""
    each = scaled(CONNECTIONS // STORMS, scale, LEAST)
    with serving("--framing=line") as server, Askers(server.port, pause=CALM) as askers:
        files = descriptors(server)
        memory: list[int] = []
        left: list[int] = []
        for number in range(1, STORMS + 1):
            say(f"storm {number} of {STORMS}: {each:,} connections")
            _storm(server, each)
            left.append(back_to(server, files) - files)
            memory.append(server.memory())
            say(f"afterwards: {memory[-1] / MIB:.1f} MiB, {left[-1]} leaked descriptors")
    return [
        exactly("leaked descriptors after the storms", max(left), 0),
        at_most(
            "growth of memory after the first storm",
            (memory[-1] - memory[0]) / MIB,
            growth_allowed((STORMS - 1) * each, NOISE, GROWTH) / MIB,
            "MiB",
        ),
        exactly("tracebacks in the log", tracebacks(server), 0),
        *askers.timed_figures(),
    ]


def _storm(server: Server, count: int) -> None:
    port = server.port
    for number in range(count):
        sock = connect(port, number)
        words = LAST_BYTES[number % len(LAST_BYTES)]
        if words:
            sock.send(words)
        reset(sock)
