"""Endless requests: clients that add a byte now and then to a request that they never finish."""

import selectors
import socket
import time

from tests.reliability.askers import CALM, REPLY, REQUEST, Askers
from tests.reliability.crowd import ask_all, crowd, send
from tests.reliability.serving import (
    KIB,
    back_to,
    descriptors,
    descriptors_allowed,
    metrics,
    reported,
    serving,
    tracebacks,
    up_to,
)
from tests.reliability.values import TELLING, Figure, Say, at_most, exactly, scaled

CONNECTIONS = 2000
#: The bytes of its request that each sends at once.
BEGINNING = b"x" * 40_000
#: The clients that are between two requests.
OTHERS = 100
#: The server's --request-timeout, in seconds.  It may take a quarter more.
TIMEOUT = 10
TIMEOUT_AT_SMALL_SCALE = 2
#: The further bytes that each client sends in that time.
BYTES_IN_TIME = 8
#: How much later a connection may end, in seconds: the server has thousands to read from.
LATE = 2.0
LATE_AT_SMALL_SCALE = 10.0
#: Seconds after which nothing more is waited for.
ALL_ENDED = 10.0
#: The memory of such a request, in bytes.
BYTES = 96 * KIB


def run(scale: float, say: Say) -> list[Figure]:
    """Add bytes until the server closes the connections, while regular clients are served."""
    count = scaled(CONNECTIONS, scale, 200)
    timeout, late = (
        (TIMEOUT, LATE) if scale >= TELLING else (TIMEOUT_AT_SMALL_SCALE, LATE_AT_SMALL_SCALE)
    )
    with (
        descriptors_allowed(count + OTHERS + 1000),
        serving(
            *("--framing=line", f"--request-timeout={timeout}", "--metrics=0"), ports=2
        ) as server,
        Askers(server.port, pause=CALM) as askers,
        crowd(server.port, OTHERS) as others,
    ):
        ask_all(others, REQUEST, REPLY)
        before, files = server.memory(), descriptors(server)
        say(f"{count:,} clients send {len(BEGINNING):,} bytes of a request, then a byte each time")
        with crowd(server.port, count) as clients:
            endless = Endless(clients, timeout / BYTES_IN_TIME)
            endless.add_bytes(timeout / 2)
            each = (server.memory() - before) / count
            early = up_to(server, files + count, ALL_ENDED) - files
            say("waiting for the server's timeout")
            endless.add_bytes(timeout + ALL_ENDED)
        left = back_to(server, files) - files
        times = endless.times
        counted = reported(server, "took too long to arrive", count)
        measured = metrics(server)['reqresp_malformed_total{kind="request_timeout"}']
        say("the clients between two requests send one")
        served = ask_all(others, REQUEST, REPLY)
    return [
        at_most("memory of an endless request", each / KIB, BYTES / KIB, "KiB"),
        exactly("of these, open after half of the timeout", early, count),
        exactly("of these, closed after the timeout", len(times), count),
        exactly("of these, closed before it", sum(took < timeout for took in times), 0),
        at_most("longest time until then", max(times, default=0.0), timeout * 1.25 + late, "s"),
        exactly("of these, counted in the metrics", round(measured), count),
        exactly("of these, logged or counted in the log", counted, count),
        exactly("clients between two requests that stay, and get a reply", served, OTHERS),
        exactly("leaked descriptors", left, 0),
        exactly("tracebacks in the log", tracebacks(server), 0),
        *askers.timed_figures(),
    ]


class Endless:
    """
    Clients, each with a request that it has begun.

    :param pause: seconds between two further bytes.
    """

    def __init__(self, clients: list[socket.socket], pause: float) -> None:
        #: Seconds from the beginning of each request to the end of its connection.
        self.times: list[float] = []
        self._pause = pause
        self._begun: dict[socket.socket, float] = {}
        for client in clients:
            self._begun[client] = time.monotonic()
            send(client, BEGINNING)

    def add_bytes(self, seconds: float) -> None:
        """Let each client send a byte now and then, for *seconds* or until all are closed."""
        ends = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            for client in self._begun:
                selector.register(client, selectors.EVENT_READ, client)
            while self._begun and time.monotonic() < ends:
                for client in self._begun:
                    send(client, b"x")
                self._note_ends(selector)

    def _note_ends(self, selector: selectors.BaseSelector) -> None:
        turn = time.monotonic() + self._pause
        while (left := turn - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                if _has_ended(key.data):
                    selector.unregister(key.data)
                    self.times.append(time.monotonic() - self._begun.pop(key.data))


def _has_ended(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:  # its last byte arrived after the connection had been closed
        return True
