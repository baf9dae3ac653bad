"""
Luck: which faults strike the replies of one connection, and how.

Keeps what a connection's faults have to remember, and nothing of what they do.
"""

from collections.abc import Iterable
from random import Random

from reqresp.cutting import sent
from reqresp.faults import KINDS, Placed
from reqresp.messages import Steps

_NAMES = {kind: name for name, kind in KINDS.items()}


class Luck:
    """
    The dice of each fault on one connection, and how much each has let out there.

    The dice are made of *seed*, the number of the *connection* and the fault's key: nothing that
    other connections or other faults do changes how they fall.
    """

    __slots__ = ("_dice", "_passed", "_seed")

    def __init__(self, seed: int, connection: int) -> None:
        self._seed = f"{seed}/{connection}"
        self._dice: dict[str, Random] = {}  # made late: they take more than an idle connection
        self._passed: dict[str, int] = {}

    def strike(self, steps: Steps, faults: Iterable[Placed]) -> tuple[Steps, tuple[str, ...]]:
        """
        Give what becomes of *steps*, and the names of those of *faults* that changed them.

        They strike in this order.  What a fault is not asked about does not count as let out by it.
        """
        names: list[str] = []
        size = sent(steps)
        for placed in faults:
            key, fault = placed.key, placed.fault
            passed = self._passed.get(key, 0)
            struck = fault.strike(steps, self._dice_of(key), passed)
            if struck != steps:
                names.append(_NAMES.get(type(fault), type(fault).__name__))
                steps, size = struck, sent(struck)
            self._passed[key] = passed + size
        return steps, tuple(names)

    def _dice_of(self, key: str) -> Random:
        dice = self._dice.get(key)
        if dice is None:
            # Text is hashed by SHA-512 here: the same dice in every process.
            dice = Random(f"{self._seed}/{key}")  # noqa: S311 (to be foreseen is their purpose)
            self._dice[key] = dice
        return dice
