"""
Which faults are injected into the replies of one connection, and with what randomness.

Keeps what the faults of a connection have to remember, and does not know what each of them does.
"""

from collections.abc import Callable, Iterable
from hashlib import blake2b

from attrs import define, evolve

from reqresp.faults._pieces import hasten, sent, split
from reqresp.faults.faults import PlacedFault
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

    :param faults: apply to all replies.  Whether a fault that is placed ``on_connect`` applies to
        this connection is decided now; then it applies to every reply.
    :param now: returns seconds, for faults that begin later.
    """

    __slots__ = ("_dice", "_faults", "_luck", "_now", "_passed", "_seed", "_waiting")

    def __init__(
        self,
        seed: int,
        connection: int,
        faults: Iterable[PlacedFault] = (),
        now: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._now = now
        # Of those that have not begun: when they do, or after how many bytes.
        self._waiting: dict[str, tuple[float, int]] = {}
        self._seed = f"{seed}/{connection}"
        self._dice: dict[str, SeededDice] = {}
        self._passed: dict[str, int] = {}
        self._luck: dict[str, float] = {}  # of those that apply to connections, drawn once
        self._faults: tuple[PlacedFault, ...] = ()
        self.use(faults)

    def use(self, faults: Iterable[PlacedFault]) -> None:
        """
        Inject these *faults* from the next reply on.

        One that was there before goes on with its dice, and with what it has let through.  What was
        drawn when it came to the connection decides, also after a change of its probability.
        """
        faults = tuple(faults)
        before = {*self._luck, *(it.key for it in self._faults)}
        for key in before.difference(it.key for it in faults):
            self._dice.pop(key, None)
            self._passed.pop(key, None)
            self._luck.pop(key, None)
            self._waiting.pop(key, None)
        for placed in faults:
            if placed.begins_later and placed.key not in before:
                self._waiting[placed.key] = self._now() + placed.after, placed.after_bytes
        self._faults = tuple(
            placed if not placed.on_connect else _certain(placed)
            for placed in faults
            if not placed.on_connect or self._is_chosen(placed)
        )

    @property
    def affects_silence(self) -> bool:
        """Whether a fault applies to a connection on which the server says nothing at first."""
        return any(map(_affects_silence, self._faults))

    def inject(
        self,
        steps: Steps,
        own: Iterable[ReplyFault] = (),
        *,
        is_silence: bool = False,
        waited: float = 0.0,
    ) -> tuple[Steps, tuple[str, ...]]:
        """
        Return the changed *steps*, and the names of those faults that changed them.

        A fault counts only bytes of replies that it was applied to.

        :param own: faults of these steps only; they are applied first.  One that begins later
            counts from the first steps that it comes with.
        :param is_silence: leave out the faults that apply to replies only.
        :param waited: seconds since the request arrived, which faults use up that count from then.
        """
        names: list[str] = []
        size = sent(steps)
        faults = [it for it in self._faults if not is_silence or _affects_silence(it)]
        for placed in own:
            if placed.begins_later and placed.key not in self._passed:
                self._waiting.setdefault(
                    placed.key, (self._now() + placed.after, placed.after_bytes)
                )
        for placed in (*own, *faults):
            key, fault = placed.key, placed.fault
            passed = self._passed.get(key, 0)
            before = self._bytes_before(key, size) if key in self._waiting else 0
            first, rest = split(steps, before) if before else ((), steps)
            changed = fault.apply(rest, self._dice_of(key), passed)
            if key in self._waiting:
                continue  # its dice are thrown, so that the time of a reply changes no other
            if waited and changed is not rest and fault.counts_from_arrival:
                changed, waited = hasten(changed, waited)
            if changed != rest:
                names.append(fault.kind)
                steps = (*first, *changed)
                size = sent(steps)
            self._passed[key] = passed + size - before
        return steps, tuple(names)

    def _bytes_before(self, key: str, size: int) -> int:
        """Return how many of *size* bytes pass before a fault begins that has waited."""
        begins, left = self._waiting[key]
        if self._now() < begins:
            return size
        if left and left >= size:
            self._waiting[key] = begins, left - size
            return size
        del self._waiting[key]
        return left

    def _is_chosen(self, placed: PlacedFault) -> bool:
        luck = self._luck.get(placed.key)
        if luck is None:
            luck = self._luck[placed.key] = self._dice_of(placed.key).random()
        return luck < placed.fault.probability

    def _dice_of(self, key: str) -> SeededDice:
        dice = self._dice.get(key)
        if dice is None:
            dice = self._dice[key] = SeededDice(f"{self._seed}/{key}")
        return dice


def _affects_silence(placed: PlacedFault) -> bool:
    return placed.on_connect and placed.fault.affects_silence and not placed.begins_later


def _certain(placed: PlacedFault) -> PlacedFault:
    return evolve(placed, fault=evolve(placed.fault, probability=1.0))
