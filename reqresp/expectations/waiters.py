"""
Waiters: futures of requests and connections that have not come yet.

An observer that is notified after the journal, which has the earlier requests.  Must not know
threads or how the server runs.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from reqresp._errors import check_count
from reqresp.exchanges import Exchanges
from reqresp.expectations.futures import AwaitableFuture
from reqresp.journal import Answered, Entry, Journal, Unanswered
from reqresp.script.predicates import Predicates
from reqresp.server.observers import Observer
from reqresp.server.responders import ConnectionContext, PastConnection
from reqresp.steps import Request

T = TypeVar("T")

# Called with requests that have just been received; returns whether the future is done.
_Check = Callable[[Sequence[Request]], bool]


def past_context(request: Request) -> ConnectionContext:
    """Return the connection of *request*, as a responder knew it then."""
    return PastConnection(request.peer, request.connection, request.number)


def matches(predicates: Predicates, request: Request) -> bool:
    """Return whether *request* fulfils *predicates*."""
    return predicates.hold(request.data, past_context(request))


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
        # The server's thread changes both.  A future that is cancelled removes itself, in any
        # thread: for a dict, that is one operation.
        self._checks: dict[Future[Any], _Check] = {}
        self._received: dict[int, int] = {}  # how many requests each connection has sent

    def __len__(self) -> int:
        """Return how many futures are not done."""
        return len(self._checks)

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        first = self._received.get(connection, 0) + 1
        self._received[connection] = first + len(requests) - 1
        if self._checks:
            self._check_all(
                [
                    Request(data, peer, connection, number)
                    for number, data in enumerate(requests, first)
                ]
            )

    def connected(self, peer: IAddress, connection: int) -> None:  # noqa: ARG002, the observer's
        self._check_all()

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:  # noqa: ARG002, the observer's
        self._received.pop(connection, None)
        self._check_all()

    def failed(self, peer: IAddress, connection: int, failure: Failure) -> None:  # noqa: ARG002, the observer's
        self._check_all()

    def answered(self, exchanges: Exchanges) -> None:  # noqa: ARG002, the observer's
        self._check_all()

    def cancel_all(self) -> None:
        """Cancel all futures that are not done: the server has ended."""
        for future in [*self._checks]:
            future.cancel()

    def requests(self, predicates: Predicates) -> list[Request]:
        """Return the requests that were received so far and fulfil *predicates*."""
        return [it for it in requests_among(self._journal.entries()) if matches(predicates, it)]

    def when(self, predicates: Predicates, times: int) -> AwaitableFuture[list[Request]]:
        """
        Return a future of the first *times* or more requests that fulfil *predicates*.

        :raises FieldError: *times* is no integer >= 0.
        """
        check_count(times, "times", 0)
        missing = times - len(self.requests(predicates))

        def is_done(requests: Sequence[Request]) -> bool:
            nonlocal missing
            missing -= sum(matches(predicates, request) for request in requests)
            return missing <= 0

        return self._wait(is_done, lambda: self.requests(predicates))

    def until(
        self, condition: Callable[[], bool], result: Callable[[], Any] = lambda: None
    ) -> AwaitableFuture[Any]:
        """
        Return a future that is done once *condition*, called at each event, returns True.

        It is a future of what *result* returns then.
        """
        return self._wait(lambda _requests: condition(), result)

    def _wait(self, is_done: _Check, result: Callable[[], T]) -> AwaitableFuture[T]:
        future: AwaitableFuture[T] = AwaitableFuture()

        def check(requests: Sequence[Request]) -> bool:
            if not is_done(requests):
                return False
            if future.set_running_or_notify_cancel():  # cannot be cancelled from here on
                future.set_result(result())
            return True

        if not check(()):
            self._checks[future] = check
            future.add_done_callback(lambda done: self._checks.pop(done, None))
        return future

    def _check_all(self, requests: Sequence[Request] = ()) -> None:
        for future, check in [*self._checks.items()]:
            if not future.done():
                check(requests)
