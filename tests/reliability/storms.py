"""Storms: clients by the ten thousand that connect and reset at once."""

from tests.reliability.askers import CALM, Askers
from tests.reliability.crowd import connect, reset
from tests.reliability.serving import MIB, back_to, descriptors, serving, tracebacks
from tests.reliability.values import Figure, Say, at_most, exactly, scaled
from tests.support.live import Server

CONNECTIONS = 60_000
#: What a client sends before it resets: nothing, half a request, one whose reply it does not read,
#: many of those.
LAST_WORDS = (b"", b"half a requ", b"request\n", b"request\n" * 500)
STORMS = 3
#: Growth of memory from the end of the first storm to that of the last: what more at once may
#: take, and less than 200 bytes for each of them.
GROWTH = 7 * MIB


def run(scale: float, say: Say) -> list[Figure]:
    """Have them come in storms; look what is left after each."""
    each = scaled(CONNECTIONS // STORMS, scale, 400)
    with serving("--framing=line") as server, Askers(server.port, pause=CALM) as askers:
        files = descriptors(server)
        memory: list[int] = []
        left: list[int] = []
        for number in range(1, STORMS + 1):
            say(f"storm {number} of {STORMS}: {each:,} connections")
            _storm(server, each)
            left.append(back_to(server, files) - files)
            memory.append(server.memory())
            say(f"over: {memory[-1] / MIB:.1f} MiB, {left[-1]} descriptors left")
    return [
        exactly("descriptors that are left by storms", max(left), 0),
        at_most(
            "growth of memory after the first", (memory[-1] - memory[0]) / MIB, GROWTH / MIB, "MiB"
        ),
        exactly("tracebacks in the log", tracebacks(server), 0),
        *askers.timed_figures(),
    ]


def _storm(server: Server, count: int) -> None:
    port = server.port
    for number in range(count):
        sock = connect(port, number)
        words = LAST_WORDS[number % len(LAST_WORDS)]
        if words:
            sock.send(words)
        reset(sock)
