"""
Changes: waiting until something has happened at a server, or was changed there.

Knows the journal.  Must not know what is waited for.
"""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from reqresp.journal import Journal


class Changes:
    """
    Wakes those that wait for the next entry of *journal*, or for a call of `wake`.

    The journal calls it only while something waits.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: list[Deferred[None]] = []
        self._is_asked = False  # whether the journal calls `wake`

    def wait(self, clock: IReactorTime, seconds: float) -> Deferred[None]:
        """Return a Deferred that fires with the next change, and after *seconds* at the latest."""
        if not self._is_asked:
            self._is_asked = True
            self._journal.call_at_next(self._happened)
        changed: Deferred[None] = Deferred()
        timer = clock.callLater(seconds, changed.callback, None)

        def ended(result: Any) -> Any:
            if changed in self._waiting:
                self._waiting.remove(changed)
            if timer.active():
                timer.cancel()
            return result

        self._waiting.append(changed)
        return changed.addBoth(ended)

    def wake(self) -> None:
        """Wake all that wait: something was changed without an entry."""
        waiting, self._waiting = self._waiting, []
        for changed in waiting:
            changed.callback(None)

    def _happened(self) -> None:
        self._is_asked = False
        self.wake()
