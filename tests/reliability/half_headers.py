"""Half headers: connections that begin as a balancer's do, and never say whose they are."""

import time

from tests.reliability.askers import CALM, Askers
from tests.reliability.crowd import crowd, listen_to, send
from tests.reliability.serving import (
    back_to,
    descriptors,
    descriptors_allowed,
    serving,
    tracebacks,
)
from tests.reliability.values import Figure, Say, at_most, exactly, scaled

CONNECTIONS = 5000
#: What each sends: nothing, some of either header, all of one but for what it says will follow.
BEGINNINGS = (
    b"",
    b"PROXY TCP4 127.0.0.1 ",
    bytes.fromhex("0d0a0d0a000d0a51554954"),
    bytes.fromhex("0d0a0d0a000d0a515549540a 2111 1000") + bytes(4000),
)
#: What the others begin with.
HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 9999\r\n"
#: Bytes of memory for each, the 4 KiB that a header may have included.
BYTES = 8 * 1024


def run(scale: float, say: Say) -> list[Figure]:
    """Have them wait until the server has lost patience, while others are served."""
    count = scaled(CONNECTIONS, scale, 200)
    with (
        descriptors_allowed(count + 1000),
        serving("--framing=line", "--proxy-protocol") as server,
        Askers(server.port, pause=CALM, opening=HEADER) as askers,
    ):
        before, files = server.memory(), descriptors(server)
        say(f"{count:,} connections, each with half a PROXY header at most")
        with crowd(server.port, count) as nobodies:
            for number, sock in enumerate(nobodies):
                send(sock, BEGINNINGS[number % len(BEGINNINGS)])
            time.sleep(0.5)
            each = (server.memory() - before) / count
            say("until the server waits no more")
            fates = listen_to(nobodies, None)
            ends = sum(fate.ended == "ECONNRESET" and not fate.received for fate in fates)
            left = back_to(server, files) - files
    told = sum("no PROXY header came within" in line for line in server.log.lines())
    return [
        at_most("memory of a connection whose header does not come", each, BYTES, "bytes"),
        exactly("of these, reset when time is up", ends, count),
        exactly("of these, named in the log", told, count),
        exactly("descriptors that are left", left, 0),
        exactly("tracebacks in the log", tracebacks(server), 0),
        *askers.timed_figures(),
    ]
