"""Observers receive events in one order, whatever Twisted calls from inside what."""

from collections.abc import Callable
from itertools import chain
from typing import Any

from twisted.internet import tcp
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IAddress, INegotiated
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import classImplements

from reqresp import (
    Close,
    ConnectionContext,
    Counters,
    EagerServer,
    HalfClose,
    Observer,
    Responder,
    Send,
    StopReading,
    Table,
    Wait,
)
from reqresp.server._state import State
from reqresp.server.front_factory import front_of
from tests.support.conversation import Conversation
from tests.support.wire import Wire


def lose(wire: Wire) -> None:
    """Lose the connection of *wire* at once, as Twisted does when both sides have ended."""
    wire.transport.connectionLost(Failure(CONNECTION_DONE))


def interruptible(base: type[tcp.Server]) -> type[Any]:
    """Return a transport class whose `during_write` is called once, from inside the next write."""

    class Interruptible(base):  # type: ignore[misc, valid-type]
        during_write: Callable[[], None] | None = None

        def write(self, data: bytes) -> None:
            super().write(data)
            call, self.during_write = self.during_write, None
            if call is not None:
                call()

    return Interruptible


class Losing(Observer):
    """Loses the connection when it receives requests."""

    def __init__(self) -> None:
        self.wires: list[Wire] = []

    def received(self, peer: IAddress, connection: int, requests: Any) -> None:
        lose(self.wires[0])


class OrderTests(Conversation):
    """The events of one connection."""

    def test_a_client_that_closes_at_eof(self) -> None:
        """The close that follows a half-close loses the connection from inside the step."""
        for steps in ((HalfClose(), Wait(1), Close()), (HalfClose(), Close())):
            self.setUp()
            wire = self.lines(lambda _request, steps=steps: steps)
            wire.send(b"a\nb\n")
            wire.send_eof()
            wire.wait(1)
            wire.wait(1)
            self.assertFalse(wire.is_open)
            events = self.heard.events
            self.assertEqual(events[-1], "disconnected")
            self.assertEqual(events.count("received"), events.count("answered"))
            self.assertEqual(events.count("disconnected"), 1)

    def test_a_loss_inside_a_responder(self) -> None:
        """Requests of the same turn are reported before the loss."""
        wires: list[Wire] = []

        def respond(request: Any) -> bytes:
            if request.data == b"lose":
                lose(wires[0])
            return b"x"

        wires.append(self.lines(respond))
        wires[0].send(b"a\nlose\nb\n")
        self.assertEqual(self.heard.requests, [[b"a", b"lose"]])
        self.assertEqual(self.heard.events, ["connected", "received", "answered", "disconnected"])

    def test_a_loss_inside_a_responder_that_answers_later(self) -> None:
        """The responder's Deferred is cancelled, and the loss is reported."""
        wires: list[Wire] = []
        cancelled: list[object] = []

        def respond(_request: Any) -> Deferred[bytes]:
            lose(wires[0])
            return Deferred(cancelled.append)

        wires.append(self.lines(respond))
        wires[0].send(b"a\n")
        self.assertEqual(self.heard.events, ["connected", "received", "disconnected"])
        self.assertEqual(len(cancelled), 1)
        self.assertEqual(wires[0].factory.open, 0)

    def test_a_loss_inside_a_responder_that_raises(self) -> None:
        """The failure is reported before the loss."""
        wires: list[Wire] = []

        def respond(_request: Any) -> bytes:
            lose(wires[0])
            raise ZeroDivisionError

        wires.append(self.lines(respond))
        wires[0].send(b"a\n")
        self.assertEqual(self.heard.events, ["connected", "received", "failed", "disconnected"])
        self.flushLoggedErrors(ZeroDivisionError)

    def test_a_loss_inside_a_responder_whose_reply_has_failed(self) -> None:
        """A Deferred that has failed, or fails when it is cancelled, is reported before it."""
        replies: list[Callable[[], Deferred[bytes]]] = [
            lambda: fail(ZeroDivisionError()),
            lambda: Deferred(lambda it: it.errback(ZeroDivisionError())),
        ]
        for reply in replies:
            self.setUp()
            wires: list[Wire] = []

            def respond(_request: Any, wires: Any = wires, reply: Any = reply) -> Deferred[bytes]:
                lose(wires[0])
                return reply()  # type: ignore[no-any-return]

            wires.append(self.lines(respond))
            wires[0].send(b"a\n")
            self.assertEqual(self.heard.events, ["connected", "received", "failed", "disconnected"])
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_failure_after_the_loss(self) -> None:
        """A reply that fails after the connection was lost is counted and logged, not reported."""
        late: Deferred[bytes] = Deferred(lambda _deferred: None)

        async def respond(_request: Any) -> bytes:
            try:
                return await Deferred()
            except CancelledError:
                return await late  # cleans up

        counters = Counters()
        wire = self.lines(respond, counters=counters)
        wire.send(b"a\n")
        wire.reset()
        late.errback(ZeroDivisionError())
        self.assertEqual(self.heard.events, ["connected", "received", "disconnected"])
        self.assertEqual(counters.responder_errors, 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_failure_and_then_a_loss_inside_an_observer(self) -> None:
        """The failure of the turn is reported before the loss."""

        def respond(_request: Any) -> bytes:
            raise ZeroDivisionError

        losing = Losing()
        losing.wires.append(self.lines(respond, observers=[losing, self.heard]))
        losing.wires[0].send(b"a\n")
        self.assertEqual(self.heard.events, ["connected", "received", "failed", "disconnected"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_loss_inside_an_observer(self) -> None:
        """Other observers receive the rest of the turn before the loss."""
        for respond in (Table({}, otherwise=b"x"), lambda _request: b"x"):
            self.setUp()
            losing = Losing()
            losing.wires.append(self.lines(respond, observers=[losing, self.heard]))
            losing.wires[0].send(b"a\n")
            self.assertEqual(
                self.heard.events, ["connected", "received", "answered", "disconnected"]
            )
            self.assertIs(losing.wires[0].protocol.state, State.LOST)


class WriteTests(Conversation):
    """Transports and layers may report events from inside a write."""

    def setUp(self) -> None:
        super().setUp()
        if not hasattr(self.transport, "during_write"):
            self.transport = interruptible(self.transport)

    #: Answers at once from constants, by a function, and through a Deferred.
    responders: tuple[Any, ...] = (
        Table({}, otherwise=b"x"),
        lambda _request: b"x",
        lambda _request: succeed(b"x"),
    )

    def each(self, **options: Any) -> Any:
        """Yield a wire for each responder and for a small and a large read, and the read."""
        for respond in self.responders:
            for read in (b"a\n", b"a\nb\n", b"a\n" * 3000):
                self.setUp()
                yield self.lines(respond, **options), read

    def test_a_loss(self) -> None:
        """Everything that was answered is reported before the loss."""
        for wire, read in self.each():
            wire.transport.during_write = lambda wire=wire: lose(wire)
            wire.send(read)
            self.assertEqual(
                self.heard.events, ["connected", "received", "answered", "disconnected"]
            )
            self.assertIs(wire.protocol.state, State.LOST)
            self.assertEqual(wire.factory.open, 0)

    def test_more_data(self) -> None:
        """A request that arrives during a write is answered after it."""
        for wire, read in self.each():
            wire.transport.during_write = lambda it=wire.protocol: it.dataReceived(b"last\n")
            wire.send(read)
            self.assertEqual(wire.received(), b"x\r\n" * (read.count(b"\n") + 1))
            self.assertIn(b"last", [*chain(*self.heard.requests)])
            self.assertIs(wire.protocol.state, State.IDLE)

    def test_eof(self) -> None:
        """What was received is answered, then the connection closes."""
        for wire, read in self.each():
            wire.transport.during_write = wire.protocol.readConnectionLost
            wire.send(read)
            self.assertEqual(wire.received(), b"x\r\n" * read.count(b"\n"))
            self.assertTrue(wire.got_eof)

    def test_a_full_buffer(self) -> None:
        """The connection waits until the transport has room again."""
        for wire, read in self.each():
            wire.transport.during_write = wire.protocol.stream.pauseProducing
            wire.send(read)
            self.assertIs(wire.protocol.state, State.FULL)
            wire.protocol.stream.resumeProducing()
            wire.turn()
            self.assertIs(wire.protocol.state, State.IDLE)
            self.assertEqual(wire.received(), b"x\r\n" * read.count(b"\n"))

    def test_an_error(self) -> None:
        """A transport that raises ends the connection, and nothing of it is left."""

        def fail() -> None:
            raise ZeroDivisionError

        for wire, read in self.each():
            wire.transport.during_write = fail
            wire.send(read)
            self.flushLoggedErrors(ZeroDivisionError)
            self.assertEqual(self.heard.events[-2:], ["failed", "disconnected"])
            self.assertEqual(wire.factory.open, 0)

    def test_without_observers(self) -> None:
        """The same holds without observers."""
        for wire, read in self.each(observers=[]):
            wire.transport.during_write = lambda it=wire.protocol: it.dataReceived(b"last\n")
            wire.send(read)
            received = wire.received()
            wire.transport.during_write = lambda wire=wire: lose(wire)
            wire.send(read)
            self.assertEqual(received, b"x\r\n" * (read.count(b"\n") + 1))
            self.assertIs(wire.protocol.state, State.LOST)
            self.assertEqual(wire.factory.open, 0)


class GreetingTests(Conversation):
    """A greeting comes before every reply."""

    def test_constants_wait_for_the_greeting(self) -> None:
        """Requests that arrive during a greeting are answered after it."""

        class Greeter(Responder):
            def greet(self, connection: ConnectionContext) -> Any:
                return (Send(b"hello"), Wait(1), Send(b"ready"))

            def respond(self, data: bytes, connection: ConnectionContext) -> Any:
                return (Send(b"x"),)

            def constants(self) -> Table:
                return Table({}, otherwise=b"x")

        wire = self.lines(Greeter())
        wire.send(b"a\nb\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"hello\r\nready\r\nx\r\nx\r\n")

    def test_a_connection_lost_when_it_is_reported_is_not_greeted(self) -> None:
        """An observer may lose the connection: the responder is not asked to greet it then."""
        greeted: list[object] = []
        numbers: list[int] = []

        class Greeter(Responder):
            def greet(self, connection: ConnectionContext) -> Any:
                greeted.append(connection)
                return (Send(b"hello"),)

            def respond(self, data: bytes, connection: ConnectionContext) -> Any:
                return ()

        class Loses(Observer):
            def connected(self, peer: IAddress, connection: int) -> None:
                protocols[0].connectionLost(Failure(CONNECTION_DONE))

            def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
                numbers.append(connection)

        protocols: list[Any] = []
        factory = self.factory(Greeter(), observers=[Loses(), self.heard])
        protocols.append(factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1)))
        protocols[0].makeConnection(StringTransport())
        self.assertEqual(greeted, [])
        self.assertEqual(numbers, [1])
        self.assertEqual(self.heard.events, ["connected", "disconnected"])
        self.assertIs(protocols[0].state, State.LOST)

    def test_a_drained_connection_is_not_greeted(self) -> None:
        """An observer may end the connection: it closes without a greeting."""

        class Finishes(Observer):
            def connected(self, peer: IAddress, connection: int) -> None:
                for each in front_of(factory):
                    each.finish()

        class Greeter(Responder):
            def greet(self, connection: ConnectionContext) -> Any:
                return (Send(b"hello"),)

            def respond(self, data: bytes, connection: ConnectionContext) -> Any:
                return ()

        factory = self.factory(Greeter(), observers=[Finishes()])
        wire = self.join(factory)
        wire.turn()
        self.assertEqual(wire.received(), b"")
        self.assertTrue(wire.got_eof)

    def test_a_lost_handshake_stays_lost(self) -> None:
        """A drain that reaches a connection lost during its handshake changes nothing."""

        class Negotiating(StringTransport):
            """A transport with a handshake, as far as a stream can see."""

        declare: Any = classImplements  # a type checker would want all of its attributes
        declare(Negotiating, INegotiated)
        protocol = self.factory().buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        protocol.makeConnection(Negotiating(peerAddress=UNIXAddress(None)))
        protocol.connectionLost(Failure(CONNECTION_DONE))
        protocol.finish()
        self.assertIs(protocol.state, State.LOST)
        self.assertEqual(self.heard.events, ["connected", "disconnected"])

    def test_a_loss_inside_a_greeting(self) -> None:
        """A greeting that fails after it has lost the connection is reported before the loss."""

        class Greeter(Responder):
            raises = False

            def greet(self, connection: ConnectionContext) -> Any:
                protocols[-1].connectionLost(Failure(CONNECTION_DONE))
                if self.raises:
                    raise ZeroDivisionError
                return (Send(b"hello"),)

            def respond(self, data: bytes, connection: ConnectionContext) -> Any:
                return ()

        protocols: list[Any] = []
        for raises, failed in ((False, []), (True, ["failed"])):
            self.setUp()
            greeter = Greeter()
            greeter.raises = raises
            factory = self.factory(greeter)
            protocols.append(factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1)))
            protocols[-1].makeConnection(StringTransport())
            self.assertEqual(self.heard.events, ["connected", *failed, "disconnected"])
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), len(failed))


class IgnoringTests(Conversation):
    """`StopReading` drops what has arrived with the request, and reads no more."""

    def test_later_requests_are_not_answered(self) -> None:
        """No later request is answered, in the same read or in another one."""
        wire = self.lines(lambda request: (Send(request.data), StopReading()))
        wire.send(b"a\nb\n")
        wire.send(b"c\n")
        self.assertEqual(wire.received(), b"a\r\n")
        self.assertFalse(wire.reading)
        self.assertIs(wire.protocol.state, State.HANGING)

    def test_what_is_delivered_during_a_wait_is_dropped(self) -> None:
        """TLS delivers what it has decrypted although reading is paused."""
        wire = self.lines(
            lambda request: (Send(request.data), StopReading(), Wait(1), Send(b"end"))
        )
        wire.send(b"a\n")
        wire.protocol.dataReceived(b"b\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"a\r\nend\r\n")
        self.assertIs(wire.protocol.state, State.HANGING)

    def test_a_half_closed_connection_counts_and_sends_nothing(self) -> None:
        """A large read of constants after a half-close is dropped as it is answered."""
        wire = self.lines(Table({b"half": (b"last", HalfClose(), Wait(1))}, otherwise=b"?"))
        wire.send(b"half\n", b"x\n" * 3000)
        wire.wait(1)
        wire.send(b"x\n" * 3000)
        self.assertEqual(wire.received(), b"last\r\n")
        self.assertEqual(wire.protocol.taken, 6001)


class EagerOrderTests(OrderTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerWriteTests(WriteTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerGreetingTests(GreetingTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerIgnoringTests(IgnoringTests):
    """The same on the eager transport."""

    transport = EagerServer
