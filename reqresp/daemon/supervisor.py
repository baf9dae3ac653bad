"""
Supervisor: opens the sockets, and sees that as many workers as were asked for serve them.

Knows processes and what they are to be told, and nothing of what they serve: it accepts nobody.
"""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from twisted.application.service import Service
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from reqresp.daemon.lame_duck import LameDuck
from reqresp.daemon.listeners import Listener, listen, tell
from reqresp.daemon.options import Options
from reqresp.daemon.processes import Spawner
from reqresp.daemon.signals import handled
from reqresp.daemon.worker_files import why_unusable

#: Seconds that a worker has for its end, beside those that it is to take.
MARGIN = 5.0
#: Seconds until one that died before it was ready is started again: at first, and at most.
FIRST_DELAY = 0.25
MOST_DELAY = 8.0


class Supervisor(Service):
    """
    Starts workers, and starts another where one ends, until it is stopped.

    :param listeners: where all of them serve.
    :param measured: where each has its metrics, if they have any.
    """

    _log = Logger()

    def __init__(
        self,
        options: Options,
        listeners: Sequence[Listener],
        measured: Sequence[Listener],
        reactor: Any,
    ) -> None:
        self._options = options
        self._listeners = [*listeners, *measured]
        self._shared = len(listeners)
        self._count: int = options["workers"]
        self._lame_duck = LameDuck(reactor, options["lame-duck"])
        self._patience = self._lame_duck.seconds + options["drain"] + MARGIN
        self._reactor = reactor
        self._command = _command(options, reactor)
        # As they are now: a daemon may go elsewhere.
        self._environment = os.environ | {"PYTHONPATH": _path()}
        self._ports: list[Any] = []
        self._signals = ExitStack()
        self._spawner = Spawner(reactor)
        self._monitor: Any = None

    def privilegedStartService(self) -> None:
        """
        Listen, while ports below 1024 can still be had; but accept nobody.

        :raises CannotStart: one of the listeners cannot.
        """
        super().privilegedStartService()
        # Before it listens: who sees that may well send one.
        self._signals.enter_context(handled(self._reactor, self._hang_up, signal.SIGHUP))
        for listener in self._listeners:
            listen(listener, _Nobody(), self._reactor.stop).addCallback(self._opened)

    def startService(self) -> None:
        """
        Start the workers.

        :raises CannotStart: they could not serve, as the user that they would be run by.
        """
        super().startService()
        if not self._ports:
            self.privilegedStartService()
        # Once more: by now it may be another user, with fewer privileges.
        why = why_unusable(self._options)
        if why is not None:
            raise tell(f"reqresp: {why}")
        from twisted.runner.procmon import ProcessMonitor  # late: it installs the reactor

        monitor: Any = ProcessMonitor(self._spawner)
        self._monitor = self._spawner.monitor = monitor
        monitor.killTime = self._patience
        monitor.minRestartDelay = FIRST_DELAY
        monitor.maxRestartDelay = MOST_DELAY
        for number in range(1, self._count + 1):
            sockets = [port.fileno() for port in self._ports]
            shared, own = sockets[: self._shared], sockets[self._shared :][number - 1 : number]
            name = f"worker {number}"
            self._spawner.sockets[name] = [*shared, *own]
            flags = ["--measured"] * len(own)
            arguments = [str(number), str(len(shared + own)), *flags, *self._command]
            python = [sys.executable, "-P", "-m", "reqresp.daemon.worker"]
            monitor.addProcess(name, [*python, *arguments], env=self._environment)
        monitor.startService()

    def stopService(self) -> Deferred[None]:
        """Stop all workers, and wait for them; a second SIGINT or SIGTERM hastens them."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def _opened(self, port: Any) -> None:
        port.stopReading()
        # It is never this process that ends what the workers accept from.
        port._shouldShutdown = False
        self._ports.append(port)

    async def _stop(self) -> None:
        with handled(self._reactor, self._hasten, signal.SIGINT, signal.SIGTERM):
            paths = [it for it in self._ports if isinstance(it.getHost(), UNIXAddress)]
            # At once, so that each socket is closed when its last worker has done so.
            closed = [_close(port) for port in self._ports if port not in paths]
            if self._monitor is not None:
                self._monitor.stopService()
            ended = self._spawner.all_ended()
            if paths:  # those who come meanwhile find it by its path
                await self._lame_duck.wait()
            await gatherResults([*closed, *map(_close, paths)])
            await ended
        self._ports = []
        self._signals.close()

    def _hang_up(self) -> None:
        self._spawner.tell(b"reload")

    def _hasten(self) -> None:
        self._lame_duck.end()
        self._spawner.tell(b"hasten")
        for killing in self._monitor.murder.values():
            if killing.active() and killing.getTime() > self._reactor.seconds() + MARGIN:
                killing.reset(MARGIN)


class _Nobody(Factory):
    """Serves nobody, on ports that do not accept."""

    noisy = False

    def logPrefix(self) -> str:
        """Who it is that listens, in the log."""
        return "all workers"


def _command(options: Options, reactor: Any) -> list[str]:
    return [type(reactor).__module__, *options.arguments]


def _path() -> str:
    """Give the path on which a worker finds the modules that this process would."""
    return os.pathsep.join(it for it in map(os.path.abspath, sys.path) if os.pathsep not in it)


def _close(port: Any) -> Deferred[Any]:
    log = Supervisor._log
    closed = maybeDeferred(port.stopListening)
    # The path of a UNIX socket, say, without the privileges to remove it.
    closed.addErrback(lambda failure: log.warn("{why}", why=failure.getErrorMessage()))
    return closed
