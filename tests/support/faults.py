"""Replies for tests of faults, and what a client sees of them."""

from collections.abc import Iterable, Sequence
from random import Random

from attrs import frozen
from hypothesis import settings

from reqresp.faults import Fault, FaultInjector, PlacedFault
from reqresp.steps import Abort, Close, HalfClose, Hang, Send, Step, Steps, Wait

PROPERTY = settings(derandomize=True, max_examples=200)


def dice_of(seed: int) -> Random:
    return Random(seed)  # noqa: S311 (it must be predictable)


#: Dice for tests that do not depend on them.
DICE = dice_of(0)
SILENCE: Steps = ()


def raw(data: bytes) -> Send:
    return Send(data, raw=True)


REPLY: Steps = (raw(b"Hello"), Wait(0.25), raw(b", world\r\n"), Close())


@frozen
class Seen:
    """What a client sees of a reply: when which bytes arrive, and when and how it ends."""

    arrivals: list[tuple[float, bytes]]
    end: tuple[float, Step | None]

    @property
    def data(self) -> bytes:
        return b"".join(data for _, data in self.arrivals)

    @property
    def segments(self) -> list[bytes]:
        """Return the segments: bytes with no time between them are one segment."""
        return [data for _, data in self.arrivals]


def see(*replies: Steps) -> Seen:
    """Return what a client sees when a connection performs *replies*."""
    arrivals: list[tuple[float, bytes]] = []
    now = 0.0
    apart = True  # since something was sent, time has passed
    for step in (step for reply in replies for step in reply):
        match step:
            case Send(data) if data and apart:
                arrivals.append((now, data))
                apart = False
            case Send(data) if data:
                arrivals[-1] = now, arrivals[-1][1] + data
            case Wait(seconds):
                now += seconds
                apart = apart or seconds > 0
            case Close() | HalfClose() | Abort() | Hang():
                return Seen(arrivals, (now, step))
    return Seen(arrivals, (now, None))


class Injected:
    """Injects *faults* on one connection; the key of each is its number."""

    def __init__(self, faults: Sequence[Fault], seed: int, connection: int) -> None:
        self._injector = FaultInjector(seed, connection)
        self._placed = [PlacedFault(str(place), fault) for place, fault in enumerate(faults)]

    def inject(
        self, steps: Steps, among: Iterable[int] | None = None
    ) -> tuple[Steps, tuple[str, ...]]:
        """Inject the faults at the places *among*, or all faults."""
        placed = self._placed
        return self._injector.inject(
            steps, placed if among is None else [placed[place] for place in among]
        )


def apply_all(fault: Fault, replies: Iterable[Steps]) -> list[Steps]:
    """Return consecutive replies of one connection after *fault*, up to the one that ends it."""
    injector = Injected([fault], 1, 1)
    changed: list[Steps] = []
    for reply in replies:
        changed.append(injector.inject(reply)[0])
        if see(changed[-1]).end[1] is not None:
            break
    return changed
