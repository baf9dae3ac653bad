"""
Waits: the longest time of a reply to a regular client, while others flood the server.

Measured in several rounds: what else the machine does adds to the longest time of some of them, so
their median has the bound.
"""

from collections.abc import Callable
from statistics import median

from tests.reliability.askers import Askers
from tests.reliability.values import TELLING, Figure, Say, at_most, scaled, unbounded

#: The pause between the requests of the regular client, in milliseconds.
PAUSE = 5
_ROUNDS = 5
#: The length of a round, in seconds, and at a small scale.
_SECONDS = 4.0
_LEAST_SECONDS = 1.0
#: The bound, in milliseconds.  At a small scale, far less than a flood would take as a whole.
_WORST = 50
_WORST_AT_SMALL_SCALE = 500


def longest_waits(
    asker: Askers, scale: float, say: Say, how: str, flood: Callable[[float], object]
) -> list[Figure]:
    """
    Return figures of the longest waits of *asker* beside floods.

    :param how: words that say what *asker* is beside.
    :param flood: floods the server for so many seconds; it is called in each round.
    """
    rounds = scaled(_ROUNDS, scale, 3)
    seconds = max(_LEAST_SECONDS, _SECONDS * min(scale, 1))
    worst: list[float] = []
    for number in range(1, rounds + 1):
        asker.times()
        flood(seconds)
        # Without a reply in the round, all of it is a wait that has not ended.
        worst.append(1000 * max(asker.times(), default=seconds))
        say(f"{how}, round {number} of {rounds}: longest time {worst[-1]:.1f} ms")
    bound = _WORST if scale >= TELLING else _WORST_AT_SMALL_SCALE
    return [
        at_most(f"longest time of another client {how}, median", median(worst), bound, "ms"),
        unbounded("longest of all", max(worst), "ms"),
    ]
