"""Starting, reloading and stopping a service: endpoints, ports and the reactor are fakes."""

import os
import signal
import threading
from collections.abc import Callable
from errno import EADDRINUSE
from typing import Any

from attrs import evolve
from twisted.application.service import IService
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from reqresp import Hang, ReqRespFactory
from reqresp.daemon.listeners import CannotStart, Listener
from reqresp.daemon.service import ReqRespService
from tests.support.listening import FakeEndpoint, FakePort, logged_events, text_of
from tests.support.process_state import SignalHandlers, standard_error


class FakeReactor(Clock):
    """A reactor that runs once `startup` is called; it counts its stops."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = 0
        self.startup: Deferred[None] = Deferred()

    def callWhenRunning(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.startup.addCallback(lambda _: function(*arguments))

    def stop(self) -> None:
        self.stopped += 1

    def callFromThread(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.callLater(0, function, *arguments)


@implementer(IReadDescriptor)
class WaitingPort(FakePort):
    """A port at which *waiting* clients wait to be accepted."""

    def __init__(self, waiting: int) -> None:
        super().__init__()
        self.waiting = waiting
        self.accepted = 0
        self._reader, self._writer = os.pipe()
        os.write(self._writer, b"x")

    def fileno(self) -> int:
        return self._reader

    def logPrefix(self) -> str:
        return "waiting"

    def connectionLost(self, reason: Any) -> None:
        """Do nothing: it is not a connection."""

    def doRead(self) -> None:
        self.accepted += 1
        if self.accepted == self.waiting:
            os.read(self._reader, 1)

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)


class ServiceTests(SynchronousTestCase):
    """A service, from listening to the end of the last connection."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.factory = ReqRespFactory(lambda _request: Hang(), clock=self.reactor)
        self.handlers = SignalHandlers(self)

    def service(self, *results: Any, drain: float = 5, lame_duck: float = 0) -> ReqRespService:
        """Return a service with one endpoint for each of *results*."""
        listeners = [
            Listener(f"endpoint {number}", FakeEndpoint(result))
            for number, result in enumerate(results, 1)
        ]
        return ReqRespService(listeners, self.factory, drain, self.reactor, lame_duck)

    def connect(self) -> tuple[Any, StringTransport]:
        """Connect a client that has sent a request; it gets no reply."""
        peer = IPv4Address("TCP", "192.0.2.1", 1234)
        transport = StringTransport(peerAddress=peer)
        protocol = self.factory.buildProtocol(peer)
        assert protocol is not None
        protocol.makeConnection(transport)
        protocol.dataReceived(b"request")
        return protocol, transport

    def lose(self, protocol: Any) -> None:
        """End the connection of *protocol*."""
        protocol.connectionLost(Failure(ConnectionDone()))

    def refusal(self, *results: Any, how: str = "privilegedStartService") -> str:
        """Return the line, on standard error and in the log, with which the start fails."""
        service = self.service(*results)
        events = logged_events(self)
        # twistd has replaced sys.stderr by its log at that time.
        with standard_error() as printed:
            error = self.assertRaises(CannotStart, getattr(service, how))
            # Before a program begins to log, Twisted prints critical events, too.
            [line] = {*printed().splitlines()}
        self.assertEqual(error.code, 1)
        self.assertEqual([text_of(event) for event in events], [line])
        self.assertEqual(self.reactor.stopped, 0)
        return line

    def test_is_a_service(self) -> None:
        """It is a Twisted service, for any application."""
        self.assertTrue(verifyObject(IService, self.service()))

    def test_listens_while_privileged(self) -> None:
        """All endpoints listen, with the same factory, before privileges are dropped."""
        service = self.service(FakePort(), FakePort())
        service.privilegedStartService()
        endpoints: list[Any] = [listener.endpoint for listener in service.listeners]
        self.assertEqual([endpoint.factories for endpoint in endpoints], [[self.factory]] * 2)

    def test_listening_is_logged(self) -> None:
        """
        Each open port is logged with its address once the reactor runs.

        Before, a signal would end the process without a stop of the service.
        """
        events = logged_events(self, LogLevel.info)
        late: Deferred[Any] = Deferred()
        self.service(late, FakePort(), FakePort(host="::1")).privilegedStartService()
        self.assertEqual(events, [])
        self.reactor.startup.callback(None)
        lines = ["Listening on 127.0.0.1:9999", "Listening on [::1]:9999"]
        self.assertEqual([text_of(event) for event in events], lines)
        late.callback(FakePort(host="192.0.2.1"))
        lines.append("Listening on 192.0.2.1:9999")
        self.assertEqual([text_of(event) for event in events], lines)

    def test_what_listens_is_logged(self) -> None:
        """A port with a purpose of its own, such as control, has that in its line."""
        events = logged_events(self, LogLevel.info)
        service = self.service(FakePort())
        service.listeners = [evolve(it, serves="control") for it in service.listeners]
        service.privilegedStartService()
        self.reactor.startup.callback(None)
        self.assertEqual(
            [text_of(event) for event in events], ["Listening on 127.0.0.1:9999 for control"]
        )

    def test_listens_once(self) -> None:
        """The start after that does not listen a second time."""
        service = self.service(FakePort())
        service.privilegedStartService()
        service.startService()
        endpoint: Any = service.listeners[0].endpoint
        self.assertEqual(endpoint.factories, [self.factory])
        self.assertTrue(service.running)

    def test_listens_without_privileges(self) -> None:
        """A service that is started in a running application listens then."""
        service = self.service(FakePort())
        service.startService()
        endpoint: Any = service.listeners[0].endpoint
        self.assertEqual(endpoint.factories, [self.factory])

    def test_busy_port(self) -> None:
        """A port in use ends twistd with a line that names it, and the reason."""
        busy = CannotListenError("127.0.0.1", 7, OSError(EADDRINUSE, "Address already in use"))
        self.assertEqual(
            self.refusal(FakePort(), busy),
            "reqresp: cannot listen on endpoint 2: Address already in use",
        )

    def test_busy_port_without_privileges(self) -> None:
        """A service that is started in a running application raises, and does not stop it."""
        busy = CannotListenError("127.0.0.1", 7, OSError(EADDRINUSE, "Address already in use"))
        self.assertEqual(
            self.refusal(busy, how="startService"),
            "reqresp: cannot listen on endpoint 1: Address already in use",
        )

    def test_late_failure(self) -> None:
        """An endpoint that fails after a while stops the reactor."""
        events = logged_events(self)
        late: Deferred[Any] = Deferred()
        service = self.service(FakePort(), late)
        service.startService()
        self.assertEqual(self.reactor.stopped, 0)
        late.errback(OverflowError("too far"))
        self.assertEqual(self.reactor.stopped, 1)
        self.assertEqual(
            [text_of(event) for event in events], ["reqresp: cannot listen on endpoint 2: too far"]
        )

    def test_late_success(self) -> None:
        """An endpoint that listens after a while is closed like any other."""
        late: Deferred[Any] = Deferred()
        port = FakePort()
        service = self.service(late)
        service.startService()
        late.callback(port)
        self.stopped(service)
        self.assertFalse(port.open)
        self.assertEqual(self.reactor.stopped, 0)

    # Stopping

    def stopping(self, service: ReqRespService) -> "Deferred[None]":
        """Stop, as far as that goes without time passing."""
        stopped = service.stopService()
        self.reactor.advance(0)
        return stopped

    def stopped(self, service: ReqRespService) -> None:
        """Stop, and check that it is done at once."""
        stopped = self.stopping(service)
        self.reactor.advance(0)
        self.successResultOf(stopped)

    def test_stops_listening_at_once(self) -> None:
        """All ports are closed at once, even while replies are pending."""
        ports = [FakePort(), FakePort()]
        service = self.service(*ports)
        service.startService()
        protocol, _transport = self.connect()
        stopped = service.stopService()
        self.assertEqual([port.open for port in ports], [False, False])
        self.assertFalse(service.running)
        self.assertNoResult(stopped)
        self.lose(protocol)
        self.reactor.advance(0)
        self.successResultOf(stopped)

    def test_waits_for_connections(self) -> None:
        """It has stopped when the last connection has ended, and not before."""
        service = self.service(FakePort())
        service.startService()
        one, two = self.connect()[0], self.connect()[0]
        stopped = self.stopping(service)
        self.lose(one)
        self.reactor.advance(1)
        self.assertNoResult(stopped)
        self.lose(two)
        self.reactor.advance(0)
        self.successResultOf(stopped)

    def test_resets_when_time_is_over(self) -> None:
        """A connection that is still open after the drain time is reset."""
        service = self.service(FakePort(), drain=7)
        service.startService()
        protocol, transport = self.connect()
        stopped = self.stopping(service)
        self.reactor.advance(6.9)
        self.assertFalse(transport.disconnected)
        self.reactor.advance(0.1)
        self.assertTrue(transport.disconnected)
        self.lose(protocol)
        self.reactor.advance(0)
        self.successResultOf(stopped)

    def test_waits_for_ports(self) -> None:
        """It waits for a port that needs time to close."""
        closed: Deferred[None] = Deferred()
        service = self.service(FakePort(closed))
        service.startService()
        stopped = self.stopping(service)
        self.reactor.advance(1)
        self.assertNoResult(stopped)
        closed.callback(None)
        self.reactor.advance(0)
        self.successResultOf(stopped)

    def test_one_more_turn(self) -> None:
        """Observers that write at the end of a turn can do so before it has stopped."""
        service = self.service(FakePort())
        service.startService()
        stopped = service.stopService()
        said: list[bool] = []
        stopped.addCallback(lambda _: said.append(False))
        self.reactor.callLater(0, said.append, True)
        self.assertEqual(said, [])
        self.reactor.advance(0)
        self.assertEqual(sorted(said), [False, True])

    def test_endpoint_that_never_listened(self) -> None:
        """An endpoint that does not listen yet is cancelled, without an error."""
        events = logged_events(self)
        given_up: list[Any] = []
        never: Deferred[Any] = Deferred(given_up.append)
        service = self.service(never, FakePort())
        service.startService()
        self.stopped(service)
        self.assertEqual(given_up, [never])
        self.assertEqual([text_of(event) for event in events], [])
        self.assertEqual(self.reactor.stopped, 0)

    def test_endpoint_that_failed(self) -> None:
        """After a late failure the other ports are closed."""
        late: Deferred[Any] = Deferred()
        port = FakePort()
        service = self.service(late, port)
        service.startService()
        late.errback(OverflowError("too far"))
        self.stopped(service)
        self.assertFalse(port.open)

    def test_starts_again(self) -> None:
        """A service that has stopped can be started, and listens again."""
        service = self.service(FakePort())
        service.startService()
        self.stopped(service)
        service.startService()
        endpoint: Any = service.listeners[0].endpoint
        self.assertEqual(endpoint.factories, [self.factory] * 2)

    # Readiness

    def test_ready_when_all_listen(self) -> None:
        """It is ready from when all ports are open until it begins to stop."""
        late: Deferred[Any] = Deferred()
        service = self.service(FakePort(), late)
        ready = [service.is_ready]
        service.startService()
        ready.append(service.is_ready)
        late.callback(FakePort())
        ready.append(service.is_ready)
        protocol, _transport = self.connect()
        stopped = service.stopService()
        ready.append(service.is_ready)
        self.lose(protocol)
        self.reactor.advance(0)
        self.successResultOf(stopped)
        self.assertEqual([*ready, service.is_ready], [False, False, True, False, False])

    def test_lame_duck(self) -> None:
        """It reports not ready, keeps listening for the lame duck time, and then drains."""
        port = FakePort()
        service = self.service(port, drain=5, lame_duck=3)
        service.startService()
        stopped = self.stopping(service)
        self.reactor.advance(2.9)
        self.assertEqual((service.is_ready, port.open), (False, True))
        protocol, transport = self.connect()
        self.reactor.advance(0.1)
        self.assertFalse(port.open)
        self.reactor.advance(4.9)
        self.assertFalse(transport.disconnected)
        self.reactor.advance(0.1)
        self.assertTrue(transport.disconnected)
        self.lose(protocol)
        self.reactor.advance(0)
        self.successResultOf(stopped)

    def test_lame_duck_ended(self) -> None:
        """A second signal ends the lame duck time, and the drain."""
        port = FakePort()
        service = self.service(port, drain=600, lame_duck=600)
        service.startService()
        protocol, transport = self.connect()
        stopped = self.stopping(service)
        signal.raise_signal(signal.SIGTERM)
        self.reactor.pump([0, 0])
        self.assertEqual((port.open, transport.disconnected), (False, True))
        self.lose(protocol)
        self.reactor.advance(0)
        self.successResultOf(stopped)

    def test_closes_last(self) -> None:
        """The listener for metrics stays open until the last connection has ended."""
        ports = [FakePort(), FakePort()]
        service = self.service(*ports)
        other = Factory()
        service.listeners = [
            evolve(service.listeners[0], closes_last=True, factory=other),
            service.listeners[1],
        ]
        service.startService()
        endpoint: Any = service.listeners[0].endpoint
        self.assertEqual(endpoint.factories, [other])
        protocol, _transport = self.connect()
        stopped = self.stopping(service)
        self.reactor.advance(1)
        self.assertEqual([port.open for port in ports], [True, False])
        self.lose(protocol)
        self.reactor.advance(0)
        self.successResultOf(stopped)
        self.assertFalse(ports[0].open)

    def test_waiting_clients_are_accepted(self) -> None:
        """Before a port closes, it accepts the clients that wait, but not without end."""
        ports = [WaitingPort(3), WaitingPort(10**9)]
        for port in ports:
            self.addCleanup(port.close)
        service = self.service(*ports)
        service.startService()
        self.stopped(service)
        self.assertEqual(ports[0].accepted, 3)
        self.assertEqual([port.open for port in ports], [False, False])

    def test_clients_of_a_shared_socket(self) -> None:
        """If another process keeps the socket open, waiting clients are left to it."""
        port = WaitingPort(3)
        self.addCleanup(port.close)
        service = self.service(port)
        service.listeners = [evolve(service.listeners[0], is_shared=True)]
        service.startService()
        self.stopped(service)
        self.assertEqual((port.accepted, port.open), (0, False))

    # Warnings

    # Signals

    def test_second_signal(self) -> None:
        """A second SIGINT or SIGTERM resets the connections that it waits for."""
        for number in (signal.SIGINT, signal.SIGTERM):
            service = self.service(FakePort(), drain=600)
            service.startService()
            protocol, transport = self.connect()
            stopped = self.stopping(service)
            signal.raise_signal(number)
            self.assertFalse(transport.disconnected)
            self.reactor.advance(0)
            self.reactor.advance(0)
            self.assertTrue(transport.disconnected)
            self.assertNoResult(stopped)
            self.lose(protocol)
            self.reactor.advance(0)
            self.successResultOf(stopped)

    def test_handlers_come_back(self) -> None:
        """After the drain, signals have their former handlers."""
        service = self.service(FakePort())
        service.startService()
        self.assertEqual(self.handlers.changed, set())
        protocol, _transport = self.connect()
        stopped = self.stopping(service)
        self.assertEqual(self.handlers.changed, {signal.SIGINT, signal.SIGTERM})
        self.lose(protocol)
        self.reactor.advance(0)
        self.successResultOf(stopped)
        self.assertEqual(self.handlers.changed, set())

    def test_sighup(self) -> None:
        """From start to stop, SIGHUP makes the reactor call what was registered, in order."""
        calls: list[str] = []
        service = self.service(FakePort())
        service.on_hangup += [lambda: calls.append("one"), lambda: calls.append("two")]
        service.startService()
        signal.raise_signal(signal.SIGHUP)
        self.assertEqual(calls, [])
        self.reactor.advance(0)
        self.assertEqual(calls, ["one", "two"])
        self.stopped(service)
        self.assertEqual(self.handlers.changed, set())

    def test_failed_reload(self) -> None:
        """A failed reload is logged, and does not keep the others from reloading."""
        events = logged_events(self)
        calls: list[str] = []
        service = self.service(FakePort())
        service.on_hangup += [lambda: calls.append(str(1 / 0)), lambda: calls.append("other")]
        service.reload()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(calls, ["other"])
        self.assertEqual([text_of(event) for event in events], ["reload failed"])

    def test_the_end(self) -> None:
        """What is registered for the end is called before SIGHUP has its former handler."""
        calls: list[str] = []
        service = self.service(FakePort())
        service.on_hangup.append(lambda: None)
        service.on_end += [
            lambda: calls.append("end"),
            lambda: self.assertEqual(self.handlers.changed, {signal.SIGHUP}),
        ]
        service.startService()
        protocol, _transport = self.connect()
        stopped = self.stopping(service)
        self.lose(protocol)
        self.reactor.advance(0)
        self.assertEqual(calls, ["end"])
        self.successResultOf(stopped)
        self.assertEqual(self.handlers.changed, set())

    def test_the_end_comes_last(self) -> None:
        """It is called a turn after the last connection has ended, not before."""
        calls: list[str] = []
        service = self.service(FakePort())
        service.on_end.append(lambda: calls.append("end"))
        service.startService()
        protocol, _transport = self.connect()
        stopped = self.stopping(service)
        self.lose(protocol)
        self.assertEqual(calls, [])
        self.reactor.advance(0)
        self.assertEqual(calls, ["end"])
        self.successResultOf(stopped)

    def test_late_sighup(self) -> None:
        """A SIGHUP after the stop is ignored; by default it would kill the process."""
        service = self.service(FakePort())
        service.on_hangup.append(lambda: None)
        self.handlers[signal.SIGHUP] = signal.SIG_DFL
        service.startService()
        self.stopped(service)
        self.assertEqual(self.handlers[signal.SIGHUP], signal.SIG_IGN)

    def test_nothing_to_reload(self) -> None:
        """Without anything to reload, SIGHUP keeps its handler."""
        service = self.service(FakePort())
        service.startService()
        self.assertEqual(self.handlers.changed, set())
        self.stopped(service)

    def test_in_another_thread(self) -> None:
        """Outside the main thread, where Python allows no handlers, signals are left alone."""
        service = self.service(FakePort())
        service.startService()
        protocol, _transport = self.connect()
        stopped: list[Deferred[None]] = []
        thread = threading.Thread(target=lambda: stopped.append(service.stopService()))
        thread.start()
        thread.join()
        self.assertEqual(self.handlers.changed, set())
        self.reactor.advance(0)
        self.lose(protocol)
        self.reactor.advance(0)
        self.successResultOf(stopped[0])
