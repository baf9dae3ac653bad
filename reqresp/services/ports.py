"""
Ports: where one service listens, opened and closed together.

It must not know what is served there.
"""

import select
from collections.abc import Callable, Sequence
from typing import Any

from attrs import evolve, frozen
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

from reqresp._text import format_address
from reqresp.services.errors import ListenError

_log = Logger()

#: Addresses that mean every interface.
_ALL_INTERFACES = {"0.0.0.0", "::"}  # noqa: S104 (to compare with, not to listen on)
#: How often a port accepts waiting clients before it closes; each time one client or more.
_MAX_LAST_ACCEPTS = 4096


@frozen
class Listener:
    """
    An *endpoint* to listen on, and its *name* in messages.

    :param factory: serves this endpoint; None: whoever listens says what does.
    :param is_private: whether listening on all interfaces needs no warning, as with TLS.
    :param closes_last: whether it stays open until all connections have ended.
    :param is_shared: whether another process keeps the socket open, and accepts waiting clients.
    :param on_port: returns the same endpoint on a port with this number; None: its number is fixed.
    """

    name: str
    endpoint: IStreamServerEndpoint
    factory: IProtocolFactory | None = None
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
    if not is_shared:
        _accept_waiting(port)
    return port.stopListening()


class Ports:
    """
    The open ports of one service.

    :param listeners: where it listens.
    :param factory: serves its clients.
    """

    def __init__(self, listeners: Sequence[Listener], factory: IProtocolFactory) -> None:
        self.listeners = listeners
        self._factory = factory
        self._open: list[tuple[Any, Listener]] = []

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens now."""
        return tuple(format_address(port.getHost()) for port, _ in self._open)

    @property
    def is_open(self) -> bool:
        """Whether it listens everywhere that it should."""
        return len(self._open) == len(self.listeners)

    def open(self) -> Deferred[None]:
        """
        Listen everywhere; do nothing if that is so.

        The Deferred fails with the `ListenError` of the first listener that cannot listen; then
        none does.
        """
        if self._open:
            return succeed(None)
        return Deferred.fromCoroutine(self._open_all())

    async def _open_all(self) -> None:
        # All at once: a process that root starts opens them before it becomes another user.
        attempts = [open_port(it, self._factory) for it in self.listeners]
        results: Any = await DeferredList(attempts, consumeErrors=True)
        opened = [
            (port, listener)
            for (is_open, port), listener in zip(results, self.listeners, strict=True)
            if is_open
        ]
        failures = [result for is_open, result in results if not is_open]
        self._open = opened
        if failures:
            await self.close()
            failures[0].raiseException()
        # A port that the system chose stays the same when it is closed and opened again.
        self.listeners = [listener.again(port) for port, listener in opened]

    def close(self) -> Deferred[Any]:
        """Stop listening; return a Deferred that fires when the ports are closed."""
        opened, self._open = self._open, []
        return gatherResults(
            [maybeDeferred(close_port, port, is_shared=it.is_shared) for port, it in opened]
        )


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


def _accept_waiting(port: Any) -> None:
    if not IReadDescriptor.providedBy(port):
        return
    poll = select.poll()
    poll.register(port, select.POLLIN)
    # Bounded: clients that keep coming must not keep the server from stopping.
    for _ in range(_MAX_LAST_ACCEPTS):
        if not poll.poll(0):
            return
        port.doRead()
