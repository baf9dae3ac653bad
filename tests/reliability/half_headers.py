"""Half headers: connections with incomplete PROXY headers."""

import time

from tests.reliability.askers import CALM, Askers
from tests.reliability.crowd import crowd, listen_to, send
from tests.reliability.serving import (
    back_to,
    descriptors,
    descriptors_allowed,
    metrics,
    reported,
    serving,
    tracebacks,
    up_to,
)
from tests.reliability.values import Figure, Say, at_least, at_most, exactly, scaled

CONNECTIONS = 5000
#: The bytes that clients send: none, a part of either version, a header without its last bytes.
BEGINNINGS = (
    b"",
    b"PROXY TCP4 127.0.0.1 ",
    bytes.fromhex("0d0a0d0a000d0a51554954"),
    bytes.fromhex("0d0a0d0a000d0a515549540a 2111 1000") + bytes(4000),
)
#: The header of the regular clients.
HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 9999\r\n"
#: Seconds without any reset after which nothing more is waited for: the server's timeout is 5 s.
ALL_ENDED = 15.0
#: Seconds in which they are accepted, less than the timeout.
EARLY = 3.0
_WORDS = "no PROXY header within"
#: The memory for each connection, in bytes, including the 4 KiB of a header.
BYTES = 8 * 1024


def run(scale: float, say: Say) -> list[Figure]:
    """Hold such connections until the server's timeout, while regular clients are served."""
    count = scaled(CONNECTIONS, scale, 200)
    with (
        descriptors_allowed(count + 1000),
        serving("--framing=line", "--proxy-protocol", "--metrics=0", ports=2) as server,
        Askers(server.port, pause=CALM, opening=HEADER) as askers,
    ):
        before, files = server.memory(), descriptors(server)
        say(f"{count:,} connections, each with a part of a PROXY header")
        with crowd(server.port, count) as clients:
            for number, sock in enumerate(clients):
                send(sock, BEGINNINGS[number % len(BEGINNINGS)])
            early = up_to(server, files + count, EARLY) - files
            time.sleep(0.5)  # until the server has read what they sent
            each = (server.memory() - before) / count
            say("waiting for the server's timeout")
            fates = listen_to(clients, None, ALL_ENDED)
            ends = sum(fate.ended == "ECONNRESET" and not fate.received for fate in fates)
            left = back_to(server, files, ALL_ENDED) - files
        counted = metrics(server)['reqresp_malformed_total{kind="proxy_header"}']
        logged = reported(server, _WORDS, count)
    named = sum(_WORDS in line for line in server.log.lines())
    return [
        at_most("memory of a connection without a complete header", each, BYTES, "bytes"),
        at_least("of these, open at first", early, count // 2),
        exactly("of these, reset after the timeout", ends, count),
        exactly("of these, counted in the metrics", round(counted), count),
        exactly("of these, logged or counted in the log", logged, count),
        at_most("log lines about them, at most one a second", named, ALL_ENDED),
        exactly("leaked descriptors", left, 0),
        exactly("tracebacks in the log", tracebacks(server), 0),
        *askers.timed_figures(),
    ]
