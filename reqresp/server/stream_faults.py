"""
Live faults of a direction: to which connections each applies, and what all of them share.

It must not know what a fault does, nor what passes.
"""

from reqresp.faults import DirectedFault, Direction, SeededDice
from reqresp.faults.meter import Meter
from reqresp.server.live_faults import LiveFault, LiveFaults

#: The faults of the directions of one server.
StreamFaults = LiveFaults[DirectedFault, "StreamFault"]


class StreamFault(LiveFault[DirectedFault]):
    """A fault of a direction, for all connections of a server; made by ``factory.fault``."""

    def __init__(self, faults: StreamFaults, directed: DirectedFault) -> None:
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
