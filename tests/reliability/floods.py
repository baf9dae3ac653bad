"""Floods: twenty clients that send empty requests for ever, to a script with one template."""

import selectors
import socket
import time
from pathlib import Path
from statistics import median

from tests.reliability.askers import Askers
from tests.reliability.crowd import crowd
from tests.reliability.serving import serving, tracebacks, working_directory
from tests.reliability.values import (
    TELLING,
    Figure,
    Say,
    at_least,
    at_most,
    exactly,
    scaled,
    unbounded,
)

FLOODS = 20
#: What each client sends, again and again: requests as short as they can be.
FLOOD = memoryview(b"\n" * 64_000)
SCRIPT = """rule = [{ reply = { template = "re: {0}" } }]\n"""
#: The other client, and the pause between its requests in milliseconds.
REQUEST = b"request\n"
REPLY = b"re: request\r\n"
PAUSE = 5
ROUNDS = 5
SECONDS = 4.0
#: The longest time for one of its replies, in milliseconds: the median of the rounds, since what
#: else the machine does adds to it.  At a small scale, far less than a flood would take as a whole.
WORST = 50
WORST_AT_SMALL_SCALE = 500
#: Passes on only those lines of a server's log that are looked for.
FILTER = ("bash", "-c", """exec "$0" "$@" > >(exec grep -E --line-buffered 'starting|Traceback')""")


def run(scale: float, say: Say) -> list[Figure]:
    """Time the replies to another client beside the floods, without and with a log of requests."""
    with working_directory() as directory:
        directory.joinpath("it.toml").write_text(SCRIPT)
        return [
            figure
            for is_quiet in (True, False)
            for figure in _beside_floods(directory, scale, say, is_quiet=is_quiet)
        ]


def _beside_floods(directory: Path, scale: float, say: Say, *, is_quiet: bool) -> list[Figure]:
    rounds, seconds = scaled(ROUNDS, scale, 3), max(1.0, SECONDS * min(scale, 1))
    how = "without a log" if is_quiet else "with a log of all requests"
    with (
        serving("--script=it.toml", directory=directory, is_quiet=is_quiet, wrap=FILTER) as server,
        Askers(server.port, 1, pause=PAUSE, request=REQUEST, reply=REPLY) as asker,
    ):
        worst: list[float] = []
        received: list[int] = []
        for number in range(1, rounds + 1):
            with crowd(server.port, FLOODS) as hostile:
                asker.times()
                received.append(flood(hostile, seconds))
                # Without a reply in the round, all of it is a wait that has not ended.
                worst.append(1000 * max(asker.times(), default=seconds))
            say(f"{how}, round {number} of {rounds}: longest time {worst[-1]:.1f} ms")
    bound = WORST if scale >= TELLING else WORST_AT_SMALL_SCALE
    return [
        at_most(f"longest time of another client {how}, median", median(worst), bound, "ms"),
        unbounded("longest of all", max(worst), "ms"),
        at_least("replies to the floods", sum(received) // len(REPLY), FLOODS),
        exactly("tracebacks in the log", tracebacks(server), 0),
        *asker.figures(),
    ]


def flood(sockets: list[socket.socket], seconds: float) -> int:
    """Send `FLOOD` on *sockets* again and again; return how many bytes they have received."""
    sent = dict.fromkeys(sockets, 0)
    received = 0
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for sock in sockets:
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, sock)
        while (left := deadline - time.monotonic()) > 0:
            for key, events in selector.select(left):
                sock = key.data
                if events & selectors.EVENT_READ:
                    received += len(sock.recv(256 * 1024))
                if events & selectors.EVENT_WRITE:
                    sent[sock] += sock.send(FLOOD[sent[sock] % len(FLOOD) :])
    return received
