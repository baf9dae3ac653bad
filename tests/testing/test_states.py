"""States of a test server: what ``server.state()`` changes, and what it refuses."""

from reqresp import Script
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
        with self.assertRaisesRegex(ScriptError, "state.idle_timeout: expected finite seconds"):
            server.state("data", idle_timeout=-1)

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
