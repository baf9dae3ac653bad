"""
Supervisor: the parent process that opens the sockets and keeps workers running.

Knows processes and the commands that they understand.  It accepts no client, and must not know
what workers serve.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, DeferredLock, gatherResults, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp._errors import ProblemsError
from reqresp.daemon.build import check_services, find_file_problem
from reqresp.daemon.definitions import load_definitions, read_definitions
from reqresp.daemon.listeners import CannotStart, Listener, listen, report_failure
from reqresp.daemon.options import Options
from reqresp.daemon.processes import RELOAD, SOCKET, SOCKETS, STOP_NOW, Inherited, Spawner
from reqresp.daemon.reloading import causes_of, files_of, log_reload_failure
from reqresp.daemon.service import LameDuck, signals_handled
from reqresp.daemon.service_listeners import OwnListeners
from reqresp.daemon.shared_sockets import NoClients, SharedSockets, accepts_nobody, check_modes
from reqresp.daemon.threads import defer_to_daemon_thread
from reqresp.daemon.twisted_files import is_log_seen
from reqresp.daemon.watching import FileWatcher
from reqresp.services.registry import Wanted

#: Seconds that a worker may take to stop, in addition to ``--lame-duck`` and ``--drain``.
STOP_MARGIN = 5.0
#: Seconds before a worker that ended before it was ready is restarted: at first, and at most.
MIN_RESTART_DELAY = 0.25
MAX_RESTART_DELAY = 8.0


class Supervisor(Service):
    """
    Starts workers, and restarts those that end, until it is stopped.

    On SIGHUP workers read their files again.  With a services file this process does so before, and
    opens sockets for services that are new, which it hands to the workers.

    :param listeners: where all workers serve which service.
    :param metrics: where each worker serves its metrics, in their order; empty: nowhere.
    :param wanted: the services, and what the files contain that they name.
    """

    _log = Logger()

    def __init__(
        self,
        options: Options,
        listeners: OwnListeners,
        metrics: Sequence[Listener],
        reactor: Any,
        wanted: Sequence[Wanted] = (),
    ) -> None:
        self._options = options
        self._is_log_seen = is_log_seen(options)
        self._listeners = listeners
        self._sockets = SharedSockets()
        self._wanted = wanted
        self._metrics_listeners = metrics
        self._metrics: list[Any] = []
        self._lock = DeferredLock()
        #: What the last reload has failed for.
        self._causes: frozenset[Path] = frozenset()
        self._watcher: FileWatcher | None = None
        if options["services"] is not None and options["watch"]:
            self._watcher = FileWatcher(self._files, self._reload, reactor)
        self._worker_count: int = options["workers"]
        self._lame_duck = LameDuck(reactor, options["lame-duck"])
        self._stop_timeout = self._lame_duck.seconds + options["drain"] + STOP_MARGIN
        self._reactor = reactor
        self._command = _worker_arguments(options, reactor)
        # As they are now: a daemon changes its working directory.
        self._environment = os.environ | {"PYTHONPATH": _module_path()}
        self._signals = ExitStack()
        self._spawner = Spawner(reactor)
        self._spawner.inherited = self._inherited
        self._monitor: Any = None
        self._has_begun = False

    def privilegedStartService(self) -> None:
        """
        Listen, while the process may still use ports below 1024; accept no client.

        :raises CannotStart: a listener failed.
        """
        super().privilegedStartService()
        # Before it listens: a program that sees the port may send SIGHUP.
        self._signals.enter_context(signals_handled(self._reactor, self._reload, signal.SIGHUP))
        for place, listener in self._listeners.all:
            self._listen(listener).addCallback(partial(self._sockets.add, place))
        for listener in self._metrics_listeners:
            port = self._listen(listener).addCallback(accepts_nobody)
            port.addCallback(self._metrics.append)
        self._has_begun = True

    def _listen(self, listener: Listener) -> Deferred[Any]:
        return listen(listener, NoClients(), self._reactor.stop, is_log_seen=self._is_log_seen)

    def startService(self) -> None:
        """
        Start the workers.

        :raises CannotStart: the user that workers run as cannot use a file.
        """
        super().startService()
        if not self._has_begun:
            self.privilegedStartService()
        # Checked again: with --chroot, twistd has changed what paths mean.
        try:
            definitions = read_definitions(self._options)
        except ProblemsError as error:
            raise self._refusal(error) from None
        problem = find_file_problem(self._options, definitions)
        if problem is not None:
            raise self._refusal(problem)
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
        if self._watcher is not None:
            self._watcher.start()

    def _refusal(self, problem: object) -> CannotStart:
        return report_failure(f"reqresp: {problem}", is_log_seen=self._is_log_seen)

    def stopService(self) -> Deferred[None]:
        """Stop all workers, and wait for them; a second SIGINT or SIGTERM makes them stop now."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def _add_worker(self, number: int) -> None:
        python = [sys.executable, "-P", "-m", "reqresp.daemon.worker"]
        self._monitor.addProcess(
            f"worker {number}", [*python, str(number), *self._command], env=self._environment
        )

    def _inherited(self, name: str) -> Inherited:
        """Return the sockets of the worker *name* as they are now, and what they are for."""
        number = int(name.rpartition(" ")[2])
        own = self._metrics[number - 1 : number]
        ports = [*(it.port for it in self._sockets), *own]
        places = [*(it.place for it in self._sockets), *(None for _ in own)]
        return Inherited([port.fileno() for port in ports], [json.dumps(places)])

    @property
    def _ports(self) -> list[Any]:
        return [*(it.port for it in self._sockets), *self._metrics]

    async def _stop(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
        with signals_handled(self._reactor, self._stop_now, signal.SIGINT, signal.SIGTERM):
            ports = self._ports
            paths = [it for it in ports if isinstance(it.getHost(), UNIXAddress)]
            # At once, so that each socket is closed when its last worker has closed it.
            closed = [_close(port) for port in ports if port not in paths]
            if self._monitor is not None:
                self._monitor.stopService()
            ended = self._spawner.all_ended()
            if paths:  # clients of a lame duck still need the path to connect
                await self._lame_duck.wait()
            await gatherResults([*closed, *map(_close, paths)])
            await ended
        self._sockets = SharedSockets()
        self._metrics = []
        self._has_begun = False
        self._signals.close()

    # Reloading

    def _files(self) -> Iterator[Path]:
        yield from files_of(self._options, self._wanted)
        yield from self._causes

    def _reload(self) -> None:
        if self._options["services"] is None:
            self._spawner.send(RELOAD)
            return
        if self._lock.waiting:
            return  # a reload that has not begun to read will see the same files
        reloaded: Deferred[Any] = self._lock.run(
            lambda: Deferred.fromCoroutine(self._reload_services())
        )
        reloaded.addErrback(self._keep)
        reloaded.addErrback(lambda failure: self._log.failure("reload failed", failure))

    def _keep(self, failure: Failure) -> None:
        self._causes = causes_of(failure)
        log_reload_failure(self._options, failure)

    async def _reload_services(self) -> None:
        """
        Open the sockets of services that are new, and hand all to the workers.

        :raises ValueError, ImportError, ListenError: workers cannot have the services; then nothing
            has changed.
        """
        wanted = await defer_to_daemon_thread(self._reactor, load_definitions, self._options)
        check_services(self._options, wanted, self._reactor)
        listeners = self._listeners.again(definition for definition, _ in wanted)
        planned = self._sockets.plan(listeners.all)
        check_modes(planned, _by_names(self._wanted), _by_names(wanted))
        if not self.running:
            return
        gone = await self._sockets.use(planned)
        self._wanted = wanted
        self._causes = frozenset()
        self._spawner.send(SOCKETS)
        for it in self._sockets:
            self._spawner.send(b"%s %s" % (SOCKET, json.dumps(it.place).encode()), it.port.fileno())
        self._spawner.send(RELOAD)
        for port in gone:
            _close(port)

    def _stop_now(self) -> None:
        self._lame_duck.end()
        self._spawner.send(STOP_NOW)
        for killing in self._monitor.murder.values():
            if killing.active() and killing.getTime() > self._reactor.seconds() + STOP_MARGIN:
                killing.reset(STOP_MARGIN)


def _by_names(wanted: Sequence[Wanted]) -> Mapping[str, Wanted]:
    return {it[0].name: it for it in wanted}


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
