"""
Live faults of a direction: to which connections each applies, and what all of them share.

It must not know what a fault does, nor what passes.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from reqresp.faults import (
    DirectedFault,
    Direction,
    Fault,
    SeededDice,
    change_fault,
    make_fault,
    unique_name,
)
from reqresp.faults.meter import Meter
from reqresp.server.live_faults import LiveFault, LiveFaults

#: The faults of one relay.
StreamFaults = LiveFaults[DirectedFault, "StreamFault"]

#: Arguments of ``factory.fault`` besides the parameters of a kind.
_WINDOW = ("name", "after", "after_bytes", "for_", "shared")


class StreamFault(LiveFault[DirectedFault]):
    """A fault of a direction, for all connections of a server; made by ``factory.fault``."""

    def __init__(self, faults: LiveFaults[Any, Any], directed: DirectedFault) -> None:
        super().__init__(faults, directed)
        #: What all connections share; None: nothing.
        self.meter = Meter() if directed.shared else None

    @property
    def directed(self) -> DirectedFault:
        """The fault as it is now."""
        return self.placed

    @property
    def stream(self) -> Direction:
        """The direction in which it goes wrong."""
        return self.placed.stream

    def roll(self, connection: int) -> SeededDice | None:
        """Return dice for *connection*, with this number; None: the fault does not apply to it."""
        # The first number decides, also after a change of the probability.
        dice = SeededDice(f"{self.seed}/{connection}/{self.name}")
        return dice if dice.random() < self.fault.probability else None


def roll(
    faults: Iterable[StreamFault], stream: Direction, connection: int
) -> Mapping[StreamFault, SeededDice]:
    """Return the *faults* of *stream* that apply to *connection*, with dice for each."""
    return {
        live: dice
        for live in faults
        if live.stream is stream and (dice := live.roll(connection)) is not None
    }


def make_directed(
    kind: str | Fault, stream: str | Direction, taken: list[str], arguments: Mapping[str, Any]
) -> DirectedFault:
    """
    Return a fault of *stream*.

    :param kind: as in a script; or a `Fault`.
    :param taken: the names of other faults.
    :param arguments: those of `DirectedFault`, and the parameters of *kind*.
    :raises ValueError: *kind* is unknown, or a value is out of range.
    :raises TypeError: a parameter is unknown or missing.
    """
    window = {name: it for name, it in arguments.items() if name in _WINDOW}
    parameters = {name: it for name, it in arguments.items() if name not in _WINDOW}
    if isinstance(kind, str):
        fault = make_fault(kind, parameters, ("stream", *_WINDOW))
    else:
        fault = change_fault(kind, parameters)
    if window.get("name") is None:
        window["name"] = unique_name(fault.kind, taken)
    return DirectedFault(fault=fault, stream=stream, **window)
