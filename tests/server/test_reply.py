"""Faults in replies and greetings: what they do to the bytes that a client receives."""

from typing import Any

from twisted.internet.defer import succeed
from twisted.logger import capturedLogs

from reqresp import (
    Corrupt,
    EagerServer,
    HalfClose,
    Latency,
    LimitData,
    Line,
    PlacedFault,
    Responder,
    RuleReply,
    Send,
    Slicer,
    Table,
)
from reqresp.server.responders import ConnectionContext
from reqresp.steps import Steps
from tests.support.conversation import Conversation
from tests.support.scripted import Scripted

KIB = 1024


class FaultTests(Conversation):
    """What goes wrong with a reply goes wrong on the wire, framed, and leaves the rest alone."""

    def test_a_frame_in_pieces_is_still_one_frame(self) -> None:
        """Faults are injected into a reply after framing."""
        wire = self.lines(lambda _request: b"abc", faults=[Slicer(size=2, delay=1)])
        wire.send(b"x\n")
        pieces = [wire.received()]
        for _ in range(3):
            wire.wait(1)
            pieces.append(wire.received())
        self.assertEqual([piece for piece in pieces if piece], [b"ab", b"c\r", b"\n"])

    def test_constants_are_struck_too(self) -> None:
        """Faults delay the replies of a table, too."""
        wire = self.lines(Table({}, otherwise=b"ok"), faults=[Latency(delay=1)])
        wire.send(b"a\nb\n")
        self.assertEqual(wire.received(), b"")
        wire.wait(1)
        wire.wait(1)
        self.assertEqual(wire.received(), b"ok\r\n" * 2)

    def test_a_raw_reply_stays_raw(self) -> None:
        """What the responder framed itself is not framed again."""
        wire = self.lines(
            lambda _request: Send(b"raw", raw=True), faults=[Corrupt(bytes=1)], seed=1
        )
        wire.send(b"x\n")
        reply = wire.received()
        self.assertEqual(len(reply), 3)
        self.assertEqual(sum(a != b for a, b in zip(reply, b"raw", strict=True)), 1)

    def test_bytes_are_counted_for_each_connection(self) -> None:
        """A limit on data is used up by one client alone."""
        factory = self.factory(
            lambda _request: b"abcd", framing=Line(), faults=[LimitData(bytes=8)]
        )
        first, second = self.join(factory), self.join(factory)
        first.send(b"x\n", b"x\n")
        second.send(b"x\n")
        self.assertEqual(first.received(), b"abcd\r\nab")
        self.assertTrue(first.got_eof)
        self.assertEqual(second.received(), b"abcd\r\n")
        self.assertFalse(second.got_eof)

    def test_the_same_seed_is_the_same_run(self) -> None:
        """However the connections are interleaved, each has the same faults as before."""

        def run(order: list[int]) -> list[bytes]:
            factory = self.factory(
                lambda request: request.data,
                framing=Line(),
                faults=[Corrupt(bytes=2, probability=0.5)],
                seed=42,
            )
            wires = [self.join(factory) for _ in range(2)]
            for number in order:
                wires[number].send(b"some request\n")
            return [wire.received() for wire in wires]

        orderly = run([0] * 8 + [1] * 8)
        self.assertEqual(orderly, run([0, 1] * 8))
        self.assertNotEqual(orderly[0], orderly[1])

    def test_a_seed_that_was_not_given_is_logged(self) -> None:
        """So that a run can be repeated all the same."""
        with capturedLogs() as events:
            factory = self.factory(faults=[Corrupt(bytes=1)])
        self.assertEqual([event["seed"] for event in events], [factory.config.seed])

    def test_constants_that_cannot_be_framed_are_found_at_once(self) -> None:
        """As without faults."""
        with self.assertRaises(ValueError):
            self.factory(Table({}, otherwise=b"a\nb"), framing=Line(), faults=[Slicer(size=1)])

    def test_what_is_not_sent_is_not_struck(self) -> None:
        """After a half-close the connection does not wait for what is not sent."""
        replies = iter([HalfClose(), b"x" * 1000])
        wire = self.lines(lambda _request: next(replies), faults=[Latency(delay=60)], seed=1)
        wire.send(b"a\n")
        wire.wait(60)
        wire.send(b"b\n")
        wire.send_eof()
        self.assertFalse(wire.is_open)

    def test_observers_hear_what_the_responder_said(self) -> None:
        """An exchange has the reply as it was meant."""
        wire = self.lines(lambda _request: b"ok", faults=[Slicer(size=10)])
        wire.send(b"x\n")
        wire.wait(1)
        self.assertEqual(self.heard.exchanges[0].steps, (Send(b"ok"),))

    def test_a_payload_that_cannot_be_framed_resets(self) -> None:
        """It is the responder's error, with faults as without, and later as at once."""
        for respond in (lambda _request: b"a\nb", lambda _request: succeed(b"a\nb")):
            wire = self.lines(respond, faults=[Slicer(size=1)])
            wire.send(b"x\n")
            self.assertTrue(wire.got_reset)
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class OnConnectTests(Conversation):
    """Tests for faults that are placed on connect."""

    def test_latency_delays_the_first_reply_once(self) -> None:
        """With a greeting or without, each thing that is sent is delayed once."""
        for greeting in ((), (Send(b"hello"),)):

            class Greeting(Responder):
                def greet(self, connection: Any) -> Steps:
                    return greeting  # noqa: B023, it is called within the loop

                def respond(self, data: bytes, connection: Any) -> Steps:
                    return (Send(data),)

            fault = PlacedFault("fault[0]", Latency(delay=1), on_connect=True)
            wire = self.lines(Greeting(), faults=[fault], seed=1)
            if greeting:
                wire.wait(1)
                self.assertEqual(wire.received(), b"hello\r\n")
            wire.send(b"a\n")
            wire.wait(0.9)
            self.assertEqual(wire.received(), b"")
            wire.wait(0.1)
            self.assertEqual(wire.received(), b"a\r\n")
            wire.send(b"b\n")
            wire.wait(1)
            self.assertEqual(wire.received(), b"b\r\n")


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
        """Without a greeting, a fault on connect is injected into the first reply."""
        wire = self.connecting('kind = "latency"\ndelay = 1', greeting="")
        self.assertEqual(self.ask(wire, "x"), [""])
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
