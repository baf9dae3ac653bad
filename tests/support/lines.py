"""Delay lines without a clock: faults that a test changes, and what leaves at which time."""

from collections.abc import Iterable
from typing import Any

from attrs import define, evolve, field

from reqresp.faults import DirectedFault, Fault, SeededDice
from reqresp.faults.delay_line import DelayLine
from reqresp.faults.meter import Meter
from reqresp.faults.stages import NEVER, Piece, StageOwner


@define(eq=False)
class Owner:
    """A fault that a test changes."""

    directed: DirectedFault
    meter: Meter | None = None

    def change(self, **parameters: Any) -> None:
        """Change parameters of the fault."""
        fault = evolve(self.directed.fault, **parameters)
        self.directed = evolve(self.directed, fault=fault)


def owner(fault: Fault, meter: Meter | None = None, name: str = "it", **window: Any) -> Owner:
    """Return a fault of the direction upstream."""
    directed = DirectedFault(
        fault=fault, stream="upstream", name=name, shared=meter is not None, **window
    )
    return Owner(directed, meter)


@define
class Line:
    """A delay line, what has left it, and when."""

    owners: list[Owner]
    left: list[tuple[float, Piece]] = field(factory=list)
    injected_names: list[str] = field(factory=list)
    wakes: int = 0
    line: DelayLine = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.line = DelayLine(lambda it: SeededDice(it.directed.name), self)
        self.line.use(self.owners, 0)

    def injected(self, fault: StageOwner) -> None:
        self.injected_names.append(fault.directed.name)

    def woken(self) -> None:
        self.wakes += 1

    def use(self, owners: list[Owner], at: float) -> None:
        """Have these faults from the time *at* on."""
        self.owners = owners
        self.line.use(owners, at)

    def put(self, at: float, *pieces: Piece) -> None:
        """Let time pass until *at*, and put *pieces* in."""
        self.run(at)
        for piece in pieces:
            self.line.put(piece, at)

    def run(self, until: float) -> None:
        """Let time pass until *until*; take each piece at the time when it is due."""
        while (due := self.line.due()) <= until and due != NEVER:
            piece = self.line.take(due)
            if piece is not None:
                self.left.append((max(due, 0), piece))

    def leave(self, until: float = 1e9) -> list[tuple[float, Piece]]:
        """Let time pass until *until*; return what has left since the last call."""
        self.run(until)
        left, self.left = self.left, []
        return [(round(at, 9), piece) for at, piece in left]


def joined(pieces: Iterable[Piece]) -> bytes:
    """Return the bytes of *pieces*."""
    return b"".join(piece for piece in pieces if isinstance(piece, bytes))
