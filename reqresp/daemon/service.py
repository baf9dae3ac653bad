"""
Service: listening, and stopping without cutting a reply short.

Knows endpoints, the reactor and the signals that stop it; of requests only the factory that drains.
"""

import select
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import deferLater
from twisted.logger import Logger

from reqresp.daemon.lame_duck import LameDuck
from reqresp.daemon.listeners import Listener, listen
from reqresp.daemon.signals import handled
from reqresp.server.factory import ReqRespFactory

#: Turns that accept those who wait: each takes one client, or more.
_MOST_WAITING = 4096


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
        self.lame_duck = LameDuck(reactor, lame_duck)
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
        if self.on_hangup:  # before it listens: who sees that may well send one
            self._signals.enter_context(handled(self._reactor, self.hang_up, signal.SIGHUP))
        self._ports = [self._listen(listener) for listener in self.listeners]

    def startService(self) -> None:
        super().startService()
        if not self._ports:
            self.privilegedStartService()

    def stopService(self) -> Deferred[None]:
        """Be a lame duck, listen no more, drain; a second SIGINT or SIGTERM ends all that."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def hang_up(self) -> None:
        """Do what is to be done on SIGHUP."""
        for call in self.on_hangup:
            try:
                call()
            except Exception:  # the others have nothing to do with it
                self._log.failure("something cannot be reloaded")

    def hasten(self) -> None:
        """Have a stop that is under way end at once; what is not answered is reset."""
        self._is_hasty = True
        self.lame_duck.end()
        self.factory.drain(0)

    def _listen(self, listener: Listener) -> Deferred[Any]:
        def welcome(port: Any) -> Any:
            self._open += port is not None
            return port

        return listen(listener, self.factory, self._cannot_start).addCallback(welcome)

    def _cannot_start(self) -> None:
        if self.running:
            self._reactor.stop()

    async def _stop(self) -> None:
        ports = [*zip(self._ports, self.listeners, strict=False)]
        # Twisted's own handlers would log a traceback, the reactor being stopped already.
        try:
            with handled(self._reactor, self.on_second_signal, signal.SIGINT, signal.SIGTERM):
                if self.lame_duck.seconds:
                    self._log.info(
                        "not ready any more, and stopping in {seconds:g} s",
                        seconds=self.lame_duck.seconds,
                    )
                await self.lame_duck.wait()
                closed = [_close(port, it) for port, it in ports if not it.is_last]
                drain = 0 if self._is_hasty else self.drain
                await gatherResults([*closed, self.factory.drain(drain)])
                await gatherResults([_close(port, it) for port, it in ports if it.is_last])
        finally:
            self._ports = []
            self._open = 0
            self._is_hasty = False
            # A turn more, for what observers say at the end of each.
            await deferLater(self._reactor, 0)
            for call in self.on_end:
                call()
            self._signals.close()


def _close(port: Deferred[Any], listener: Listener) -> Deferred[Any]:
    """Close *port*, having accepted who waits there: the kernel would reset them."""

    def close(port: Any) -> Any:
        if port is None:  # it could not be had
            return None
        if not listener.is_kept:
            _accept_all(port)
        return port.stopListening()

    port.cancel()  # if it has not come about yet
    return port.addCallback(close)


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
