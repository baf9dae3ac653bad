"""Since when a request waits, and what faults make of that."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Chunk, EagerServer, Latency, Line, Netstring, Pause, Script, Slicer, Table
from reqresp.framing import with_raw
from reqresp.server._backlog import Backlog
from reqresp.server._timed_backlog import TimedBacklog, arrived
from reqresp.steps import FaultEffect
from tests.support.conversation import Conversation
from tests.support.forwarded import ForwardedCase
from tests.support.scripted import Scripted

LATE = Latency(delay=1, since="arrival")


def taken(backlog: Backlog) -> list[tuple[bytes, float | None]]:
    """Return all requests that can be taken, and when they have arrived."""
    requests = [*backlog.requests]
    while backlog.decode_more():
        requests += backlog.requests
    return [(it, arrived(it)) for it in requests]


class TimedBacklogTests(SynchronousTestCase):
    """The time of each request."""

    def setUp(self) -> None:
        self.now = 0.0

    def timed(self, decoder: Any) -> TimedBacklog:
        return TimedBacklog(decoder, lambda: self.now)

    def test_a_request_arrives_with_its_last_byte(self) -> None:
        """Also where several reads wait, and with the bytes as they came."""
        for decoder in (Line().decoder(9), with_raw(Line().decoder(9))):
            backlog = self.timed(decoder)
            for self.now, data in enumerate((b"a\nb", b"c\n", b"", b"d\ne\n")):
                backlog.put(data)
            self.assertEqual(taken(backlog), [(b"a", 0.0), (b"bc", 1.0), (b"d", 3.0), (b"e", 3.0)])
            self.assertEqual((backlog.size, backlog.has_requests), (0, False))

    def test_pieces_that_are_joined(self) -> None:
        """A piece that is a request arrives with the last of the reads that it is made of."""
        backlog = self.timed(Chunk(5).decoder(5))
        for self.now, data in enumerate((b"abc", b"de", b"f")):
            backlog.put(data)
        self.assertEqual(taken(backlog), [(b"abcde", 1.0), (b"f", 2.0)])

    def test_an_error(self) -> None:
        """Requests before it have their time, too."""
        backlog = self.timed(Netstring().decoder(9))
        backlog.put(b"1:a,nonsense")
        self.assertEqual(taken(backlog), [(b"a", 0.0)])
        self.assertIsNotNone(backlog.error)

    def test_taking_over(self) -> None:
        """Everything is taken over, and arrives then; what is taken over from is empty."""
        before = Backlog(Line().decoder(9))
        before.put(b"a\nb\nc")
        before.decode_more(4)
        before.put(b"d\ne\n")
        self.now = 5
        backlog = TimedBacklog.of(before, lambda: self.now)
        self.assertEqual((taken(before), before.has_requests), ([], False))
        self.assertEqual(taken(backlog), [(it, 5) for it in (b"a", b"b", b"cd", b"e")])
        self.assertIs(TimedBacklog.of(backlog, lambda: 9), backlog)

    @given(
        st.lists(st.tuples(st.floats(0, 9), st.binary(max_size=9)), max_size=9),
        st.integers(1, 9),
    )
    @settings(derandomize=True)
    def test_any_reads(self, reads: list[tuple[float, bytes]], most: int) -> None:
        """Requests are those of a plain backlog, each with the time of the read with its end."""
        expected: list[tuple[bytes, float]] = []
        decoder = Line().decoder(999)
        self.now = 0
        backlog = self.timed(Line().decoder(999))
        for wait, data in reads:
            self.now += wait
            backlog.put(data)
            expected += [(it, self.now) for it in decoder.feed(data)]
        found = []
        while backlog.decode_more(most):
            found += [(it, arrived(it)) for it in backlog.requests]
        self.assertEqual(found, expected)


class SinceArrivalTests(Conversation):
    """A latency that counts from the arrival of a request."""

    def test_pipelined_requests_are_delayed_together(self) -> None:
        """Five requests that arrive together are answered after the delay, not after five."""
        wire = self.lines(lambda request: request.data, faults=[LATE])
        wire.send(b"1\n2\n3\n4\n5\n")
        wire.wait(0.5)
        wire.send(b"6\n")
        self.assertEqual(wire.received(), b"")
        wire.wait(0.5)
        self.assertEqual(wire.received(), b"1\r\n2\r\n3\r\n4\r\n5\r\n")
        wire.wait(0.25)
        self.assertEqual(wire.received(), b"")
        wire.wait(0.25)
        self.assertEqual(wire.received(), b"6\r\n")

    def test_from_the_turn_they_add_up(self) -> None:
        """Without it, each delay begins when the reply before it is complete."""
        wire = self.lines(lambda request: request.data, faults=[Latency(delay=1)])
        wire.send(b"1\n2\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"1\r\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"2\r\n")

    def test_several_faults_add_up(self) -> None:
        """The time that a request has waited counts once."""
        wire = self.lines(lambda request: request.data, faults=[LATE, LATE])
        wire.send(b"1\n2\n")
        wire.wait(1)
        wire.send(b"3\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"1\r\n2\r\n")
        wire.wait(0.875)
        self.assertEqual(wire.received(), b"")
        wire.wait(0.125)
        self.assertEqual(wire.received(), b"3\r\n")

    def test_another_wait_is_not_shortened(self) -> None:
        """A wait of the reply, or of another fault, stays as it is."""
        faults = [Slicer(size=1, delay=1), LATE]
        wire = self.connect(lambda request: request.data, faults=faults)
        wire.send(b"ab")
        wire.send(b"c")
        for expected in (b"", b"a", b"b", b"c"):
            self.assertEqual(wire.received(), expected)
            wire.wait(1)

    def test_what_is_said_of_it(self) -> None:
        """Where a reply waits less, the exchange says how much; where not, no fault is named."""
        wire = self.lines(lambda request: request.data, faults=[LATE])
        wire.send(b"1\n")
        wire.wait(0.75)
        wire.send(b"2\n")
        wire.wait(0.25)
        wire.wait(0.75)
        self.assertEqual(
            [(it.injected, it.effect) for it in self.heard.exchanges],
            [(("latency",), FaultEffect(delay=1)), (("latency",), FaultEffect(delay=0.75))],
        )
        wire.send(b"3\n4\n")
        wire.wait(1)
        self.assertEqual([it.injected for it in self.heard.exchanges[2:]], [("latency",), ()])

    def test_the_time_of_the_responder_counts(self) -> None:
        """A reply that took longer than the delay is not delayed."""
        late: Deferred[bytes] = Deferred()
        wire = self.lines(lambda _request: late, faults=[LATE])
        wire.send(b"a\n")
        wire.wait(3)
        late.callback(b"A")
        wire.turn()
        self.assertEqual(wire.received(), b"A\r\n")

    def test_any_framing(self) -> None:
        """Where a table answers, too."""
        table = Table({}, otherwise=b"x")
        for framing, data in ((Chunk(), b"a"), (Netstring(), b"1:a,")):
            wire = self.connect(table, framing=framing, faults=[LATE])
            wire.send(data)
            wire.wait(0.5)
            wire.send(data)
            for _ in range(2):
                wire.wait(0.5)
                self.assertEqual(wire.received(), framing.encode(b"x"), framing)

    def test_a_pause(self) -> None:
        """A request that a pause ends arrives with the end of the pause."""
        wire = self.connect(Table({}, otherwise=b"x"), framing=Pause(0.25), faults=[LATE])
        wire.send(b"a")
        wire.wait(0.25)
        wire.wait(0.75)
        self.assertEqual(wire.received(), b"")
        wire.wait(0.25)
        self.assertEqual(wire.received(), b"x")

    def test_a_fault_that_comes_while_requests_wait(self) -> None:
        """What waits then counts as arrived then; none is lost or answered twice."""

        def respond(request: Any) -> Any:
            if request.data == b"1":
                factory.fault("latency", delay=1, since="arrival")
            return request.data

        factory = self.factory(respond, framing=Line())
        wire = self.join(factory)
        wire.send(b"0\n1\n2\n3\n" + b"4\n" * 3000)
        self.assertEqual(wire.received(), b"0\r\n")
        wire.wait(1)
        wire.turn()
        self.assertEqual(wire.received(), b"1\r\n2\r\n3\r\n" + b"4\r\n" * 3000)
        for fault in factory.faults:
            fault.change(since="turn")
        wire.send(b"5\n6\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"5\r\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"6\r\n")


class EagerSinceArrivalTests(SinceArrivalTests):
    """The same on the eager transport."""

    transport = EagerServer


class ArrivalTests(Conversation):
    """Requests that arrive at any time."""

    @given(st.lists(st.integers(0, 40), max_size=20))
    @settings(derandomize=True, deadline=None)
    def test_any_arrivals(self, ticks: list[int]) -> None:
        """Each reply comes the delay after its request, whatever comes before it."""
        self.setUp()
        wire = self.lines(lambda request: request.data, faults=[LATE])
        came: list[int] = []
        for tick in range(49):
            wire.send(b"x\n" * ticks.count(tick))
            came += [tick] * wire.received().count(b"x")
            wire.wait(0.125)
        self.assertEqual(came, [tick + 8 for tick in sorted(ticks)])


class ForwardedTests(ForwardedCase):
    """Where requests are forwarded."""

    respond = """
        framing = "line"
        unmatched = { forward = true, faults = [
            { kind = "latency", delay = 1, since = "arrival" },
        ] }
    """

    def test_the_service_takes_time(self) -> None:
        """It counts, and so does the time that a request has waited for the replies before it."""
        client, service = self.connect_both()

        def exchange(asked: bytes, answered: bytes) -> bytes:
            client.send(asked)
            self.advance(0)
            if answered:
                service.transport.write(answered)
                self.advance(0)
            return client.received()

        self.assertEqual(exchange(b"a\nb\n", b""), b"")
        self.advance(0.5)
        self.assertEqual(exchange(b"c\n", b"A\r\nB\r\n"), b"")
        self.advance(0.5)
        self.assertEqual(client.received(), b"A\r\nB\r\n")
        self.advance(1)
        self.assertEqual(exchange(b"", b"C\r\n"), b"C\r\n")


class ScriptTests(Scripted):
    """In a script."""

    def test_a_rule(self) -> None:
        """Its own fault, beside constants, and in a state with another framing."""
        wire = self.script("""
            [[rule]]
            equals = "now"
            reply = "now"

            [[rule]]
            equals = "next"
            reply = "next"
            goto = "next"

            [[rule]]
            when = ["start", "next"]
            reply = "late"
            faults = [{ kind = "latency", delay = 1, since = "arrival" }]

            [state.next]
            framing = "netstring"
        """)
        wire.send(b"now\na\nb\nnow\nnext\n1:c,")
        wire.send(b"1:d,")
        self.assertEqual(wire.received(), b"now\r\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"late\r\nlate\r\nnow\r\nnext\r\nlate\r\nlate\r\n")

    def test_a_rule_without_states(self) -> None:
        """A read whose requests are not all constants is timed as well."""
        wire = self.script("""
            [[rule]]
            equals = "now"
            reply = "now"

            [[rule]]
            reply = "late"
            faults = [{ kind = "latency", delay = 1, since = "arrival" }]
        """)
        wire.send(b"now\n", b"now\na\nb\nnow\nc\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"now\r\nnow\r\nlate\r\nlate\r\nnow\r\nlate\r\n")

    def test_problems(self) -> None:
        """The key is named, with what is expected."""
        for text, problem in (
            (
                '[[fault]]\nkind = "latency"\ndelay = 1\nsince = "now"\n',
                'script:4: fault[0].since: expected "turn" or "arrival", found \'now\'',
            ),
            (
                'rule = [{ reply = "a", faults = [{ kind = "latency", delay = 1, since = 1 }] }]',
                'script:1: rule[0].faults[0].since: expected "turn" or "arrival", found 1',
            ),
            (
                'upstream = { address = "127.0.0.1:1" }\n[[fault]]\nkind = "latency"\n'
                'stream = "upstream"\ndelay = 1\nsince = "arrival"\n',
                "script:6: fault[0].since: expected none: with stream, delays always count from"
                " arrival",
            ),
        ):
            with self.assertRaises(ValueError) as caught:
                Script.parse(text)
            self.assertEqual(str(caught.exception), problem)
