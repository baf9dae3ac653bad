"""
Observers: what a server reports while it runs.

An event is a method, of `Observer` and of `Events`, which notifies all observers.  What happens to
requests is reported once for each read, not for each request, so that it costs little.  This module
must not know what causes an event.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import Enum

from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp.exchanges import Exchanges
from reqresp.faults import Direction as Direction
from reqresp.framing import Unfinished
from reqresp.server.config import ServerConfig


class Unasked(Enum):
    """What is sent without a request; most values are those of a `Trigger`."""

    GREETING = "greeting"  #: the reply when a client connects
    IDLE = "idle"  #: what is sent before a timeout closes the connection
    REFUSED = "refused"  #: the reply to a client that is refused
    MALFORMED = "malformed"  #: the reply to bytes that are no request
    TIMER = "timer"  #: a frame that is sent at times
    BROADCAST = "broadcast"  #: what a rule, or a program, sends to several connections
    PUSH = "push"  #: what a person, or a program, has pushed to one connection


class Observer:
    """
    Receives the events of all connections of a factory: subclass it and override what you need.

    An event that no observer overrides costs nothing.  An exception raised here is logged and
    changes nothing for the client.  *connection* is the connection's number, as in `Request`.

    The events of one connection come in this order: connected; sent, received and answered; failed,
    incomplete, disconnected.  A relay's come in this order: connected, upstream_opened or
    upstream_failed, passed and faulted, client_ended and upstream_ended, disconnected.
    """

    #: Whether `passed` is called, too, for the bytes of requests that are forwarded one by one and
    #: of their replies, which `received` and `answered` report as well.
    sees_forwarded_bytes = True

    def connected(self, peer: IAddress, connection: int) -> None:
        """Handle that a client has connected."""

    def sent(self, peer: IAddress, connection: int, data: bytes, by: Unasked) -> None:
        """
        Handle that *data* is sent without a request.

        :param data: as it is sent, in the frame and with the faults of a reply.
        """

    def changed(self, what: str) -> None:
        """Handle that the server was changed while it runs; *what* says how, for people."""

    def refused(self, peer: IAddress, reason: str) -> None:
        """Handle that a client was refused; *reason* names the limit."""

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        """Handle that the responder was asked to answer *requests*, each in its turn."""

    def answered(self, exchanges: Exchanges) -> None:
        """Handle that the last step of each of *exchanges* was performed."""

    def answered_at_once(
        self,
        peer: IAddress,
        connection: int,
        config: ServerConfig,
        first: int,
        requests: Sequence[bytes],
        data: bytes,
        is_whole: bool,
    ) -> None:
        """
        Handle that *requests*, which arrived together, were answered at once, with constants of
        *config*.

        It takes less time than `received` and `answered`, which are called instead where this
        method is not overridden.  ``config.exchanges(peer, connection, first, requests)`` makes the
        `Exchanges`.

        :param first: the number of the first request on its connection.
        :param data: what has arrived of them: the first may have begun earlier.
        :param is_whole: whether a new decoder of *config* finds *requests* in *data*, and nothing
            else.
        """

    def before_log_line(self) -> None:
        """Handle that the server is about to log a line about a connection."""

    def failed(self, peer: IAddress, connection: int, failure: Failure) -> None:
        """Handle that a `FrameError`, or what a responder raised, ends the connection."""

    def incomplete(self, peer: IAddress, connection: int, request: Unfinished) -> None:
        """
        Handle that the connection ends within *request*, whose end the client has not sent.

        What arrives after the server has ended the connection, hangs or has stopped reading is no
        request.
        """

    def upstream_opened(self, peer: IAddress, connection: int) -> None:
        """Handle that a relay has connected to the service."""

    def upstream_failed(self, peer: IAddress, connection: int, failure: Failure) -> None:
        """Handle that a relay cannot connect to the service."""

    def passed(self, peer: IAddress, connection: int, direction: Direction, data: bytes) -> None:
        """
        Handle that *data* has arrived at a relay, before any fault.

        Empty *data* is EOF: nothing more comes in this direction.  After a reset there is none.
        """

    def faulted(self, peer: IAddress, connection: int, direction: Direction, fault: str) -> None:
        """Handle that the fault named *fault* affects the connection, for the first time."""

    def client_ended(self, peer: IAddress, connection: int, reason: Failure) -> None:
        """
        Handle that the connection of a relay's client is lost; *reason* is Twisted's.

        That to the service may last longer, while a fault holds bytes for it.
        """

    def upstream_ended(self, peer: IAddress, connection: int, reason: Failure) -> None:
        """Handle that the connection to the service is lost; *reason* is Twisted's."""

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        """Handle that the connection is lost; *reason* is Twisted's."""


class Events:
    """Notifies *observers*, in their order; what one of them raises is logged."""

    _log = Logger()

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        observers = tuple(observers)
        self._connected = _methods(observers, Observer.connected)
        self._sent = _methods(observers, Observer.sent)
        self._changed = _methods(observers, Observer.changed)
        self._refused = _methods(observers, Observer.refused)
        self._received = _methods(observers, Observer.received)
        self._answered = _methods(observers, Observer.answered)
        # Of a read that was answered at once, an observer has one event, or the two above.
        self._answered_at_once = _methods(observers, Observer.answered_at_once)
        others = [it for it in observers if not _overrides(it, Observer.answered_at_once)]
        self._received_as_well = _methods(others, Observer.received)
        self._answered_as_well = _methods(others, Observer.answered)
        self._before_log_line = _methods(observers, Observer.before_log_line)
        self._failed = _methods(observers, Observer.failed)
        self._incomplete = _methods(observers, Observer.incomplete)
        self._upstream_opened = _methods(observers, Observer.upstream_opened)
        self._upstream_failed = _methods(observers, Observer.upstream_failed)
        self._passed = _methods(observers, Observer.passed)
        seeing = [it for it in observers if it.sees_forwarded_bytes]
        self._forwarded = _methods(seeing, Observer.passed)
        others = [it for it in observers if not it.sees_forwarded_bytes]
        self._unasked = _methods(others, Observer.passed)
        self._faulted = _methods(observers, Observer.faulted)
        self._client_ended = _methods(observers, Observer.client_ended)
        self._upstream_ended = _methods(observers, Observer.upstream_ended)
        self._disconnected = _methods(observers, Observer.disconnected)
        #: `answered_at_once`, or that of the only observer, which may raise: one call less a read.
        self.report_at_once = self.answered_at_once
        if len(observers) == len(self._answered_at_once) == 1:
            self.report_at_once = self._answered_at_once[0]
        #: Whether an observer receives what passes a relay.
        self.reports_passed = bool(self._passed)
        #: Whether an observer receives what is sent without a request.
        self.reports_sent = bool(self._sent)
        #: Whether an observer receives the bytes of requests that are forwarded one by one.
        self.reports_forwarded = bool(self._forwarded)
        #: Whether an observer receives requests when they are taken up.
        self.reports_received = bool(self._received)
        #: Whether an observer receives exchanges.
        self.reports_answered = bool(self._answered)
        #: Whether an observer receives reads that were answered at once, as one event.
        self.reports_at_once = bool(self._answered_at_once)
        #: Whether an observer receives any of these.
        self.reports_requests = (
            self.reports_received or self.reports_answered or self.reports_at_once
        )

    def connected(self, peer: IAddress, connection: int) -> None:
        """Notify the observers that a client has connected."""
        for method in self._connected:
            self._call(method, peer, connection)

    def sent(self, peer: IAddress, connection: int, data: bytes, by: Unasked) -> None:
        """Notify the observers that *data* is sent without a request."""
        for method in self._sent:
            self._call(method, peer, connection, data, by)

    def changed(self, what: str) -> None:
        """Notify the observers that the server was changed."""
        for method in self._changed:
            self._call(method, what)

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

    def answered_at_once(
        self,
        peer: IAddress,
        connection: int,
        config: ServerConfig,
        first: int,
        requests: Sequence[bytes],
        data: bytes,
        is_whole: bool,
    ) -> None:
        """Notify the observers of a read that was answered at once."""
        for method in self._answered_at_once:
            try:  # likewise
                method(peer, connection, config, first, requests, data, is_whole)
            except BaseException:
                self._log_failure(method)
        for method in self._received_as_well:
            self._call(method, peer, connection, requests)
        if self._answered_as_well:
            size = len(data) if is_whole else sum(map(len, requests))
            exchanges = config.exchanges(peer, connection, first, requests, size=size)
            for method in self._answered_as_well:
                self._call(method, exchanges)

    def before_log_line(self) -> None:
        """Notify the observers that a line about a connection is about to be logged."""
        for method in self._before_log_line:
            self._call(method)

    def failed(self, peer: IAddress, connection: int, failure: Failure) -> None:
        """Notify the observers of an error that ends a connection."""
        for method in self._failed:
            self._call(method, peer, connection, failure)

    def incomplete(self, peer: IAddress, connection: int, request: Unfinished) -> None:
        """Notify the observers of a *request* that a client has begun and not finished."""
        for method in self._incomplete:
            self._call(method, peer, connection, request)

    def upstream_opened(self, peer: IAddress, connection: int) -> None:
        """Notify the observers that a relay has connected to the service."""
        for method in self._upstream_opened:
            self._call(method, peer, connection)

    def upstream_failed(self, peer: IAddress, connection: int, failure: Failure) -> None:
        """Notify the observers that a relay cannot connect to the service."""
        for method in self._upstream_failed:
            self._call(method, peer, connection, failure)

    def passed(self, peer: IAddress, connection: int, direction: Direction, data: bytes) -> None:
        """Notify the observers of *data* that passes a relay; empty: EOF."""
        for method in self._passed:
            try:  # as in _call: this is called for each read
                method(peer, connection, direction, data)
            except BaseException:
                self._log_failure(method)

    def forwarded(self, peer: IAddress, connection: int, direction: Direction, data: bytes) -> None:
        """Notify observers of *data* to or from a service that gets single requests; empty: EOF."""
        for method in self._forwarded:
            self._call(method, peer, connection, direction, data)

    def unasked(self, peer: IAddress, connection: int, data: bytes) -> None:
        """Notify those that `forwarded` does not of *data* that answers no request."""
        for method in self._unasked:
            self._call(method, peer, connection, Direction.DOWNSTREAM, data)

    def faulted(self, peer: IAddress, connection: int, direction: Direction, fault: str) -> None:
        """Notify the observers of a fault of a direction that affects a connection."""
        for method in self._faulted:
            self._call(method, peer, connection, direction, fault)

    def client_ended(self, peer: IAddress, connection: int, reason: Failure) -> None:
        """Notify the observers that the connection of a relay's client is lost."""
        for method in self._client_ended:
            self._call(method, peer, connection, reason)

    def upstream_ended(self, peer: IAddress, connection: int, reason: Failure) -> None:
        """Notify the observers that the connection of a relay to the service is lost."""
        for method in self._upstream_ended:
            self._call(method, peer, connection, reason)

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        """Notify the observers that a connection is lost."""
        for method in self._disconnected:
            self._call(method, peer, connection, reason)

    def failed_at_once(self) -> None:
        """Log what `report_at_once` has raised."""
        self._log_failure(self.report_at_once)

    def _call(self, method: Callable[..., None], *details: object) -> None:
        try:
            method(*details)
        except BaseException:  # as the reactor does: the server continues after any exception
            self._log_failure(method)

    def _log_failure(self, method: Callable[..., None]) -> None:
        name = getattr(method, "__name__", repr(method))
        self._log.failure("an observer failed in {event}", event=name)


def _methods(
    observers: Iterable[Observer], event: Callable[..., None]
) -> tuple[Callable[..., None], ...]:
    """Return the methods of *observers* that override the method *event* of `Observer`."""
    return tuple(getattr(it, event.__name__) for it in observers if _overrides(it, event))


def _overrides(observer: Observer, event: Callable[..., None]) -> bool:
    return getattr(type(observer), event.__name__) is not event
