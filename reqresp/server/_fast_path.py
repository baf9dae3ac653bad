"""
The fast path: answering all requests of a read at once, where their replies are constants.

Knows how constant replies become bytes, once, when a server is set up.  It must not know
connections.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import repeat
from operator import itemgetter
from types import MappingProxyType

from reqresp.server.responders import Table
from reqresp.steps import Send, Steps

#: Bytes that the replies of a batch may have.  More is answered request by request, so that a
#: client that does not read is noticed on the way.
MAX_BATCH_BYTES = 64 * 1024
#: Bytes of a read that is remembered with its answer.
MAX_KNOWN_BYTES = 128
#: Reads that are remembered.  One takes about 350 bytes; only a table with many replies needs all.
MAX_KNOWN_READS = 16 * 1024

#: The requests of a read, the bytes that answer all of them in order, and whether the decoder was
#: new before the read and after it.
Answered = tuple[Sequence[bytes], bytes, bool]

#: What is known while a request has begun: the next read depends on it.
NOTHING_KNOWN = MappingProxyType[bytes, bytes]({})


class Batch:
    """
    The replies of a `Table`, encoded by *encode*.

    :param whole_read: up to how many bytes a read is always one request; see `BaseFraming`.
    """

    def __init__(self, table: Table, encode: Callable[[bytes], bytes], whole_read: int = 0) -> None:
        """:raises FrameError: *encode* refuses a reply."""
        self._table = table
        encode = cache(
            encode
        )  # several replies of one payload, perhaps a large file, share a frame
        #: The bytes that answer a request without a reply of its own.
        self.otherwise = _wire(table.otherwise, encode)
        # Each request is a copy, made next to its reply: of many thousand, both are fetched from
        # memory for nearly every look-up, and neighbours take a fifth less.
        wires = {
            bytes(memoryview(request)): _wire(steps, encode)
            for request, steps in table.replies.items()
        }
        self._wires = wires
        self._most = MAX_BATCH_BYTES // max(
            1, *(len(wire or b"") for wire in (self.otherwise, *wires.values()))
        )
        #: The bytes that answer reads of up to `MAX_KNOWN_BYTES` which are one whole request.
        #: Clients send the same requests again and again; such a read needs one look-up and no
        #: decoder.  If every read is a request, all are known, otherwise those of `learn`.
        self.known: dict[bytes, bytes | None] = {}
        #: The bytes that answer such a read if it is not in `known`; None: that is not known.
        self.unknown: bytes | None = None
        #: The requests of those reads that `learn` has added; other known reads are requests.
        self.learned: dict[bytes, tuple[bytes]] = {}
        if whole_read >= MAX_KNOWN_BYTES:
            self.known, self.unknown = wires, self.otherwise

    def answer(self, requests: Sequence[bytes]) -> bytes | None:
        """
        Return the bytes that answer all of *requests*, in order.

        Return None if a reply does more than send, or if several replies could have more than
        `MAX_BATCH_BYTES`.
        """
        count = len(requests)
        if count < 2:  # as it is without pipelining
            return self._wires.get(requests[0], self.otherwise) if count else b""
        if count > self._most:
            return None
        wires: Iterable[bytes | None]
        try:
            wires = itemgetter(*requests)(self._wires)
        except KeyError:  # to look up with a default takes longer
            wires = map(self._wires.get, requests, repeat(self.otherwise))
        try:
            return b"".join(wires)  # type: ignore[arg-type]
        except TypeError:  # one of them is None: an exception costs nothing if there is none
            return None

    def learn(self, read: bytes, request: bytes, wire: bytes) -> None:
        """
        Remember that *read* was *request* and nothing else, and that *wire* answers it.

        Do not call it for requests without a reply of their own: there can be very many of them.
        """
        is_short = len(read) <= MAX_KNOWN_BYTES and read not in self.known
        if is_short and len(self.learned) < MAX_KNOWN_READS:
            self.learned[read] = (request,)
            self.known[read] = wire

    def steps(self, requests: Sequence[bytes]) -> Iterator[Steps]:
        """Return the steps that answer each of *requests*."""
        return map(self._table.steps, requests)


def _wire(steps: Steps, encode: Callable[[bytes], bytes]) -> bytes | None:
    frames = [
        step.data if step.raw else encode(step.data) for step in steps if isinstance(step, Send)
    ]
    return b"".join(frames) if len(frames) == len(steps) else None
