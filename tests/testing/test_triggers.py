"""Expectations that something other than a request triggers."""

from typing import Any

from reqresp import Script, ScriptError
from tests.support.server_case import ServerCase
from tests.support.wire import Wire


class EventTests(ServerCase):
    """Tests for ``on_event``."""

    def test_clients_that_connect(self) -> None:
        """The latest answer greets, and takes the place of the greeting of the server."""
        server = self.serve(greeting="220 ready")
        server.on("NOOP").reply("250 ok")
        self.assertEqual(self.ask(b"NOOP"), b"220 ready\r\n250 ok\r\n")
        server.on_event("connect").reply("220 other")
        self.assertEqual(self.ask(b"NOOP"), b"220 other\r\n250 ok\r\n")
        server.on_event("connect", times=2).reply("421 busy").close()
        wires = [self.connect() for _ in range(3)]
        self.assertEqual([it.received()[:3] for it in wires], [b"421", b"421", b"220"])
        self.assertEqual([it.got_eof for it in wires], [True, True, False])
        server.clear()
        self.assertEqual(self.connect().received(), b"220 ready\r\n")

    def test_the_whole_answer(self) -> None:
        """Replies take turns and have faults; the state and variables change."""
        server = self.serve()
        server.on_event("connect").set(name="c{connection}").goto("in").cycle("one", "two").fault(
            "latency", delay=1
        )
        server.on("WHO", when="in").reply(template="{name}")
        received = []
        for _ in range(2):
            wire = self.connect()
            self.assertEqual(wire.received(), b"")
            wire.wait(1)
            wire.send(b"WHO\r\n")
            received.append(wire.received())
        self.assertEqual(received, [b"one\r\nc1\r\n", b"two\r\nc2\r\n"])

    def test_a_client_that_is_idle(self) -> None:
        """It is answered before it is closed, as its state says."""
        server = self.serve(limits={"idle_timeout": 4})
        server.on("DATA").reply("354 go").goto("data")
        server.on_event("idle", when="data").reply("421 no data")
        server.on_event("idle").reply("421 timeout")
        wires = [self.connect(), self.connect()]
        wires[1].send(b"DATA\r\n")
        for _ in range(6):
            wires[0].wait(1)
        self.assertEqual(
            [it.received() for it in wires], [b"421 timeout\r\n", b"354 go\r\n421 no data\r\n"]
        )
        self.assertTrue(wires[0].got_eof)
        self.assertEqual(self.server.problems(), "")

    def test_a_client_that_is_refused(self) -> None:
        """It is answered, and closed; before, and after a clear, it is reset at once."""
        server = self.serve(limits={"max_connections": 1})
        first = self.connect()
        self.assertTrue(self.connect().got_reset)
        server.on_event("refused").reply("421 too many")
        refused = self.connect()
        self.assertEqual((refused.received(), refused.got_reset), (b"421 too many\r\n", False))
        server.clear()
        self.assertTrue(self.connect().got_reset)
        self.assertTrue(first.is_open)

    def test_bytes_that_are_no_request(self) -> None:
        """They are answered, and then they are no problem, because they were expected."""
        server = self.serve(limits={"max_request": 8})
        server.on_event("malformed", times=1).reply("500 too long")
        self.assertEqual(self.ask(b"x" * 20), b"500 too long\r\n")
        self.assertEqual(server.problems(), "")
        self.assertEqual(self.ask(b"x" * 20), b"")
        self.assertIn("1 malformed request", server.problems())

    def test_a_script(self) -> None:
        """What the test does not answer, the rules of the script do."""
        server = self.serve(
            script=Script.parse('rule = [{ on = "connect", reply = "220" }, { reply = "ok" }]')
        )
        self.assertEqual(self.ask(b"a"), b"220\r\nok\r\n")
        server.on_event("connect", times=1).reply("421")
        self.assertEqual(self.ask(b"a"), b"421\r\nok\r\n")
        self.assertEqual(self.ask(b"a"), b"220\r\nok\r\n")

    def test_a_request_is_none(self) -> None:
        """An answer to an event matches no request, and is no reason why one was unexpected."""
        server = self.serve()
        server.on_event("connect").reply("220")
        self.assertEqual(self.ask(b"NOOP"), b"220\r\n")
        self.assertEqual(
            server.problems(),
            f"reqresp {server.name}: 1 unexpected request\n"
            "  #1            > b'220\\r\\n'  (greeting)\n"
            "  #1 < b'NOOP'  unexpected; connection closed",
        )

    def test_an_error(self) -> None:
        """A reply that cannot be made resets the client, and is a problem."""
        server = self.serve()
        server.on_event("connect").reply(template="{peer|unhex}")
        self.assertTrue(self.connect().got_reset)
        self.assertIn("1 error", server.problems())
        self.assertIn("unhex", server.problems())

    def test_wrong_arguments(self) -> None:
        """The error names the argument or the method, and the line of the test."""
        server = self.serve()
        event = server.on_event("connect")
        calls: dict[str, Any] = {
            "event: unknown event 'conect'; did you mean connect?": lambda: server.on_event(
                "conect"
            ),
            "event: unknown event '3'; expected one of": lambda: server.on_event(3),  # type: ignore[arg-type]
            "when: expected a string, found 3": lambda: server.on_event("idle", when=3),  # type: ignore[arg-type]
            "times: expected an integer >= 1, found 0": lambda: server.on_event("idle", times=0),
            "when: expected states": lambda: server.on_event("idle", when=[]),
            "call: expected no call: there is no request on connect": lambda: event.call(
                lambda _: None
            ),
            "hold: expected no hold: there is no request": event.hold,
            "forward: expected no forward: there is no request": event.forward,
            "every: expected seconds >= 0.001, found 0": lambda: server.every(0),
            "every: expected seconds, a number": lambda: server.every("1"),  # type: ignore[arg-type]
            "jitter: expected seconds >= 0 and not more than": lambda: server.every(1, jitter=2),
        }
        for problem, call in calls.items():
            with self.assertRaisesRegex(ScriptError, rf"test_triggers\.py:\d+: {problem}"):
                call()

    def test_nothing_is_forwarded(self) -> None:
        """There is no request, in a cycle either."""
        event = self.serve(upstream="127.0.0.1:1", framing="line").on_event("connect")
        for call in (event.forward, lambda: event.cycle({"forward": True})):
            with self.assertRaisesRegex(ScriptError, "forward: expected no forward: there is no"):
                call()


class TimerTests(ServerCase):
    """Tests for ``every``."""

    def ticks(self, wire: Wire, seconds: float, count: int) -> list[bytes]:
        """Let *seconds* pass *count* times; return what was received each time."""
        received = []
        for _ in range(count):
            wire.wait(seconds)
            received.append(wire.received())
        return received

    def test_clients_that_are_connected_and_those_to_come(self) -> None:
        """Each gets what is sent at times, and counts for itself; requests are answered beside."""
        server = self.serve()
        server.on("PING").reply("PONG")
        first = self.connect()
        server.every(2, times=2).reply(template="tick {count}")
        self.assertEqual(self.ticks(first, 1, 2), [b"", b"tick 1\r\n"])
        second = self.connect()
        first.send(b"PING\r\n")
        self.assertEqual(first.received(), b"PONG\r\n")
        self.assertEqual(
            self.ticks(second, 1, 6), [b"", b"tick 1\r\n", b"", b"tick 2\r\n", b"", b""]
        )
        self.assertEqual(first.received(), b"tick 2\r\n")

    def test_states(self) -> None:
        """It is sent while the client is in a state; it can change the state itself."""
        server = self.serve()
        server.on("subscribe").reply("ok").goto("in")
        server.every(1, when="in").reply("tick").goto("start")
        wire = self.connect()
        self.assertEqual(self.ticks(wire, 1, 2), [b"", b""])
        wire.send(b"subscribe\r\n")
        self.assertEqual(wire.received(), b"ok\r\n")
        self.assertEqual(self.ticks(wire, 1, 2), [b"tick\r\n", b""])

    def test_several(self) -> None:
        """Each has its own times, also beside those of a script; two in one line are two."""
        server = self.serve(script=Script.parse('rule = [{ every = 3, reply = "c" }]'))
        for seconds, name in ((1, "a"), (1, "b")):
            server.every(seconds, times=1).reply(name)
        wire = self.connect()
        self.assertEqual(sorted(self.ticks(wire, 1, 1)[0].split()), [b"a", b"b"])
        self.assertEqual(self.ticks(wire, 1, 2), [b"", b"c\r\n"])

    def test_an_answer_that_is_not_complete(self) -> None:
        """Until it does something, no time counts, and steps can be added."""
        server = self.serve()
        timer = server.every(1)
        wire = self.connect()
        self.assertEqual(self.ticks(wire, 1, 2), [b"", b""])
        timer.reply(template="{count}")
        self.assertEqual(self.ticks(wire, 1, 2), [b"1\r\n", b"2\r\n"])

    def test_jitter(self) -> None:
        """The seed determines it."""
        times = []
        for _ in range(2):
            self.serve(seed=1).every(2, jitter=1).reply("tick")
            wire = self.connect()
            received = self.ticks(wire, 0.01, 1000)
            times.append([at for at, it in enumerate(received) if it])
        self.assertEqual(times[0], times[1])
        self.assertTrue(
            all(200 * (1 + at) <= it <= 200 * (1 + at) + 100 for at, it in enumerate(times[0]))
        )
        self.assertGreater(len({it % 200 for it in times[0]}), 1)

    def test_clear(self) -> None:
        """A timer that is removed sends no more, and one that was added in its place does."""
        server = self.serve()
        timer = server.every(1).reply("old")
        wire = self.connect()
        self.assertEqual(self.ticks(wire, 1, 1), [b"old\r\n"])
        server.clear(timer)
        server.every(1).reply("new")
        self.assertEqual(self.ticks(wire, 1, 2), [b"new\r\n", b"new\r\n"])
