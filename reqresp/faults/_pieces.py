"""
Cutting: what of a reply leaves, and how its bytes are cut off, cut up or replaced.

Knows steps whose every `Send` is raw, and nothing of why somebody would do that to them.
"""

from collections.abc import Callable, Iterable
from io import BytesIO

from reqresp.steps import Abort, Close, HalfClose, Hang, Send, Step, Steps

# No Send leaves after one of these.
_ENDINGS = (Close, HalfClose, Abort, Hang)


def find(steps: Steps, *kinds: type[Step]) -> int:
    """Give the place of the first of *steps* that is one of *kinds*, or else their number."""
    return next((at for at, step in enumerate(steps) if isinstance(step, kinds)), len(steps))


def sent(steps: Steps) -> int:
    """Count the bytes that leave: none of what stands behind an ending does."""
    end = find(steps, *_ENDINGS)
    return sum(len(step.data) for step in steps[:end] if isinstance(step, Send))


def cut(steps: Steps, left: int, *ending: Step) -> Steps:
    """
    Let *left* bytes out, and put *ending* right behind the last in place of all that follows.

    If *left* is 0 or less, *ending* stands where the first byte or an ending would have.  Steps
    that send less are given back as they are.
    """
    end = find(steps, *_ENDINGS)
    for at, step in enumerate(steps[:end]):
        if not isinstance(step, Send):
            continue
        if len(step.data) >= left:
            last = (Send(step.data[:left], raw=True),) if left > 0 else ()
            return (*steps[:at], *last, *ending)
        left -= len(step.data)
    return steps if left > 0 else (*steps[:end], *ending)


def recut(steps: Steps, pieces: Callable[[bytes], Iterable[Step]]) -> Steps:
    """Put the *pieces* of its data in place of each `Send`; leave alone what sends nothing."""
    if not sent(steps):
        return steps
    return tuple(
        piece
        for step in steps
        for piece in (pieces(step.data) if isinstance(step, Send) else (step,))
    )


def joined(steps: Steps) -> bytes:
    """Give the data of every `Send`, one after the other."""
    return b"".join(step.data for step in steps if isinstance(step, Send))


def refill(steps: Steps, data: bytes) -> Steps:
    """Put *data*, as much as is `joined` of *steps*, in the place of theirs."""
    rest = BytesIO(data)
    return tuple(
        Send(rest.read(len(step.data)), raw=True) if isinstance(step, Send) else step
        for step in steps
    )
