"""Never readers: clients that ask for much, over and over, and read nothing of it."""

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
#: What each tries to send: more than the kernel and the server together hold.
TRIES = 512 * KIB
#: Bytes of memory for each: 64 KiB of replies and one more reply, 64 KiB of requests that wait, the
#: 4 KiB of these that are cut up, in sixteen times their size; and half as much again for malloc.
BYTES = (64 * KIB + REPLY_BYTES + 64 * KIB + 64 * KIB) * 3 // 2


#: Percent of a processor that the server uses at most when nothing is left for it to do but to
#: serve the others.
STUCK = 50


def run(scale: float, say: Say) -> list[Figure]:
    """Let them send until the server takes no more, and longer; then reset them all."""
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
        exactly("connections that stand, though they do not read", standing, count),
        at_most("memory of a client that does not read", each / KIB, BYTES / KIB, "KiB"),
        at_most("processor used while they are stuck, and others ask", used, STUCK, "%"),
        exactly("descriptors that are left when they reset", left, 0),
        exactly("tracebacks in the log", tracebacks(server), 0),
        exactly("clients that are served afterwards", served, 50),
        *askers.timed_figures(),
    ]
