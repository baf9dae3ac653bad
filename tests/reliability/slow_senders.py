"""Slow senders: requests that come a byte a second, by the thousand."""

import socket
import time

from tests.reliability.askers import CALM, REPLY, Askers
from tests.reliability.crowd import ask_all, crowd, send
from tests.reliability.serving import KIB, back_to, descriptors, descriptors_allowed, serving
from tests.reliability.values import Figure, Say, at_most, exactly, scaled
from tests.support.live import PATIENCE

CONNECTIONS = 5000
#: Of these, each has sent nearly all that a request may have before it becomes slow.
FULL = 500
FULL_BYTES = 60_000
SECONDS = 15
#: Steps of a second: in each, some send their byte.
STEPS = 20
#: Bytes of memory for one that has sent next to nothing ...
BYTES = 4 * KIB
#: ... and for one that has sent nearly 64 KiB, which is what a request may have.
FULL_MEMORY = 128 * KIB


def run(scale: float, say: Say) -> list[Figure]:
    """Have slow clients begin a request, and others be served; then let the slow ones finish."""
    count, full = scaled(CONNECTIONS, scale, 200), scaled(FULL, scale, 50)
    seconds = scaled(SECONDS, scale, 2)
    with (
        descriptors_allowed(count + full + 1000),
        serving("--framing=line") as server,
        Askers(server.port, pause=CALM) as askers,
    ):
        before, files = server.memory(), descriptors(server)
        with crowd(server.port, count) as slow:
            say(f"{count:,} clients send a byte a second, for {seconds} s")
            _trickle(slow, seconds)
            each = (server.memory() - before) / count
            say("they come to an end")
            finished = _finish(slow)
        before = server.memory()
        with crowd(server.port, full) as slow:
            say(f"{full:,} clients do so that have sent {FULL_BYTES:,} bytes already")
            for sock in slow:
                sock.settimeout(PATIENCE)
                sock.sendall(b"x" * FULL_BYTES)
            _trickle(slow, min(seconds, 5))
            full_each = max(0, server.memory() - before) / full
            say("they come to an end")
            full_finished = _finish(slow)
        left = back_to(server, files) - files
    return [
        exactly("slow requests that are answered at last", finished, count),
        at_most("memory of a slow sender", each, BYTES, "bytes"),
        exactly("slow requests of 60,000 bytes that are answered at last", full_finished, full),
        at_most(
            "memory of a slow sender of 60,000 bytes", full_each / KIB, FULL_MEMORY / KIB, "KiB"
        ),
        exactly("descriptors that are left", left, 0),
        *askers.timed_figures(),
    ]


def _trickle(slow: list[socket.socket], seconds: int) -> None:
    """Have each send a byte a second, evenly spread."""
    step = 1 / STEPS
    due = time.monotonic()
    for number in range(seconds * STEPS):
        for sock in slow[number % STEPS :: STEPS]:
            send(sock, b"x")
        due += step
        time.sleep(max(0, due - time.monotonic()))


def _finish(slow: list[socket.socket]) -> int:
    """End all requests; count the replies."""
    return ask_all(slow, b"\n", REPLY)
