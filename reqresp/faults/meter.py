"""
Meter: a bandwidth that several connections share, in turns.

Sans-I/O, without a clock.  It must not know what passes.
"""

from collections import deque
from math import inf
from typing import Protocol


class Metered(Protocol):
    """What waits for its turn."""

    def woken(self) -> None:
        """Handle that its turn has come."""


class Meter:
    """Lets one of those that wait send a slice at a time, each in its turn."""

    def __init__(self) -> None:
        #: When the last slice had left.
        self.free = -inf
        self._waiting: deque[Metered] = deque()

    def is_turn_of(self, one: Metered) -> bool:
        """Return whether *one* sends the next slice; if it does not wait yet, it does from now."""
        if one not in self._waiting:
            self._waiting.append(one)
        return self._waiting[0] is one

    def pass_turn(self, one: Metered, at: float) -> None:
        """Handle that a slice of *one* leaves at the time *at*; the next one has its turn."""
        self.free = at
        self.leave(one)

    def leave(self, one: Metered) -> None:
        """Handle that *one* does not wait any more."""
        if one not in self._waiting:
            return
        is_first = self._waiting[0] is one
        self._waiting.remove(one)
        if is_first and self._waiting:
            self._waiting[0].woken()
