"""
Frames: where the frames of a reply end, among the bytes that have been sent of it.

Faults cut frames into pieces.  What is sent beside a reply must leave between two frames.  This
module must not know connections.
"""

from collections.abc import Iterable, Iterator

from reqresp.framing import Chunk, Framing, complete_framing
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


class Progress:
    """
    How much of a reply is sent, and whether that ends within a frame.

    :param reported: the steps of the reply before faults have changed them.
    :param performed: the steps with faults, which are performed one after another.
    """

    __slots__ = ("_count", "_ends", "_framing", "_performed", "_reported", "_sent")

    def __init__(self, reported: Steps, performed: Steps, framing: Framing) -> None:
        self._reported = reported
        self._performed = performed
        self._framing = framing
        self._count = self._sent = 0  # steps performed, and their bytes
        self._ends: frozenset[int] | None = None  # None: not needed so far

    def is_within(self, left: int) -> bool:
        """Return whether a frame is sent in part while *left* steps, ever fewer, are left."""
        done = len(self._performed) - left
        pieces = _pieces(self._performed[self._count : done], self._framing)
        self._sent += sum(len(data) for data, _ in pieces)
        self._count = done
        if not self._sent:
            return False
        if self._ends is None:
            self._ends = frozenset(ends(self._reported, self._framing))
        return self._sent not in self._ends


#: A reply under way: the steps left, its request if any, the steps without faults, and all steps
#: that are performed, or how far they are.
ReplyUnderWay = tuple[Iterator[Step], bytes | None, Steps, Steps | Progress]
NO_REPLY: ReplyUnderWay = (iter(()), None, (), Progress((), (), Chunk(1)))


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
