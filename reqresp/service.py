"""
Service: listening, and stopping without cutting a reply short.

Knows endpoints, the reactor and the signals that stop it; of requests only the factory that drains.
"""

import select
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory, IReadDescriptor, IStreamServerEndpoint
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
    """
    An *endpoint* to listen on, and the *name* it has in messages.

    :param factory: serves it, if that is not the service's own.
    :param is_private: whether nobody can read along, or that is no matter.
    :param is_last: whether it listens until all else has ended.
    """

    name: str
    endpoint: IStreamServerEndpoint
    factory: IProtocolFactory | None = None
    is_private: bool = False
    is_last: bool = False


#: Turns that accept those who wait: each takes one client, or more.
_MOST_WAITING = 4096

#: Addresses that stand for every interface.
_EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104 (to find out, not to listen there)


class ReqRespService(Service):
    """
    Serves *factory* on all of *listeners*.

    :param drain: seconds that replies under way have when it stops.
    :param lame_duck: seconds before these, in which it goes on as ever, but says that it is not
        ready: for balancers to find out, and to send nobody any more.
    """

    _log = Logger()

    def __init__(
        self,
        listeners: Sequence[Listener],
        factory: ReqRespFactory,
        drain: float,
        reactor: Any,
        lame_duck: float = 0,
    ) -> None:
        self.listeners = listeners
        self.factory = factory
        self.drain = drain
        self.lame_duck = lame_duck
        #: What is called on SIGHUP; as long as that is nothing, the signal is left alone.
        self.on_hangup: list[Callable[[], None]] = []
        #: What is called when it has stopped.
        self.on_end: list[Callable[[], None]] = []
        #: What is called on a second SIGINT or SIGTERM.
        self.on_second_signal: Callable[[], None] = self.hasten
        self._reactor = reactor
        self._signals = ExitStack()
        self._ports: list[Deferred[Any]] = []
        self._open = 0
        self._is_hasty = False
        self._lame: Deferred[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether clients that come now will be served for a while."""
        return bool(self.running) and self._open == len(self.listeners)

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
        """Be a lame duck, listen no more, drain; a second SIGINT or SIGTERM ends all that."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def hasten(self) -> None:
        """Have a stop that is under way end at once; what is not answered is reset."""
        self._is_hasty = True
        if self._lame is not None:
            self._lame.cancel()
        self.factory.drain(0)

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

        def welcome(port: Any) -> Any:
            self._open += 1
            host = getattr(port.getHost(), "host", "")
            if host in _EVERYWHERE and not listener.is_private:
                self._log.warn(
                    "listening on {name}, every interface of this machine, without TLS: whoever"
                    " reaches it can connect and read along",
                    name=listener.name,
                )
            return port

        factory = self.factory if listener.factory is None else listener.factory
        port: Deferred[Any] = maybeDeferred(listener.endpoint.listen, factory)
        port.addCallback(welcome).addErrback(blame)
        if cannot:
            # The true one: by now twistd has turned sys.stderr into its log.
            print(cannot[0], file=sys.__stderr__)
            raise cannot[0]
        return port

    async def _stop(self) -> None:
        last = [port for port, it in zip(self._ports, self.listeners, strict=False) if it.is_last]
        first = [port for port in self._ports if port not in last]
        # Twisted's own handlers would log a traceback, the reactor being stopped already.
        try:
            with self._on_signals(self._second_signal, signal.SIGINT, signal.SIGTERM):
                await self._be_lame()
                closed = _close(first)
                drain = 0 if self._is_hasty else self.drain
                await gatherResults([*closed, self.factory.drain(drain)])
                await gatherResults(_close(last))
        finally:
            self._ports = []
            self._open = 0
            self._is_hasty = False
            # A turn more, for what observers say at the end of each.
            await deferLater(self._reactor, 0)
            for call in self.on_end:
                call()
            self._signals.close()

    async def _be_lame(self) -> None:
        if not self.lame_duck or self._is_hasty:
            return
        self._log.info("not ready any more, and stopping in {seconds:g} s", seconds=self.lame_duck)
        self._lame = deferLater(self._reactor, self.lame_duck)
        try:
            await self._lame
        except CancelledError:
            pass
        finally:
            self._lame = None

    def _second_signal(self) -> None:
        self.on_second_signal()

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


def _close(ports: Iterable[Deferred[Any]]) -> list[Deferred[Any]]:
    """Close *ports*, having accepted who waits there: the kernel would reset them."""

    def close(port: Any) -> Any:
        if port is None:  # it could not be had
            return None
        _accept_all(port)
        return port.stopListening()

    closed = list(ports)
    for port in closed:
        port.cancel()  # if it has not come about yet
        port.addCallback(close)
    return closed


def _accept_all(port: Any) -> None:
    if not IReadDescriptor.providedBy(port):
        return
    poll = select.poll()
    poll.register(port, select.POLLIN)
    # As many as may have waited when it began: who comes meanwhile is not to keep it from ending.
    for _ in range(_MOST_WAITING):
        if not poll.poll(0):
            return
        port.doRead()


def _reason(error: BaseException | None) -> str:
    if isinstance(error, CannotListenError):
        error = error.socketError
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
