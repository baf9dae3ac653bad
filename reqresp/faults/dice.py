"""
Luck: which faults strike the replies of one connection, and how.

Keeps what a connection's faults have to remember, and nothing of what they do.
"""

from collections.abc import Iterable
from hashlib import blake2b

from attrs import define, evolve

from reqresp.faults._pieces import sent
from reqresp.faults.faults import PlacedFault, name_of
from reqresp.steps import Steps


@define
class Throws:
    """Dice that fall as *seed* has it; smaller than `random.Random` by 3 kB."""

    seed: str
    thrown: int = 0

    def random(self) -> float:
        """Give a number from 0 to 1, which it is not."""
        return self.getrandbits(53) / 2**53

    def getrandbits(self, k: int) -> int:
        """Give a number of *k* bits, 64 at most."""
        self.thrown += 1
        digest = blake2b(f"{self.seed}/{self.thrown}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") >> (64 - k)


class Luck:
    """
    The dice of each fault on one connection, and how much each has let out there.

    The dice are made of *seed*, the number of the *connection* and the fault's key: nothing that
    other connections or other faults do changes how they fall.
    """

    __slots__ = ("_dice", "_passed", "_seed")

    def __init__(self, seed: int, connection: int) -> None:
        self._seed = f"{seed}/{connection}"
        self._dice: dict[str, Throws] = {}
        self._passed: dict[str, int] = {}

    def strike(self, steps: Steps, faults: Iterable[PlacedFault]) -> tuple[Steps, tuple[str, ...]]:
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
                names.append(name_of(fault))
                steps, size = struck, sent(struck)
            self._passed[key] = passed + size
        return steps, tuple(names)

    def on_connect(self, faults: Iterable[PlacedFault]) -> tuple[PlacedFault, ...]:
        """Give those of *faults* that strike here: whether a connection's does is found out now."""
        return tuple(
            evolve(placed, fault=evolve(placed.fault, probability=1.0))
            if placed.on_connect
            else placed
            for placed in faults
            if not placed.on_connect
            or self._dice_of(placed.key).random() < placed.fault.probability
        )

    def _dice_of(self, key: str) -> Throws:
        dice = self._dice.get(key)
        if dice is None:
            dice = self._dice[key] = Throws(f"{self._seed}/{key}")
        return dice
