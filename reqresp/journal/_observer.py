"""
EntryObserver: an observer that turns what it receives into entries.

Knows events and entries.  It must not know where entries are kept.
"""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat

from attrs import Factory, frozen
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from reqresp.exchanges import Exchanges, Overtaking
from reqresp.faults import Direction
from reqresp.framing import Unfinished
from reqresp.journal.entries import (
    Answered,
    Changed,
    Connected,
    Disconnected,
    Entry,
    Failed,
    Faulted,
    Incomplete,
    Passed,
    Refused,
    Sent,
    Unanswered,
    UpstreamEnded,
    UpstreamFailed,
    UpstreamOpened,
)
from reqresp.server.observers import Observer, Unasked
from reqresp.steps import Request

# A request, when it was received, and its number.
_Received = tuple[bytes, float, int]

#: When requests were received: a time for each, or one for all.
Times = list[float] | float


class EntryObserver(Observer, ABC):
    """
    Makes an entry of each event, and matches the replies with the times of their requests.

    It is for one factory only, since it identifies connections by their numbers.

    :param now: returns the time, in seconds since the epoch.
    """

    sees_forwarded_bytes = False  # an entry of the request and the reply has them

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        # The requests received last.  Nearly always they are answered at once.
        self._latest: tuple[Sequence[bytes], float, IAddress, int] | None = None
        # By connection: the requests that are not answered yet, and the number after all others.
        self._waiting: dict[int, _Waiting] = {}
        self._next: dict[int, int] = {}

    @abstractmethod
    def _record(self, entry: Entry) -> None:
        """Record *entry*, which is not `Answered`."""

    @abstractmethod
    def _record_answers(self, exchanges: Exchanges, times: Times, sent: float) -> None:
        """Record what `answered_entries` returns for these arguments."""

    def unanswered(self) -> list[Unanswered]:
        """Return the requests that have no complete reply yet, at most a few per connection."""
        self._set_aside()
        return [entry for connection in self._waiting for entry in self._unanswered(connection)]

    def connected(self, peer: IAddress, connection: int) -> None:
        self._record(Connected(self._now(), peer, connection))

    def refused(self, peer: IAddress, reason: str) -> None:
        self._record(Refused(self._now(), peer, reason))

    def sent(self, peer: IAddress, connection: int, data: bytes, by: Unasked) -> None:
        self._record(Sent(self._now(), peer, connection, data, by))

    def changed(self, what: str) -> None:
        self._record(Changed(self._now(), what))

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        if self._latest is not None:
            self._set_aside()
        self._latest = requests, self._now(), peer, connection

    def answered(self, exchanges: Exchanges) -> None:
        requests = exchanges.requests
        connection = exchanges.connection
        latest = self._latest
        following = exchanges.first + len(requests)
        if latest is not None and latest[0] is requests:
            self._latest = None
            times: Times = latest[1]
            sent = latest[1]
        else:
            times = self._take_times(connection, len(requests), exchanges.overtaken)
            sent = self._now()
            if isinstance(exchanges, Overtaking):
                following = max(following, self._next.get(connection, 1))
        self._next[connection] = following
        self._record_answers(exchanges, times, sent)

    def failed(self, peer: IAddress, connection: int, failure: Failure) -> None:
        self._record(Failed(self._now(), peer, connection, failure.getErrorMessage()))

    def incomplete(self, peer: IAddress, connection: int, request: Unfinished) -> None:
        self._record(Incomplete(self._now(), peer, connection, request.data, request.missing))

    def upstream_opened(self, peer: IAddress, connection: int) -> None:
        self._record(UpstreamOpened(self._now(), peer, connection))

    def upstream_failed(self, peer: IAddress, connection: int, failure: Failure) -> None:
        self._record(UpstreamFailed(self._now(), peer, connection, failure.getErrorMessage()))

    def passed(self, peer: IAddress, connection: int, direction: Direction, data: bytes) -> None:
        self._record(Passed(self._now(), peer, connection, direction, data))

    def upstream_ended(self, peer: IAddress, connection: int, reason: Failure) -> None:
        self._record(UpstreamEnded(self._now(), peer, connection, reason.getErrorMessage()))

    def faulted(self, peer: IAddress, connection: int, direction: Direction, fault: str) -> None:
        self._record(Faulted(self._now(), peer, connection, direction, fault))

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        self._set_aside()
        for entry in self._unanswered(connection):
            self._record(entry)
        self._waiting.pop(connection, None)
        self._next.pop(connection, None)
        self._record(Disconnected(self._now(), peer, connection, reason.getErrorMessage()))

    def _take_times(self, connection: int, count: int, overtaken: int) -> Times:
        """Return when *count* requests after *overtaken* others were received; forget them."""
        latest = self._latest
        # If no request of this connection waits, the requests received last are those answered.
        if connection not in self._waiting and latest is not None and len(latest[0]) == count:
            self._latest = None
            return latest[1]
        self._set_aside()
        requests = self._waiting[connection].requests
        times = [_remove(requests, overtaken)[1] for _ in range(count)]
        if not requests:
            del self._waiting[connection]
        return times

    def _set_aside(self) -> None:
        """Move the requests received last to those that wait for their replies."""
        if self._latest is None:
            return
        requests, at, peer, connection = self._latest
        self._latest = None
        waiting = self._waiting.setdefault(connection, _Waiting(peer))
        number = self._next.get(connection, 1)
        if waiting.requests:
            number = max(number, waiting.requests[-1][2] + 1)
        waiting.requests.extend((data, at, it) for it, data in enumerate(requests, number))

    def _unanswered(self, connection: int) -> list[Unanswered]:
        waiting = self._waiting.get(connection)
        if waiting is None:
            return []
        return [
            Unanswered(at, Request(data, waiting.peer, connection, number))
            for data, at, number in waiting.requests
        ]


@frozen
class _Waiting:
    """The unanswered requests of one connection, each with when it was received, and its number."""

    peer: IAddress
    requests: deque[_Received] = Factory(deque)


def _remove(requests: deque[_Received], at: int) -> _Received:
    """Remove the request at the place *at*, nearly always the first, and return it."""
    if not at:
        return requests.popleft()
    found = requests[at]
    del requests[at]
    return found


def answered_entries(exchanges: Exchanges, times: Times, sent: float) -> Iterator[Answered]:
    """
    Return an entry for each of *exchanges*.

    :param times: when the requests were received, in seconds since the epoch.
    :param sent: when the last of the replies was handed to the transport.
    """
    each = times if isinstance(times, list) else repeat(times)
    return (Answered(at, sent, exchange) for at, exchange in zip(each, exchanges, strict=False))
