"""
Replayed: what a test server replays, and what is said of it at the end of a test.

Knows recordings and their deviations.  Must not know how the server runs.
"""

from pathlib import Path

from reqresp.expectations.unused import UnusedAction, check_unused, unused_lines, warn_unused
from reqresp.recording.replay import Deviation, Replay, Replayer
from reqresp.server.responders import Responder


def as_replay(replay: str | Path | Replay) -> Replay:
    """
    Return *replay*, or the one in the file with this path.

    :raises RecordingError: the file cannot be read, or has problems.
    """
    return replay if isinstance(replay, Replay) else Replay.load(replay)


class Replayed:
    """
    What a server replays, if its *responder* does so.

    :raises FieldError: *unused* is not an `UnusedAction`.
    """

    def __init__(self, responder: Responder, unused: UnusedAction) -> None:
        check_unused(unused)
        self._replayer = responder if isinstance(responder, Replayer) else None
        self._unused = unused

    @property
    def deviations(self) -> list[Deviation]:
        """The clients that have done what was not recorded."""
        return [] if self._replayer is None else [*self._replayer.deviations]

    def failures(self) -> list[str]:
        """Return what was not asked for, if that is a failure."""
        return self._left() if self._unused == "fail" else []

    def warn(self, name: str) -> None:
        """Warn about what was not asked for of the server with this *name*, if that is wanted."""
        warn_unused(name, self._left() if self._unused == "warn" else [])

    def _left(self) -> list[str]:
        return [] if self._replayer is None else unused_lines(self._replayer)
