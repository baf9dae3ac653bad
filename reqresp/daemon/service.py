"""
Service: listening, reloading on SIGHUP, and stopping without losing a reply.

Knows endpoints, the reactor and signals.  It must not know requests: the factory drains.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from reqresp._text import format_address
from reqresp.daemon.listeners import Listener, listen, started
from reqresp.server.front_factory import FrontFactory
from reqresp.services.ports import close_port
from reqresp.services.registry import Services


class LameDuck:
    """
    The time in which a server that will stop keeps serving, but reports that it is not ready.

    :param clock: the reactor.
    :param seconds: how long that is.
    """

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        self.seconds = seconds
        self._clock = clock
        self._waiting: Deferred[None] | None = None

    async def wait(self) -> None:
        """Wait until the time is over, or `end` is called."""
        if not self.seconds:
            return
        self._waiting = deferLater(self._clock, self.seconds)
        try:
            await self._waiting
        except CancelledError:
            pass
        finally:
            self._waiting = None

    def end(self) -> None:
        """End a wait that has begun."""
        if self._waiting is not None:
            self._waiting.cancel()


@contextmanager
def signals_handled(reactor: Any, call: Callable[[], object], *numbers: int) -> Iterator[None]:
    """
    Let *reactor* call *call* on the signals *numbers*, within this context.

    Outside the main thread, where Python allows no handlers, signals are not handled.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(*_: object) -> None:
        reactor.callFromThread(call)

    handlers = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            # None: it was not set from Python, and cannot be set back from there.
            before = signal.SIG_DFL if handler is None else handler
            # A reload that comes too late must not kill a process that is about to end.
            is_late_reload = number == signal.SIGHUP and before == signal.SIG_DFL
            signal.signal(number, signal.SIG_IGN if is_late_reload else before)


class ReqRespService(Service):
    """
    Serves *factory* on all *listeners*.

    :param factory: serves listeners that have no factory of their own; or services, which have
        listeners of their own.
    :param drain: seconds to finish replies on shutdown; then connections are reset.
    :param lame_duck: seconds to keep serving before that, while `is_ready` is false, so that load
        balancers notice and send no more clients.
    """

    _log = Logger()

    def __init__(
        self,
        listeners: Sequence[Listener],
        factory: FrontFactory | Services,
        drain: float,
        reactor: Any,
        lame_duck: float = 0,
    ) -> None:
        self.listeners = listeners
        self.factory = factory
        self.drain = drain
        self.lame_duck = LameDuck(reactor, lame_duck)
        #: Called on SIGHUP; while this is empty, the signal keeps its handler.
        self.on_hangup: list[Callable[[], None]] = []
        #: Called when the service begins to listen.
        self.on_start: list[Callable[[], None]] = []
        #: Called when the service has stopped.
        self.on_end: list[Callable[[], None]] = []
        #: Called on a second SIGINT or SIGTERM.
        self.on_second_signal: Callable[[], None] = self.stop_now
        #: Whether the log is read where standard error is.
        self.is_log_seen = False
        #: Those that listen on ports of their own.
        self.services = factory if isinstance(factory, Services) else None
        self._reactor = reactor
        self._signals = ExitStack()
        self._has_begun = False
        self._ports: list[Deferred[Any]] = []
        self._open = 0
        self._stops_now = False

    @property
    def is_ready(self) -> bool:
        """Whether all ports are open and the service is not about to stop."""
        listens = self._open == len(self.listeners)
        return bool(self.running) and listens and (self.services is None or self.services.is_open)

    def privilegedStartService(self) -> None:
        """
        Listen, while the process may still use ports below 1024.

        :raises CannotStart: a listener failed.
        """
        super().privilegedStartService()
        if self.on_hangup:  # before it listens: a program that sees the port may send SIGHUP
            self._signals.enter_context(signals_handled(self._reactor, self.reload, signal.SIGHUP))
        self._has_begun = True
        for call in self.on_start:
            call()
        for service in () if self.services is None else self.services:
            if service.definition.is_enabled:
                started(service.enable(), self._stop_reactor, is_log_seen=self.is_log_seen)
        self._ports = [self._listen(listener) for listener in self.listeners]

    def startService(self) -> None:
        super().startService()
        if not self._has_begun:
            self.privilegedStartService()

    def stopService(self) -> Deferred[None]:
        """Wait as a lame duck, close the ports, drain; a second SIGINT or SIGTERM ends all that."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def reload(self) -> None:
        """Call `on_hangup`, as on SIGHUP."""
        for call in self.on_hangup:
            try:
                call()
            except Exception:  # the others are not affected
                self._log.failure("reload failed")

    def stop_now(self) -> None:
        """End a stop that is in progress at once; reset connections with open requests."""
        self._stops_now = True
        self.lame_duck.end()
        self.factory.drain(0)

    def _listen(self, listener: Listener) -> Deferred[Any]:
        def opened(port: Any) -> Any:
            if port is not None:
                self._open += 1
                # Not before: the reactor handles no signals until it runs.
                self._reactor.callWhenRunning(
                    self._log_listening, format_address(port.getHost()), listener
                )
            return port

        factory, late = cast(Any, self.factory), self._stop_reactor
        port = listen(listener, factory, late, is_log_seen=self.is_log_seen)
        return port.addCallback(opened)

    def _log_listening(self, address: str, listener: Listener) -> None:
        what = f" for {listener.serves}" if listener.serves else ""
        self._log.info("Listening on {address}{what}", address=address, what=what)

    def _stop_reactor(self) -> None:
        if self.running:
            self._reactor.stop()

    async def _stop(self) -> None:
        ports = [*zip(self._ports, self.listeners, strict=False)]
        # The reactor has stopped already: Twisted's own handlers would log a traceback.
        try:
            with signals_handled(
                self._reactor, self.on_second_signal, signal.SIGINT, signal.SIGTERM
            ):
                if self.lame_duck.seconds:
                    self._log.info(
                        "no longer ready; stopping in {seconds:g} s",
                        seconds=self.lame_duck.seconds,
                    )
                await self.lame_duck.wait()
                closed = [_close(port, it) for port, it in ports if not it.closes_last]
                closed += [] if self.services is None else [self.services.close_ports()]
                drain = 0 if self._stops_now else self.drain
                await gatherResults([*closed, self.factory.drain(drain)])
                await gatherResults([_close(port, it) for port, it in ports if it.closes_last])
        finally:
            self._has_begun = False
            self._ports = []
            self._open = 0
            self._stops_now = False
            # Observers write at the end of a turn: let them.
            await deferLater(self._reactor, 0)
            for call in self.on_end:
                call()
            self._signals.close()


def _close(port: Deferred[Any], listener: Listener) -> Deferred[Any]:
    """Accept the clients that wait at *port*, which the kernel would reset, then close it."""

    def close(port: Any) -> Any:
        if port is None:  # it could not be opened
            return None
        return close_port(port, is_shared=listener.is_shared)

    port.cancel()  # if it is not open yet
    return port.addCallback(close)
