"""Variables: what rules remember of a connection, and of all connections."""

from reqresp.script import Script, ScriptError
from tests.support.conversation import Conversation
from tests.support.wire import Wire


class VariableTests(Conversation):
    """Rules with ``set``, and states of the server."""

    SCRIPT = """
        [[rule]]
        matches = "set (.*)"
        set     = { own = "{1}", all = { template = "{1}", scope = "server" } }
        reply   = { template = "{own|len}" }

        [[rule]]
        equals = { template = "is {own}" }
        reply  = "yes"

        [[rule]]
        equals = "get"
        reply  = { template = "{own},{all}" }
    """

    def answer(self, wire: Wire, data: bytes) -> bytes:
        """Return what *wire* receives for *data*."""
        wire.send(data)
        return wire.received()

    def test_of_a_connection_and_of_all(self) -> None:
        """A variable is empty until it is set; one of the server is the same for all."""
        factory = self.factory(Script.parse(self.SCRIPT), observers=[])
        one, two = Wire(factory, self.reactor), Wire(factory, self.reactor)
        self.assertEqual(self.answer(one, b"get\n"), b",\r\n")
        self.assertEqual(self.answer(one, b"set abc\n"), b"3\r\n")
        self.assertEqual(self.answer(one, b"is abc\n"), b"yes\r\n")
        self.assertEqual(self.answer(one, b"get\n"), b"abc,abc\r\n")
        self.assertEqual(self.answer(two, b"get\n"), b",abc\r\n")

    def test_a_predicate_without_a_value(self) -> None:
        """A template whose filter cannot change a value matches nothing; another one can."""
        text = """
            [[rule]]
            equals = [{ template = "{0|unhex}" }, { template = "{code|be:1}" }, "b"]
            reply  = "first"

            [[rule]]
            equals = "set"
            set    = { code = "97" }
            reply  = "second"

            [unmatched]
            reply = "none"
        """
        wire = Wire(self.factory(Script.parse(text), observers=[]), self.reactor)
        for data, reply in (
            (b"a", b"none"),
            (b"b", b"first"),
            (b"set", b"second"),
            (b"a", b"first"),
        ):
            self.assertEqual(self.answer(wire, data + b"\n"), reply + b"\r\n")

    def test_a_value_has_a_bound(self) -> None:
        """A client cannot let a value grow without end; the connection ends before."""
        text = """
            [[rule]]
            equals = "more"
            set    = { all = "{all}{all}{random_bytes:65536}" }
            reply  = { template = "{all|len}" }
        """
        wire = Wire(self.factory(Script.parse(text), observers=[]), self.reactor)
        for times in (1, 3, 7, 15):
            self.assertEqual(self.answer(wire, b"more\n"), b"%d\r\n" % (times * 65536))
        self.assertEqual(self.answer(wire, b"more\n"), b"")
        [error] = self.flushLoggedErrors(ValueError)
        self.assertEqual(
            error.getErrorMessage(),
            "rule[0], line 2: variable all: expected at most 1048576 bytes, found 2031616",
        )

    def test_a_group_of_the_same_name(self) -> None:
        """It comes first in its own rule, where the variable must have its value."""
        text = """
            [[rule]]
            matches = "USER (?P<user>.*)"
            set     = { user = "{user}" }
            reply   = { template = "{user}" }
            [[rule]]
            equals = "WHO"
            reply  = { template = "{user}" }
        """
        wire = Wire(self.factory(Script.parse(text), observers=[]), self.reactor)
        self.assertEqual(self.answer(wire, b"USER ann\nWHO\n"), b"ann\r\nann\r\n")
        for place, change in (
            ("rule[0].set.user", ('"{user}" }', '"{user|lower}" }')),
            (
                "rule[0].cycle[0].set.user",
                ("reply   =", 'cycle = [{ set = { user = "x" }, reply ='),
            ),
        ):
            changed = text.replace(*change, 1)
            if "cycle" in place:
                changed = changed.replace('reply = { template = "{user}" }', 'reply = "a" }]', 1)
            with self.assertRaisesRegex(ScriptError, "group user of matches hides") as raised:
                Script.parse(changed)
            self.assertEqual([it.path for it in raised.exception.problems], [place])

    def test_a_reload(self) -> None:
        """New connections begin with empty variables; an open one keeps what it has."""
        factory = self.factory(Script.parse(self.SCRIPT), observers=[])
        old = Wire(factory, self.reactor)
        self.answer(old, b"set abc\n")
        factory.reconfigure(Script.parse(self.SCRIPT))
        self.assertEqual(self.answer(Wire(factory, self.reactor), b"get\n"), b",\r\n")
        self.assertEqual(self.answer(old, b"get\n"), b"abc,abc\r\n")

    def test_a_state_of_the_server(self) -> None:
        """What one connection goes to, all are in, and a reload begins at the start."""
        text = """
            state_scope = "server"
            rule = [
                { equals = "down", reply = "ok", goto = "down" },
                { when = "down", reply = "later" },
            ]
        """
        factory = self.factory(Script.parse(text), observers=[])
        one, two = Wire(factory, self.reactor), Wire(factory, self.reactor)
        self.assertEqual(self.answer(one, b"down\n"), b"ok\r\n")
        self.assertEqual(self.answer(two, b"down\n"), b"later\r\n")
        factory.reconfigure(Script.parse(text))
        self.assertEqual(self.answer(Wire(factory, self.reactor), b"down\n"), b"ok\r\n")

    def test_what_is_wrong(self) -> None:
        """Each problem has the key of the variable."""
        for table, problem in (
            ('{ peer = "a" }', "rule[0].set.peer: expected another name: letters, digits and _"),
            ('{ a-b = "a" }', "rule[0].set.a-b: expected another name: letters, digits and _"),
            ('{ a = "{b}" }', "rule[0].set.a: unknown name 'b'"),
            ('{ a = { text = "", raw = true } }', "rule[0].set.a: expected no raw"),
        ):
            with self.assertRaises(ScriptError) as caught:
                Script.parse(f'[[rule]]\nreply = "a"\nset = {table}')
            self.assertIn(problem, str(caught.exception))
