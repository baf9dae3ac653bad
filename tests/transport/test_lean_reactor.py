"""The lean reactor: it does what Twisted's epoll reactor does, and names the same systems."""

import time
from collections.abc import Callable
from itertools import pairwise
from socket import SHUT_WR, create_connection, socket
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.error import ConnectionAborted, ConnectionDone, ReactorAlreadyInstalledError
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher
from twisted.python import log
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from reqresp.transport import lean_reactor
from reqresp.transport.eager import EagerServer
from reqresp.transport.lean_reactor import LeanReactor

#: Seconds after which a reactor that hangs fails its test.
TIMEOUT = 60


class Logged(Protocol):
    """Logs, and then does what the test wants with each piece of data."""

    factory: Any

    def dataReceived(self, data: bytes) -> None:
        log.msg(data.decode())
        self.factory.received(self)

    def connectionLost(self, reason: Any = None) -> None:
        self.factory.lost.append(reason.value)


@implementer(IHalfCloseableProtocol)
class Patient(Logged):
    """Does what the test wants at the EOF of its client."""

    def readConnectionLost(self) -> None:
        self.factory.ended(self)

    def writeConnectionLost(self) -> None: ...


class Served(Factory):
    """Serves `Logged`, and notes why connections were lost."""

    protocol: type[Logged] = Logged
    noisy = False
    ended: Callable[[Any], object]

    def __init__(self, received: Callable[[Logged], object]) -> None:
        self.received = received
        self.lost: list[BaseException] = []


class LeanReactorTests(ReactorBuilder, SynchronousTestCase):
    """A reactor of its own for each test, with real sockets."""

    reactorFactory = LeanReactor  # noqa: N815, Twisted's name
    reactor: Any

    def setUp(self) -> None:
        self.reactor = self.buildReactor()
        self.clients: list[socket] = []

    def serve(self, description: str, received: Callable[[Logged], object]) -> Served:
        """Listen at the endpoint *description*; each request calls *received*."""
        factory = Served(received)
        endpoint = serverFromString(self.reactor, description)
        self.port = self.successResultOf(endpoint.listen(factory))
        return factory

    def send(self, *pieces: bytes) -> None:
        """Connect a client for each of *pieces*, which it sends once the reactor runs."""
        for piece in pieces:
            client = create_connection(("127.0.0.1", self.port.getHost().port), timeout=TIMEOUT)
            self.addCleanup(client.close)
            client.sendall(piece)
            self.clients.append(client)

    def run_until_stopped(self) -> None:
        self.runReactor(self.reactor, timeout=TIMEOUT)

    def systems(self, texts: set[str]) -> dict[str, str]:
        """Run the reactor, and return the system of each of *texts* that is logged."""
        observer = EventLoggingObserver()
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.run_until_stopped()
        events = [event for event in observer if event.get("log_text") or event.get("message")]
        said: dict[str, Any] = {
            " ".join(event.get("message", ())): event.get("log_system") for event in events
        }
        return {text: said[text] for text in texts}

    def test_a_message_names_the_connection_that_is_served(self) -> None:
        """On an eager transport and on a stock one, as with Twisted's reactor."""
        for kind in ("eager", "tcp"):
            self.reactor = self.buildReactor()
            self.serve(f"{kind}:0:interface=127.0.0.1", lambda _: self.reactor.stop())
            self.send(b"hello")
            self.assertEqual(self.systems({"hello"}), {"hello": "Logged,0,127.0.0.1"})

    def test_a_message_of_a_timed_call_names_no_system(self) -> None:
        """Neither before a connection is served nor after it."""

        def later(_served: Logged) -> None:
            self.reactor.callLater(0, self.stop_with, "after")

        self.reactor.callLater(0, log.msg, "before")
        self.serve("eager:0:interface=127.0.0.1", later)
        self.send(b"hello")
        self.assertEqual(
            self.systems({"before", "hello", "after"}),
            {"before": "-", "hello": "Logged,0,127.0.0.1", "after": "-"},
        )

    def stop_with(self, text: str) -> None:
        log.msg(text)
        self.reactor.stop()

    def test_a_message_within_another_context_names_that(self) -> None:
        """What `callWithLogger` enters goes before what the loop has entered."""

        def nested(served: Logged) -> None:
            log.callWithContext({"system": "inner"}, log.msg, "nested")
            self.reactor.stop()

        self.serve("eager:0:interface=127.0.0.1", nested)
        self.send(b"hello")
        self.assertEqual(
            self.systems({"hello", "nested"}),
            {"hello": "Logged,0,127.0.0.1", "nested": "inner"},
        )

    def test_a_prefix_that_raises_is_an_error_of_its_own(self) -> None:
        """The message is logged, and so is the error."""
        self.patch(EagerServer, "logPrefix", lambda _transport: 1 // 0)
        self.serve("eager:0:interface=127.0.0.1", lambda _: self.reactor.stop())
        self.send(b"hello")
        self.assertEqual(self.systems({"hello"}), {"hello": "(buggy logPrefix method)"})
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))

    def test_a_protocol_that_raises_loses_its_connection_only(self) -> None:
        """The error is logged and the reason of the loss; others are served."""

        def received(_served: Logged) -> None:
            if len(factory.lost) == 0:
                raise KeyError("mine")
            self.reactor.stop()

        factory = self.serve("eager:0:interface=127.0.0.1", received)
        self.send(b"first", b"second")
        self.run_until_stopped()
        self.assertIsInstance(factory.lost[0], KeyError)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_a_connection_that_an_earlier_event_closed_is_not_read(self) -> None:
        """Both are readable in one poll; the first to be served ends the other."""
        served: list[Logged] = []

        def received(it: Logged) -> None:
            served.append(it)
            for transport in [*self.reactor._selectables.values()]:
                if isinstance(transport, EagerServer) and transport is not it.transport:
                    transport.connectionLost(Failure(ConnectionAborted()))
            self.reactor.callLater(0, self.reactor.stop)

        self.serve("eager:0:interface=127.0.0.1", received)
        self.send(b"one", b"two")
        self.run_until_stopped()
        self.assertEqual(len(served), 1)

    def test_an_eof_does_not_cut_what_waits(self) -> None:
        """The client ends its side, and then reads: it receives everything."""
        reply = bytes(8 * 2**20)
        received = bytearray()

        def answer(served: Any) -> None:
            served.transport.write(reply)
            self.reactor.callInThread(drain)

        def drain() -> None:
            while data := self.clients[0].recv(2**20):
                received.extend(data)
            self.reactor.callFromThread(self.reactor.stop)

        factory = self.serve("eager:0:interface=127.0.0.1", answer)
        factory.protocol = Patient
        factory.ended = lambda it: it.transport.loseConnection()
        self.send(b"hello")
        self.clients[0].shutdown(SHUT_WR)
        self.run_until_stopped()
        self.assertEqual(len(received), len(reply))
        self.assertEqual([type(reason) for reason in factory.lost], [ConnectionDone])

    def test_an_eof_is_reported_once(self) -> None:
        """The socket stays readable, and is not read any more."""
        ended = []

        def turn(it: Any, turns: int) -> None:
            if turns:
                self.reactor.callLater(0, turn, it, turns - 1)
            else:
                it.transport.loseConnection()
                self.reactor.callLater(0, self.reactor.stop)

        def note(it: Any) -> None:
            ended.append(it)
            turn(it, 5)

        factory = self.serve("eager:0:interface=127.0.0.1", lambda _: None)
        factory.protocol = Patient
        factory.ended = note
        self.send(b"hello")
        self.clients[0].shutdown(SHUT_WR)
        self.run_until_stopped()
        self.assertEqual(len(ended), 1)
        self.assertEqual(len(factory.lost), 1)

    def test_an_error_outside_of_events_does_not_end_the_loop(self) -> None:
        """It is logged, as in Twisted's main loop."""
        errors = iter([OSError("poll")])
        turn = self.reactor._turn

        def fail_once(*arguments: Any) -> None:
            for error in errors:
                raise error
            self.reactor.stop()
            turn(*arguments)

        self.reactor._turn = fail_once
        self.run_until_stopped()
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_timed_calls_are_made_when_they_are_due(self) -> None:
        """In their order; cancelled ones are not, and delayed ones later."""
        made: list[str] = []
        call = self.reactor.callLater
        call(0.02, made.append, "second")
        call(0.01, made.append, "first")
        call(0.015, made.append, "cancelled").cancel()
        call(0.001, made.append, "delayed").delay(0.03)
        call(5, made.append, "third").reset(0.05)
        call(0.06, self.reactor.stop)
        self.run_until_stopped()
        self.assertEqual(made, ["first", "second", "delayed", "third"])

    def test_a_call_from_a_thread_wakes_it(self) -> None:
        """It does not wait for a timed call."""
        self.reactor.callInThread(lambda: self.reactor.callFromThread(self.reactor.stop))
        self.run_until_stopped()
        self.assertFalse(self.reactor.running)

    def test_the_clock_is_asked_once_a_poll(self) -> None:
        """While a timed call waits, and none is due or new."""
        asked: list[float] = []
        counts: list[int] = []

        def seconds() -> float:
            asked.append(time.monotonic())
            return asked[-1]

        def received(_served: Logged) -> None:
            counts.append(len(asked))
            if len(counts) < 5:
                self.clients[0].sendall(b"again")  # another poll has it
            else:
                self.reactor.stop()

        self.reactor.seconds = seconds
        self.serve("eager:0:interface=127.0.0.1", received)
        self.send(b"hello")
        self.run_until_stopped()
        self.assertEqual([after - before for before, after in pairwise(counts)], [1] * 4)

    def test_its_time_is_monotonic(self) -> None:
        """A clock that is set back does not put off a timed call."""
        self.reactor.callLater(0.01, self.reactor.stop)
        self.patch(time, "time", lambda: 0.0)
        before = time.monotonic()
        self.run_until_stopped()
        self.assertLessEqual(before, self.reactor.seconds())
        self.assertLessEqual(self.reactor.seconds(), time.monotonic())


class InstallTests(SynchronousTestCase):
    """Only one reactor can be installed."""

    def test_a_second_reactor_is_refused(self) -> None:
        """This process has one."""
        from twisted.internet import reactor  # noqa: F401

        self.assertRaises(ReactorAlreadyInstalledError, lean_reactor.install)
