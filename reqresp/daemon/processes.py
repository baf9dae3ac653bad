"""
Spawner: what starts the processes of a ProcessMonitor, so that they are told things and are heard.

Stands between Twisted's monitor, which decides when a process is started, and the reactor, which
does it: gives them their sockets, has their log in ours, and tells how they end.
"""

import signal
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from reqresp.daemon.log_relay import Continued

#: The first descriptor of a process's sockets.
FIRST_SOCKET = 3
#: Signals that wait until the process can handle them: it would end before it has begun, or, of a
#: SIGHUP, at all.
HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


@implementer(IReactorProcess, IReactorTime)
class Spawner:
    """
    Starts processes with *reactor*, as a reactor would.

    Processes are named as in the monitor, and run until they are told otherwise on their standard
    input, which ends with this process, or by SIGTERM.
    """

    _log = Logger()

    def __init__(self, reactor: Any) -> None:
        #: Whose processes these are: a `twisted.runner.procmon.ProcessMonitor`.
        self.monitor: Any = None
        #: What each process, by its name, inherits: listening sockets.
        self.sockets: dict[str, list[int]] = {}
        self._reactor = reactor
        self._running: dict[str, Process] = {}
        self._waiting: list[Deferred[None]] = []
        self.seconds = reactor.seconds
        self.callLater = reactor.callLater
        self.getDelayedCalls = reactor.getDelayedCalls

    def spawnProcess(  # type: ignore[override]  # noqa: N802, as a monitor calls it
        self,
        processProtocol: Any,  # noqa: N803, likewise
        executable: str,
        args: Sequence[str],
        env: dict[str, str],
        **where: Any,
    ) -> None:
        """Start the process that *processProtocol*, the monitor's, has the name of."""
        name = processProtocol.name
        process = Process(name, processProtocol, self)
        sockets = dict(enumerate(self.sockets.get(name, []), FIRST_SOCKET))
        held = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        try:
            self._reactor.spawnProcess(
                process,
                executable,
                args,
                env=env,
                childFDs={0: "w", 1: "r", 2: "r", **sockets},
                **where,
            )
        except OSError as error:  # there are too many processes, or there is too little memory
            self._log.error("cannot start {name}: {why}", name=name, why=error.strerror)
            processProtocol.makeConnection(_NoProcess())
            # Later: the monitor is still busy with its start.
            self._reactor.callLater(0, processProtocol.processEnded, Failure(ProcessDone(0)))
        else:
            self._running[name] = process
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def tell(self, command: bytes) -> None:
        """Tell all processes to do something."""
        for process in self._running.values():
            process.transport.write(command + b"\n")

    def all_ended(self) -> Deferred[None]:
        """Give what fires when no process is running."""
        ended: Deferred[None] = Deferred()
        self._waiting.append(ended)
        self._look_who_is_left()
        return ended

    def is_ready(self, name: str, pid: object) -> None:
        """Note that the process serves."""
        self._log.info("{name} is ready, process {pid}", name=name, pid=pid)
        # Whatever ends it now, it is no good reason to be slow: the next one may well serve, too.
        self.monitor.delay[name] = self.monitor.minRestartDelay

    def has_ended(self, name: str, pid: object, reason: Any) -> None:
        """Note that the process has ended, which the monitor knows already."""
        del self._running[name]
        what = _told(reason)
        if self.monitor.running:
            delay = self.monitor.restart[name].getTime() - self.seconds()
            self._log.error(
                "{name}, process {pid}, {what}; the next one starts {when}",
                name=name,
                pid=pid,
                what=what,
                when=f"in {delay:.3g} s" if delay > 0 else "now",
            )
        elif reason.signal is not None:
            self._log.error("{name}, process {pid}, {what}", name=name, pid=pid, what=what)
        else:
            self._log.info("{name}, process {pid}, {what}", name=name, pid=pid, what=what)
        self._look_who_is_left()

    def _look_who_is_left(self) -> None:
        if self._running:
            return
        waiting, self._waiting = self._waiting, []
        for ended in waiting:
            ended.callback(None)


class Process(ProcessProtocol):
    """One process, whose *monitored* protocol is told what the monitor has to know."""

    transport: Any

    def __init__(self, name: str, monitored: Any, spawner: Spawner) -> None:
        self._name = name
        self._monitored = monitored
        self._spawner = spawner
        self._log = Continued(name, self._hear)
        self._pid: object = None

    def connectionMade(self) -> None:
        self._pid = self.transport.pid
        self._monitored.makeConnection(self.transport)

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N803, Twisted's name
        self._log.feed(childFD, data)

    def processEnded(self, reason: Failure) -> None:  # noqa: N802, likewise
        self._log.end()
        self._monitored.processEnded(reason)
        self._spawner.has_ended(self._name, self._pid, reason.value)

    def _hear(self, word: dict[str, Any]) -> None:
        if "ready" in word:
            self._spawner.is_ready(self._name, word["ready"])


class _NoProcess:
    """The transport of a process that could not be started."""

    def signalProcess(self, _signal: str) -> None:  # noqa: N802, Twisted's name
        """Tell that there is none."""
        raise ProcessExitedAlready


def _told(reason: Any) -> str:
    if reason.signal is None:
        return f"ended with status {reason.exitCode}"
    return f"was ended by {signal.Signals(reason.signal).name}"
