"""
Unused: what of a recording no client has asked for, as lines of a verdict.

Must not know where the server runs, nor what asks.
"""

import warnings
from collections.abc import Sequence
from typing import Literal, get_args

from reqresp._errors import FieldError
from reqresp.recording.replay import Replayer, Unused

#: What happens at the end of a test if not all of a recording was asked for.
UnusedAction = Literal["warn", "fail", "ignore"]

#: The number of unused parts that are listed: the first ones.
MAX_UNUSED = 10


def check_unused(unused: object) -> None:
    """:raises FieldError: *unused* is not an `UnusedAction`."""
    if unused not in get_args(UnusedAction):
        expected = ", ".join(map(repr, get_args(UnusedAction)))
        raise FieldError("unused", f"expected one of {expected}; found {unused!r}")


class UnusedRecordingWarning(UserWarning):
    """A test has passed, but has not asked for all that was recorded."""


def unused_lines(replayer: Replayer) -> list[str]:
    """Return what no client has asked for so far, a line for each part."""
    left = replayer.unused()
    lines = [_describe(it, replayer.file) for it in left[:MAX_UNUSED]]
    if len(left) > MAX_UNUSED:
        lines.append(f"unused: {len(left) - MAX_UNUSED} more")
    return lines


def warn_unused(name: str, lines: Sequence[str]) -> None:
    """Warn of the *lines* of the server *name*, if any, at the call of the caller."""
    if lines:
        text = "\n".join([f"reqresp {name}: not all of the recording was asked for", *lines])
        warnings.warn(text, UnusedRecordingWarning, stacklevel=3)


def _describe(unused: Unused, file: str) -> str:
    text = f"unused: conversation {unused.conversation} ({file}:{unused.line})"
    if not unused.is_whole:
        text += ": a part that the client did not ask for"
    return f"{text}, from {unused.data!r}" if unused.data else text
