"""States of a script: what ``[state.NAME]`` changes, in shapes of real protocols."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp import Script
from reqresp.expectations.live import Expectations
from reqresp.framing import Delimiter, Fixed, Line, Mixed
from reqresp.journal import Journal
from reqresp.script import ScriptError
from reqresp.script.explain import explain
from reqresp.server.state_properties import StateProperties
from tests.support.scripted import Scripted
from tests.support.streams import single

SMTP = r"""
greeting = "220 mail.test"

[state.data]
framing = 'delimiter:\r\n.\r\n'

[[rule]]
equals = "DATA"
reply = "354 go"
goto = "data"

[[rule]]
equals = "QUIT"
reply = "221 bye"
close = true

[[rule]]
when = "data"
contains = "\r\nSubject: one\r\n"
reply = "250 some bytes"
goto = "start"

[[rule]]
when = "data"
reply = ["250-other", "250 queued"]
goto = "start"
"""

POSTGRESQL = """
framing = { length = { size = 4, adjust = -4 } }

[state.query]
framing = { length = { size = 4, offset = 1, adjust = -4 } }

[[rule]]
starts_with = { hex = "00030000" }
reply = { hex = "52000000080000000053", raw = true }
goto = "query"

[[rule]]
when = "query"
starts_with = "Q"
reply = { text = "Z", raw = true }
"""

AMQP = r"""
framing = "fixed:8"
reply_framing = "chunk"

[state.open]
framing = { length = { size = 4, offset = 3, adjust = 1 } }

[[rule]]
equals = "AMQP\u0000\u0000\t\u0001"
reply = "start"
goto = "open"

[[rule]]
when = "open"
ends_with = { hex = "ce" }
reply = "tune"
"""

SOCKS = r"""
framing = { length = { size = 1, offset = 1 } }
reply_framing = "chunk"
start = "methods"

[state.address]
framing = { length = { size = 1, offset = 4, adjust = 2 } }

[state.tunnel]
framing = "line"
reply_framing = "line"

[[rule]]
equals = { hex = "050100" }
reply = { hex = "0500" }
goto = "address"

[[rule]]
when = "address"
starts_with = { hex = "05010003" }
reply = { hex = "05000001000000000000" }
goto = "tunnel"

[[rule]]
when = "tunnel"
equals = "hello"
reply = "through"
"""

ANY_LINE_END = r"""
framing = "anyline"

[state.data]
framing = 'delimiter:\r\n.\r\n'
reply_framing = "line"

[state.lines]
framing = "anyline"

[[rule]]
equals = "DATA"
silent = true
goto = "data"

[[rule]]
equals = "LINES"
silent = true
goto = "lines"

[[rule]]
when = ["data", "lines"]
reply = { template = "got {0|hex}" }
goto = "start"
"""

WEBSOCKET = r"""
framing = 'delimiter:\r\n\r\n'
reply_framing = 'delimiter:\r\n\r\n'

[state.frames]
framing = { length = { size = 1, offset = 1, adjust = -124 } }
reply_framing = "chunk"

[[rule]]
contains = "Upgrade: websocket"
reply = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: KEY"
goto = "frames"

[[rule]]
when = "frames"
starts_with = { hex = "81" }
reply = { hex = "8102686f" }
"""


class TestShapes(Scripted):
    """Protocols that change their framing, byte for byte and in any cut."""

    def check(self, script: str, sent: bytes, expected: bytes) -> None:
        for pieces in ([sent], single(sent)):
            self.setUp()
            wire = self.script(script)
            wire.send(*pieces)
            self.assertEqual(wire.received(), expected)

    def test_smtp(self) -> None:
        """The text of a mail is one request, up to the dot; replies stay lines."""
        mail = b"From: me\r\nSubject: one\r\n\r\n..\r\nEnd.\r\n.\r\n"
        replies = (
            b"220 mail.test\r\n354 go\r\n250 some bytes\r\n354 go\r\n250-other\r\n250 queued\r\n"
        )
        sent = b"DATA\r\n" + mail + b"DATA\r\nx\r\n.\r\nQUIT\r\n"
        self.check(SMTP, sent, replies + b"221 bye\r\n")

    def test_postgresql(self) -> None:
        """The start-up message has no type, the ones after it have."""
        sent = b"\0\0\0\x0d\0\3\0\0user\0" + b"Q\0\0\0\x07ab\0" + b"Q\0\0\0\x05\0"
        self.check(POSTGRESQL, sent, b"R\0\0\0\x08\0\0\0\0SZZ")

    def test_amqp(self) -> None:
        """A header of eight bytes, then frames that end with 0xCE."""
        sent = b"AMQP\0\0\x09\x01" + b"\x01\0\0\0\0\0\x02hi\xce" + b"\x08\0\0\0\0\0\0\xce"
        self.check(AMQP, sent, b"starttunetune")

    def test_socks(self) -> None:
        """Two binary messages, then what is tunnelled."""
        sent = b"\x05\x01\x00" + b"\x05\x01\x00\x03\x04host\x00\x50" + b"hello\r\n"
        replies = b"\x05\x00" + b"\x05\x00\x00\x01\0\0\0\0\0\0" + b"through\r\n"
        self.check(SOCKS, sent, replies)

    def test_a_line_end_in_two_pieces(self) -> None:
        """The LF, or NUL, after a CR belongs to the line, although the state has changed."""
        for end in (b"\r", b"\n", b"\r\n", b"\r\0"):
            sent = b"DATA" + end + b"abc\r\n.\r\n"
            self.check(ANY_LINE_END, sent, b"got 616263\r\n")
            self.check(ANY_LINE_END, b"LINES" + end + b"abc\n" + sent, b"got 616263\r\n" * 2)
        self.check(ANY_LINE_END, b"DATA\r\n\nabc\r\n.\r\n", b"got 0a616263\r\n")

    def test_http_then_websocket(self) -> None:
        """The reply that accepts the upgrade is HTTP, those after it are frames."""
        sent = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n" + b"\x81\x82abcd\x09\x0b"
        accepted = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: KEY\r\n\r\n"
        replies = accepted + b"\x81\x02ho"
        self.check(WEBSOCKET, sent, replies)


class TestIdleTimeout(Scripted):
    """A state can have its own idle timeout."""

    TEXT = """
limits = { idle_timeout = 100 }
[state.short]
idle_timeout = 1
[[rule]]
equals = "short"
reply = "ok"
goto = "short"
[[rule]]
when = "short"
equals = "long"
reply = "ok"
goto = "start"
[[rule]]
when = "*"
equals = "x"
reply = "x"
"""

    def test_it_replaces_the_limit(self) -> None:
        """It counts from the last request, and is over after a quarter more at the latest."""
        wire = self.script(self.TEXT)
        wire.wait(30)
        wire.send(b"short\n")
        for _ in range(4):
            wire.wait(0.9)
            wire.send(b"x\n")
        self.assertFalse(wire.got_eof)
        wire.wait(0.9)
        self.assertFalse(wire.got_eof)
        for _ in range(2):
            wire.wait(0.25)
        self.assertTrue(wire.got_eof)

    def test_it_ends_with_the_state(self) -> None:
        """After a goto, the limit of the server applies again."""
        wire = self.script(self.TEXT)
        wire.send(b"short\nlong\n")
        wire.wait(50)
        self.assertFalse(wire.got_eof)
        for _ in range(4):
            wire.wait(25)
        self.assertTrue(wire.got_eof)

    def test_the_first_state_has_one_from_the_start(self) -> None:
        """A client that sends nothing is closed by it."""
        wire = self.script(self.TEXT.replace("state.short", "state.start"))
        for _ in range(6):
            wire.wait(0.25)
        self.assertTrue(wire.got_eof)

    def test_no_timer_is_left(self) -> None:
        """When the client has gone, nothing is scheduled for it."""
        wire = self.script(self.TEXT)
        wire.send(b"short\n")
        wire.reset()
        wire.turn()
        wire.wait(2)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class TestProblems(SynchronousTestCase):
    """What is wrong with ``[state.NAME]`` names the key."""

    def problem(self, text: str) -> str:
        with self.assertRaises(ScriptError) as caught:
            Script.parse(text, "it.toml")
        return str(caught.exception)

    RULE = '[[rule]]\nequals = "x"\nreply = "y"\n'

    def test_an_unknown_state(self) -> None:
        """No rule goes to it."""
        text = f'{self.RULE}[state.data]\nframing = "line"\n'
        self.assertEqual(
            self.problem(text), "it.toml:4: state.data: no rule goes to the state 'data'"
        )

    def test_wrong_values(self) -> None:
        """All are reported, at their keys."""
        text = (
            "[limits]\nmax_request = 5\n[state.start]\n"
            'framing = "fixed:9"\nidle_timeout = 0\nfaming = "x"\n'
            '[state."a b"]\nframing = "lime"\nreply_framing = 3\n'
        )
        found = self.problem(text + self.RULE.replace('"y"', '"y"\ngoto = "a b"'))
        for expected in (
            "it.toml:4: state.start.framing: expected a limit of at least 9 bytes",
            "it.toml:5: state.start.idle_timeout: expected finite seconds >= 0.001, found 0",
            "it.toml:6: state.start.faming: unknown key 'faming'; did you mean framing?",
            'it.toml:8: state."a b".framing: ',
            'it.toml:9: state."a b".reply_framing: expected a string or a table, found 3',
        ):
            self.assertIn(expected, found)

    def test_a_script_that_forwards(self) -> None:
        """The replies of the service are found by one framing."""
        text = (
            'framing = "resp"\n[upstream]\naddress = "127.0.0.1:1"\n'
            '[state.start]\nframing = "line"\n'
            "[unmatched]\nforward = true\n"
        )
        self.assertEqual(
            self.problem(text),
            "it.toml:5: state.start.framing: expected no framing of a state in a script that"
            " forwards requests",
        )

    def test_replies_are_checked_in_their_state(self) -> None:
        """A reply that a state cannot frame is refused, one that it can is not."""
        text = (
            '[state.start]\nreply_framing = "fixed:3"\n[[rule]]\nequals = "x"\nreply = "four"\n'
            'goto = "b"\n[[rule]]\nwhen = "b"\nreply = "four"\n'
            '[[rule]]\nwhen = "*"\nreply = "abc"\n'
        )
        self.assertEqual(
            self.problem(text), "it.toml:5: rule[0].reply: expected a payload of 3 bytes, found 4"
        )
        Script.parse(text.replace('"four"\ngoto', '"abc"\ngoto'), "it.toml").config()

    def test_predicates_are_checked_in_their_state(self) -> None:
        """A request of one state can contain what one of another cannot."""
        needle = '[[rule]]\nwhen = "WHEN"\ncontains = "a\\n"\nreply = "y"\n'
        text = f'[state.data]\nframing = "chunk"\n{self.RULE}goto = "data"\n{needle}'
        Script.parse(text.replace("WHEN", "data"))
        Script.parse(text.replace("WHEN", "*"))
        self.assertIn(
            "rule[1].contains: no request can match", self.problem(text.replace("WHEN", "start"))
        )


class TestValues(SynchronousTestCase):
    """What a script says becomes values."""

    def test_a_key_that_is_left_out_is_as_in_other_states(self) -> None:
        """Of both framings, a state can have one of its own."""
        text = (
            'framing = "line"\nreply_framing = "fixed:3"\n'
            "[state.start]\nframing = 'delimiter:x'\n[state.b]\nreply_framing = \"line\"\n"
            '[state.c]\nidle_timeout = 3\n[[rule]]\nreply = "abc"\ngoto = "b"\n'
            '[[rule]]\nwhen = "b"\nreply = "abc"\ngoto = "c"\n'
        )
        expected = {
            "start": StateProperties(Mixed(Delimiter(b"x"), Fixed(3))),
            "b": StateProperties(Line()),
            "c": StateProperties(idle_timeout=3),
        }
        self.assertEqual(Script.parse(text).rules.by_state, expected)

    def test_scripts_with_other_states_are_not_the_same(self) -> None:
        """A reload sees the difference."""
        one, other = (
            Script.parse(f'[state.start]\nidle_timeout = {seconds}\n[[rule]]\nreply = "x"\n')
            for seconds in (3, 4)
        )
        self.assertFalse(one.is_same(other))
        self.assertTrue(one.is_same(one))

    def test_explain(self) -> None:
        """A reply that the framing of its state refuses is shown as refused."""
        text = (
            '[state.b]\nreply_framing = "fixed:3"\n[[rule]]\nequals = "x"\nreply = "hello"\n'
            'goto = "b"\n[[rule]]\nwhen = "b"\nreply = { template = "{0}!" }\n'
        )
        found = explain(Script.parse(text), [b"x", b"ab", b"abc"])
        self.assertEqual(found.count("cannot be framed"), 1)
        self.assertIn("> b'abc!'\n        cannot be framed", found)


class TestExpectations(Scripted):
    """Expectations over HTTP share the states of the script."""

    def test_their_replies_have_the_framing_of_the_state(self) -> None:
        """They are checked against it, and sent in it."""
        script = Script.parse(
            '[state.b]\nframing = "fixed:3"\nreply_framing = "fixed:4"\n'
            '[[rule]]\nequals = "x"\nreply = "hello"\ngoto = "b"\n'
        )
        expectations = Expectations("it", Journal())
        factory = self.factory(
            expectations.around(script.config()), observers=[expectations.observer]
        )
        expectations.attach(factory)
        expectations.add({"kind": "on", "when": "b", "contains": "\n", "reply": "four"})
        with self.assertRaisesRegex(ScriptError, "expected a payload of 4 bytes"):
            expectations.add({"kind": "on", "when": "b", "reply": "five5"})
        wire = self.join(factory)
        wire.send(b"x\na\nb")
        self.assertEqual(wire.received(), b"hello\r\nfour")
