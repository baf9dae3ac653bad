"""Rules with ``every``: what is sent at times."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp import EagerServer, Journal, Script, ScriptError
from reqresp.journal import Sent
from tests.support.scripted import Scripted
from tests.support.wire import Wire


class TimerTests(Scripted):
    """Rules that send at times."""

    def ticks(self, wire: Wire, seconds: float, count: int) -> list[bytes]:
        """Let *seconds* pass *count* times; return what was received each time."""
        received = []
        for _ in range(count):
            wire.wait(seconds)
            received.append(wire.received())
        return received

    def test_at_times(self) -> None:
        """From the connection on, whatever the client does."""
        wire = self.script('rule = [{ every = 2, reply = "tick" }, { reply = "yes" }]')
        self.assertEqual(wire.received(), b"")
        self.assertEqual(self.ticks(wire, 1, 4), [b"", b"tick\r\n"] * 2)
        self.assertEqual(self.ask(wire, "PING"), ["yes|"])
        self.assertEqual(self.ticks(wire, 1, 2), [b"", b"tick\r\n"])

    def test_no_drift(self) -> None:
        """The times are multiples of the period."""
        wire = self.script('rule = [{ every = 0.1, reply = { template = "{count}" } }]')
        self.assertEqual(self.ticks(wire, 0.1, 300)[-1], b"300\r\n")
        self.assertEqual(self.ticks(wire, 0.05, 4), [b"", b"301\r\n", b"", b"302\r\n"])

    def test_a_reply_that_waits_does_not_hold_them(self) -> None:
        """They leave while a reply waits, also between two of its frames."""
        wire = self.script("""
            rule = [
              { every = 1, reply = "tick" },
              { equals = "late", delay = 3, reply = "reply" },
              { do = [{ send = "one" }, { wait = 2 }, { send = "two" }] },
            ]
        """)
        wire.send(b"late\n")
        self.assertEqual(self.ticks(wire, 1, 2), [b"tick\r\n"] * 2)
        self.assertEqual({*self.ticks(wire, 1, 1)[0].split()}, {b"tick", b"reply"})
        wire.send(b"x\n")
        self.assertEqual(wire.received(), b"one\r\n")
        self.assertEqual(self.ticks(wire, 1, 1), [b"tick\r\n"])
        self.assertEqual({*self.ticks(wire, 1, 1)[0].split()}, {b"tick", b"two"})

    def test_a_frame_in_pieces_is_not_cut(self) -> None:
        """A tick waits for the end of the frame, not of the reply."""
        wire = self.script("""
            seed = 1
            [[rule]]
            every = 1
            reply = "tick"
            [[rule]]
            reply  = ["abcd", "efgh"]
            faults = [{ kind = "slicer", size = 2, delay = 0.75 }]
        """)
        wire.send(b"x\n")
        received = b"".join([wire.received(), *self.ticks(wire, 0.25, 30)])
        self.assertEqual(received.count(b"tick\r\n"), 7)
        self.assertIn(b"abcd\r\ntick\r\n", received)
        self.assertEqual(received.replace(b"tick\r\n", b""), b"abcd\r\nefgh\r\n")

    def test_its_own_frame_in_pieces_is_not_cut(self) -> None:
        """Replies, pushes and other timers wait for the end of a tick's frame."""
        wire = self.script("""
            seed = 1
            [[rule]]
            every  = 4
            reply  = "abcd"
            faults = [{ kind = "slicer", size = 2, delay = 1 }]
            [[rule]]
            every = 5
            reply = "other"
            [[rule]]
            reply = "yes"
        """)
        self.assertEqual(self.ticks(wire, 4, 1), [b"ab"])
        wire.send(b"x\n")
        wire.protocol.push(b"push\r\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"cd")
        wire.wait(1)
        received = wire.received()
        self.assertEqual(received[:2], b"\r\n")
        self.assertEqual({*received.split()}, {b"yes", b"push", b"other"})

    def test_raw_pieces_are_a_frame(self) -> None:
        """What a rule sends in raw pieces is not cut either."""
        wire = self.script("""
            [[rule]]
            every = 1
            reply = "tick"
            [[rule]]
            do = [
              { send = { text = "he", raw = true } },
              { wait = 1.5 },
              { send = { text = "llo\\r\\n", raw = true } },
            ]
        """)
        wire.send(b"x\n")
        self.assertEqual(self.ticks(wire, 0.5, 3), [b"he", b"", b"llo\r\ntick\r\n"])

    def test_the_state_starts_and_stops_them(self) -> None:
        """A timer begins when its state is entered."""
        wire = self.script("""
            rule = [
              { equals = "on", reply = "ok", goto = "on" },
              { when = "on", every = 1, reply = "tick" },
              { when = "on", equals = "off", reply = "ok", goto = "start" },
            ]
        """)
        self.assertEqual(self.ticks(wire, 1, 2), [b"", b""])
        wire.wait(0.5)
        self.assertEqual(self.ask(wire, "on"), ["ok|"])
        self.assertEqual(self.ticks(wire, 0.5, 4), [b"", b"tick\r\n"] * 2)
        self.assertEqual(self.ask(wire, "off"), ["ok|"])
        self.assertEqual(self.ticks(wire, 1, 3), [b""] * 3)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_state_of_all_starts_and_stops_them(self) -> None:
        """Where all connections share their state, those of idle ones begin and end with it."""
        factory = self.server("""
            state_scope = "server"
            rule = [
              { equals = "on", reply = "ok", goto = "on" },
              { when = "on", every = 1, reply = "tick" },
              { when = "on", equals = "off", close = true, goto = "start" },
            ]
        """)
        idle, wire = self.join(factory), self.join(factory)
        self.assertEqual(self.ask(wire, "on"), ["ok|"])
        self.assertEqual(self.ticks(idle, 0.5, 4), [b"", b"tick\r\n"] * 2)
        wire.received()
        wire.send(b"off\n")
        self.assertTrue(wire.got_eof)
        self.assertEqual(self.ticks(idle, 1, 2), [b"", b""])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_tick_changes_the_state(self) -> None:
        """``goto``, ``times`` and ``cycle`` count for each connection, unless the scope says so."""
        factory = self.server("""
            rule = [
              { every = 1, times = 2, cycle = ["a", "b"] },
              { every = 3, goto = "late", reply = "now" },
              { when = "late", reply = "late" },
              { every = 1, times = 2, scope = "server", reply = "!" },
            ]
        """)
        wires = [self.join(factory), self.join(factory)]
        wires[0].wait(1)
        self.assertEqual([it.received() for it in wires], [b"a\r\n!\r\n"] * 2)
        self.assertEqual(self.ticks(wires[0], 1, 2), [b"b\r\n", b"now\r\n"])
        self.assertEqual(self.ask(wires[0], "x"), ["late|"])

    def test_steps_of_a_tick(self) -> None:
        """They take their time, and no tick begins before the last one is complete."""
        wire = self.script("""
            rule = [{ every = 1, do = [{ send = "a" }, { wait = 1.5 }, { send = "b" }] }]
        """)
        received = [(at / 2, it) for at, it in enumerate(self.ticks(wire, 0.5, 10), 1) if it]
        self.assertEqual(
            received,
            [(1, b"a\r\n"), (2.5, b"b\r\n"), (3, b"a\r\n"), (4.5, b"b\r\n"), (5, b"a\r\n")],
        )

    def test_a_tick_that_ends_the_connection(self) -> None:
        """After what is sent before it, and not within a frame of a reply."""
        for step in ("close", "abort"):
            wire = self.script(f"""
                seed = 1
                [[rule]]
                every = 2
                do    = [{{ send = "bye" }}, {{ {step} = true }}]
                [[rule]]
                reply  = "abcd"
                faults = [{{ kind = "slicer", size = 2, delay = 1.5 }}]
            """)
            wire.send(b"x\n")
            self.assertEqual(self.ticks(wire, 2, 1), [b"abcd"])
            self.assertEqual(self.ticks(wire, 1, 1), [b"\r\nbye\r\n"])
            self.assertEqual((wire.got_eof, wire.got_reset), (step == "close", step == "abort"))

    def test_a_tick_can_hang(self) -> None:
        """Then no request is answered, and no other tick comes of that timer."""
        wire = self.script('rule = [{ every = 1, do = [{ hang = true }] }, { reply = "yes" }]')
        self.assertEqual(self.ask(wire, "x"), ["yes|"])
        wire.wait(1)
        self.assertEqual(self.ask(wire, "x"), [""])
        self.assertTrue(wire.is_open)

    def test_a_client_that_does_not_read(self) -> None:
        """What waits for it is bounded, and no line that was counted is lost."""
        wire = self.script(
            'rule = [{ every = 1, reply = { template = "{count} %s" } }]' % ("x" * 10_000)
        )
        wire.stop_reading()
        wire.pass_seconds(200)
        self.assertLess(wire.buffered, 200_000)
        wire.read_on()
        wire.turn()
        wire.pass_seconds(3)
        numbers = [int(line.split()[0]) for line in wire.received().splitlines()]
        self.assertEqual(numbers, [*range(1, len(numbers) + 1)])
        self.assertLess(len(numbers), 50)

    def test_jitter(self) -> None:
        """Each tick is late by up to the jitter, as the seed decides."""
        times = []
        for seed in (1, 1, 2):
            wire = self.script(
                f'seed = {seed}\nrule = [{{ every = 1, jitter = 0.5, reply = "x" }}]'
            )
            ticks = self.ticks(wire, 0.0625, 160)
            times.append([at / 16 for at, it in enumerate(ticks, 1) if it])
            wire.reset()
        self.assertEqual(times[0], times[1])
        self.assertNotEqual(times[0], times[2])
        for at, time in enumerate(times[0], 1):
            self.assertTrue(at <= time <= at + 0.5625, (at, time))

    def test_after_the_end(self) -> None:
        """A connection that has ended has no timers, nor has one whose client is gone."""
        for end in ("close", "eof", "reset"):
            wire = self.script("""
                rule = [
                  { equals = "close", close = true },
                  { every = 1, do = [{ send = "a" }, { wait = 9 }, { send = "b" }] },
                ]
            """)
            wire.wait(1)
            {"close": lambda w: w.send(b"close\n"), "eof": Wire.send_eof, "reset": Wire.reset}[end](
                wire
            )
            wire.wait(99)
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_tick_that_cannot_be_framed(self) -> None:
        """It is logged, and resets the connection."""
        wire = self.script("""
            reply_framing = "fixed:3"
            rule = [{ every = 1, reply = { template = "{count}" } }]
        """)
        wire.wait(1)
        self.assertTrue(wire.got_reset)
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_the_journal(self) -> None:
        """Each frame stands in it when it is complete."""
        journal = Journal()
        factory = self.server(
            """
            seed = 1
            [[rule]]
            every  = 1
            reply  = ["abcd", "e"]
            faults = [{ kind = "slicer", size = 2, delay = 0.25 }]
            """,
            observers=[journal],
        )
        self.ticks(self.join(factory), 0.25, 12)
        sent = [(it.data, it.by.value) for it in journal.entries() if isinstance(it, Sent)]
        self.assertEqual(sent[:2], [(b"abcd\r\n", "timer"), (b"e\r\n", "timer")])


class EagerTimerTests(TimerTests):
    """The same on the eager transport."""

    transport = EagerServer


class ModelTests(Scripted):
    """Ticks, replies and pushes in any order."""

    @settings(derandomize=True, max_examples=25, deadline=None)
    @given(
        st.lists(st.sampled_from(["wait", "wait", "ask", "push", "stop", "read"]), max_size=12),
        st.integers(3, 6),
        st.sampled_from([0.125, 0.25]),
        st.booleans(),
    )
    def test_no_frame_is_cut_and_nothing_is_lost(
        self, actions: list[str], size: int, delay: float, all_sliced: bool
    ) -> None:
        """Every line is whole; replies, pushes and the ticks of each timer are in their order."""
        sliced = f'{{ kind = "slicer", size = {size}, delay = {delay} }}'
        fault = f"fault = [{sliced}]" if all_sliced else ""
        wire = self.script(f"""
            seed = 1
            {fault}
            [[rule]]
            every = 1
            reply = {{ template = "one {{count}}" }}
            [[rule]]
            every  = 1.5
            reply  = [{{ template = "two {{count}}" }}, {{ template = "three {{count}}" }}]
            faults = [{sliced}]
            [[rule]]
            reply  = [{{ template = "reply {{count}}" }}, {{ template = "again {{count}}" }}]
            delay  = 0.5
            faults = [{sliced}]
        """)
        sent: dict[str, int] = {"ask": 0, "push": 0}
        for action in actions:
            if action == "wait":
                wire.wait(0.5)
            elif action == "stop":
                wire.stop_reading(4)
            elif action == "read":
                wire.read_on()
            else:
                sent[action] += 1
                if action == "ask":
                    wire.send(b"x\n")
                else:
                    wire.protocol.push(b"push %d\r\n" % sent["push"])
                    wire.turn()
        wire.read_on()
        received = b""
        for _ in range(200):
            wire.wait(0.5)
            received += wire.received()
            if received.count(b"again") == sent["ask"] and received.count(b"one") > 6:
                break
        wire.wait(10)
        received += wire.received()
        whole, _, rest = received.rpartition(b"\r\n")
        self.assertLess(len(rest), 12)
        counts: dict[bytes, list[int]] = {}
        for line in whole.split(b"\r\n"):
            word, number = line.split()
            counts.setdefault(word, []).append(int(number))
        for word, numbers in counts.items():
            self.assertEqual(numbers, [*range(1, len(numbers) + 1)], word)
        self.assertEqual(len(counts.get(b"reply", ())), sent["ask"])
        self.assertEqual(len(counts.get(b"again", ())), sent["ask"])
        self.assertEqual(len(counts.get(b"push", ())), sent["push"])
        self.assertGreater(len(counts[b"one"]), 5)
        wire.reset()
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class ProblemTests(SynchronousTestCase):
    """What is wrong with a timer."""

    def test_keys(self) -> None:
        """Each problem names its key."""
        for keys, problem in (
            ("every = 0", "every: expected seconds >= 0.001, found 0"),
            (
                "every = 1, jitter = 2",
                "jitter: expected seconds >= 0 and not more than every, found 2",
            ),
            ("jitter = 1", "jitter: expected every in this rule: it has no timer"),
            ('every = 1, on = "idle"', "every: cannot be combined with on"),
            (
                'every = 1, equals = "a"',
                "equals: expected no predicate, found equals: there is no request on timer",
            ),
        ):
            with self.assertRaises(ScriptError) as caught:
                Script.parse(f'rule = [{{ {keys}, reply = "a" }}]')
            self.assertEqual(str(caught.exception), f"script:1: rule[0].{problem}")

    def test_two_timers_are_no_mistake(self) -> None:
        """Each runs on its own, so neither keeps the other from sending."""
        script = Script.parse('rule = [{ every = 1, reply = "a" }, { every = 1, reply = "b" }]')
        self.assertEqual(script.warnings, ())
