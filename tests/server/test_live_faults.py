"""Faults of replies that come, change and go while connections are open."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import capturedLogs

from reqresp import (
    Corrupt,
    EagerServer,
    Fault,
    Journal,
    Latency,
    LimitData,
    Line,
    PlacedFault,
    Request,
    Script,
    Slicer,
    Table,
    Wait,
)
from tests.support.conversation import Conversation
from tests.support.forwarded import ForwardedCase
from tests.support.streams import PROPERTY
from tests.support.wire import Wire

TABLE = Table({}, otherwise=b"A")


class LiveFaultsTests(Conversation):
    """Their list, their names, and what a wrong one is told."""

    def serve(self, *faults: Any, **options: Any) -> Any:
        options.setdefault("seed", 7)
        return self.factory(TABLE, framing=Line(), faults=faults or None, **options)

    def names(self, factory: Any) -> list[str]:
        return [it.name for it in factory.faults]

    def test_they_are_listed_in_their_order(self) -> None:
        """Those of the config come first, by their kinds, with numbers."""
        factory = self.serve(Latency(delay=1), PlacedFault("x", Latency(delay=2), on_connect=True))
        added = factory.fault("latency", delay=3)
        self.assertEqual(self.names(factory), ["latency", "latency-2", "latency-3"])
        self.assertEqual([it.where for it in factory.faults], ["reply", "connect", "reply"])
        self.assertRegex(repr(added), r"^<LiveFault latency-3: Latency\(.*\), reply>$")
        factory.faults[0].remove()
        factory.faults[0].change(delay=9)
        self.assertEqual([it.fault.delay for it in factory.faults], [9, 3])

    def test_a_name_that_is_taken(self) -> None:
        """It is refused, and so is one that is no name."""
        factory = self.serve(Latency(delay=1))
        with self.assertRaisesRegex(ValueError, "^expected another name: there is a fault 'lat"):
            factory.fault("corrupt", name="latency")
        for name in ("", "x" * 61, "a\nb"):
            with self.assertRaisesRegex(ValueError, "^name: expected a name of 1 to 60 printable"):
                factory.fault("corrupt", name=name)
        self.assertEqual(self.names(factory), ["latency"])

    def test_wrong_arguments(self) -> None:
        """One line says what is expected; nothing is added."""
        factory = self.serve()
        cases: tuple[tuple[Any, dict[str, Any], str], ...] = (
            ("latncy", {}, "unknown kind of fault 'latncy'; did you mean latency?"),
            ("latency", {"dely": 1}, "latency: unknown parameter 'dely'; did you mean delay?"),
            ("latency", {}, "latency: the parameter delay is missing"),
            ("latency", {"delay": -1}, "delay: expected seconds from 0 to"),
            ("latency", {"delay": 1, "on": "x"}, "on: expected reply or connect, found 'x'"),
            (Corrupt(), {"byte": 1}, "corrupt: unknown parameter 'byte'; did you mean bytes?"),
        )
        for kind, arguments, message in cases:
            with self.assertRaises((ValueError, TypeError)) as caught:
                factory.fault(kind, **arguments)
            self.assertIn(message, str(caught.exception))
        self.assertEqual(factory.faults, ())

    def test_a_fault_as_a_value(self) -> None:
        """Parameters beside a value change it."""
        live = self.serve().fault(Corrupt(), bytes=3)
        self.assertEqual(live.fault, Corrupt(bytes=3))

    def test_the_seed(self) -> None:
        """One that was not given is logged with the first fault, and is the config's."""
        factory = self.serve(seed=None)
        with capturedLogs() as events:
            for _ in range(2):
                factory.fault("corrupt")
        [line] = [it["log_format"].format(**it) for it in events]
        self.assertEqual(line, f"seed of the faults: {factory.config.seed}")

    def test_a_new_configuration(self) -> None:
        """It replaces the faults of the old one, and keeps those that were added, and theirs."""
        factory = self.serve(Latency(delay=1), Corrupt())
        before = factory.faults
        added = factory.fault("latency", delay=3, name="mine")
        factory.reconfigure(TABLE, framing=Line(), faults=[Corrupt(), Slicer(size=1)])
        self.assertEqual(self.names(factory), ["corrupt", "slicer", "mine"])
        factory.reconfigure(TABLE, framing=Line(), faults=[Latency(delay=1), Corrupt()])
        self.assertEqual(self.names(factory), ["latency", "corrupt", "mine"])
        self.assertEqual([it.fault for it in factory.faults[:2]], [it.fault for it in before])
        factory.reconfigure(TABLE, framing=Line())
        self.assertEqual(factory.faults, (added,))
        self.assertEqual([it.name for it in factory.config.faults], ["mine"])
        added.remove()
        self.assertIsNotNone(factory.config.batch)

    def test_a_configured_fault_with_the_name_of_an_added_one(self) -> None:
        """It gets another name: a reload must not fail because of what was added."""
        factory = self.serve()
        factory.fault("corrupt")
        factory.reconfigure(TABLE, framing=Line(), faults=[Corrupt(bytes=2)])
        self.assertEqual(self.names(factory), ["corrupt-2", "corrupt"])


class OpenConnectionsTests(Conversation):
    """What clients get that were connected before."""

    def test_constants(self) -> None:
        """A read that is known is answered with the fault, and then without it as before."""
        wire = self.lines(TABLE)
        wire.send(b"a\n", b"a\n")
        with wire.factory.fault("limit_data", bytes=100, name="x"):
            with wire.factory.fault(Latency(delay=1)):
                wire.send(b"a\n")
                self.assertEqual(wire.received(), b"A\r\nA\r\n")
                wire.wait(1)
            self.assertEqual(wire.received(), b"A\r\n")
            wire.send(b"a\nb\n")
        wire.send(b"a\n")
        self.assertEqual(wire.received(), b"A\r\n" * 3)
        self.assertIsNotNone(wire.protocol.config.batch)

    def test_the_reply_under_way_is_not_changed(self) -> None:
        """A reply that has begun ends as it began; the next one has the fault."""
        wire = self.lines(lambda request: (request.data, Wait(1), b"."))
        wire.send(b"a\nb\n")
        wire.factory.fault("blackhole")
        wire.wait(1)
        self.assertEqual(wire.received(), b"a\r\n.\r\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"")

    def test_inside_a_responder(self) -> None:
        """A responder that adds a fault gets it for its own reply."""

        def respond(request: Request) -> bytes:
            if request.data == b"b":
                wire.factory.fault("blackhole")
            return request.data

        wire = self.lines(respond)
        wire.send(b"a\nb\nc\n")
        self.assertEqual(wire.received(), b"a\r\n")

    def test_connections(self) -> None:
        """A fault on connections is drawn once for each, and the draw outlives changes."""
        factory = self.factory(TABLE, framing=Line(), seed=7)
        wires = [self.join(factory) for _ in range(40)]

        def silent() -> list[bool]:
            for wire in wires:
                wire.send(b"a\n")
            return [not wire.received() for wire in wires]

        live = factory.fault("blackhole", on="connect", probability=0.5)
        half = silent()
        self.assertTrue(10 < sum(half) < 30)
        self.assertEqual(silent(), half)
        live.change(probability=0.25)
        fewer = silent()
        self.assertTrue(sum(fewer) < sum(half))
        self.assertTrue(all(was for was, is_ in zip(half, fewer, strict=True) if is_))
        live.change(probability=0.5)
        self.assertEqual(silent(), half)
        live.remove()
        self.assertEqual(sum(silent()), 0)

    def test_what_it_has_let_through(self) -> None:
        """A change keeps the count of a fault on a connection; a new fault begins at 0."""
        wire = self.lines(lambda _request: b"12345678")
        live = wire.factory.fault("limit_data", bytes=15)
        wire.send(b"a\n")
        live.change(bytes=25)
        wire.send(b"a\n")
        self.assertEqual(wire.received(), b"12345678\r\n" * 2)
        live.remove()
        wire.factory.fault("limit_data", bytes=15)
        wire.send(b"a\n", b"a\n")
        self.assertEqual(wire.received(), b"12345678\r\n12345")
        self.assertTrue(wire.got_eof)

    def test_a_greeting_and_faults_of_a_rule(self) -> None:
        """They are injected besides the faults of rules, and into greetings of new clients."""
        script = Script.parse(
            'greeting = "hi"\n[[rule]]\nreply = "abc"\n'
            'faults = [{ kind = "corrupt", bytes = 1, probability = 0 }]\n'
        )
        wire = self.connect(script, seed=1)
        wire.factory.fault("limit_data", bytes=4)
        wire.send(b"x\n")
        self.assertEqual(wire.received(), b"hi\r\nabc\r")
        other = self.join(wire.factory)
        self.assertEqual((other.received(), other.got_eof), (b"hi\r\n", True))

    def test_clients_of_an_old_configuration(self) -> None:
        """They keep what answers them, and get the faults."""
        wire = self.lines(TABLE)
        wire.factory.reconfigure(Table({}, otherwise=b"B"), framing=Line())
        new = self.join(wire.factory)
        with wire.factory.fault("limit_data", bytes=1000):
            for each in (wire, new):
                each.send(b"x\n")
        for each in (wire, new):
            each.send(b"x\n")
        self.assertEqual((wire.received(), new.received()), (b"A\r\n" * 2, b"B\r\n" * 2))

    def test_the_journal(self) -> None:
        """Entries have the names of faults, and reads before and after are what they were."""
        journal = Journal()
        wire = self.lines(TABLE, observers=[journal])
        wire.send(b"a\n")
        with wire.factory.fault("slicer", size=1):
            wire.send(b"b\n")
            for _ in range(5):
                wire.wait(0.1)
        wire.send(b"c\n")
        found = [(it.exchange.request.data, it.exchange.injected) for it in journal.exchanges()]
        self.assertEqual(found, [(b"a", ()), (b"b", ("slicer",)), (b"c", ())])


class EagerOpenConnectionsTests(OpenConnectionsTests):
    """The same on the eager transport."""

    transport = EagerServer


RANDOM: list[Fault] = [
    Corrupt(bytes=1, probability=0.5),
    Latency(delay=0.5, jitter=0.5),
    LimitData(bytes=30, probability=0.7),
    Slicer(size=2, variation=1),
]


class SeedTests(Conversation):
    """What is random."""

    @PROPERTY
    @given(st.data())
    def test_the_same_seed_makes_the_same_run(self, data: st.DataObject) -> None:
        """Whatever is added, changed and removed, the seed decides what clients get."""
        actions = data.draw(st.lists(st.sampled_from(["send", "add", "change", "remove"])))
        faults = data.draw(st.lists(st.sampled_from(RANDOM), min_size=1, max_size=3))
        runs = [self.play(actions, faults) for _ in range(2)]
        self.assertEqual(runs[0], runs[1])

    def play(self, actions: list[str], faults: list[Fault]) -> list[bytes]:
        """Return what two clients get while *actions* happen."""
        self.setUp()
        factory = self.factory(TABLE, framing=Line(), seed=3)
        wires: list[Wire] = [self.join(factory), self.join(factory)]
        got: list[bytes] = []
        for at, action in enumerate(actions):
            live = factory.faults
            if action == "add":
                factory.fault(faults[at % len(faults)], on=("reply", "connect")[at % 2])
            elif action == "change" and live:
                live[at % len(live)].change(probability=at % 3 / 2)
            elif action == "remove" and live:
                live[at % len(live)].remove()
            else:
                for wire in wires:
                    wire.send(b"x\n")
            self.reactor.advance(1)
            got += [wire.received() for wire in wires]
        return got


class ForwardedTests(ForwardedCase):
    """Requests that are forwarded together before there was a fault."""

    respond = "framing = 'line'\nunmatched = { forward = true }\n"

    def test_a_fault_while_the_service_is_awaited(self) -> None:
        """Each of them gets its own reply, in order, with the fault."""
        client, service = self.connect_both()
        client.send(b"1\n2\n3\n")
        self.advance(0)
        service.transport.write(b"one\r\n")
        self.advance(0)
        live = self.factory.fault("latency", delay=1)
        service.transport.write(b"two\r\nthree\r\n")
        self.advance(0)
        self.assertEqual(client.received(), b"one\r\n")
        self.advance(1)
        self.assertEqual(client.received(), b"two\r\n")
        live.remove()
        self.advance(1)
        client.send(b"4\n5\n")
        self.advance(0)
        service.transport.write(b"four\r\nfive\r\n")
        self.advance(0)
        self.assertEqual(client.received(), b"three\r\nfour\r\nfive\r\n")
        self.assertEqual(
            [it.request.data for it in self.heard.exchanges], [b"1", b"2", b"3", b"4", b"5"]
        )
