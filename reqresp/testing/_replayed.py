"""
Replayed: what a test server replays, and what is said of it at the end of a test.

Knows recordings and their deviations.  Must not know how the server runs.
"""

import warnings
from pathlib import Path
from typing import Literal, get_args

from reqresp._errors import FieldError
from reqresp.recording.replay import Deviation, Replay, Replayer, Unused
from reqresp.server.responders import Responder

#: What happens at the end of a test if not all of a recording was asked for.
UnusedAction = Literal["warn", "fail", "ignore"]

#: The number of unused parts that are listed: the first ones.
MAX_UNUSED = 10


class UnusedRecordingWarning(UserWarning):
    """A test has passed, but has not asked for all that was recorded."""


def as_replay(replay: str | Path | Replay) -> Replay:
    """
    Return *replay*, or the one in the file with this path.

    :raises RecordingError: the file cannot be read, or has problems.
    """
    return replay if isinstance(replay, Replay) else Replay.load(replay)


class Replayed:
    """
    What a server replays, if its *responder* does so.

    :raises FieldError: *unused* is no `UnusedAction`.
    """

    def __init__(self, responder: Responder, unused: UnusedAction) -> None:
        if unused not in get_args(UnusedAction):
            expected = ", ".join(map(repr, get_args(UnusedAction)))
            raise FieldError("unused", f"expected one of {expected}; found {unused!r}")
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
        left = self._left() if self._unused == "warn" else []
        if left:
            text = "\n".join([f"reqresp {name}: not all of the recording was asked for", *left])
            warnings.warn(text, UnusedRecordingWarning, stacklevel=2)

    def _left(self) -> list[str]:
        if self._replayer is None:
            return []
        file = self._replayer.file
        left = self._replayer.unused()
        lines = [_describe_unused(it, file) for it in left[:MAX_UNUSED]]
        if len(left) > MAX_UNUSED:
            lines.append(f"unused: {len(left) - MAX_UNUSED} more")
        return lines


def _describe_unused(unused: Unused, file: str) -> str:
    text = f"unused: conversation {unused.conversation} ({file}:{unused.line})"
    if not unused.is_whole:
        text += ": a part that the client did not ask for"
    return f"{text}, from {unused.data!r}" if unused.data else text
