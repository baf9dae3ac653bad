"""
Exchanges: requests, and the replies that answered them.

Values only: nothing here does I/O or keeps time.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from reqresp.steps import FaultEffect, Forward, Request, RuleReply, Send, Step, Steps

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

#: The value of `Exchange.by` if no rule of a script answered.
UNMATCHED = "unmatched"


@frozen
class Exchange:
    """
    A request, and the steps that answered it.

    :param by: the name of the rule, or of the responder, that the steps come from.
    :param injected: the names of the faults that changed the reply.  *steps* are as they were
        before.
    :param effect: what these faults have made of the reply; None: nothing is known.
    """

    request: Request
    steps: Steps
    by: str = ""
    injected: tuple[str, ...] = ()
    effect: FaultEffect | None = None


class Exchanges:
    """
    Consecutive exchanges of one connection: iterate over them, or take their `len`.

    One is made for each read, so it is cheap to make and to keep.  `Exchange` values are made each
    time it is iterated over.
    """

    __slots__ = ("_size", "_steps", "by", "connection", "first", "peer", "requests")

    #: How many requests before the first of these are not answered yet.
    overtaken = 0

    def __init__(
        self,
        peer: "IAddress",
        connection: int,
        first: int,
        requests: Sequence[bytes],
        steps: Callable[[Sequence[bytes]], Iterable[Steps]],
        by: str = "",
        size: int | None = None,
    ) -> None:
        """
        :param first: the number of the first request on its connection.
        :param steps: called with *requests* at each iteration; returns the steps of each, in order.
        :param by: the source of steps that are not a `RuleReply`.
        :param size: the value of `size`; None: it is counted when it is asked for.
        """
        self.peer = peer
        self.connection = connection
        self.first = first
        self.requests = requests
        self.by = by
        self._size = size
        self._steps = steps

    @property
    def size(self) -> int:
        """Return the bytes kept in memory: requests, and replies that are not constants."""
        if self._size is None:
            replies = sum(map(_reply_size, self._steps(self.requests)))
            self._size = sum(map(len, self.requests)) + replies
        return self._size

    @property
    def replies(self) -> Iterable[Steps]:
        """Return the steps that answered each of the requests."""
        return self._steps(self.requests)

    def __len__(self) -> int:
        return len(self.requests)

    def __iter__(self) -> Iterator[Exchange]:
        exchanges = zip(self.requests, self._steps(self.requests), strict=True)
        for number, (data, steps) in enumerate(exchanges, self.first):
            request = Request(data, self.peer, self.connection, number)
            if isinstance(steps, RuleReply):
                yield Exchange(request, steps, steps.by, steps.injected, steps.effect)
            else:
                yield Exchange(request, steps, self.by)


class Overtaking(Exchanges):
    """Consecutive exchanges whose replies may have overtaken those to earlier requests."""

    __slots__ = ("overtaken",)


def _reply_size(steps: Steps) -> int:
    effect = steps.effect if isinstance(steps, RuleReply) else None
    return sum(map(_size, steps)) + (0 if effect is None else effect.size)


def _size(step: Step) -> int:
    match step:
        case Send(data=data) | Forward(reply=bytes(data)):
            return len(data)
        case _:
            return 0
