"""
Frames: where the frames of a reply end, among the bytes that have been sent of it.

Faults cut frames into pieces.  What is sent beside a reply must leave between two frames.  This
module must not know connections.
"""

from collections.abc import Iterable, Iterator

from reqresp.framing import Framing, complete_framing
from reqresp.steps import Forward, Send, Step, Steps


def ends(steps: Steps, framing: Framing) -> list[int]:
    """Return how many bytes of a reply without faults are sent at the end of each frame."""
    found = []
    size = 0
    for data, is_whole in _pieces(steps, framing):
        size += len(data)
        if is_whole:
            found.append(size)
    return found


def is_within(reported: Steps, performed: Iterable[Step], framing: Framing) -> bool:
    """
    Return whether a frame of a reply is sent in part.

    :param reported: the steps of the reply before faults have changed them.
    :param performed: those steps that were performed, with faults.
    """
    sent = sum(len(data) for data, _ in _pieces(performed, framing))
    return sent > 0 and sent not in ends(reported, framing)


def _pieces(steps: Iterable[Step], framing: Framing) -> Iterator[tuple[bytes, bool]]:
    """
    Yield what each of *steps* sends, and whether a frame ends with it.

    Raw bytes are a part of the frame that the next raw bytes end, unless a terminator is at their
    end.
    """
    sending = [it for it in steps if isinstance(it, Send | Forward)]
    terminator = complete_framing(framing).replies.terminator
    for step, following in zip(sending, (*sending[1:], None), strict=False):
        if isinstance(step, Forward):
            yield step.reply or b"", True
        elif not step.raw:
            yield framing.encode(step.data), True
        else:
            is_followed = isinstance(following, Send) and following.raw
            is_ended = bool(terminator) and step.data.endswith(terminator)
            yield step.data, is_ended or not is_followed
