"""Idle: thousands of idle connections beside regular clients."""

import time
from statistics import median

from tests.reliability.askers import REPLY, REQUEST, Askers
from tests.reliability.crowd import ask_all, crowd
from tests.reliability.serving import descriptors_allowed, serving
from tests.reliability.values import (
    TELLING,
    Figure,
    Say,
    at_most,
    exactly,
    percentile,
    scaled,
    unbounded,
)
from tests.support.live import Server

CONNECTIONS = 10_000
ROUNDS = 5
SECONDS = 3.0
#: The connections at least: their memory can be told from noise.
LEAST = 1000
#: The server's memory for each idle connection, in bytes.
BYTES = 4096


def run(scale: float, say: Say) -> list[Figure]:
    """Time the replies to 50 regular clients, alternately without and with idle connections."""
    count = scaled(CONNECTIONS, scale, LEAST)
    with (
        descriptors_allowed(count + 1000),
        serving("--framing=line") as server,
        Askers(server.port) as askers,
    ):
        without, beside, figures = _rounds(server, askers, count, scale, say)
    ratio = median(beside) / median(without)
    what = "p99 with idle connections, relative to without"
    return [
        *figures,
        unbounded("p99 without idle connections", median(without) * 1000, "ms"),
        unbounded("p99 with idle connections", median(beside) * 1000, "ms"),
        at_most(what, ratio, 2.0, "x") if scale >= TELLING else unbounded(what, ratio, "x"),
        *askers.figures(),
    ]


def _rounds(
    server: Server, askers: Askers, count: int, scale: float, say: Say
) -> tuple[list[float], list[float], list[Figure]]:
    rounds = scaled(ROUNDS, scale, 2)
    seconds = max(0.2, SECONDS * min(scale, 1))
    without: list[float] = []
    beside: list[float] = []
    answered: list[int] = []
    each = 0.0
    _p99(askers, seconds)  # warm-up
    for number in range(1, rounds + 1):
        without.append(_p99(askers, seconds))
        before = server.memory()
        with crowd(server.port, count) as idle:
            answered.append(ask_all(idle[-1:], REQUEST, REPLY))  # then all are accepted
            each = each or (server.memory() - before) / count
            beside.append(_p99(askers, seconds))
            answered[-1] = ask_all(idle, REQUEST, REPLY)
        say(
            f"round {number} of {rounds}: p99 {without[-1] * 1000:.2f} ms without, "
            f"{beside[-1] * 1000:.2f} ms with {count:,} idle connections"
        )
    return (
        without,
        beside,
        [
            exactly("idle connections that get a reply at the end", min(answered), count),
            at_most("memory of an idle connection", each, BYTES, "bytes"),
        ],
    )


def _p99(askers: Askers, seconds: float) -> float:
    askers.times()
    time.sleep(seconds)
    return percentile(askers.times(), 99)
