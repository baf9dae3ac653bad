"""Slow senders: thousands of requests that arrive one byte a second."""

import socket
import time

from tests.reliability.askers import CALM, REPLY, Askers
from tests.reliability.crowd import ask_all, crowd, send
from tests.reliability.serving import KIB, back_to, descriptors, descriptors_allowed, serving
from tests.reliability.values import Figure, Say, at_most, exactly, scaled
from tests.support.live import PATIENCE

CONNECTIONS = 5000
#: The clients that send nearly the longest request before they become slow.
FULL = 500
FULL_BYTES = 60_000
SECONDS = 15
#: The steps of a second; in each, a part of the clients sends a byte.
STEPS = 20
#: The memory for a client that has sent a few bytes, in bytes.
BYTES = 4 * KIB
#: The memory for a client that has sent nearly 64 KiB, in bytes.
FULL_MEMORY = 128 * KIB


def run(scale: float, say: Say) -> list[Figure]:
    """Start slow requests while regular clients are served, then finish the slow ones."""
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
            say("they complete their requests")
            finished = _finish(slow)
        before = server.memory()
        with crowd(server.port, full) as slow:
            say(f"{full:,} clients that have sent {FULL_BYTES:,} bytes do the same")
            for sock in slow:
                sock.settimeout(PATIENCE)
                sock.sendall(b"x" * FULL_BYTES)
            _trickle(slow, min(seconds, 5))
            full_each = max(0, server.memory() - before) / full
            say("they complete their requests")
            full_finished = _finish(slow)
        left = back_to(server, files) - files
    return [
        exactly("slow requests that get a reply at the end", finished, count),
        at_most("memory of a slow sender", each, BYTES, "bytes"),
        exactly("slow requests of 60,000 bytes that get a reply at the end", full_finished, full),
        at_most(
            "memory of a slow sender of 60,000 bytes", full_each / KIB, FULL_MEMORY / KIB, "KiB"
        ),
        exactly("leaked descriptors", left, 0),
        *askers.timed_figures(),
    ]


def _trickle(slow: list[socket.socket], seconds: int) -> None:
    """Send a byte a second from each client, evenly spread."""
    step = 1 / STEPS
    due = time.monotonic()
    for number in range(seconds * STEPS):
        for sock in slow[number % STEPS :: STEPS]:
            send(sock, b"x")
        due += step
        time.sleep(max(0, due - time.monotonic()))


def _finish(slow: list[socket.socket]) -> int:
    """Complete all requests; return the number of replies."""
    return ask_all(slow, b"\n", REPLY)
