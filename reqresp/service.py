"""
Service: listening, and stopping without cutting a reply short.

Knows endpoints, the reactor and the signals that stop it; of requests only the factory that drains.
"""

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp.factory import ReqRespFactory


class CannotStart(SystemExit, Exception):  # noqa: N818 (what it says to twistd is no error but an end)
    """
    Ends twistd with status 1, the reason having been told.

    A SystemExit, so that no traceback is printed; an Exception, so that twistd removes its pid file
    and tells the process that started the daemon.
    """

    code = 1


@frozen
class Listener:
    """An *endpoint* to listen on, and the *name* it has in messages."""

    name: str
    endpoint: IStreamServerEndpoint


class ReqRespService(Service):
    """
    Serves *factory* on all of *listeners*.

    :param drain: seconds that replies under way have when it stops.
    """

    _log = Logger()

    def __init__(
        self,
        listeners: Sequence[Listener],
        factory: ReqRespFactory,
        drain: float,
        reactor: Any,
    ) -> None:
        self.listeners = listeners
        self.factory = factory
        self.drain = drain
        #: What is called on SIGHUP; as long as that is nothing, the signal is left alone.
        self.on_hangup: list[Callable[[], None]] = []
        #: What is called when it has stopped.
        self.on_end: list[Callable[[], None]] = []
        self._reactor = reactor
        self._signals = ExitStack()
        self._ports: list[Deferred[Any]] = []

    def privilegedStartService(self) -> None:
        """
        Listen, while ports below 1024 can still be had.

        :raises CannotStart: one of the listeners cannot.
        """
        super().privilegedStartService()
        self._ports = [self._listen(listener) for listener in self.listeners]

    def startService(self) -> None:
        super().startService()
        if not self._ports:
            self.privilegedStartService()
        if self.on_hangup:
            self._signals.enter_context(self._on_signals(self._hang_up, signal.SIGHUP))

    def stopService(self) -> Deferred[None]:
        """Stop listening now, drain; a second SIGINT or SIGTERM ends the draining."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def _listen(self, listener: Listener) -> Deferred[Any]:
        cannot: list[CannotStart] = []

        def blame(failure: Failure) -> None:
            if failure.check(CancelledError):
                return
            reason = _reason(failure.value)
            cannot.append(CannotStart(f"reqresp: cannot listen on {listener.name}: {reason}"))
            self._log.critical("{cannot}", cannot=cannot[0])
            # Some endpoints need time to find out, too late to raise.
            if self._ports and self.running:
                self._reactor.stop()

        port: Deferred[Any] = maybeDeferred(listener.endpoint.listen, self.factory)
        port.addErrback(blame)
        if cannot:
            # The true one: by now twistd has turned sys.stderr into its log.
            print(cannot[0], file=sys.__stderr__)
            raise cannot[0]
        return port

    async def _stop(self) -> None:
        def hasten() -> None:
            self.factory.drain(0)

        for port in self._ports:
            port.cancel()  # if it has not come about yet
            port.addCallback(lambda port: port and port.stopListening())
        # Twisted's own handlers would log a traceback, the reactor being stopped already.
        try:
            with self._on_signals(hasten, signal.SIGINT, signal.SIGTERM):
                await gatherResults([*self._ports, self.factory.drain(self.drain)])
        finally:
            self._ports = []
            # A turn more, for what observers say at the end of each.
            await deferLater(self._reactor, 0)
            for call in self.on_end:
                call()
            self._signals.close()

    def _hang_up(self) -> None:
        for call in self.on_hangup:
            call()

    @contextmanager
    def _on_signals(self, call: Callable[[], object], *numbers: int) -> Iterator[None]:
        """Have the reactor *call* on these signals, which only a main thread can take."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handle(*_: object) -> None:
            self._reactor.callFromThread(call)

        handlers = {number: signal.signal(number, handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                # None: it was not set from Python, and cannot be set back from there.
                before = signal.SIG_DFL if handler is None else handler
                # What is about to end is not to be killed by a reload that comes too late.
                late = number == signal.SIGHUP and before == signal.SIG_DFL
                signal.signal(number, signal.SIG_IGN if late else before)


def _reason(error: BaseException | None) -> str:
    if isinstance(error, CannotListenError):
        error = error.socketError
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
