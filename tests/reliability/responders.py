"""Responders: functions that block, raise, or never answer."""

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

#: Seconds that replies under way have when the server is stopped.
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
BLOCKING = 25
RAISING = 500
NEVER = 500
#: What each client pipelines behind a request that is never answered.
PIPELINED = 512 * KIB
#: Bytes of memory for each of them: the 64 KiB that may wait, a read of 64 KiB that came on top,
#: and as much again for what Python and malloc need to hold them.
BYTES = 2 * (64 * KIB + 64 * KIB)


def run(scale: float, say: Say) -> list[Figure]:
    """Have each kind asked by clients of its own, while 50 others go on."""
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
        say(f"{raising} requests whose responder raises")
        with crowd(server.port, raising) as clients:
            standing = [send(client, b"raise\n") for client in clients]
            resets = sum(fate.ended == "ECONNRESET" for fate in listen_to(clients, None))
        left = back_to(server, files) - files
        figures = [
            exactly("replies to those that blocked it", blocked, blocking),
            exactly("connections reset whose responder raised", resets, sum(standing)),
            exactly("tracebacks in the log, one for each", tracebacks(server), raising),
            exactly("descriptors that are left", left, 0),
        ]
        figures += _never(server, askers, never, say)
    return figures


def _never(server: Server, askers: Askers, count: int, say: Say) -> list[Figure]:
    before = server.memory()
    with crowd(server.port, count) as clients:
        say(f"{count} requests that are never answered, {PIPELINED // KIB} KiB of more behind each")
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
        fates = listen_to(clients, None)
        status = server.wait()
        took = time.monotonic() - began
    resets = sum(fate.ended == "ECONNRESET" for fate in fates)
    return [
        at_most("memory of a connection that is never answered", each / KIB, BYTES / KIB, "KiB"),
        at_least("replies to the others beside those", meanwhile, 50),
        exactly("connections never answered that are reset when it stops", resets, count),
        exactly("exit status: ended by SIGTERM", status, -signal.SIGTERM),
        at_least("seconds that it drains, all told", int(took), DRAIN),
        at_most("seconds until it has stopped, of 1 to drain", took, 30, "s"),
        *askers.timed_figures(),
    ]
