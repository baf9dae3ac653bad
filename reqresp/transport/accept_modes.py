"""
Accept modes: what happens to clients that connect, as a script, a service and a test say it.

Values only: `accepting` acts on them.
"""

from enum import Enum
from typing import Literal

from attrs import field, frozen

from reqresp._errors import FieldError, Seconds, expect

#: The most seconds that a client waits to be accepted: the system may give it up after minutes.
MAX_AFTER = 3600


class Accept(Enum):
    """What happens to clients that connect to a port that listens."""

    NOW = "now"  #: they are accepted at once
    LATE = "late"  #: they connect, and wait in the kernel's queue until that is changed
    HOLD = "hold"  #: they do not even connect: the queue is full
    REFUSE = "refuse"  #: they are refused with a reset


@frozen
class AcceptAfter:
    """
    Clients connect, and wait in the kernel's queue for some seconds.

    :param after: seconds after which a client is accepted, and with it those that came later.
    :raises FieldError: it is out of range.
    """

    after: Seconds = field(
        validator=expect(f"seconds from 0 to {MAX_AFTER}", lambda value: 0 <= value <= MAX_AFTER)
    )


#: What happens to clients that connect.
AcceptMode = Accept | AcceptAfter
#: The modes that have a name, as they are written.
AcceptName = Literal["now", "late", "hold", "refuse"]


def accept_mode(
    how: "AcceptName | AcceptMode | None" = None, after: float | None = None
) -> AcceptMode:
    """
    Return the mode that *how* names, or in which clients wait for *after* seconds.

    :raises FieldError: the name is unknown, or *after* is out of range.
    :raises TypeError: both are given, or neither.
    """
    if (how is None) == (after is None):
        raise TypeError("expected either how or after")
    if after is not None:
        return AcceptAfter(after)
    if isinstance(how, AcceptMode):
        return how
    names = [it.value for it in Accept]
    if how not in names:
        raise FieldError("accepting", f"expected one of {', '.join(names)}, found {how!r}")
    return Accept(how)


def written_mode(mode: AcceptMode) -> str | dict[str, float]:
    """Return *mode* as a script writes it."""
    return {"after": mode.after} if isinstance(mode, AcceptAfter) else mode.value


def summarize_mode(mode: AcceptMode) -> str:
    """Return *mode* in a few words for people; empty: clients are accepted at once."""
    if isinstance(mode, AcceptAfter):
        return f"accept after {mode.after:g} s"
    return "" if mode is Accept.NOW else f"accept {mode.value}"
