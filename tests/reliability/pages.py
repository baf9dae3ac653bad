"""Pages: metrics pages that are asked for without end, or by clients that say nothing."""

import signal
import socket
import time

from tests.reliability.askers import Askers
from tests.reliability.crowd import crowd, listen_to, send
from tests.reliability.serving import (
    back_to,
    descriptors,
    descriptors_allowed,
    serving,
    tracebacks,
)
from tests.reliability.values import Figure, Say, at_least, at_most, exactly, scaled, unbounded
from tests.reliability.waits import PAUSE, longest_waits
from tests.support.live import Server

#: The clients that connect and say nothing: more than the pages have places.
SILENT = 200
#: How often a load balancer asks beside them.
CHECKS = 200
#: The clients that send requests for the metrics without waiting, and how many each sends: 60 kB.
FLOODS = 20
PIPELINED = 1500
REQUEST = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
PAGE = b"HTTP/1.1 200 OK\r\n"
#: The longest time from SIGTERM to the end of the server beside such clients, in seconds.
STOPPED = 5.0


def run(scale: float, say: Say) -> list[Figure]:
    """Check ``/readyz`` beside silent clients, time a client beside floods, and stop the server."""
    with (
        descriptors_allowed(SILENT + 1000),
        serving("--framing=line", "--metrics=0", ports=2) as server,
    ):
        with Askers(server.port, 1, pause=PAUSE) as asker:
            silent = _beside_silent_clients(server, scale, say)
            pipelined = _beside_floods(server, asker, scale, say)
        stopped = _stop(server, say)
    return [
        *silent,
        *pipelined,
        *stopped,
        exactly("tracebacks in the log", tracebacks(server), 0),
        *asker.figures(),
    ]


def _beside_silent_clients(server: Server, scale: float, say: Say) -> list[Figure]:
    checks = scaled(CHECKS, scale, 20)
    page = server.ports[1]
    files = descriptors(server)
    say(f"{SILENT} silent clients, and {checks} requests for /readyz")
    times: list[float] = []
    with crowd(page, SILENT):
        ready = sum(_is_ready(page, times) for _ in range(checks))
        held = descriptors(server) - files
    left = back_to(server, files) - files
    return [
        exactly("requests for /readyz that are answered beside silent clients", ready, checks),
        unbounded("longest time of these", 1000 * max(times), "ms"),
        at_most("connections to the pages that are open", held, 64),
        exactly("leaked descriptors", left, 0),
    ]


def _is_ready(port: int, times: list[float]) -> bool:
    """Ask as a load balancer does, and add how long it took to *times*."""
    began = time.perf_counter()
    with crowd(port, 1) as [client]:
        send(client, b"GET /readyz HTTP/1.0\r\n\r\n")
        [fate] = listen_to([client], None)
    times.append(time.perf_counter() - began)
    return fate.received.endswith(b"\r\n\r\nready\n")


def _beside_floods(server: Server, asker: Askers, scale: float, say: Say) -> list[Figure]:
    connections = pages = 0

    def beside(seconds: float) -> None:
        nonlocal connections, pages
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            with crowd(server.ports[1], FLOODS) as clients:
                _flood(clients)
                fates = listen_to(clients, None)
            connections += len(fates)
            pages += sum(fate.received.count(PAGE) for fate in fates)

    waits = longest_waits(asker, scale, say, "beside pipelined requests", beside)
    return [
        at_least(f"connections with {PIPELINED:,} requests for metrics", connections, FLOODS),
        exactly("pages for these, one each", pages, connections),
        *waits,
    ]


def _flood(clients: list[socket.socket]) -> None:
    for client in clients:
        send(client, REQUEST * PIPELINED)


def _stop(server: Server, say: Say) -> list[Figure]:
    with crowd(server.ports[1], FLOODS) as clients:
        _flood(clients)
        say("SIGTERM beside pipelined requests")
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        status = server.wait()
        took = time.monotonic() - began
    return [
        exactly("exit status: ended by SIGTERM", status, -signal.SIGTERM),
        at_most("time until the end", took, STOPPED, "s"),
    ]
