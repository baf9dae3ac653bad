"""A connection with much to do gives way to others, counted in turns of the reactor."""

from collections.abc import Callable
from itertools import count
from math import inf
from typing import Any

from twisted.internet.main import CONNECTION_DONE
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp import EagerServer, Line, Observer, ReqRespFactory, Script, Send, Table, Wait
from reqresp.server._backlog import SLICE
from reqresp.server._slices import AT_ONCE, LAST_SLICE
from reqresp.server._state import State
from reqresp.server._turns import (
    QUANTUM_BYTES,
    QUANTUM_REPLIES,
    QUANTUM_SECONDS,
    REQUESTS_PER_LOOK,
    TURN_BUDGET,
    Turns,
)
from tests.support.conversation import Conversation
from tests.support.wire import Wire

FLOOD = b"\n" * 64_000
LARGE = b"\n" * 10_000
TEMPLATED = """
    [[rule]]
    matches = "(?P<text>.*)"
    reply = { template = "<{text}>" }
"""


class TurnClock(Clock):
    """A clock that can let a single turn of the reactor pass."""

    def turn(self) -> None:
        """Make the calls that are due now, and none that they schedule."""
        calls, self.calls = self.calls, []
        for call in calls:
            call.func()


class TurnsTests(SynchronousTestCase):
    """Calls that wait for their turn, with a clock of work that each call advances."""

    def setUp(self) -> None:
        self.clock = TurnClock()
        self.worked = 0.0
        self.turns = Turns(lambda: self.clock, lambda: self.worked)
        self.called: list[int] = []

    def add(self, number: int, seconds: float = 0.0) -> Any:
        def work() -> None:
            self.called.append(number)
            self.worked += seconds

        return self.turns.add(work)

    def test_calls_are_made_in_order(self) -> None:
        """All waiting calls are made in order, in the next turn of the reactor."""
        for number in range(3):
            self.add(number)
        self.assertEqual((self.called, len(self.turns)), ([], 3))
        self.clock.turn()
        self.assertEqual((self.called, len(self.turns)), ([0, 1, 2], 0))
        self.clock.turn()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_all_calls_share_one_budget(self) -> None:
        """Calls over the budget of a turn are made in the next turn."""
        for number in range(20):
            self.add(number, QUANTUM_SECONDS)
        self.clock.turn()
        most = round(TURN_BUDGET / QUANTUM_SECONDS) + 1
        self.assertIn(len(self.called), (most - 1, most))
        for _ in range(6):
            self.clock.turn()
        self.assertEqual(self.called, [*range(20)])

    def test_the_deadline_of_a_turn(self) -> None:
        """All connections have to give way once the budget has passed since the first one did."""
        self.assertEqual(self.turns.deadline, inf)
        for number in range(2):
            self.add(number, 2 * TURN_BUDGET)
            self.worked += QUANTUM_SECONDS
        self.assertEqual(self.turns.deadline, TURN_BUDGET)
        self.clock.turn()
        self.assertEqual(self.turns.deadline, 2 * QUANTUM_SECONDS + TURN_BUDGET)
        self.assertEqual(self.called, [0])
        for _ in range(2):
            self.clock.turn()
        self.assertEqual(self.called, [0, 1])
        self.assertEqual(self.turns.deadline, inf)

    def test_a_budget_ends_with_its_turn(self) -> None:
        """It begins once, with or without calls that wait, and lasts when they are cancelled."""
        for begin in (self.turns.share, lambda: self.add(0).cancel()):
            begin()
            self.worked += QUANTUM_SECONDS
            self.turns.share()
            self.assertEqual(self.turns.deadline, TURN_BUDGET)
            self.clock.turn()
            self.assertEqual(self.turns.deadline, inf)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.worked = 0.0

    def test_work_after_the_calls_shares_their_budget(self) -> None:
        """Connections that read in the turn in which others went on do not begin another one."""
        self.add(0, QUANTUM_SECONDS)
        self.clock.turn()
        self.turns.share()
        self.assertEqual(self.turns.deadline, TURN_BUDGET)
        self.clock.turn()
        self.assertEqual(self.turns.deadline, inf)

    def test_a_turn_makes_at_least_one_call(self) -> None:
        """A turn makes at least one call, also if it takes longer than the budget."""
        self.add(0, 1.0)
        self.add(1, 1.0)
        self.clock.turn()
        self.assertEqual(self.called, [0])
        self.clock.turn()
        self.assertEqual(self.called, [0, 1])

    def test_a_cancelled_call_is_not_made(self) -> None:
        """A call can be cancelled before its turn, or by an earlier call of the same turn."""
        first, second = self.add(0), self.add(1)
        first.cancel()
        first.cancel()
        self.turns.remove(second)
        third: list[Any] = []
        self.turns.add(lambda: third[0].cancel())
        third.append(self.add(2))
        self.clock.turn()
        self.assertEqual(self.called, [])

    def test_a_call_that_raises_does_not_stop_the_others(self) -> None:
        """After a call that raises, the others are made in the next turn."""

        def fail() -> None:
            raise ZeroDivisionError

        self.turns.add(fail)
        self.add(1)
        with self.assertRaises(ZeroDivisionError):
            self.clock.turn()
        self.clock.turn()
        self.assertEqual(self.called, [1])


class FairnessTests(Conversation):
    """Clients that flood a server beside one that does not."""

    def test_a_client_is_answered_beside_floods(self) -> None:
        """In one turn of the reactor, only a few of 20 floods go on, and a client is answered."""
        now = count(step=QUANTUM_SECONDS / 4).__next__
        factory = self.factory(Script.parse(TEMPLATED), observers=[], now=now)
        client, *floods = (self.join(factory) for _ in range(21))
        for flood in floods:
            flood.protocol.dataReceived(FLOOD)
        self.assertEqual({flood.protocol.state for flood in floods}, {State.YIELDED})
        answered: list[int] = []
        for turn in range(1, 21):
            before = [flood.protocol.taken for flood in floods]
            self.assertLess(sum(before), turn * 20 * 100)
            client.protocol.dataReceived(b"hello\n")
            answered.append(client.protocol.taken)
            self.assertIs(client.protocol.state, State.IDLE)
            self.pass_turn()
            after = [flood.protocol.taken for flood in floods]
            gone_on = sum(one != other for one, other in zip(before, after, strict=True))
            self.assertIn(gone_on, range(1, 6))
        self.assertEqual(answered, [*range(1, 21)])
        self.assertGreater(min(flood.protocol.taken for flood in floods), REQUESTS_PER_LOOK)

    def test_floods_that_arrive_together_share_one_budget(self) -> None:
        """Of 20 floods that are read in one turn, a few have a quantum, and others begin only."""
        now = count(step=QUANTUM_SECONDS / 4).__next__
        factory = self.factory(Script.parse(TEMPLATED), observers=[], now=now)
        floods = [self.join(factory) for _ in range(20)]
        for flood in floods:
            flood.protocol.dataReceived(FLOOD)
        taken = [flood.protocol.taken for flood in floods]
        self.assertGreater(taken[0], 3 * REQUESTS_PER_LOOK)
        self.assertEqual(set(taken[10:]), {REQUESTS_PER_LOOK})

    def constants(self, table: Table, now: Callable[[], float]) -> ReqRespFactory:
        return self.factory(table, framing=Line(), now=now, observers=[])

    def test_floods_of_constants_share_one_budget(self) -> None:
        """Once it is used up, each answers a little; another client is answered nevertheless."""
        now = count(step=TURN_BUDGET / 8).__next__
        factory = self.constants(Table({}, otherwise=b"x"), now)
        client, *floods = (self.join(factory) for _ in range(21))
        for flood in floods:
            flood.protocol.dataReceived(FLOOD)
        taken = [flood.protocol.taken for flood in floods]
        self.assertEqual(taken[0], QUANTUM_REPLIES)
        self.assertEqual(set(taken[10:]), {LAST_SLICE})
        self.assertEqual({flood.protocol.state for flood in floods}, {State.YIELDED})
        for turn in range(1, 21):
            client.protocol.dataReceived(b"hello\n")
            self.assertEqual(client.protocol.taken, turn)
            self.assertLessEqual(sum(it.protocol.taken for it in floods), turn * 9 * SLICE)
            self.pass_turn()
        self.assertGreater(min(flood.protocol.taken for flood in floods), LAST_SLICE)
        client.turn()
        self.assertEqual({flood.protocol.taken for flood in floods}, {len(FLOOD)})

    def test_reads_that_are_answered_whole_share_it_too(self) -> None:
        """Observers take long for many requests, although no connection has to give way first."""
        worked = [0.0]

        class Slow(Observer):
            def received(self, peer: Any, connection: int, requests: Any) -> None:
                worked[0] += TURN_BUDGET / 4

        factory = self.factory(
            Table({}, otherwise=b"x"), framing=Line(), now=lambda: worked[0], observers=[Slow()]
        )
        for request in (b"a request of 16\n", b"ab\n"):
            wires = [self.join(factory) for _ in range(20)]
            for wire in wires:
                wire.protocol.dataReceived(request * 1000)
            taken = [wire.protocol.taken for wire in wires]
            self.assertEqual(taken[:3], [1000] * 3)
            self.assertEqual(set(taken[6:]), {LAST_SLICE // len(request)})
            wires[0].turn()
            self.assertEqual({wire.protocol.taken for wire in wires}, {1000})

    def test_requests_that_waited_are_answered_beside_floods(self) -> None:
        """No more than a slice is answered at once, also after a wait, and in order."""
        now = count(step=TURN_BUDGET / 8).__next__
        replies: dict[bytes, Any] = {
            b"wait": (Wait(1), Send(b"waited")),
            b"a": Send(b"A"),
            b"b": Send(b"B"),
        }
        factory = self.constants(Table(replies, otherwise=b"x"), now)
        client, *floods = (self.join(factory) for _ in range(21))
        client.send(b"wait\n", b"a\n", b"b\n")
        self.reactor.rightNow += 1
        for flood in floods:
            flood.protocol.dataReceived(FLOOD)
        self.assertEqual(floods[-1].protocol.taken, LAST_SLICE)
        self.pass_turn()
        self.assertEqual(client.protocol.taken, 3)
        client.turn()
        self.assertEqual(client.received(), b"waited\r\nA\r\nB\r\n")

    def pass_turn(self) -> None:
        """Make the calls that are due now, and none that they schedule."""
        calls, self.reactor.calls = self.reactor.calls, []
        for call in calls:
            call.func()

    def test_a_turn_ends_after_a_quantum_of_bytes(self) -> None:
        """A turn takes up no more than 4 KiB of small requests; all are answered in the end."""
        wire = self.lines(lambda request: request.data, now=lambda: 0.0)
        wire.protocol.dataReceived(LARGE)
        self.assertLessEqual(wire.protocol.taken, QUANTUM_BYTES)
        self.assertIs(wire.protocol.state, State.YIELDED)
        self.assertTrue(wire.protocol.is_busy)
        wire.turn()
        self.assertEqual(len(wire.received()), 2 * len(LARGE))
        self.assertFalse(wire.protocol.is_busy)

    def test_a_turn_ends_after_a_quantum_of_time(self) -> None:
        """Slow requests end a turn after a few of them, by the clock of work."""
        worked = [0.0]

        def respond(request: Any) -> bytes:
            worked[0] += QUANTUM_SECONDS / 4
            return bytes(request.data)

        wire = self.lines(respond, now=lambda: worked[0])
        wire.protocol.dataReceived(b"".join(b"%d\n" % number for number in range(100)))
        self.assertEqual(wire.protocol.taken, 8)
        wire.turn()
        self.assertEqual(wire.received(), b"".join(b"%d\r\n" % number for number in range(100)))

    def test_a_turn_ends_after_a_quantum_of_constants(self) -> None:
        """The replies of a flood of constants are sent and reported in parts, in order."""
        numbers = [b"%d" % number for number in range(10_000)]
        wire = self.lines(Table({number: number for number in numbers}), now=lambda: 0.0)
        wire.protocol.dataReceived(b"\n".join(numbers) + b"\n")
        self.assertLess(wire.protocol.taken, QUANTUM_REPLIES + AT_ONCE)
        self.assertIs(wire.protocol.state, State.YIELDED)
        wire.turn()
        self.assertEqual(wire.received(), b"\r\n".join(numbers) + b"\r\n")
        reported = [request for batch in self.heard.requests for request in batch]
        self.assertEqual(b" ".join(reported), b" ".join(numbers))
        self.assertLess(max(self.heard.batches), QUANTUM_REPLIES + AT_ONCE)

    def test_constants_share_the_quantum_of_time(self) -> None:
        """A turn answers a slice of them and a few more, then the connection gives way."""
        now = count(step=2 * QUANTUM_SECONDS).__next__
        for observers in ([], [self.heard]):
            wire = self.lines(Table({}, otherwise=b"x"), now=now, observers=observers)
            wire.protocol.dataReceived(FLOOD)
            self.assertLess(wire.protocol.taken, 2 * SLICE)
            self.assertIs(wire.protocol.state, State.YIELDED)
            wire.turn()
            self.assertEqual(len(wire.received()), 3 * len(FLOOD))

    def test_a_client_that_leaves_while_it_waits(self) -> None:
        """The turn of a client that disconnects is cancelled."""
        wire = self.lines(lambda request: request.data)
        wire.protocol.dataReceived(LARGE)
        taken, protocol = wire.protocol.taken, wire.protocol
        wire.transport.connectionLost(Failure(CONNECTION_DONE))
        self.reactor.advance(1)
        self.assertEqual(protocol.taken, taken)
        self.assertIs(protocol.state, State.LOST)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_eof_while_it_waits(self) -> None:
        """After EOF, everything is answered, then the connection is closed."""
        wire = self.lines(lambda request: request.data)
        wire.put(b"a\n" * 10_000)
        wire.send_eof()
        self.assertEqual(len(wire.received()), 30_000)
        self.assertFalse(wire.is_open)

    def test_a_drain_while_it_waits(self) -> None:
        """In a drain, everything that was received is answered."""
        wire = self.lines(lambda request: request.data)
        wire.protocol.dataReceived(LARGE)
        wire.factory.drain(5)
        wire.turn()
        self.assertEqual(len(wire.received()), 2 * len(LARGE))
        self.assertTrue(wire.got_eof)

    def test_a_waiting_connection_is_not_idle(self) -> None:
        """A sweep does not close a connection that waits for its turn."""
        wire: Wire = self.lines(lambda request: request.data)
        wire.protocol.dataReceived(LARGE)
        for _ in range(9):
            wire.protocol.sweep()
        self.assertIs(wire.protocol.state, State.YIELDED)


class EagerFairnessTests(FairnessTests):
    """The same on the eager transport."""

    transport = EagerServer
