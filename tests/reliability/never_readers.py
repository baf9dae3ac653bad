"""Never readers: clients that send many requests and read no reply."""

import time

from tests.reliability.askers import CALM, REQUEST, Askers
from tests.reliability.crowd import ask_all, crowd, send
from tests.reliability.serving import (
    KIB,
    back_to,
    descriptors,
    descriptors_allowed,
    serving,
    share,
    tracebacks,
    until,
)
from tests.reliability.values import TELLING, Figure, Say, at_most, exactly, scaled

CONNECTIONS = 1000
REPLY_BYTES = 10_000
#: The bytes that each client tries to send: more than kernel and server together buffer.
TRIES = 512 * KIB
#: The memory for each, in bytes: 64 KiB of replies and one more reply, 64 KiB of waiting data, and
#: 4 KiB of it as decoded requests, which take sixteen times their size; half as much for malloc.
BYTES = (64 * KIB + REPLY_BYTES + 64 * KIB + 64 * KIB) * 3 // 2


#: The percent of a processor that the server uses at most to serve only the regular clients.
STUCK = 50


def run(scale: float, say: Say) -> list[Figure]:
    """Send until the server stops reading, and longer; then reset all clients."""
    count = scaled(CONNECTIONS, scale, 50)
    reply = b"x" * REPLY_BYTES + b"\r\n"
    with (
        descriptors_allowed(count + 1000),
        serving("--framing=line", f"--response={'x' * REPLY_BYTES}") as server,
        Askers(server.port, pause=CALM, reply=reply) as askers,
    ):
        before, files = server.memory(), descriptors(server)
        with crowd(server.port, count, narrow=True) as hostile:
            say(f"{count:,} clients send requests of 2 bytes for replies of {REPLY_BYTES:,}")
            piece = b"r\n" * (32 * KIB)
            for _ in range(TRIES // len(piece)):
                standing = sum([send(sock, piece) for sock in hostile])
                time.sleep(0.1)
            until(lambda: share(server, 0.2) < STUCK)
            each = (server.memory() - before) / count
            used = share(server, 2.0 if scale >= TELLING else 0.5)
            say("all of them reset")
        left = back_to(server, files) - files
        with crowd(server.port, 50) as later:
            served = ask_all(later, REQUEST, reply)
    return [
        exactly("open connections that do not read", standing, count),
        at_most("memory of a client that does not read", each / KIB, BYTES / KIB, "KiB"),
        at_most("processor used while they are paused", used, STUCK, "%"),
        exactly("leaked descriptors after their reset", left, 0),
        exactly("tracebacks in the log", tracebacks(server), 0),
        exactly("clients that are served afterwards", served, 50),
        *askers.timed_figures(),
    ]
