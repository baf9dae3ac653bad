"""
Ports: where one service listens, opened and closed together.

It must not know what is served there.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from attrs import evolve, frozen
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    DeferredList,
    gatherResults,
    maybeDeferred,
    succeed,
)
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory, IReadDescriptor, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp._errors import FieldError
from reqresp._text import format_address
from reqresp.services.errors import ListenError
from reqresp.transport.accept_modes import Accept, AcceptMode
from reqresp.transport.accepting import Acceptance, accept_waiting, check_family

_log = Logger()

T = TypeVar("T")

#: Addresses that mean every interface.
_ALL_INTERFACES = {"0.0.0.0", "::"}  # noqa: S104 (to compare with, not to listen on)


@frozen
class Listener:
    """
    An *endpoint* to listen on, and its *name* in messages.

    :param factory: serves this endpoint; None: that of its `Ports` does.
    :param serves: what it serves, for the log; empty: the name of its service says it.
    :param is_private: whether listening on all interfaces needs no warning, as with TLS.
    :param closes_last: whether it stays open until all connections have ended.
    :param is_shared: whether another process keeps the socket open, and accepts waiting clients.
    :param on_port: returns the same endpoint on a port with this number; None: its number is fixed.
    """

    name: str
    endpoint: IStreamServerEndpoint
    factory: IProtocolFactory | None = None
    serves: str = ""
    is_private: bool = False
    closes_last: bool = False
    is_shared: bool = False
    on_port: Callable[[int], IStreamServerEndpoint] | None = None

    def again(self, port: Any) -> "Listener":
        """Return what listens where *port* does."""
        address = port.getHost()
        endpoint = self.endpoint if self.on_port is None else self.on_port(address.port)
        return evolve(self, name=format_address(address), endpoint=endpoint, on_port=None)


def open_port(listener: Listener, factory: IProtocolFactory) -> Deferred[Any]:
    """
    Listen with *listener* for *factory*, and return a Deferred of the port.

    It fails with a `ListenError`, or with a CancelledError if it was cancelled before.
    """

    def failed(failure: Failure) -> None:
        if failure.check(CancelledError):
            failure.raiseException()
        raise ListenError(listener.name, _reason(failure.value))

    port: Deferred[Any] = maybeDeferred(listener.endpoint.listen, factory)
    return port.addCallback(_warn_if_exposed, listener).addErrback(failed)


def close_port(port: Any, *, is_shared: bool) -> Any:
    """
    Accept the clients that wait at *port*, which the kernel would reset, then close it.

    :param is_shared: whether another process accepts them.
    :returns: a Deferred, or None.
    """
    if not is_shared and IReadDescriptor.providedBy(port):
        accept_waiting(port)
    return port.stopListening()


@frozen
class _OpenPort:
    """A *port* that is open, the *listener* that opened it, and how it treats clients."""

    port: Any
    listener: Listener
    acceptance: Acceptance | None

    def begin(self, accept: AcceptMode) -> None:
        """
        Treat clients like that from the start.

        :raises ListenError: the port cannot.
        """
        if accept is Accept.NOW:
            return
        try:
            acceptance = self._needed()
            check_family(accept, is_unix=isinstance(self.port.getHost(), UNIXAddress))
        except FieldError as error:
            raise ListenError(self.listener.name, str(error)) from None
        acceptance.begin(accept)

    def check(self, accept: AcceptMode) -> None:
        """:raises FieldError: it cannot treat clients like that now."""
        if accept is not Accept.NOW:
            self._needed().check(accept)

    def set(self, accept: AcceptMode) -> None:
        """Treat clients like that from now on, as `check` allows."""
        if self.acceptance is not None:
            self.acceptance.begin(accept)

    def _needed(self) -> Acceptance:
        if self.acceptance is None:
            raise FieldError(
                "accept", "expected a port with a socket, to accept otherwise than now"
            )
        return self.acceptance

    def close(self) -> Any:
        """Stop listening, and return a Deferred or None; clients that wait are accepted before."""
        is_shared = self.listener.is_shared
        if self.acceptance is not None:
            self.acceptance.close(stays_open=is_shared)
            if self.acceptance.accept is Accept.REFUSE:  # no client waits
                return self.port.stopListening()
        return close_port(self.port, is_shared=is_shared)


class Ports:
    """
    The ports of one service.

    :param listeners: where it listens.
    :param factory: serves its clients.
    :param reactor: runs when the log says where it listens.
    :param name: of the service in the log; empty: it is not mentioned.
    """

    def __init__(
        self, listeners: Sequence[Listener], factory: IProtocolFactory, reactor: Any, name: str = ""
    ) -> None:
        self.listeners = listeners
        self.factory = factory
        #: What happens to clients that connect.
        self.accept: AcceptMode = Accept.NOW
        self._reactor = reactor
        self._name = name
        self._open: list[_OpenPort] = []
        self._opening: Deferred[None] | None = None
        self._closing: list[Deferred[Any]] = []

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens now."""
        return tuple(format_address(it.port.getHost()) for it in self._open)

    @property
    def is_open(self) -> bool:
        """Whether it listens everywhere that it should."""
        return len(self._open) == len(self.listeners)

    def follow(self, other: "Ports") -> None:
        """Listen on the ports that the system chose for *other*, which has the same endpoints."""
        pairs = zip(self.listeners, other.listeners, strict=True)
        self.listeners = [
            mine
            if mine.on_port is None
            else evolve(mine, name=its.name, endpoint=its.endpoint, on_port=its.on_port)
            for mine, its in pairs
        ]

    def open(self) -> Deferred[None]:
        """
        Listen everywhere; do nothing if it does, or is about to.

        The Deferred fails with the `ListenError` of the first listener that cannot listen; then
        none does.
        """
        if self._open or self._opening is not None:
            return succeed(None)
        self._opening = Deferred.fromCoroutine(self._open_all())
        return self._opening.addBoth(self._opened)

    def _opened(self, result: T) -> T:
        self._opening = None
        return result

    async def _open_all(self) -> None:
        await self._closed()
        # All at once: a process that root starts opens them before it becomes another user.
        attempts = [open_port(it, self.factory) for it in self.listeners]
        results: Any = await DeferredList(attempts, consumeErrors=True)
        failures = [result for is_open, result in results if not is_open]
        pairs = zip(results, self.listeners, strict=True)
        opened = [
            _OpenPort(port, listener, _acceptance(port))
            for (is_open, port), listener in pairs
            if is_open
        ]
        if failures:
            # At once: a process that starts ends with this, before its reactor runs.
            self._close(opened)
            failures[0].raiseException()
        try:
            for each in opened:  # before the reactor polls them
                each.begin(self.accept)
        except ListenError:
            self._close(opened)
            raise
        self._open = opened
        # A port that the system chose stays the same when it is closed and opened again.
        self.listeners = [it.listener.again(it.port) for it in self._open]
        for address in self.addresses:
            # Not before: the reactor handles no signals until it runs.
            self._reactor.callWhenRunning(self._log_listening, address)

    def _closed(self) -> Deferred[None]:
        """Return what fires when the ports are closed; to cancel it does not stop them."""
        closed: Deferred[None] = Deferred()
        DeferredList(self._closing).addCallback(lambda _: closed.callback(None))
        return closed

    def _log_listening(self, address: str) -> None:
        service = f" for {self._name}" if self._name else ""
        _log.info("Listening on {address}{service}", address=address, service=service)

    def close(self) -> Deferred[None]:
        """
        Stop listening, or give up to begin; the Deferred fires when the ports are closed.

        That of an `open` which has not fired fails with a CancelledError.
        """
        if self._opening is not None:
            self._opening.cancel()
        opened, self._open = self._open, []
        self._close(opened)
        return gatherResults(self._closing).addCallback(lambda _: None)

    def check_accepting(self, accept: AcceptMode) -> None:
        """:raises FieldError: a port that is open cannot treat clients like that."""
        for each in self._open:
            each.check(accept)

    def accepting(self, accept: AcceptMode) -> None:
        """
        Treat clients that connect like that from now on, also when it listens again.

        :raises FieldError: as for `check_accepting`; nothing has changed.
        """
        self.check_accepting(accept)
        self.accept = accept
        for each in self._open:
            each.set(accept)

    def _close(self, opened: Sequence[_OpenPort]) -> None:
        self._closing = [it for it in self._closing if not it.called]
        self._closing += [maybeDeferred(it.close) for it in opened]


def _acceptance(port: Any) -> Acceptance | None:
    return Acceptance(port) if IReadDescriptor.providedBy(port) else None


def _warn_if_exposed(port: Any, listener: Listener) -> Any:
    host = getattr(port.getHost(), "host", "")
    if host in _ALL_INTERFACES and not listener.is_private:
        _log.warn(
            "listening on {name}: all interfaces, without TLS; anyone who can reach this machine"
            " can connect and read the traffic",
            name=listener.name,
        )
    return port


def _reason(error: BaseException | None) -> str:
    if isinstance(error, CannotListenError):
        error = error.socketError
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
