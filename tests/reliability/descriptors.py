"""Descriptors: more clients than the server's limit of open files."""

import time
from collections import Counter

from tests.reliability.askers import CALM, REPLY, REQUEST, Askers
from tests.reliability.crowd import ask_all, crowd, listen_to
from tests.reliability.serving import (
    back_to,
    descriptors,
    descriptors_allowed,
    serving,
    share,
    tracebacks,
    until,
)
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

#: The limit of open files of the server, and how many it reserves for other uses than clients.
FILES = 256
RESERVED = 128
SURPLUS = 2000
ROUNDS = 5
#: The regular clients, and those that connect when descriptors are free again.
OTHERS = 20
LATER = 100


def run(scale: float, say: Say) -> list[Figure]:
    """Let the kernel refuse clients, then the default of --max-connections."""
    with descriptors_allowed(SURPLUS + 1000):
        return [*_by_kernel(scale, say), *_by_limit(scale, say)]


def _by_kernel(scale: float, say: Say) -> list[Figure]:
    surplus, rounds = scaled(SURPLUS, scale, 400), scaled(ROUNDS, scale, 2)
    seconds = 2.0 if scale >= TELLING else 0.5
    used: list[float] = []
    served: list[int] = []
    left: list[int] = []
    with (
        serving("--framing=line", "--max-connections=100000", wrap=_limited()) as server,
        Askers(server.port, OTHERS, pause=CALM) as askers,
    ):
        before = descriptors(server)
        for number in range(1, rounds + 1):
            with crowd(server.port, surplus):
                until(lambda: descriptors(server) == FILES)
                time.sleep(0.2)  # until the server has seen all of them
                used.append(share(server, seconds))
                say(
                    f"round {number} of {rounds}: {descriptors(server)} of {FILES} files open, "
                    f"{surplus:,} more clients, {used[-1]:.0f} % of a processor used"
                )
            left.append(back_to(server, before) - before)
            with crowd(server.port, LATER) as later:
                served.append(ask_all(later, REQUEST, REPLY))
            back_to(server, before)
    lines = server.log.lines()
    met, about, closed = (
        sum(words in line for line in lines)
        for words in ("EMFILE encountered", "EMFILE", "Closed socket")
    )
    return [
        at_least("times that accept had no free descriptor", met, 1),
        at_most("processor used in that state", max(used), 50, "%"),
        exactly("leaked descriptors after the clients have ended", max(left), 0),
        exactly("clients that are served then, without a restart", min(served), LATER),
        exactly("tracebacks in the log", tracebacks(server), 0),
        unbounded("log lines for each client that the kernel refused", about / max(1, closed)),
        *askers.timed_figures(),
    ]


def _by_limit(scale: float, say: Say) -> list[Figure]:
    count = scaled(SURPLUS, scale, 400)
    room = FILES - RESERVED - OTHERS
    with (
        serving("--framing=line", wrap=_limited()) as server,
        Askers(server.port, OTHERS, pause=CALM) as askers,
    ):
        before = descriptors(server)
        say(f"{count:,} clients; the default is {FILES - RESERVED} connections")
        # Ends arrive one after another: wait a second after the last one.
        with crowd(server.port, count) as many:
            fates = listen_to(many, None, patience=1.0)
            ends = Counter(fate.ended for fate in fates)
            stand = [sock for sock, fate in zip(many, fates, strict=True) if fate.ended is None]
            answered = ask_all(stand, REQUEST, REPLY)
        left = back_to(server, before) - before
        with crowd(server.port, LATER) as later:
            served = ask_all(later, REQUEST, REPLY)
    refused = len([line for line in server.log.lines() if ": refused, " in line])
    return [
        exactly("of 128 connections, those that are open and served", answered, room),
        exactly("clients over --max-connections that are reset", ends["ECONNRESET"], count - room),
        exactly("clients that are served after these have ended", served, LATER),
        exactly("leaked descriptors", left, 0),
        at_most("log lines, at most one a second", refused, 60),
        *askers.timed_figures(),
    ]


def _limited() -> list[str]:
    return ["prlimit", f"--nofile={FILES}"]
