"""Processes of a ProcessMonitor: sockets, commands and log lines; none is really started."""

import errno
import signal
import socket
from typing import Any

from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.runner.procmon import ProcessMonitor
from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.processes import BLOCKED_SIGNALS, RELOAD, Inherited, Spawner
from tests.support.processes import SpawningReactor


class SpawnerTests(SynchronousTestCase):
    """A spawner between a real ProcessMonitor and a reactor that starts nothing."""

    def setUp(self) -> None:
        self.reactor = SpawningReactor()
        self.addCleanup(self.reactor.close)
        self.spawner = Spawner(self.reactor)
        monitor: Any = ProcessMonitor(self.spawner)
        self.monitor = monitor
        self.spawner.use(monitor)
        monitor.minRestartDelay, monitor.maxRestartDelay = 0.25, 8
        self.spawner.inherited = lambda name: Inherited([9, 12], [f"for {name}"])
        monitor.addProcess("it", ["program", "argument"], env={"NAME": "value"})
        self.events: list[Any] = []
        observer: Any = self.events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def process(self) -> Any:
        """Return the protocol of the process that was started last."""
        return self.reactor.started[-1][0]

    def end(self, reason: Exception) -> None:
        self.process().processEnded(Failure(reason))

    def lines(self) -> list[str]:
        return [event["log_format"].format(**event) for event in self.events]

    def test_what_it_inherits(self) -> None:
        """
        A process inherits pipes, its sockets from descriptor 3 on, and its environment.

        Standard input is a socket.
        """
        self.monitor.startService()
        how = self.reactor.started[0][1]
        stdin, others = how["childFDs"].pop(0), how["childFDs"]
        self.assertIsInstance(stdin, int)
        self.assertEqual(others, {1: "r", 2: "r", 3: 9, 4: 12})
        self.assertEqual(how["env"], {"NAME": "value"})

    def test_signals_are_blocked(self) -> None:
        """A process starts with signals blocked; in this process they are as before."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self.monitor.startService()
        self.assertLessEqual({*BLOCKED_SIGNALS}, self.reactor.masks[0])
        self.assertEqual(signal.pthread_sigmask(signal.SIG_BLOCK, ()), before)

    def test_commands(self) -> None:
        """Commands reach all running processes, ready or not."""
        self.monitor.startService()
        self.spawner.send(RELOAD)
        with socket.create_server(("127.0.0.1", 0)) as shared:
            self.spawner.send(b"socket 1", shared.fileno())
        self.spawner.send(RELOAD)
        expected = [(b"reload\n", 0), (b"socket 1\n", 1), (b"reload\n", 0)]
        self.assertEqual(self.process().transport.commands(), expected)

    def test_a_process_that_does_not_read(self) -> None:
        """It is killed once no more commands fit into its socket, and is restarted later."""
        self.monitor.startService()
        transport = self.process().transport
        while not transport.signals:
            self.spawner.send(b"x" * 10_000)
        self.assertEqual(transport.signals, ["KILL"])

    def test_a_process_that_has_ended(self) -> None:
        """Commands for it are lost."""
        self.monitor.startService()
        self.process().transport.stdin.close()
        self.spawner.send(RELOAD)
        self.assertEqual(self.process().transport.signals, [])

    def test_killed(self) -> None:
        """The log says how a process ended; one that was ready is restarted at once."""
        self.monitor.startService()
        self.process().childDataReceived(1, b'{"ready": 101}\n')
        self.end(ProcessTerminated(signal=signal.SIGKILL))
        self.assertEqual(
            self.lines(),
            [
                "it (pid 101) is ready",
                "it (pid 101) killed by SIGKILL; restarting now",
            ],
        )
        self.reactor.advance(0)
        self.assertEqual(len(self.reactor.started), 2)

    def test_ends_at_once_again_and_again(self) -> None:
        """Restarts of a process that never gets ready have growing delays, up to 8 seconds."""
        self.monitor.startService()
        waited = []
        for _ in range(8):
            self.end(ProcessTerminated(exitCode=1))
            delay = self.monitor.restart["it"].getTime() - self.reactor.seconds()
            waited.append(delay)
            self.reactor.advance(delay)
        self.assertEqual(waited, [0.25, 0.5, 1, 2, 4, 8, 8, 8])

    def test_cannot_be_started(self) -> None:
        """A process that cannot be started is a line in the log, and is tried again."""
        self.reactor.error = OSError(errno.EAGAIN, "Resource temporarily unavailable")
        self.monitor.startService()
        self.reactor.advance(0)
        self.assertEqual(self.lines(), ["cannot start it: Resource temporarily unavailable"])
        self.reactor.error = None
        self.reactor.advance(0.25)
        self.assertEqual(len(self.reactor.started), 1)

    def test_all_ended(self) -> None:
        """The end of the last process is notified; an end during the stop is not an error."""
        self.monitor.startService()
        self.monitor.stopService()
        ended = self.spawner.all_ended()
        self.assertEqual(self.process().transport.signals, ["TERM"])
        self.assertNoResult(ended)
        self.end(ProcessDone(0))
        self.successResultOf(ended)
        self.assertEqual(self.lines(), ["it (pid 101) exited with status 0"])
        self.assertEqual({event["log_level"].name for event in self.events}, {"info"})

    def test_too_slow_to_end(self) -> None:
        """A process that does not end in time is killed, which is logged as an error."""
        self.monitor.killTime = 7
        self.monitor.startService()
        self.monitor.stopService()
        self.reactor.advance(7)
        self.assertEqual(self.process().transport.signals, ["TERM", "KILL"])
        self.end(ProcessTerminated(signal=signal.SIGKILL))
        self.assertEqual(self.lines(), ["it (pid 101) killed by SIGKILL"])
        self.assertEqual(self.events[-1]["log_level"].name, "error")
