"""Responders: functions that block, raise errors, or never reply."""

import signal
import time

from tests.reliability.askers import CALM, Askers
from tests.reliability.crowd import ask_all, crowd, listen_to, send
from tests.reliability.serving import (
    KIB,
    back_to,
    descriptors,
    descriptors_allowed,
    embedding,
    tracebacks,
)
from tests.reliability.values import Figure, Say, at_least, at_most, exactly, scaled
from tests.support.live import Server

#: The time for replies in progress when the server stops, in seconds.
DRAIN = 1
CODE = f"""
import time

def respond(request):
    if request.data == b"block":
        time.sleep(0.2)
        return b"at last"
    if request.data == b"raise":
        raise ValueError("on purpose")
    if request.data == b"never":
        return Deferred()
    return b"response"

application = serve(respond, drain={DRAIN}, framing=Line())
"""
#: Seconds without any reset after which nothing more is waited for.
ALL_ENDED = 15.0
BLOCKING = 25
RAISING = 500
NEVER = 500
#: The bytes that each client sends after a request without a reply.
PIPELINED = 512 * KIB
#: The memory for each of them, in bytes: 64 KiB of waiting data, one read of 64 KiB, and as much
#: again for Python and malloc.
BYTES = 2 * (64 * KIB + 64 * KIB)


def run(scale: float, say: Say) -> list[Figure]:
    """Send requests to each kind of function, while 50 regular clients are served."""
    blocking, raising = scaled(BLOCKING, scale, 3), scaled(RAISING, scale, 20)
    never = scaled(NEVER, scale, 30)
    with (
        descriptors_allowed(never + 1000),
        embedding(CODE) as server,
        Askers(server.port, pause=CALM) as askers,
    ):
        files = descriptors(server)
        say(f"{blocking} requests, each of which blocks the server for 0.2 s")
        with crowd(server.port, blocking) as clients:
            blocked = ask_all(clients, b"block\n", b"at last\r\n")
        say(f"{raising} requests with an error in the responder")
        with crowd(server.port, raising) as clients:
            standing = [send(client, b"raise\n") for client in clients]
            resets = sum(fate.ended == "ECONNRESET" for fate in listen_to(clients, None))
        left = back_to(server, files) - files
        figures = [
            exactly("replies to blocking requests", blocked, blocking),
            exactly("connections reset after an error in the responder", resets, sum(standing)),
            exactly("tracebacks in the log, one for each error", tracebacks(server), raising),
            exactly("leaked descriptors", left, 0),
        ]
        figures += _never(server, askers, never, say)
    return figures


def _never(server: Server, askers: Askers, count: int, say: Say) -> list[Figure]:
    before = server.memory()
    with crowd(server.port, count) as clients:
        say(f"{count} requests without a reply, each followed by {PIPELINED // KIB} KiB")
        for client in clients:
            send(client, b"never\n")
        more = b"request\n" * (8 * KIB)
        for _ in range(PIPELINED // len(more)):
            for client in clients:
                send(client, more)
            time.sleep(0.1)
        each = max(0, server.memory() - before) / count
        answered = askers.answered
        time.sleep(0.5)
        meanwhile = askers.answered - answered
        askers.stop()
        say(f"SIGTERM, with {DRAIN} s to drain")
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        fates = listen_to(clients, None, ALL_ENDED)
        if any(fate.ended is None for fate in fates):
            server.signal(signal.SIGKILL)  # it would not end
        status = server.wait()
        took = time.monotonic() - began
    resets = sum(fate.ended == "ECONNRESET" for fate in fates)
    return [
        at_most("memory of a connection without a reply", each / KIB, BYTES / KIB, "KiB"),
        at_least("replies to regular clients in the meantime", meanwhile, 50),
        exactly("connections without a reply, reset at the stop", resets, count),
        exactly("exit status: ended by SIGTERM", status, -signal.SIGTERM),
        at_least("seconds to drain", int(took), DRAIN),
        at_most("seconds until the end, with --drain 1", took, 30, "s"),
        *askers.timed_figures(),
    ]
