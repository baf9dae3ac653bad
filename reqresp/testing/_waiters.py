"""
Waiters: futures of requests that have not been received yet.

An observer that is notified after the journal, which has the earlier requests.  Must not know
threads or how the server runs.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from attrs import define
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from reqresp.exchanges import Exchanges
from reqresp.journal import Answered, Entry, Journal, Unanswered
from reqresp.script.predicates import Predicates
from reqresp.server.observers import Observer
from reqresp.steps import Request

T = TypeVar("T")

# Called with the requests of a read of one connection; returns whether the future is done.
_Check = Callable[[IAddress, int, Sequence[bytes]], bool]

_NO_PEER = IPv4Address("TCP", "0.0.0.0", 0)  # noqa: S104, nothing listens there


@define
class _PastContext:
    """The `ConnectionContext` of a request that was received before."""

    peer: IAddress
    number: int
    taken: int = 1
    notes: Any = None


def matches(predicates: Predicates, request: Request) -> bool:
    """Return whether *request* fulfils *predicates*."""
    context = _PastContext(request.peer, request.connection, request.number)
    return predicates.hold(request.data, context)


def requests_among(entries: Sequence[Entry]) -> list[Request]:
    """Return the requests among *entries*, in the order in which they were received."""
    found = [entry for entry in entries if isinstance(entry, Answered | Unanswered)]
    return [
        entry.exchange.request if isinstance(entry, Answered) else entry.request
        for entry in sorted(found, key=lambda entry: entry.at)
    ]


class Waiters(Observer):
    """Completes futures when requests are received; to be notified after *journal*."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._checks: list[_Check] = []
        self._pending: set[Future[Any]] = set()

    def __len__(self) -> int:
        """Return how many futures are not done."""
        return len(self._checks)

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        self._check_all(peer, connection, requests)

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:  # noqa: ARG002, the observer's
        self._check_all(peer, connection, ())

    def failed(self, peer: IAddress, connection: int, failure: Failure) -> None:  # noqa: ARG002, the observer's
        self._check_all(peer, connection, ())

    def answered(self, exchanges: Exchanges) -> None:
        self._check_all(exchanges.peer, exchanges.connection, ())

    def cancel_all(self) -> None:
        """Cancel all futures that are not done: the server has ended."""
        for future in self._pending:
            future.cancel()
        self._pending.clear()
        self._checks.clear()

    def requests(self, predicates: Predicates) -> list[Request]:
        """Return the requests that were received so far and fulfil *predicates*."""
        return [it for it in requests_among(self._journal.entries()) if matches(predicates, it)]

    def when(self, predicates: Predicates, times: int) -> "Future[list[Request]]":
        """Return a future of the first *times* or more requests that fulfil *predicates*."""
        missing = times - len(self.requests(predicates))

        def is_done(peer: IAddress, connection: int, requests: Sequence[bytes]) -> bool:
            nonlocal missing
            context = _PastContext(peer, connection)
            missing -= sum(predicates.hold(request, context) for request in requests)
            return missing <= 0

        return self._wait(is_done, lambda: self.requests(predicates))

    def until(self, condition: Callable[[], bool]) -> "Future[None]":
        """Return a future that is done once *condition*, called at each event, returns True."""
        return self._wait(lambda *_: condition(), lambda: None)

    def _wait(self, is_done: _Check, result: Callable[[], T]) -> "Future[T]":
        future: Future[T] = Future()

        def check(peer: IAddress, connection: int, requests: Sequence[bytes]) -> bool:
            if not future.cancelled() and not is_done(peer, connection, requests):
                return False
            self._pending.discard(future)
            if future.set_running_or_notify_cancel():  # cannot be cancelled from here on
                future.set_result(result())
            return True

        if not check(_NO_PEER, 0, ()):
            self._checks.append(check)
            self._pending.add(future)
        return future

    def _check_all(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        for check in [*self._checks]:
            if check(peer, connection, requests):
                self._checks.remove(check)
