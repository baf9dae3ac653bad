"""The parent of workers; neither sockets nor processes are real here."""

import json
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IAddress, IStreamServerEndpoint
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from reqresp.daemon import supervisor as supervisor_module
from reqresp.daemon.definitions import load_definitions
from reqresp.daemon.listeners import Listener
from reqresp.daemon.options import Options
from reqresp.daemon.service_listeners import OwnListeners
from reqresp.daemon.supervisor import Supervisor
from reqresp.daemon.watching import INTERVAL
from reqresp.services.definition import Definition
from reqresp.services.endpoints import EndpointSpec, port_endpoint
from tests.support import live
from tests.support.process_state import SignalHandlers
from tests.support.processes import SpawningReactor

A = '[[service]]\nname = "a"\nlisten = 1\n'
B = '[[service]]\nname = "b"\nlisten = 2\n'
C = '[[service]]\nname = "c"\nlisten = 3\n'


def spec_of(port: int) -> str:
    """Return the description of the endpoint of a *port*."""
    return port_endpoint(port).description


def run_at_once(_reactor: Any, function: Any, *arguments: Any) -> "Deferred[Any]":
    """Call *function*, as a thread would do later."""
    return maybeDeferred(function, *arguments)


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
        self.addCleanup(self.reactor.close)
        self.ended: list[Any] = []
        self.handlers = SignalHandlers(self)

    def start(self, *arguments: str, metrics: int = 0, unix: bool = False) -> Supervisor:
        options = Options()
        options.parseOptions(["--workers=2", *arguments])
        address = UNIXAddress(b"/it") if unix else IPv4Address("TCP", "127.0.0.1", 1)
        self.ports = [FakePort(11 + number, address) for number in range(1 + metrics)]
        endpoints = [FakeEndpoint(port) for port in self.ports]
        [spec] = [EndpointSpec.described("unix:/it" if unix else "tcp:1")]
        own = OwnListeners([Definition(listen=(spec,))], lambda _: endpoints[0])
        measured = [Listener("it", it) for it in endpoints[1:]]
        supervisor = Supervisor(options, own, measured, self.reactor)
        supervisor.privilegedStartService()
        supervisor.startService()
        self.addCleanup(self.finish, supervisor)
        return supervisor

    def start_services(self, path: Path, *arguments: str) -> dict[str, FakePort]:
        """Start a supervisor of the services in the file *path*; return the ports that it opens."""
        options = Options()
        options.parseOptions(["--workers=2", f"--services={path}", *arguments])
        ports: dict[str, FakePort] = {}

        def make(spec: EndpointSpec) -> FakeEndpoint:
            number = socket.socket()
            self.addCleanup(number.close)
            address = IPv4Address("TCP", "127.0.0.1", 1)
            return FakeEndpoint(ports.setdefault(spec.name, FakePort(number.fileno(), address)))

        wanted = load_definitions(options)
        own = OwnListeners((it[0] for it in wanted), make)
        supervisor = Supervisor(options, own, [], self.reactor, wanted)
        supervisor.privilegedStartService()
        supervisor.startService()
        self.addCleanup(self.finish, supervisor)
        return ports

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
        """Return the commands that have come to each process since the last call."""
        return [[line for line, _ in it.commands()] for it in self.reactor.processes]

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
        self.assertEqual(self.commands(), [[b"stop-now\n"]] * 2)
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

    def test_services_that_come_and_go(self) -> None:
        """On SIGHUP workers get the sockets of all services; those that no service has close."""
        self.patch(supervisor_module, "defer_to_daemon_thread", run_at_once)
        path = live.temporary(self) / "services.toml"
        path.write_text(A + B)
        ports = self.start_services(path)
        path.write_text(B + C)
        signal.raise_signal(signal.SIGHUP)
        self.reactor.advance(0)
        places = (["b", spec_of(2)], ["c", spec_of(3)])
        sent = [b"socket %s\n" % json.dumps(it).encode() for it in places]
        lines = [b"sockets\n", *sent, b"reload\n"]
        expected = [*zip(lines, (0, 1, 1, 0), strict=True)]
        self.assertEqual([it.commands() for it in self.reactor.processes], [expected] * 2)
        is_open = {name: port.open for name, port in ports.items()}
        self.assertEqual(is_open, {"127.0.0.1:1": False, "127.0.0.1:2": True, "127.0.0.1:3": True})
        # One that starts again begins with the services that there are now.
        self.end(self.processes()[0], reason=ProcessTerminated(exitCode=1))
        self.reactor.advance(1)
        sockets = {ports[f"127.0.0.1:{it}"].number for it in (2, 3)}
        self.assertEqual(
            {*self.reactor.started[-1][1]["childFDs"].values()} - {"r"} > sockets, True
        )
        path.write_text(B + "x")
        signal.raise_signal(signal.SIGHUP)
        self.reactor.advance(0)
        self.assertEqual([it.commands() for it in self.reactor.processes], [[]] * 3)

    def test_what_a_watched_service_names(self) -> None:
        """A reload that has failed is tried again once a file that a script names is changed."""
        self.patch(supervisor_module, "defer_to_daemon_thread", run_at_once)
        path = live.temporary(self) / "services.toml"
        path.write_text(A)
        self.start_services(path, "--watch")
        path.write_text(A + 'script = "it.toml"\n')
        for name, text in (
            ("it.toml", "rule = [{ call = 'answers:hello' }]"),
            ("answers.py", "def hello("),
            ("answers.py", "def hello(call): return b'hello'"),
        ):
            self.reactor.pump([INTERVAL] * 3)
            self.assertEqual(self.commands(), [[]] * 2)
            (path.parent / name).write_text(text)
        self.reactor.pump([INTERVAL] * 2)
        self.assertEqual([it[-1] for it in self.commands()], [b"reload\n"] * 2)

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
            self.assertEqual(command[4:6], [str(number), "tests.daemon.test_supervisor"])
            self.assertEqual(command[-1], '[["default", "tcp:1"], null]')
            self.assertIn("--framing=line", command)
            self.assertNotIn("--port=7", command)
