"""The parent of workers; neither sockets nor processes are real here."""

import signal
import sys
from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IAddress, IStreamServerEndpoint
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from reqresp.daemon.listeners import Listener
from reqresp.daemon.options import Options
from reqresp.daemon.supervisor import Supervisor
from tests.support.process_state import SignalHandlers
from tests.support.processes import SpawningReactor


class FakeReactor(SpawningReactor):
    """A reactor that accepts calls from signal handlers, too."""

    def callFromThread(self, function: Any) -> None:
        self.callLater(0, function)

    def stop(self) -> None:
        raise AssertionError("no endpoint fails here")


class FakePort:
    """A port that records whether it is open and read."""

    def __init__(self, number: int, address: IAddress) -> None:
        self.number = number
        self.address = address
        self.reading = self.open = True

    def getHost(self) -> IAddress:
        return self.address

    def fileno(self) -> int:
        return self.number

    def stopReading(self) -> None:
        self.reading = False

    def stopListening(self) -> None:
        self.open = False


@implementer(IStreamServerEndpoint)
class FakeEndpoint:
    """An endpoint whose `listen` returns *port*."""

    def __init__(self, port: FakePort) -> None:
        self.port = port

    def listen(self, protocolFactory: Any) -> "Deferred[Any]":  # noqa: N803, the interface names it
        return succeed(self.port)


class SupervisorTests(SynchronousTestCase):
    """A supervisor, from listening until the last worker has ended."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.ended: list[Any] = []
        self.handlers = SignalHandlers(self)

    def start(self, *arguments: str, metrics: int = 0, unix: bool = False) -> Supervisor:
        options = Options()
        options.parseOptions(["--workers=2", *arguments])
        address = UNIXAddress(b"/it") if unix else IPv4Address("TCP", "127.0.0.1", 1)
        self.ports = [FakePort(11 + number, address) for number in range(1 + metrics)]
        listeners = [Listener("it", FakeEndpoint(port)) for port in self.ports]
        supervisor = Supervisor(
            options, [(("default", "it"), listeners[0])], listeners[1:], self.reactor
        )
        supervisor.privilegedStartService()
        supervisor.startService()
        self.addCleanup(self.finish, supervisor)
        return supervisor

    def finish(self, supervisor: Supervisor) -> None:
        """Stop it, whatever a test has left."""
        if supervisor.running:
            supervisor.stopService()
        self.reactor.advance(1000)
        self.end()

    def end(self, *processes: Any, reason: Exception | None = None) -> None:
        """End *processes*, or all that are left."""
        for process in processes or self.processes():
            if process not in self.ended:
                self.ended.append(process)
                process.processEnded(Failure(reason or ProcessDone(0)))

    def processes(self) -> list[Any]:
        return [protocol for protocol, _how in self.reactor.started]

    def commands(self) -> list[list[bytes]]:
        return [process.transport.written for process in self.processes()]

    def test_accepts_no_client(self) -> None:
        """It listens, and leaves the clients to the workers."""
        self.start()
        self.assertEqual([(port.open, port.reading) for port in self.ports], [(True, False)])

    def test_sockets(self) -> None:
        """All workers inherit the sockets for clients, and each the one for its metrics."""
        self.start(metrics=2)
        given = [how["childFDs"] for _process, how in self.reactor.started]
        self.assertEqual([{**it}[3] for it in given], [11, 11])
        self.assertEqual([{**it}[4] for it in given], [12, 13])

    def test_commands_reach_all(self) -> None:
        """SIGHUP makes all workers reload; a second SIGTERM makes all stop now."""
        supervisor = self.start("--drain=100")
        signal.raise_signal(signal.SIGHUP)
        self.reactor.advance(0)
        self.assertEqual(self.commands(), [[b"reload\n"]] * 2)
        stopped = supervisor.stopService()
        signal.raise_signal(signal.SIGTERM)
        self.reactor.advance(0)
        self.assertEqual(self.commands(), [[b"reload\n", b"stop-now\n"]] * 2)
        # A worker that does not stop even then is killed.
        self.reactor.advance(5)
        signals = [process.transport.signals for process in self.processes()]
        self.assertEqual(signals, [["TERM", "KILL"]] * 2)
        self.end(reason=ProcessTerminated(signal=signal.SIGKILL))
        self.successResultOf(stopped)

    def test_restart_delays(self) -> None:
        """A worker that was ready is restarted at once; delays of others grow, however late."""
        self.start()
        delays = []
        for is_ready in (False, False, False, True, False):
            process = self.processes()[-1]
            if is_ready:
                process.childDataReceived(1, b'{"ready": 1}\n')
            self.reactor.advance(100)
            started = len(self.reactor.started)
            self.end(process, reason=ProcessTerminated(exitCode=1))
            self.reactor.advance(0)
            delay = 0.0
            while len(self.reactor.started) == started:
                self.reactor.advance(0.25)
                delay += 0.25
            delays.append(delay)
        self.assertEqual(delays, [0.25, 0.5, 1, 0, 0.25])

    def test_stops_when_all_have(self) -> None:
        """Ports close at once; the service has stopped when its last worker has ended."""
        supervisor = self.start()
        stopped = supervisor.stopService()
        self.assertEqual([port.open for port in self.ports], [False])
        one, other = self.processes()
        self.assertEqual([one.transport.signals, other.transport.signals], [["TERM"]] * 2)
        self.end(one)
        self.assertNoResult(stopped)
        self.end(other)
        self.successResultOf(stopped)
        self.assertEqual(self.handlers.changed & {signal.SIGINT, signal.SIGTERM}, set())
        self.assertEqual(len(self.reactor.started), 2)

    def test_stop_timeout(self) -> None:
        """A worker is killed after its lame duck time, its drain time and a margin."""
        self.start("--drain=10", "--lame-duck=20").stopService()
        self.reactor.advance(34.9)
        process = self.processes()[0]
        self.assertEqual(process.transport.signals, ["TERM"])
        self.reactor.advance(0.1)
        self.assertEqual(process.transport.signals, ["TERM", "KILL"])

    def test_paths_stay_for_lame_ducks(self) -> None:
        """The path of a UNIX socket stays during the lame duck time, for new clients."""
        supervisor = self.start("--lame-duck=3", unix=True)
        stopped = supervisor.stopService()
        self.reactor.advance(2.9)
        self.assertTrue(self.ports[0].open)
        self.reactor.advance(0.1)
        self.assertFalse(self.ports[0].open)
        self.end()
        self.successResultOf(stopped)

    def test_command_line(self) -> None:
        """Workers get the reactor and the options, except those on where to listen."""
        started: list[Any] = []
        spawn = self.reactor.spawnProcess

        def record(*them: Any, **how: Any) -> None:
            started.append(them[2])
            spawn(*them, **how)

        self.patch(self.reactor, "spawnProcess", record)
        self.start("--port=7", "--framing=line", "--quiet", metrics=2)
        python = [sys.executable, "-P", "-m", "reqresp.daemon.worker"]
        for number, command in enumerate(started, 1):
            self.assertEqual(command[:4], python)
            self.assertEqual(
                command[4:8],
                [
                    str(number),
                    '[["default", "it"]]',
                    "--metrics",
                    "tests.daemon.test_supervisor",
                ],
            )
            self.assertIn("--framing=line", command)
            self.assertNotIn("--port=7", command)
