"""
Cut the bytes of a reply short, cut them into pieces, or replace them.

Works on steps whose every `Send` is raw, and knows no fault.
"""

from collections.abc import Callable, Iterable
from io import BytesIO

from reqresp.steps import Send, Step, Steps, Wait


def find(steps: Steps, *kinds: type[Step]) -> int:
    """Return the index of the first of *steps* that is one of *kinds*, else their number."""
    return next((at for at, step in enumerate(steps) if isinstance(step, kinds)), len(steps))


def _end_of_sending(steps: Steps) -> int:
    """Return the index of the first step after which no data is sent, else their number."""
    return next((at for at, step in enumerate(steps) if step.ends_sending), len(steps))


def performed(steps: Steps) -> Steps:
    """Return *steps* up to the first one after which no data is sent."""
    return steps[: _end_of_sending(steps)]


def sent(steps: Steps) -> int:
    """Count the bytes that are sent: those before the first step that ends sending."""
    return sum(len(step.data) for step in performed(steps) if isinstance(step, Send))


def cut(steps: Steps, left: int, *ending: Step) -> Steps:
    """
    Return *steps* with *ending* in place of all that follows the first *left* bytes.

    If *left* is 0 or less, *ending* stands in place of the first byte, or of the first step that
    ends sending.  Steps that send less than *left* bytes are returned unchanged.
    """
    end = _end_of_sending(steps)
    for at, step in enumerate(steps[:end]):
        if not isinstance(step, Send):
            continue
        if len(step.data) >= left:
            last = (Send(step.data[:left], raw=True),) if left > 0 else ()
            return (*steps[:at], *last, *ending)
        left -= len(step.data)
    return steps if left > 0 else (*steps[:end], *ending)


def split(steps: Steps, left: int) -> tuple[Steps, Steps]:
    """Return the *steps* that send the first *left* bytes, and those after them."""
    for at, step in enumerate(steps):
        if not isinstance(step, Send):
            continue
        if len(step.data) > left:
            rest = Send(step.data[left:], raw=True)
            first = (Send(step.data[:left], raw=True),) if left else ()
            return (*steps[:at], *first), (rest, *steps[at + 1 :])
        left -= len(step.data)
    return steps, ()


def hasten(steps: Steps, seconds: float) -> tuple[Steps, float]:
    """
    Return *steps* with up to *seconds* less of the `Wait` that they begin with.

    :returns: the steps, and the seconds that are left.
    """
    first = steps[0] if steps else None
    if not isinstance(first, Wait):
        return steps, seconds
    wait = max(0.0, first.seconds - seconds)
    rest = steps[1:]
    return ((Wait(wait), *rest) if wait else rest), max(0.0, seconds - first.seconds)


def recut(steps: Steps, pieces: Callable[[bytes], Iterable[Step]]) -> Steps:
    """Return *steps* with the *pieces* of its data in place of each `Send`, if any data is sent."""
    if not sent(steps):
        return steps
    return tuple(
        piece
        for step in steps
        for piece in (pieces(step.data) if isinstance(step, Send) else (step,))
    )


def joined(steps: Steps) -> bytes:
    """Return the data of every `Send`, joined."""
    return b"".join(step.data for step in steps if isinstance(step, Send))


def refill(steps: Steps, data: bytes) -> Steps:
    """Return *steps* with *data*, as long as `joined` of *steps*, in place of their data."""
    rest = BytesIO(data)
    return tuple(
        Send(rest.read(len(step.data)), raw=True) if isinstance(step, Send) else step
        for step in steps
    )
