"""
The fast path: answering all requests of a read at once, where their replies are constants.

Knows how constant replies become bytes, once, when a server is set up.  It must not know
connections.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import repeat

from reqresp.server.responders import Table
from reqresp.steps import Send, Steps

#: Bytes that the replies of a batch may have.  More is answered request by request, so that a
#: client that does not read is noticed on the way.
MAX_BATCH_BYTES = 64 * 1024


class Batch:
    """The replies of a `Table`, encoded by *encode*."""

    def __init__(self, table: Table, encode: Callable[[bytes], bytes]) -> None:
        """:raises FrameError: *encode* refuses a reply."""
        self._table = table
        encode = cache(
            encode
        )  # several replies of one payload, perhaps a large file, share a frame
        self._otherwise = _wire(table.otherwise, encode)
        wires = {request: _wire(steps, encode) for request, steps in table.replies.items()}
        self._look_up = wires.get
        self._most = MAX_BATCH_BYTES // max(
            1, *(len(wire or b"") for wire in (self._otherwise, *wires.values()))
        )

    def answer(self, requests: Sequence[bytes]) -> bytes | None:
        """
        Return the bytes that answer all of *requests*, in order.

        Return None if a reply does more than send, or if several replies could have more than
        `MAX_BATCH_BYTES`.
        """
        if len(requests) == 1:
            return self._look_up(requests[0], self._otherwise)
        if len(requests) > self._most:
            return None
        try:
            return b"".join(map(self._look_up, requests, repeat(self._otherwise)))  # type: ignore[arg-type]
        except TypeError:  # one of them is None: an exception costs nothing if there is none
            return None

    def steps(self, requests: Sequence[bytes]) -> Iterator[Steps]:
        """Return the steps that answer each of *requests*."""
        return map(self._table.steps, requests)


def _wire(steps: Steps, encode: Callable[[bytes], bytes]) -> bytes | None:
    frames = [
        step.data if step.raw else encode(step.data) for step in steps if isinstance(step, Send)
    ]
    return b"".join(frames) if len(frames) == len(steps) else None
