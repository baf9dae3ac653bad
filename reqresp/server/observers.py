"""
Observers: what a server reports while it runs.

An event is a method, of `Observer` and of `Events`, which notifies all observers.  What happens to
requests is reported once for each read, not for each request, so that it costs little.  This module
must not know what causes an event.
"""

from collections.abc import Callable, Iterable, Sequence

from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp.exchanges import Exchanges
from reqresp.framing import Unfinished


class Observer:
    """
    Receives the events of all connections of a factory: subclass it and override what you need.

    An event that no observer overrides costs nothing.  An exception raised here is logged and
    changes nothing for the client.  *connection* is the connection's number, as in `Request`.

    The events of one connection come in this order: connected, received and answered, failed,
    incomplete, disconnected.
    """

    def connected(self, peer: IAddress, connection: int) -> None:
        """Handle that a client has connected."""

    def refused(self, peer: IAddress, reason: str) -> None:
        """Handle that a client was refused; *reason* names the limit."""

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        """Handle that the responder was asked to answer *requests*, each in its turn."""

    def answered(self, exchanges: Exchanges) -> None:
        """Handle that the last step of each of *exchanges* was performed."""

    def failed(self, peer: IAddress, connection: int, failure: Failure) -> None:
        """Handle that a `FrameError`, or what a responder raised, ends the connection."""

    def incomplete(self, peer: IAddress, connection: int, request: Unfinished) -> None:
        """
        Handle that the connection ends within *request*, whose end the client has not sent.

        What arrives after the server has ended the connection, hangs or has stopped reading is no
        request.
        """

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        """Handle that the connection is lost; *reason* is Twisted's."""


class Events:
    """Notifies *observers*, in their order; what one of them raises is logged."""

    _log = Logger()

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        observers = tuple(observers)
        self._connected = _methods(observers, Observer.connected)
        self._refused = _methods(observers, Observer.refused)
        self._received = _methods(observers, Observer.received)
        self._answered = _methods(observers, Observer.answered)
        self._failed = _methods(observers, Observer.failed)
        self._incomplete = _methods(observers, Observer.incomplete)
        self._disconnected = _methods(observers, Observer.disconnected)
        #: Whether an observer receives requests when they are taken up.
        self.reports_received = bool(self._received)
        #: Whether an observer receives exchanges.
        self.reports_answered = bool(self._answered)
        #: Whether an observer receives either.
        self.reports_requests = self.reports_received or self.reports_answered

    def connected(self, peer: IAddress, connection: int) -> None:
        """Notify the observers that a client has connected."""
        for method in self._connected:
            self._call(method, peer, connection)

    def refused(self, peer: IAddress, reason: str) -> None:
        """Notify the observers that a client was refused."""
        for method in self._refused:
            self._call(method, peer, reason)

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        """Notify the observers of *requests* that were taken up."""
        for method in self._received:
            try:  # as in _call: this is called for each read
                method(peer, connection, requests)
            except BaseException:
                self._log_failure(method)

    def answered(self, exchanges: Exchanges) -> None:
        """Notify the observers of *exchanges*."""
        for method in self._answered:
            try:  # likewise
                method(exchanges)
            except BaseException:
                self._log_failure(method)

    def failed(self, peer: IAddress, connection: int, failure: Failure) -> None:
        """Notify the observers of an error that ends a connection."""
        for method in self._failed:
            self._call(method, peer, connection, failure)

    def incomplete(self, peer: IAddress, connection: int, request: Unfinished) -> None:
        """Notify the observers of a *request* that a client has begun and not finished."""
        for method in self._incomplete:
            self._call(method, peer, connection, request)

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        """Notify the observers that a connection is lost."""
        for method in self._disconnected:
            self._call(method, peer, connection, reason)

    def _call(self, method: Callable[..., None], *details: object) -> None:
        try:
            method(*details)
        except BaseException:  # as the reactor does: whatever it is, the server goes on
            self._log_failure(method)

    def _log_failure(self, method: Callable[..., None]) -> None:
        name = getattr(method, "__name__", repr(method))
        self._log.failure("an observer failed in {event}", event=name)


def _methods(
    observers: Iterable[Observer], event: Callable[..., None]
) -> tuple[Callable[..., None], ...]:
    """Return the methods of *observers* that override the method *event* of `Observer`."""
    name = event.__name__
    return tuple(
        getattr(observer, name)
        for observer in observers
        if getattr(type(observer), name) is not event
    )
