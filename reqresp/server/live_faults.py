"""
Live faults: faults of a server that come, change and go while it runs.

Those of replies and those of a relay's directions are listed, named and seeded alike.  It must not
know what a fault does, nor what it applies to.
"""

from collections.abc import Callable, Iterator, Sequence
from secrets import randbits
from typing import Any, Generic, Protocol, TypeVar, cast

from attrs import evolve
from twisted.logger import Logger

from reqresp.faults import Fault, change_fault
from reqresp.faults.removable import Removable


class Placed(Protocol):
    """A fault, its name, and where it applies: `PlacedFault` and `DirectedFault` are."""

    @property
    def name(self) -> str:
        """Its name, which no other fault of the server has."""

    @property
    def fault(self) -> Fault:
        """What goes wrong."""

    @property
    def where(self) -> str:
        """Where it goes wrong, in a word."""


P = TypeVar("P", bound=Placed)


class LiveFault(Removable, Generic[P]):
    """
    A fault of a server, for all of its connections; made by ``factory.fault``.

    As a context manager, it removes itself at the end of the block.
    """

    def __init__(self, faults: "LiveFaults[P, Any]", placed: P) -> None:
        self._faults = faults
        #: The fault as it is now.
        self.placed = placed

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.fault}, {self.where}>"

    @property
    def name(self) -> str:
        """Its name, which no other fault of the server has."""
        return self.placed.name

    @property
    def fault(self) -> Fault:
        """What goes wrong, with the parameters that it has now."""
        return self.placed.fault

    @property
    def where(self) -> str:
        """Where it goes wrong: a direction of a relay, ``reply`` or ``connect``."""
        return self.placed.where

    @property
    def seed(self) -> int | None:
        """The source of its randomness."""
        return self._faults.seed

    def change(self, **parameters: Any) -> None:
        """
        Change *parameters* of the fault, its probability included.

        They hold at once, for open connections, too: for bytes that are on their way through a
        relay, and from the next reply on.

        :raises ValueError: a value is out of range; nothing has changed.
        :raises TypeError: a parameter is unknown; the message has a similar one.
        """
        fault = change_fault(self.fault, parameters)
        self.placed = cast(P, evolve(cast(Any, self.placed), fault=fault))
        self._faults.changed()

    def remove(self) -> None:
        """Remove it; what it holds is sent on.  Do nothing if it was removed."""
        self._faults.remove(self)


L = TypeVar("L", bound=LiveFault[Any])


class LiveFaults(Generic[P, L]):
    """
    The faults of one server, in the order in which they apply.

    :param changed: called after each change.
    :param make: makes one of them.
    """

    _log = Logger()

    def __init__(
        self, changed: Callable[[], None], make: Callable[["LiveFaults[P, L]", P], L]
    ) -> None:
        #: The source of all randomness; None: it is chosen, and logged, with the first fault.
        self.seed: int | None = None
        self.changed = changed
        self._make = make
        self._faults: list[L] = []
        # Those that were configured, some of which may be gone, and what they were then.
        self._configured: list[L] = []
        self._initial: Sequence[P] = ()

    def __bool__(self) -> bool:
        return bool(self._faults)

    def __iter__(self) -> Iterator[L]:
        """Iterate over the faults as they are now."""
        return iter([*self._faults])

    def add(self, placed: P) -> L:
        """
        Add a fault, which applies at once, and after those that there are.

        :raises ValueError: there is one with this name.
        """
        if placed.name in self.names():
            raise ValueError(f"expected another name: there is a fault {placed.name!r}")
        live = self._make(self, placed)
        self._use([*self._faults, live])
        return live

    def configure(self, new: Sequence[P]) -> None:
        """
        Have *new* faults instead of those that were configured before, before all others.

        One that stays the same continues, if its place among the others does, too.

        :raises ValueError: two faults have the same name; nothing has changed.
        """
        others = self.added
        names = [it.name for it in others]
        configured: list[L] = []
        left = [it for it in self._configured if it in self._faults]
        for placed in new:
            if placed.name in names:
                raise ValueError(f"expected another name: there is a fault {placed.name!r}")
            names.append(placed.name)
            # Those that continue keep their order: bytes that one holds would overtake others'.
            same = next((it for it in left if it.placed == placed), None)
            if same is not None:
                left = left[left.index(same) + 1 :]
            configured.append(same or self._make(self, placed))
        self._configured, self._initial = configured, new
        self._use([*configured, *others])

    @property
    def added(self) -> list[L]:
        """Those that were not configured, but added since."""
        return [it for it in self._faults if it not in self._configured]

    def reset(self) -> None:
        """Have those that were configured, as they were then, and no others."""
        self._faults = [it for it in self._faults if it in self._configured]
        self.configure(self._initial)

    def remove(self, live: LiveFault[P]) -> None:
        """Remove a fault; do nothing if it was removed."""
        if live in self._faults:
            self._use([it for it in self._faults if it is not live])

    def _use(self, faults: list[L]) -> None:
        if faults and self.seed is None:
            self.seed = randbits(32)
            self._log.info("seed of the faults: {seed}", seed=self.seed)
        self._faults = faults
        self.changed()

    def names(self) -> list[str]:
        """Return the names of all faults."""
        return [it.name for it in self._faults]
