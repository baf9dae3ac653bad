"""States of a test server: what ``server.state()`` changes, and what it refuses."""

from typing import Any

from reqresp import Line, Script
from reqresp.script import ScriptError
from tests.support.server_case import ServerCase


class TestState(ServerCase):
    """A state of a test can have its own framing and idle timeout."""

    def test_framing(self) -> None:
        """It applies from the byte after the request whose answer says ``goto``."""
        server = self.serve()
        server.state("data", framing=r"delimiter:\r\n.\r\n")
        server.on("DATA").reply("go").goto("data")
        server.on(contains="a\r\n", when="data").reply("ok").goto("start")
        self.assertEqual(self.ask(b"DATA", b"a", b"b", b".", b"DATA"), b"go\r\nok\r\ngo\r\n")
        data = [it.data for it in server.requests()]
        self.assertEqual(data, [b"DATA", b"a\r\nb", b"DATA"])

    def test_reply_framing(self) -> None:
        """A reply is checked against the framing of its state, and sent in it."""
        server = self.serve()
        server.state("b", reply_framing="fixed:3")
        server.on("a").reply("hello").goto("b")
        with self.assertRaisesRegex(ScriptError, "expected a payload of 3 bytes, found 5"):
            server.on("b", when="b").reply("hello")
        server.on("b", when="b").call(lambda _request: b"abc")
        server.on("c", when="b").call(lambda _request: b"four")
        self.assertEqual(self.ask(b"a", b"b", b"c"), b"hello\r\nabc")
        self.assertIn("expected a payload of 3 bytes, found 4", server.problems())

    def test_what_the_test_sends(self) -> None:
        """It has the framing that is in force on each connection."""
        server = self.serve()
        server.state("b", framing="int8", reply_framing="int8")
        server.on("a").reply("ok").goto("b")
        server.on(when="b").hold().goto("start")
        wire, other = self.connect(), self.connect()
        wire.send(b"a\r\n")
        server.connections[0].send("x\ny", {"text": "z"})
        server.broadcast("all")
        wire.send(b"\x03ask")
        server.when_held().result(0).reply("1\n2")
        wire.turn()
        self.assertEqual(wire.received(), b"ok\r\n\x03x\ny\x01z\x03all\x031\n2")
        self.assertEqual(other.received(), b"all\r\n")
        with self.assertRaisesRegex(ScriptError, "send: .*delimiter"):
            server.broadcast("x\ny")
        with self.assertRaisesRegex(ScriptError, "reply: .*"):
            wire.send(b"a\r\n", b"\x03ask")
            server.when_held().result(0).reply("x" * 256)
        self.assertEqual(other.received(), b"")

    def test_a_conversation(self) -> None:
        """It shows each reply as it was sent, in the framing of its state."""
        server = self.serve()
        server.state("data", framing="int8", reply_framing="int8")
        server.on("DATA").reply("go").goto("data")
        server.on("end", when="data").reply("ok").goto("start")
        wire = self.connect()
        wire.send(b"DATA\r\n\x03end", b"DATA\r\n")
        self.assertEqual(wire.received(), b"go\r\n\x02okgo\r\n")
        shown = [line.rpartition("  (")[0] for line in server.conversation().splitlines()]
        self.assertEqual(
            shown,
            [
                r"#1 < b'DATA'  > b'go\r\n'",
                r"#1 < b'end'   > b'\x02ok'",
                r"#1 < b'DATA'  > b'go\r\n'",
            ],
        )

    def test_idle_timeout(self) -> None:
        """It closes a client that is idle in the state."""
        server = self.serve()
        server.state("short", idle_timeout=1)
        server.on("a").reply("ok").goto("short")
        wire = self.connect()
        wire.send(b"a\n")
        for _ in range(6):
            wire.wait(0.25)
        self.assertTrue(wire.got_eof)

    def test_wrong_values(self) -> None:
        """The error names the argument and the line of the test."""
        server = self.serve()
        with self.assertRaisesRegex(ScriptError, r"test_states.py:\d+: state.framing: .*lime"):
            server.state("data", framing="lime")
        for name in ("framing", "reply_framing"):
            for wrong in (5, Line):
                arguments: Any = {name: wrong}
                with self.assertRaisesRegex(
                    ScriptError,
                    f"state.{name}: expected the name of a framing, or a Framing, found",
                ):
                    server.state("data", **arguments)
        with self.assertRaisesRegex(ScriptError, r"state.name: expected a string, found \[\]"):
            server.state([], framing="line")  # type: ignore[arg-type]
        with self.assertRaisesRegex(TypeError, "unknown property 'framin'; did you mean framing"):
            server.state("data", framin="line")  # type: ignore[call-arg]
        with self.assertRaisesRegex(ScriptError, "state.idle_timeout: expected finite seconds"):
            server.state("data", idle_timeout=-1)

    def test_a_state_for_all(self) -> None:
        """One client changes what another one gets; a script's scope is replaced."""
        shared, own = b"up\r\n", b"down\r\n"
        for key, argument, expected in (
            (None, "server", own),
            (None, "connection", shared),
            (None, None, shared),
            ('state_scope = "server"', None, own),
            ('state_scope = "server"', "connection", shared),
            ('state_scope = "connection"', "server", own),
        ):
            script = None if key is None else Script.parse(key)
            server = self.serve(script=script, state_scope=argument)
            server.on("STOP").reply("ok").goto("down")
            server.on("STAT", when="start").reply("up")
            server.on("STAT", when="down").reply("down")
            self.assertEqual(self.ask(b"STAT", b"STOP"), b"up\r\nok\r\n")
            self.assertEqual(self.ask(b"STAT"), expected, (key, argument))

    def test_a_state_for_all_starts_timers(self) -> None:
        """The clients that are connected get what is sent in the new state."""
        server = self.serve(state_scope="server")
        server.on("go").reply("ok").goto("on")
        server.every(1, when="on").reply("tick")
        one, other = self.connect(), self.connect()
        one.send(b"go\r\n")
        other.wait(1)
        self.assertEqual((one.received(), other.received()), (b"ok\r\ntick\r\n", b"tick\r\n"))

    def test_what_a_state_for_all_excludes(self) -> None:
        """What is different in a state depends on the connection; a relay has no states."""
        with self.assertRaisesRegex(
            ScriptError, r":\d+: state: expected state_scope='connection', found 'server'"
        ):
            self.serve(state_scope="server").state("data", framing="int8")
        script = Script.parse('start = "b"\n[state.b]\nidle_timeout = 5\n')
        with self.assertRaisesRegex(
            ScriptError, r"\.py:\d+: state_scope: expected no \[state.NAME\] tables"
        ):
            self.serve(script=script, state_scope="server")
        with self.assertRaisesRegex(
            ScriptError, "state_scope: expected one of server, connection, found 'all'"
        ):
            self.serve(state_scope="all")
        with self.assertRaisesRegex(TypeError, "state_scope: the server forwards all bytes"):
            self.serve(upstream="127.0.0.1:1", state_scope="server")

    def test_a_server_with_a_script(self) -> None:
        """The script says it; its expectations are checked against its states."""
        script = Script.parse(
            '[state.b]\nreply_framing = "fixed:3"\n[[rule]]\nequals = "a"\nreply = "x"\n'
            'goto = "b"\n[[rule]]\nwhen = "b"\nequals = "c"\nreply = "abc"\n'
        )
        server = self.serve(script=script)
        with self.assertRaisesRegex(
            TypeError, "^state: expected a server without script and upstream"
        ):
            server.state("b", framing="line")
        server.on("d", when="b").reply("def")
        self.assertEqual(self.ask(b"a", b"c", b"d"), b"x\r\nabcdef")


class TestFaultsThatBeginLater(ServerCase):
    """A fault of the server can begin after some bytes or seconds of a connection."""

    def test_after_bytes(self) -> None:
        """Ten good replies, then the reset; each connection counts for itself."""
        server = self.serve()
        server.on().reply("ok")
        server.fault("reset_peer", after_bytes=40)
        first, other = self.connect(), self.connect()
        first.send(*[b"x\n"] * 11)
        self.assertEqual(first.received(), b"ok\r\n" * 10)
        self.assertTrue(first.got_reset)
        other.send(b"x\n")
        self.assertEqual(other.received(), b"ok\r\n")

    def test_after_seconds(self) -> None:
        """It counts from the connection, also for a fault of the script."""
        script = Script.parse(
            'unmatched = "ok"\n[[fault]]\nkind = "reset_peer"\nafter = 5\n', "it.toml"
        )
        self.serve(script=script)
        wire = self.connect()
        wire.wait(4)
        wire.send(b"x\n")
        self.assertEqual(wire.received(), b"ok\r\n")
        wire.wait(1)
        wire.send(b"x\n")
        self.assertTrue(wire.got_reset)

    def test_of_a_rule(self) -> None:
        """An expectation's fault counts its own replies, and so does the fault of a rule."""
        server = self.serve()
        server.on("x").reply("ok").fault("reset_peer", after_bytes=8)
        server.on("y").reply("other")
        wire = self.connect()
        wire.send(b"x\n", b"y\n", b"x\n")
        self.assertEqual(wire.received(), b"ok\r\nother\r\nok\r\n")
        wire.send(b"y\n", b"x\n")
        self.assertTrue(wire.got_reset)
        with self.assertRaisesRegex(ScriptError, "fault.after_bytes: expected one of after"):
            server.on("z").fault("reset_peer", after=1, after_bytes=1)
        text = 'rule = [{ reply = "a", faults = [{ kind = "corrupt", after = -1 }] }]'
        with self.assertRaisesRegex(ScriptError, r"rule\[0\].faults\[0\].after: expected seconds"):
            Script.parse(text)

    def test_wrong_values(self) -> None:
        """The error names the key or the argument."""
        text = '[[fault]]\nkind = "reset_peer"\nafter = 5\nafter_bytes = 5\n'
        with self.assertRaisesRegex(ScriptError, r"fault\[0\].after_bytes: expected one of after"):
            Script.parse(text)
        with self.assertRaisesRegex(ScriptError, "fault.after: expected seconds from 0"):
            self.serve().fault("reset_peer", after=-1)
