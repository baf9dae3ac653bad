"""
Processes: starting those of a ProcessMonitor, with sockets, commands and a log.

Stands between Twisted's monitor, which decides when a process starts, and the reactor, which
starts it.  It must not know what the processes do.
"""

import signal
import socket
from array import array
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from reqresp.daemon.log_relay import LogRelay

#: The commands that a process understands, each a line on its standard input, a socket.
RELOAD = b"reload"
STOP_NOW = b"stop-now"
#: Those before RELOAD that hand sockets over: first that they follow; then each, with what it is
#: for as JSON, and with its descriptor.
SOCKETS = b"sockets"
SOCKET = b"socket"
#: The descriptor of a process's first socket.
FIRST_SOCKET = 3
#: Signals that are blocked until a process can handle them: before, they would kill it.
BLOCKED_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


@frozen
class Inherited:
    """
    What a process gets when it starts.

    :param sockets: the descriptors of listening sockets.
    :param arguments: follow those that the monitor knows.
    """

    sockets: Sequence[int] = ()
    arguments: Sequence[str] = ()


@implementer(IReactorProcess, IReactorTime)
class Spawner:
    """
    Starts processes with *reactor*, and looks like a reactor to a monitor.

    A process has its name from the monitor.  It runs until SIGTERM, or until its standard input
    ends, which happens when this process ends.

    A process that was ready is restarted at once, however soon it ended.  One that was not is
    restarted after the delays of the monitor, however long it took to fail.
    """

    _log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._monitor: Any = None
        #: Returns what the process with a name inherits when it starts.
        self.inherited: Callable[[str], Inherited] = lambda _name: Inherited()
        self._reactor = reactor
        self._running: dict[str, Process] = {}
        self._waiting: list[Deferred[None]] = []
        self.seconds = reactor.seconds
        self.callLater = reactor.callLater
        self.getDelayedCalls = reactor.getDelayedCalls

    def use(self, monitor: Any) -> None:
        """Belong to *monitor*, a `twisted.runner.procmon.ProcessMonitor`."""
        self._monitor = monitor
        # The monitor delays restarts after shorter lives than this; see process_ready().
        monitor.threshold = inf

    def spawnProcess(  # type: ignore[override]  # noqa: N802, as a monitor calls it
        self,
        processProtocol: Any,  # noqa: N803, likewise
        executable: str,
        args: Sequence[str],
        env: dict[str, str],
        **where: Any,
    ) -> None:
        """Start the process of *processProtocol*, which is the monitor's and has its name."""
        name = processProtocol.name
        inherited = self.inherited(name)
        sockets = dict(enumerate(inherited.sockets, FIRST_SOCKET))
        ours, theirs = socket.socketpair()
        process = Process(name, processProtocol, self, ours)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED_SIGNALS)
        try:
            self._reactor.spawnProcess(
                process,
                executable,
                [*args, *inherited.arguments],
                env=env,
                childFDs={0: theirs.fileno(), 1: "r", 2: "r", **sockets},
                **where,
            )
        except OSError as error:  # too many processes, or too little memory
            self._log.error("cannot start {name}: {why}", name=name, why=error.strerror)
            ours.close()
            processProtocol.makeConnection(_NoProcess())
            # Later: the monitor has not finished its start.
            self._reactor.callLater(0, processProtocol.processEnded, Failure(ProcessDone(0)))
        else:
            self._running[name] = process
        finally:
            theirs.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def send(self, command: bytes, descriptor: int | None = None) -> None:
        """
        Send *command* to all processes.

        :param descriptor: of a socket that they get with it; None: they get none.
        """
        for process in self._running.values():
            process.send(command, descriptor)

    def all_ended(self) -> Deferred[None]:
        """Return a Deferred that fires when no process is running."""
        ended: Deferred[None] = Deferred()
        self._waiting.append(ended)
        self._fire_if_none_runs()
        return ended

    def process_ready(self, name: str, pid: object) -> None:
        """Record that the process serves."""
        self._log.info("{name} (pid {pid}) is ready", name=name, pid=pid)
        # Longer than any threshold.  The next one will probably get ready, too.
        self._monitor.timeStarted[name] = -inf

    def process_ended(self, name: str, pid: object, reason: Any) -> None:
        """Record that the process has ended; the monitor has been notified."""
        del self._running[name]
        message, details = "{name} (pid {pid}) {how}", {"name": name, "pid": pid}
        details["how"] = _how_it_ended(reason)
        if self._monitor.running:
            delay = self._monitor.restart[name].getTime() - self.seconds()
            when = f"in {delay:.3g} s" if delay > 0 else "now"
            self._log.error(f"{message}; restarting {{when}}", when=when, **details)
        elif reason.signal is not None:
            self._log.error(message, **details)
        else:
            self._log.info(message, **details)
        self._fire_if_none_runs()

    def _fire_if_none_runs(self) -> None:
        if self._running:
            return
        waiting, self._waiting = self._waiting, []
        for ended in waiting:
            ended.callback(None)


class Process(ProcessProtocol):
    """
    One running process.

    :param monitored: the monitor's protocol of this process, which is notified of its end.
    :param channel: commands for it are sent here.
    """

    transport: Any

    def __init__(self, name: str, monitored: Any, spawner: Spawner, channel: socket.socket) -> None:
        self._name = name
        #: Where commands for it are sent.
        self.channel = channel
        channel.setblocking(False)
        self._monitored = monitored
        self._spawner = spawner
        self._log = LogRelay(name, self._received)
        self._pid: object = None

    def send(self, command: bytes, descriptor: int | None = None) -> None:
        """Send *command*; a process that does not read its commands is killed, and restarted."""
        rights = array("i", [] if descriptor is None else [descriptor])
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
        line = command + b"\n"
        try:
            is_sent = self.channel.sendmsg([line], control) == len(line)
        except BlockingIOError:
            is_sent = False
        except OSError:  # it has ended
            return
        if not is_sent:
            self.transport.signalProcess("KILL")

    def connectionMade(self) -> None:
        self._pid = self.transport.pid
        self._monitored.makeConnection(self.transport)

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N803, Twisted's name
        self._log.feed(childFD, data)

    def processEnded(self, reason: Failure) -> None:  # noqa: N802, likewise
        self._log.end()
        self.channel.close()
        self._monitored.processEnded(reason)
        self._spawner.process_ended(self._name, self._pid, reason.value)

    def _received(self, message: dict[str, Any]) -> None:
        if "ready" in message:
            self._spawner.process_ready(self._name, message["ready"])


class _NoProcess:
    """The transport of a process that could not be started."""

    def signalProcess(self, _signal: str) -> None:  # noqa: N802, Twisted's name
        """Raise ProcessExitedAlready."""
        raise ProcessExitedAlready


def _how_it_ended(reason: Any) -> str:
    if reason.signal is None:
        return f"exited with status {reason.exitCode}"
    return f"killed by {signal.Signals(reason.signal).name}"
