"""
Supervisor: the parent process that opens the sockets and keeps workers running.

Knows processes and the commands that they understand.  It accepts no client, and must not know
what workers serve.
"""

import json
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

from reqresp._errors import ProblemsError
from reqresp.daemon.build import find_file_problem
from reqresp.daemon.definitions import read_definitions
from reqresp.daemon.listeners import Listener, listen, report_failure
from reqresp.daemon.options import Options
from reqresp.daemon.processes import RELOAD, STOP_NOW, Spawner
from reqresp.daemon.service import LameDuck, signals_handled
from reqresp.daemon.service_listeners import Place

#: Seconds that a worker may take to stop, in addition to ``--lame-duck`` and ``--drain``.
STOP_MARGIN = 5.0
#: Seconds before a worker that ended before it was ready is restarted: at first, and at most.
MIN_RESTART_DELAY = 0.25
MAX_RESTART_DELAY = 8.0


class Supervisor(Service):
    """
    Starts workers, and restarts those that end, until it is stopped.

    :param listeners: where all workers serve which service.
    :param metrics: where each worker serves its metrics, in their order; empty: nowhere.
    """

    _log = Logger()

    def __init__(
        self,
        options: Options,
        listeners: Sequence[tuple[Place, Listener]],
        metrics: Sequence[Listener],
        reactor: Any,
    ) -> None:
        self._options = options
        self._listeners = [*(listener for _, listener in listeners), *metrics]
        self._places = [place for place, _ in listeners]
        self._shared_count = len(listeners)
        self._worker_count: int = options["workers"]
        self._lame_duck = LameDuck(reactor, options["lame-duck"])
        self._stop_timeout = self._lame_duck.seconds + options["drain"] + STOP_MARGIN
        self._reactor = reactor
        self._command = _worker_arguments(options, reactor)
        # As they are now: a daemon changes its working directory.
        self._environment = os.environ | {"PYTHONPATH": _module_path()}
        self._ports: list[Any] = []
        self._signals = ExitStack()
        self._spawner = Spawner(reactor)
        self._monitor: Any = None

    def privilegedStartService(self) -> None:
        """
        Listen, while the process may still use ports below 1024; accept no client.

        :raises CannotStart: a listener failed.
        """
        super().privilegedStartService()
        # Before it listens: a program that sees the port may send SIGHUP.
        self._signals.enter_context(signals_handled(self._reactor, self._reload, signal.SIGHUP))
        for listener in self._listeners:
            opened = listen(listener, _NoClients(), self._reactor.stop)
            opened.addCallback(self._opened)

    def startService(self) -> None:
        """
        Start the workers.

        :raises CannotStart: the user that workers run as cannot use a file.
        """
        super().startService()
        if not self._ports:
            self.privilegedStartService()
        # Checked again: with --chroot, twistd has changed what paths mean.
        try:
            definitions = read_definitions(self._options)
        except ProblemsError as error:
            raise report_failure(f"reqresp: {error}") from None
        problem = find_file_problem(self._options, definitions)
        if problem is not None:
            raise report_failure(f"reqresp: {problem}")
        from twisted.runner.procmon import ProcessMonitor  # late: it installs the reactor

        monitor: Any = ProcessMonitor(self._spawner)
        self._monitor = monitor
        self._spawner.use(monitor)
        monitor.killTime = self._stop_timeout
        monitor.minRestartDelay = MIN_RESTART_DELAY
        monitor.maxRestartDelay = MAX_RESTART_DELAY
        for number in range(1, self._worker_count + 1):
            self._add_worker(number)
        monitor.startService()

    def stopService(self) -> Deferred[None]:
        """Stop all workers, and wait for them; a second SIGINT or SIGTERM makes them stop now."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def _add_worker(self, number: int) -> None:
        sockets = [port.fileno() for port in self._ports]
        shared, metrics = sockets[: self._shared_count], sockets[self._shared_count :]
        own = metrics[number - 1 : number]
        name = f"worker {number}"
        self._spawner.sockets[name] = [*shared, *own]
        flags = ["--metrics"] * len(own)
        places = json.dumps(self._places)
        arguments = [str(number), places, *flags, *self._command]
        python = [sys.executable, "-P", "-m", "reqresp.daemon.worker"]
        self._monitor.addProcess(name, [*python, *arguments], env=self._environment)

    def _opened(self, port: Any) -> None:
        port.stopReading()
        # Closing the port in this process must not shut down the socket that workers accept from.
        port._shouldShutdown = False
        self._ports.append(port)

    async def _stop(self) -> None:
        with signals_handled(self._reactor, self._stop_now, signal.SIGINT, signal.SIGTERM):
            paths = [it for it in self._ports if isinstance(it.getHost(), UNIXAddress)]
            # At once, so that each socket is closed when its last worker has closed it.
            closed = [_close(port) for port in self._ports if port not in paths]
            if self._monitor is not None:
                self._monitor.stopService()
            ended = self._spawner.all_ended()
            if paths:  # clients of a lame duck still need the path to connect
                await self._lame_duck.wait()
            await gatherResults([*closed, *map(_close, paths)])
            await ended
        self._ports = []
        self._signals.close()

    def _reload(self) -> None:
        self._spawner.send(RELOAD)

    def _stop_now(self) -> None:
        self._lame_duck.end()
        self._spawner.send(STOP_NOW)
        for killing in self._monitor.murder.values():
            if killing.active() and killing.getTime() > self._reactor.seconds() + STOP_MARGIN:
                killing.reset(STOP_MARGIN)


class _NoClients(Factory):
    """The factory of ports that do not accept."""

    noisy = False

    def logPrefix(self) -> str:
        """Return the name that Twisted logs for what listens."""
        return "all workers"


def _worker_arguments(options: Options, reactor: Any) -> list[str]:
    return [type(reactor).__module__, *options.arguments]


def _module_path() -> str:
    """Return the path on which a worker finds the same modules as this process."""
    return os.pathsep.join(it for it in map(os.path.abspath, sys.path) if os.pathsep not in it)


def _close(port: Any) -> Deferred[Any]:
    log = Supervisor._log
    closed = maybeDeferred(port.stopListening)
    # For example a UNIX socket's path, without the privileges to remove it.
    closed.addErrback(lambda failure: log.warn("{why}", why=failure.getErrorMessage()))
    return closed
