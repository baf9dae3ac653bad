"""The config of a server: resolving it, greetings, faults, and changing it at run time."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp import (
    Chunk,
    EagerServer,
    Fixed,
    FrameError,
    Latency,
    Limits,
    Line,
    Netstring,
    RuleReply,
    Script,
    Send,
    Slicer,
    Table,
)
from reqresp._errors import FieldError
from reqresp.faults.faults import LimitData, PlacedFault
from reqresp.server.config import ServerConfig, resolve
from reqresp.server.responders import ConnectionContext, Function, Responder, fixed
from tests.support.conversation import Conversation
from tests.support.scripted import Scripted


class ResolveTests(SynchronousTestCase):
    """Each part of a config is the one given, else the source's, else the default."""

    SCRIPT = """
        framing = "netstring"
        seed = 3
        limits.max_request = 10
        limits.idle_timeout = 60
        rule = [{ reply = "a" }]
        [[fault]]
        kind = "latency"
        delay = 1
    """

    def test_defaults(self) -> None:
        """Without a source and without arguments, the defaults of each part are used."""
        config = resolve()
        self.assertEqual(config, ServerConfig(fixed(), Chunk(), Limits()))
        self.assertEqual((config.faults, config.seed), ((), None))

    def test_source_wins_over_defaults(self) -> None:
        """A part that was not given is the script's."""
        script = Script.parse(self.SCRIPT)
        config = resolve(script)
        self.assertEqual((config.framing, config.seed), (Netstring(), 3))
        self.assertEqual(config.limits, Limits(max_request=10, idle_timeout=60))
        self.assertEqual([placed.fault for placed in config.faults], [Latency(delay=1)])

    def test_given_wins_over_source(self) -> None:
        """A part that was given replaces the script's, also a seed of 0 and an empty list."""
        script = Script.parse(self.SCRIPT)
        limits = Limits(max_request=20)
        config = resolve(script, framing=Line(), limits=limits, faults=[], seed=0)
        self.assertEqual((config.framing, config.limits, config.faults), (Line(), limits, ()))
        self.assertEqual(config.seed, 0)

    def test_single_limits(self) -> None:
        """A mapping of limits replaces only those that it names."""
        config = resolve(Script.parse(self.SCRIPT), limits={"max_request": 20})
        self.assertEqual(config.limits, Limits(max_request=20, idle_timeout=60))
        self.assertEqual(resolve(limits={}).limits, Limits())

    def test_sources(self) -> None:
        """A config, a responder and a function can be the source, too."""
        config = ServerConfig(Table({}), Line())
        self.assertIs(resolve(config), config)
        table = Table({b"a": b"b"})
        self.assertIs(resolve(table).responder, table)
        self.assertIsInstance(resolve(lambda request: request.data).responder, Function)

    def test_framing_outside_the_limits(self) -> None:
        """A framing whose requests are all too large is an error with the field's name."""
        with self.assertRaises(FieldError) as caught:
            resolve(framing=Fixed(8), limits={"max_request": 7})
        self.assertEqual(caught.exception.field, "framing")
        with self.assertRaises(FieldError) as caught:
            resolve(limits={"max_request": 0})
        self.assertEqual(caught.exception.field, "max_request")


class Greeter(Responder):
    """A responder that greets, and answers with nothing."""

    def greet(self, connection: ConnectionContext) -> Any:
        return (Send(b"hello %d" % connection.number),)

    def respond(self, data: bytes, connection: ConnectionContext) -> Any:
        return ()


class GreetingTests(Conversation):
    """A responder's greeting."""

    def test_a_greeting_is_framed_and_sent(self) -> None:
        """A greeting is framed and sent like a reply."""
        self.assertEqual(self.lines(Greeter()).received(), b"hello 1\r\n")

    def test_faults_apply_to_a_greeting(self) -> None:
        """A latency delays the greeting."""
        wire = self.lines(Greeter(), faults=[Latency(delay=1)])
        self.assertEqual(wire.received(), b"")
        wire.wait(1)
        self.assertEqual(wire.received(), b"hello 1\r\n")

    def test_a_greeting_that_raises_resets(self) -> None:
        """An exception in a greeting resets the connection, as in a reply."""

        class Broken(Greeter):
            def greet(self, connection: ConnectionContext) -> Any:
                raise ZeroDivisionError

        wire = self.lines(Broken())
        self.assertTrue(wire.got_reset)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.heard.events, ["connected", "failed", "disconnected"])


class ConnectFaultTests(Scripted):
    """Faults that apply to whole connections."""

    def connecting(self, fault: str, greeting: str = 'greeting = "hello"') -> Any:
        return self.script(f"""
            {greeting}
            rule = [{{ reply = "yes" }}]
            [[fault]]
            on = "connect"
            {fault}
        """)

    def test_connect_faults_apply_to_greeting_and_replies(self) -> None:
        """A latency on connect delays the greeting, and every reply."""
        wire = self.connecting('kind = "latency"\ndelay = 1')
        self.assertEqual(wire.received(), b"")
        wire.wait(1)
        self.assertEqual(wire.received(), b"hello\r\n")
        self.assertEqual(self.ask(wire, "x"), [""])
        wire.wait(1)
        self.assertEqual(wire.received(), b"yes\r\n")

    def test_a_connect_limit_counts_all_bytes_of_a_connection(self) -> None:
        """A data limit on connect counts the bytes of the greeting and of the replies."""
        wire = self.connecting('kind = "limit_data"\nbytes = 10')
        self.assertEqual(self.ask(wire, "x"), ["hello|yes"])
        self.assertTrue(wire.got_eof)

    def test_connect_faults_apply_without_a_greeting(self) -> None:
        """Without a greeting, a fault on connect is injected before the first reply."""
        wire = self.connecting('kind = "latency"\ndelay = 1', greeting="")
        self.assertEqual(self.ask(wire, "x"), [""])
        wire.wait(1)
        wire.wait(0)
        self.assertEqual(wire.received(), b"")
        wire.wait(1)
        self.assertEqual(wire.received(), b"yes\r\n")

    def test_a_connect_fault_is_decided_once(self) -> None:
        """Whether a connection has a fault is decided once, for all its replies."""
        factory = self.server("""
            seed = 4
            rule = [{ reply = "yes" }]
            [[fault]]
            on = "connect"
            kind = "corrupt"
            probability = 0.5
        """)
        replies: list[set[bool]] = []
        for wire in (self.join(factory) for _ in range(20)):
            wire.send(*[b"x\n"] * 5)
            received = wire.received()
            parts = {received[at : at + 5] == b"yes\r\n" for at in range(0, 25, 5)}
            replies.append(parts)
        self.assertEqual({len(seen) for seen in replies}, {1})
        self.assertIn({True}, replies)
        self.assertIn({False}, replies)

    def test_order(self) -> None:
        """Faults on connect and faults of replies apply in the order of the file."""
        slow_close = '[[fault]]\nkind = "slow_close"\ndelay = 1\n'
        limit = '[[fault]]\non = "connect"\nkind = "limit_data"\nbytes = 2\n'
        for faults, closed in ((limit + slow_close, False), (slow_close + limit, True)):
            wire = self.script('greeting = "hello"\n' + faults)
            self.assertEqual((wire.received(), wire.got_eof), (b"he", closed))

    def test_reset(self) -> None:
        """``reset_peer`` on connect resets at once, with or without a greeting."""
        for greeting in ('greeting = "hello"', ""):
            wire = self.connecting('kind = "reset_peer"', greeting)
            wire.wait(1)
            self.assertEqual((wire.received(), wire.got_reset), (b"", True))

    def test_timeout(self) -> None:
        """``timeout`` on connect sends nothing, and closes after its seconds."""
        wire = self.connecting('kind = "timeout"\nseconds = 5')
        self.assertEqual(self.ask(wire, "x"), [""])
        self.assertFalse(wire.got_eof)
        wire.wait(5)
        self.assertEqual((wire.received(), wire.got_eof), (b"", True))

    def test_stop_reading(self) -> None:
        """``stop_reading`` on connect reads nothing from the client."""
        wire = self.connecting('kind = "stop_reading"')
        self.assertEqual(wire.received(), b"hello\r\n")
        self.assertFalse(wire.reading)

    def test_probability(self) -> None:
        """A probability affects some connections; the same seed affects the same ones."""
        text = """
            seed = 3
            greeting = "hello"
            [[fault]]
            on = "connect"
            kind = "reset_peer"
            probability = 0.5
        """

        def run() -> list[bool]:
            factory = self.server(text)
            return [self.join(factory).got_reset for _ in range(20)]

        resets = run()
        self.assertEqual(resets, run())
        self.assertEqual({True, False}, {*resets})


class PlacedTests(Conversation):
    """Faults on connections, from Python."""

    def test_on_connect(self) -> None:
        """A `PlacedFault` on connect applies like a script's."""
        fault = PlacedFault("mine", LimitData(bytes=4), on_connect=True)
        wire = self.lines(lambda _request: b"abc", faults=[fault])
        wire.send(b"x\n")
        self.assertEqual((wire.received(), wire.got_eof), (b"abc\r", True))


class EagerConnectFaultTests(ConnectFaultTests):
    """Faults on connections, on the eager transport."""

    transport = EagerServer


class OwnFaultTests(Scripted):
    """Faults of a rule."""

    def test_faults_apply_to_their_rule_only(self) -> None:
        """The faults of a rule do not affect other rules."""
        wire = self.script("""
            rule = [
                { equals = "a", reply = "abc", faults = [{ kind = "limit_data", bytes = 2 }] },
                { reply = "other" },
            ]
        """)
        self.assertEqual(self.ask(wire, "x", "a"), ["other|", "ab"])
        self.assertTrue(wire.got_eof)

    def test_faults_of_a_rule_come_first(self) -> None:
        """Faults of the rule apply first: bytes that they cut do not count for the script's."""
        wire = self.script("""
            rule = [{ reply = "abcdef", faults = [{ kind = "slicer", size = 4 }] }]
            [[fault]]
            kind = "limit_data"
            bytes = 6
        """)
        wire.send(b"x\n")
        self.assertEqual(wire.received(), b"abcd")
        wire.wait(1)
        self.assertEqual((wire.received(), wire.got_eof), (b"ef", True))

    def test_faults_apply_to_framed_bytes(self) -> None:
        """Faults apply after framing: a sliced reply is still one frame."""
        wire = self.script("""
            framing = "netstring"
            rule = [{ reply = "abc", faults = [{ kind = "slicer", size = 2 }] }]
        """)
        wire.send(b"1:x,")
        pieces = []
        for _ in range(5):
            pieces.append(wire.received())
            wire.wait(0.001)
        self.assertEqual(pieces, [b"3:", b"ab", b"c,", b"", b""])

    def test_random_numbers_are_independent(self) -> None:
        """The random numbers of a rule's faults do not depend on the order of requests."""
        text = """
            seed = 5
            [[rule]]
            equals = "a"
            reply = "aaaa"
            faults = [{ kind = "corrupt", probability = 0.5 }]
            [[rule]]
            equals = "b"
            reply = "bbbb"
            faults = [{ kind = "corrupt", probability = 0.5 }]
        """

        def run(requests: bytes) -> dict[str, list[bytes]]:
            wire = self.script(text)
            replies: dict[str, list[bytes]] = {"a": [], "b": []}
            for request in requests.decode():
                wire.send(request.encode() + b"\n")
                replies[request].append(wire.received())
            return replies

        self.assertEqual(run(b"aaaaabbbbb"), run(b"ababababab"))

    def test_a_responder_can_add_faults(self) -> None:
        """A responder adds faults of its own to a reply with `RuleReply`."""
        faults = [PlacedFault("mine", LimitData(bytes=2))]
        replies = iter([RuleReply([Send(b"abc")], "me", faults), (Send(b"abc"),)])

        class Picky(Responder):
            def respond(self, data: bytes, connection: ConnectionContext) -> Any:
                return next(replies)

        wire = self.lines(Picky())
        wire.send(b"x\nx\n")
        self.assertEqual((wire.received(), wire.got_eof), (b"ab", True))
        self.assertEqual(self.heard.exchanges[0].injected, ("limit_data",))


class SeededRunTests(Scripted):
    """With the same seed, all bytes and delays of a run are the same."""

    TEXT = """
        seed = 42
        greeting = "hello"
        [[rule]]
        equals = "a"
        reply = "some longer reply"
        faults = [{ kind = "slicer", size = 5, variation = 3, delay = 0.01 }]
        [[rule]]
        cycle = ["one", "two"]
        scope = "connection"
        [[fault]]
        kind = "latency"
        delay = 0.2
        jitter = 0.1
        probability = 0.5
        [[fault]]
        kind = "corrupt"
        probability = 0.3
        [[fault]]
        on = "connect"
        kind = "latency"
        delay = 0.1
        jitter = 0.1
    """
    TICK = 1 / 1024  # exactly expressed: no run differs by how seconds add up

    def run_clients(self, order: list[int]) -> list[list[tuple[int, bytes]]]:
        """Send requests in this *order* of clients; return what each received, and when."""
        factory = self.server(self.TEXT)
        wires = [self.join(factory) for _ in range(3)]
        seen: list[list[tuple[int, bytes]]] = [[] for _ in wires]

        def watch(asked: int, request: bytes) -> None:
            wires[asked].send(request)
            for tick in range(1200):
                for wire, times in zip(wires, seen, strict=True):
                    if data := wire.received():
                        times.append((tick, data))
                self.reactor.advance(self.TICK)
                for wire in wires:
                    wire.turn()

        watch(0, b"")
        turns = [0, 0, 0]
        for number in order:
            turns[number] += 1
            watch(number, b"a\n" if turns[number] % 2 else b"b\n")
        return seen

    def test_interleaving_connections_changes_nothing(self) -> None:
        """However requests are interleaved, a client receives the same bytes at the same times."""
        runs = [
            self.run_clients(order)
            for order in (
                [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2],
                [2, 1, 0, 0, 1, 2, 1, 0, 2, 0, 2, 1],
            )
        ]
        self.assertEqual(runs[0], runs[1])
        self.assertEqual(len({repr(seen) for seen in runs[0]}), 3)  # and not the same as others


class ReconfigureTests(Scripted):
    """Changing the config for new connections."""

    def test_open_connections_keep_their_config(self) -> None:
        """Open connections keep their framing, rules, state and counts."""
        factory = self.server("""
            rule = [
                { equals = "in", reply = "in", goto = "inside" },
                { when = "inside", cycle = ["old 1", "old 2"] },
            ]
        """)
        old = self.join(factory)
        self.assertEqual(self.ask(old, "in", "x"), ["in|", "old 1|"])
        factory.reconfigure(Script.parse('framing = "netstring"\nrule = [{ reply = "new" }]'))
        new = self.join(factory)
        new.send(b"1:x,")
        self.assertEqual(new.received(), b"3:new,")
        self.assertEqual(self.ask(old, "x"), ["old 2|"])

    def test_wrong_config_changes_nothing(self) -> None:
        """A wrong config raises an error, and new clients are answered as before."""
        factory = self.factory(Table({}, otherwise=b"a\nb"))
        before = factory.config
        with self.assertRaises(FrameError):
            factory.reconfigure(Table({}, otherwise=b"a\nb"), framing=Line())
        self.assertIs(factory.config, before)
        wire = self.join(factory)
        wire.send(b"x")
        self.assertEqual(wire.received(), b"a\nb")

    def test_connections_that_are_open_count_for_new_limits(self) -> None:
        """Open connections count for new limits, even if there was no limit before."""
        factory = self.factory()
        first = self.join(factory)
        factory.reconfigure(limits=Limits(max_per_peer=2))
        second = self.join(factory)
        self.assertTrue(self.join(factory).got_reset)
        first.send_eof()
        third = self.join(factory)
        self.assertTrue(second.is_open and third.is_open)
        self.assertTrue(self.join(factory).got_reset)

    def test_idle_timeout(self) -> None:
        """All connections, also open ones, have the idle timeout of the last config."""
        factory = self.factory()
        first = self.join(factory)
        factory.reconfigure(limits=Limits(idle_timeout=4))
        for _ in range(5):
            first.wait(1)
        self.assertTrue(first.got_eof)
        second = self.join(factory)
        factory.reconfigure()
        for _ in range(10):
            second.wait(1)
        self.assertFalse(second.got_eof)

    def test_arguments_override_a_script(self) -> None:
        """Arguments override the script; a reply that conflicts with them is named."""
        script = Script.parse("""
            framing = "line"
            limits.max_request = 10
            rule = [{ equals = "a", reply = "b" }]
            [[fault]]
            kind = "latency"
            delay = 1
        """)
        factory = self.factory(script, framing=Netstring(), faults=[Slicer(size=3)], seed=9)
        wire = self.join(factory)
        wire.send(b"1:a,")
        self.assertEqual(wire.received(), b"1:b")
        self.assertEqual(factory.config.limits.max_request, 10)
        self.assertEqual(factory.config.seed, 9)
        with self.assertRaisesRegex(FrameError, r"^rule\[0\]: "):
            self.factory(
                Script.parse('rule = [{ reply = { text = "b" } }]'), framing=Line(b"\n")
            ).reconfigure(
                Script.parse('framing = "chunk"\nrule = [{ reply = "a\\nb" }]'), framing=Line()
            )
