"""
Waiters: who waits for requests, and whether they came.

An observer beside the journal, of which it asks what came before; knows nothing of threads.
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


@define
class _Asker:
    """A connection as predicates see it."""

    peer: IAddress
    number: int
    taken: int = 1
    notes: Any = None


def fits(wanted: Predicates, request: Request) -> bool:
    """Tell whether *request* is what is *wanted*."""
    return wanted.hold(request.data, _Asker(request.peer, request.connection, request.number))


def requests(entries: Sequence[Entry]) -> list[Request]:
    """Give the requests among *entries*, in the order in which they were taken up."""
    asked = [entry for entry in entries if isinstance(entry, Answered | Unanswered)]
    return [
        entry.exchange.request if isinstance(entry, Answered) else entry.request
        for entry in sorted(asked, key=lambda entry: entry.at)
    ]


class Waiters(Observer):
    """Tells those who wait; it is to be told behind *journal* what happens."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._looks: list[_Look] = []
        self._found: set[Future[Any]] = set()

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        self._tell(peer, connection, requests)

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:  # noqa: ARG002, the observer's
        self._tell(peer, connection, ())

    def failed(self, peer: IAddress, connection: int, failure: Failure) -> None:  # noqa: ARG002, the observer's
        self._tell(peer, connection, ())

    def answered(self, exchanges: Exchanges) -> None:
        self._tell(exchanges.peer, exchanges.connection, ())

    def give_up(self) -> None:
        """Cancel all that is still being waited for: nothing will come any more."""
        for found in self._found:
            found.cancel()
        self._found.clear()
        self._looks.clear()

    def came(self, wanted: Predicates) -> list[Request]:
        """Give the requests like this that came so far."""
        return [it for it in requests(self._journal.entries()) if fits(wanted, it)]

    def when(self, wanted: Predicates, times: int) -> "Future[list[Request]]":
        """Wait until *times* requests like this came, and give them."""
        missing = times - len(self.came(wanted))

        def is_so(peer: IAddress, connection: int, requests: Sequence[bytes]) -> bool:
            nonlocal missing
            asker = _Asker(peer, connection)
            missing -= sum(wanted.hold(request, asker) for request in requests)
            return missing <= 0

        return self._wait(is_so, lambda: self.came(wanted))

    def until(self, is_so: Callable[[], bool]) -> "Future[None]":
        """Wait until *is_so*, which is asked now, and whenever something happened."""
        return self._wait(lambda *_: is_so(), lambda: None)

    def _wait(self, is_so: "_Look", give: Callable[[], T]) -> "Future[T]":
        found: Future[T] = Future()

        def look(peer: IAddress, connection: int, requests: Sequence[bytes]) -> bool:
            if not found.cancelled() and not is_so(peer, connection, requests):
                return False
            # Nobody can cancel it from here on.
            self._found.discard(found)
            if found.set_running_or_notify_cancel():
                found.set_result(give())
            return True

        if not look(_NOBODY, 0, ()):
            self._looks.append(look)
            self._found.add(found)
        return found

    def _tell(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        for look in [*self._looks]:
            if look(peer, connection, requests):
                self._looks.remove(look)


#: Tells whether something is so, after so many requests of a connection.
_Look = Callable[[IAddress, int, Sequence[bytes]], bool]

_NOBODY = IPv4Address("TCP", "0.0.0.0", 0)  # noqa: S104, nothing listens there
