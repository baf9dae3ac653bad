"""
Live faults: the faults of a relay's directions, which can come, change and go while it runs.

It must not know what a fault does, nor what passes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from secrets import randbits
from types import TracebackType
from typing import Any, Self

from attrs import evolve
from twisted.logger import Logger

from reqresp.faults import DirectedFault, Direction, Fault, SeededDice, change_fault
from reqresp.relay.meter import Meter


class LiveFault:
    """
    A fault of a relay, for all of its connections; made by `RelayFactory.fault`.

    As a context manager, it removes itself at the end of the block.
    """

    def __init__(self, faults: "LiveFaults", directed: DirectedFault) -> None:
        self._faults = faults
        #: The fault as it is now.
        self.directed = directed
        #: What all connections share; None: nothing.
        self.meter = Meter() if directed.shared else None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.fault}, {self.stream.value}>"

    @property
    def name(self) -> str:
        """Its name, which no other fault of the relay has."""
        return self.directed.name

    @property
    def fault(self) -> Fault:
        """What goes wrong, with the parameters that it has now."""
        return self.directed.fault

    @property
    def stream(self) -> Direction:
        """The direction in which it goes wrong."""
        return self.directed.stream

    def change(self, **parameters: Any) -> None:
        """
        Change *parameters* of the fault, its probability included.

        They hold at once, for open connections, too, and for bytes that are on their way.

        :raises ValueError: a value is out of range; nothing has changed.
        :raises TypeError: a parameter is unknown; the message has a similar one.
        """
        fault = change_fault(self.fault, parameters)
        self.directed = evolve(self.directed, fault=fault)
        self._faults.changed()

    def remove(self) -> None:
        """Remove it; what it holds is sent on.  Do nothing if it was removed."""
        self._faults.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()

    def roll(self, connection: int) -> SeededDice | None:
        """Return dice for *connection*, with this number; None: the fault does not apply to it."""
        # The first number decides, also after a change of the probability.
        dice = SeededDice(f"{self._faults.seed}/{connection}/{self.name}")
        return dice if dice.random() < self.fault.probability else None


class LiveFaults:
    """
    The faults of one relay, in the order in which they apply.

    :param changed: called after each change.
    """

    _log = Logger()

    def __init__(self, changed: Callable[[], None]) -> None:
        #: The source of all randomness; None: it is chosen, and logged, with the first fault.
        self.seed: int | None = None
        self.changed = changed
        self._faults: list[LiveFault] = []

    def __bool__(self) -> bool:
        return bool(self._faults)

    def __iter__(self) -> Iterator[LiveFault]:
        """Iterate over the faults as they are now."""
        return iter([*self._faults])

    def add(self, directed: DirectedFault) -> LiveFault:
        """
        Add a fault, which applies at once, and after those that there are.

        :raises ValueError: there is one with this name.
        """
        if directed.name in self.names():
            raise ValueError(f"expected another name: there is a fault {directed.name!r}")
        live = LiveFault(self, directed)
        self._use([*self._faults, live])
        return live

    def replace(self, old: Sequence[LiveFault], new: Iterable[DirectedFault]) -> list[LiveFault]:
        """
        Have *new* faults instead of *old* ones, before all others; return what they have become.

        One that stays the same continues, if its place among the others does, too.

        :raises ValueError: two faults have the same name; nothing has changed.
        """
        others = [it for it in self._faults if it not in old]
        names = [it.name for it in others]
        replaced: list[LiveFault] = []
        left = [it for it in old if it in self._faults]
        for directed in new:
            if directed.name in names:
                raise ValueError(f"expected another name: there is a fault {directed.name!r}")
            names.append(directed.name)
            # Those that continue keep their order: bytes that one holds would overtake others'.
            same = next((it for it in left if it.directed == directed), None)
            if same is not None:
                left = left[left.index(same) + 1 :]
            replaced.append(same or LiveFault(self, directed))
        if replaced or old:
            self._use([*replaced, *others])
        return replaced

    def remove(self, live: LiveFault) -> None:
        """Remove a fault; do nothing if it was removed."""
        if live in self._faults:
            self._use([it for it in self._faults if it is not live])

    def _use(self, faults: list[LiveFault]) -> None:
        if faults and self.seed is None:
            self.seed = randbits(32)
            self._log.info("seed of the faults: {seed}", seed=self.seed)
        self._faults = faults
        self.changed()

    def names(self) -> list[str]:
        """Return the names of all faults."""
        return [it.name for it in self._faults]
