"""
Which faults are injected into the replies of one connection, and with what randomness.

Keeps what the faults of a connection have to remember, and does not know what each of them does.
"""

from collections.abc import Iterable
from hashlib import blake2b

from attrs import define, evolve

from reqresp.faults._pieces import sent
from reqresp.faults.faults import PlacedFault, name_of
from reqresp.steps import ReplyFault, Steps


@define
class SeededDice:
    """Random numbers that *seed* determines; takes 3 kB less than `random.Random`."""

    seed: str
    thrown: int = 0

    def random(self) -> float:
        """Return a float in [0, 1)."""
        return self.getrandbits(53) / 2**53

    def getrandbits(self, k: int) -> int:
        """Return an integer of *k* bits, at most 64."""
        self.thrown += 1
        digest = blake2b(f"{self.seed}/{self.thrown}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") >> (64 - k)


class FaultInjector:
    """
    Injects faults into the replies of one connection.

    Keeps the dice of each fault, and how many bytes it has let through.  The dice are seeded with
    *seed*, the number of the *connection* and the fault's key, so other connections and other
    faults do not change them.
    """

    __slots__ = ("_dice", "_passed", "_seed")

    def __init__(self, seed: int, connection: int) -> None:
        self._seed = f"{seed}/{connection}"
        self._dice: dict[str, SeededDice] = {}
        self._passed: dict[str, int] = {}

    def inject(self, steps: Steps, faults: Iterable[ReplyFault]) -> tuple[Steps, tuple[str, ...]]:
        """
        Return the changed *steps*, and the names of those of *faults* that changed them.

        The faults are applied in this order.  A fault counts only bytes of replies that it was
        applied to.
        """
        names: list[str] = []
        size = sent(steps)
        for placed in faults:
            key, fault = placed.key, placed.fault
            passed = self._passed.get(key, 0)
            changed = fault.apply(steps, self._dice_of(key), passed)
            if changed != steps:
                names.append(name_of(fault))
                steps, size = changed, sent(changed)
            self._passed[key] = passed + size
        return steps, tuple(names)

    def on_connect(self, faults: Iterable[PlacedFault]) -> tuple[PlacedFault, ...]:
        """
        Return those of *faults* that apply to this connection.

        Throws the dice of those that are drawn once for a connection.  Those that are drawn then
        apply to every reply.
        """
        return tuple(
            evolve(placed, fault=evolve(placed.fault, probability=1.0))
            if placed.on_connect
            else placed
            for placed in faults
            if not placed.on_connect
            or self._dice_of(placed.key).random() < placed.fault.probability
        )

    def _dice_of(self, key: str) -> SeededDice:
        dice = self._dice.get(key)
        if dice is None:
            dice = self._dice[key] = SeededDice(f"{self._seed}/{key}")
        return dice
