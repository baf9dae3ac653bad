"""
Luck: which faults strike the replies of one connection, and how.

Keeps what a connection's faults have to remember, and nothing of what they do.
"""

from collections.abc import Iterable, Sequence
from random import Random

from reqresp.cutting import sent
from reqresp.faults import KINDS, Fault
from reqresp.messages import Steps

_NAMES = {kind: name for name, kind in KINDS.items()}


class Luck:
    """
    The dice of each of *faults* on one connection, and how much each has let out there.

    The dice are made of *seed*, the number of the *connection* and the fault's place among
    *faults*: nothing that other connections or other faults do changes how they fall.
    """

    __slots__ = ("_dice", "_faults", "_passed", "_seed")

    def __init__(self, faults: Sequence[Fault], seed: int, connection: int) -> None:
        self._faults = faults
        self._seed = f"{seed}/{connection}"
        self._dice: dict[int, Random] = {}  # made late: they take more than an idle connection
        self._passed = [0] * len(faults)

    def strike(
        self, steps: Steps, among: Iterable[int] | None = None
    ) -> tuple[Steps, tuple[str, ...]]:
        """
        Give what becomes of *steps*, and the names of the faults that changed them.

        :param among: the places of the faults to ask, in this order (left out: all).  What a fault
            is not asked about does not count as let out by it.
        """
        names: list[str] = []
        size = sent(steps)
        for place in range(len(self._faults)) if among is None else among:
            fault = self._faults[place]
            struck = fault.strike(steps, self._dice_of(place), self._passed[place])
            if struck != steps:
                names.append(_NAMES.get(type(fault), type(fault).__name__))
                steps, size = struck, sent(struck)
            self._passed[place] += size
        return steps, tuple(names)

    def _dice_of(self, place: int) -> Random:
        dice = self._dice.get(place)
        if dice is None:
            # Text is hashed by SHA-512 here: the same dice in every process.
            dice = Random(f"{self._seed}/{place}")  # noqa: S311 (to be foreseen is their purpose)
            self._dice[place] = dice
        return dice
