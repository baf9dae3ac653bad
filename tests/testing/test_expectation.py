"""The answers that a test builds one call at a time."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from reqresp import Abort, Close, Line, Mixed, Netstring, Script, ScriptError
from reqresp.script.calls import Call
from reqresp.script.predicates import Predicates
from reqresp.server.responders import Reply
from reqresp.steps import Request, Send
from reqresp.testing import Expectation, MemoryServer
from tests.support.live import temporary
from tests.support.server_case import ServerCase


class StepTests(ServerCase):
    """Tests for the methods that add a step."""

    def test_replies_are_framed_one_by_one(self) -> None:
        """Each payload of a reply is sent in a frame of its own; text is sent as UTF-8."""
        self.serve().on("a").reply("é", b"\xff").reply({"hex": "00"})
        self.assertEqual(self.ask(b"a"), b"\xc3\xa9\r\n\xff\r\n\x00\r\n")

    def test_raw_replies(self) -> None:
        """A raw reply is sent without a frame, whatever kind of payload it is."""
        self.serve().on("a").reply("x", b"y", {"text": "z"}, raw=True).reply(hex="00ff", raw=True)
        self.assertEqual(self.ask(b"a"), b"xyz\x00\xff")

    def test_templates(self) -> None:
        """A template can use the groups of the pattern and the number of the request."""
        self.serve().on(matches=r"TOP (?P<n>\d+)").reply(template="{n} {count}")
        self.assertEqual(self.ask(b"TOP 7", b"TOP 8"), b"7 1\r\n8 2\r\n")

    def test_values_that_a_template_makes(self) -> None:
        """A template can measure what it sends."""
        self.serve().on("a").reply(template="{body|len}:{body}", let={"body": "<{0}>"})
        self.assertEqual(self.ask(b"a"), b"3:<a>\r\n")

    def test_other_clients(self) -> None:
        """A reply can go to the other clients, to all, or to those in a state."""
        server = self.serve()
        server.on("join").reply("ok").goto("in")
        server.on(starts_with="say ").reply(template="{connection}: {0}", to="others").reply("said")
        server.on("in?").reply("you are", to="state:in")
        one, two = self.connect(), self.connect()
        two.send(b"join\r\n")
        one.send(b"say hi\r\n", b"in?\r\n")
        self.assertEqual(one.received(), b"said\r\n")
        self.assertEqual(two.received(), b"ok\r\n1: say hi\r\nyou are\r\n")
        with self.assertRaisesRegex(ScriptError, 'to: expected "others", "all" or "state:NAME"'):
            server.on("x").reply("y", to="other")

    def test_lines(self) -> None:
        """Each answer takes the next line of a file; without more, it answers no more."""
        path = temporary(self) / "feed.txt"
        path.write_text("1\n2\n")
        server = self.serve()
        server.on("b").reply("end")
        server.on("a").reply(lines=str(path), repeat=True)
        server.on("b").reply({"lines": str(path)})
        self.assertEqual(self.ask(b"a", b"a", b"a"), b"1\r\n2\r\n1\r\n")
        self.assertEqual(self.ask(b"b", b"b", b"b"), b"1\r\n2\r\nend\r\n")

    def test_no_step_sends_nothing(self) -> None:
        """An expectation without steps sends nothing, and is not a problem."""
        self.serve().on("a")
        self.assertEqual(self.ask(b"a"), b"")
        self.assertEqual(self.server.problems(), "")

    def test_waiting(self) -> None:
        """The steps after a wait are performed when its time has passed."""
        self.serve().on("a").reply("1").wait(2).reply("2")
        wire = self.connect()
        wire.send(b"a\r\n")
        self.assertEqual(wire.received(), b"1\r\n")
        wire.wait(2)
        self.assertEqual(wire.received(), b"2\r\n")

    def test_endings(self) -> None:
        """The client sees each way to end a reply."""
        server = self.serve()
        server.on("close").close()
        server.on("abort").abort()
        server.on("half").half_close()
        server.on("hang").hang()
        server.on("deaf").stop_reading()
        wires = {}
        for name in ("close", "abort", "half", "hang", "deaf"):
            wires[name] = self.connect()
            wires[name].send(f"{name}\r\nmore\r\n".encode())
        self.assertEqual([it for it in wires if wires[it].got_eof], ["close", "half"])
        self.assertEqual([it for it in wires if wires[it].got_reset], ["abort"])
        self.assertFalse(wires["deaf"].reading)
        self.assertEqual([it.connection for it in server.requests("more")], [3])

    def test_cycles(self) -> None:
        """A cycle sends its replies in turn, with the wait before and the close after each."""
        self.serve().on("a").cycle("1", ["2", b"3"]).wait(1).close()
        for expected in (b"1\r\n", b"2\r\n3\r\n", b"1\r\n"):
            wire = self.connect()
            wire.send(b"a\r\n")
            self.assertEqual(wire.received(), b"")
            wire.wait(1)
            self.assertEqual(wire.received(), expected)
            self.assertTrue(wire.got_eof)

    def test_cycles_of_answers(self) -> None:
        """A reply of a cycle can be a whole answer, by the keys of a script."""
        self.serve().on("a").cycle(
            "1",
            {"reply": "2", "delay": 1, "goto": "late"},
            {"do": [{"send": "3"}, {"close": True}], "faults": [{"kind": "blackhole"}]},
        )
        self.server.on("b", when="late").reply("there")
        wire = self.connect()
        wire.send(b"a\r\na\r\n")
        self.assertEqual(wire.received(), b"1\r\n")
        wire.wait(1)
        wire.send(b"b\r\n")
        self.assertEqual(wire.received(), b"2\r\nthere\r\n")

    def test_faults(self) -> None:
        """A fault of an expectation changes its replies only, and its name is in the exchange."""
        self.serve().on("a").reply("1").fault("limit_data", bytes=1).fault("slow_close", delay=0)
        self.server.on("b").reply("2")
        self.assertEqual(self.ask(b"b", b"a"), b"2\r\n1")
        injected = [it.injected for it in self.server.exchanges]
        self.assertEqual(injected, [(), ("limit_data", "slow_close")])

    def test_states(self) -> None:
        """An expectation belongs to every state unless ``when`` says otherwise."""
        server = self.serve()
        server.on("data").reply("go").goto("data")
        server.on(".", when="data").reply("ok").goto("start")
        server.on("x", when=["data", "other"]).reply("taken")
        server.on("x").reply("what?")
        self.assertEqual(
            self.ask(b"x", b"data", b"x", b".", b"x"), b"what?\r\ngo\r\ntaken\r\nok\r\nwhat?\r\n"
        )
        self.assertEqual(self.ask(b"x"), b"what?\r\n")  # each connection has a state of its own


class PredicateTests(ServerCase):
    """Predicates that have others, or values of JSON, within them."""

    def test_json(self) -> None:
        """A request of JSON has the values in part; templates name values in it."""
        server = self.serve()
        server.on(json={"method": "ping"}).reply("other")
        server.on(json={"method": "ping", "params": {"n": 1}}).reply(template="{json:/id|json}")
        server.on().reply("no")
        self.assertEqual(
            self.ask(
                b'{"method": "ping", "id": "x", "params": {"n": 1, "m": 2}}',
                b'{"method": "ping"}',
                b"ping",
            ),
            b'"x"\r\nother\r\nno\r\n',
        )

    def test_sets_of_predicates(self) -> None:
        """Any, all and none of several, within each other."""
        server = self.serve()
        server.on(
            any=[{"equals": "a"}, {"all": [{"starts_with": "b"}, {"not_": {"ends_with": "!"}}]}]
        ).reply("yes")
        server.on().reply("no")
        self.assertEqual(self.ask(b"a", b"bc", b"b!", b"c"), b"yes\r\nyes\r\nno\r\nno\r\n")

    def test_a_state_of_all_connections(self) -> None:
        """A test changes the state that a script gives to all of them."""
        script = Script.parse(
            """
            state_scope = "server"
            rule = [
                { equals = "down", reply = "ok", goto = "down" },
                { when = "down", reply = "later" },
            ]
            """
        )
        server = self.serve(script=script)
        server.on("up").reply("ok").goto("start")
        server.on(when="start").reply("ready")
        self.assertEqual(self.ask(b"x"), b"ready\r\n")
        server.on("stop", when="start").reply("ok").goto("down")
        self.assertEqual(self.ask(b"stop") + self.ask(b"x"), b"ok\r\nlater\r\n")
        self.assertEqual(self.ask(b"up") + self.ask(b"x"), b"ok\r\nready\r\n")


class VariableTests(ServerCase):
    """Tests for `Expectation.set`."""

    def test_a_variable_is_kept_for_later_answers(self) -> None:
        """It is its connection's, and empty there until it is set; predicates can name it, too."""
        server = self.serve()
        server.on(matches=r"USER (?P<name>\w+)").set(user="{name|lower}").reply(
            template="hello {user}"
        )
        server.on({"template": "I am {user}"}).reply("you are")
        server.on("WHO").reply(template="<{user}>")
        self.assertEqual(
            self.ask(b"WHO", b"USER Ann", b"WHO", b"I am ann"),
            b"<>\r\nhello ann\r\n<ann>\r\nyou are\r\n",
        )
        self.assertEqual(self.ask(b"WHO"), b"<>\r\n")

    def test_a_variable_of_the_server(self) -> None:
        """All connections have its value."""
        server = self.serve()
        server.on("LOCK").set(owner={"template": "{connection}", "scope": "server"}).reply("ok")
        server.on("OWNER").reply(template="{owner}")
        self.assertEqual(self.ask(b"LOCK") + self.ask(b"OWNER"), b"ok\r\n1\r\n")

    def test_values(self) -> None:
        """Text is a template, bytes are taken as they are, a mapping has the keys of a script."""
        server = self.serve()
        server.on("a").set(x="{0}{0}", y=b"\xff", z={"hex": "00"}).reply(template="{x}{y}{z}")
        self.assertEqual(self.ask(b"a"), b"aa\xff\x00\r\n")

    def test_replies_of_a_cycle(self) -> None:
        """A reply can set variables of its own, after those of the answer."""
        server = self.serve()
        server.on("a").set(x="1").cycle(
            {"reply": {"template": "{x}{y}"}, "set": {"x": "2", "y": "3"}},
            {"reply": {"template": "{x}{y}"}},
        )
        self.assertEqual(self.ask(b"a", b"a"), b"23\r\n13\r\n")

    def test_a_script_and_a_test(self) -> None:
        """They share the variables of a connection; a test can name those of the script."""
        script = Script.parse(
            """
            [[rule]]
            matches = "USER (.*)"
            set     = { user = "{1}" }
            reply   = { template = "{user}" }
            [[rule]]
            equals = "WHO"
            reply  = { template = "{user}" }
            """
        )
        server = self.serve(script=script)
        server.on("RENAME").set(user="{user}!").reply("ok")
        self.assertEqual(self.ask(b"USER ann", b"RENAME", b"WHO"), b"ann\r\nok\r\nann!\r\n")

    def test_wrong_variables(self) -> None:
        """The error names the variable, and the line of the test."""
        server = self.serve()
        for variables, problem in (
            ({"count": "a"}, "set.count: expected another name"),
            ({"x": "{nobody}"}, "set.x: unknown name 'nobody'"),
            ({"x": 3}, "set.x: expected a string or a table, found 3"),
            ({"x": {"text": "a", "scope": "all"}}, "set.x.scope: expected"),
        ):
            values: Any = variables
            with self.assertRaisesRegex(ScriptError, rf"test_expectation\.py:\d+: {problem}"):
                server.on("a").set(**values)

    def test_a_group_and_a_variable_of_one_name(self) -> None:
        """The group hides the variable in its own answer, so both have the same value there."""
        server = self.serve()
        server.on(matches="USER (?P<user>.*)").set(user="{user}").reply(template="{user}")
        server.on("WHO").reply(template="{user}")
        self.assertEqual(self.ask(b"USER ann", b"WHO"), b"ann\r\nann\r\n")
        with self.assertRaisesRegex(ScriptError, "set.user: .* group user of matches hides"):
            server.on(matches="USER (?P<user>.*)").set(user="{user|lower}")


class CallTests(ServerCase):
    """Tests for `Expectation.call`."""

    def test_what_functions_can_return(self) -> None:
        """A function can return bytes, None, a step, or a tuple, as for a factory."""
        replies: list[Reply] = [b"1", None, (b"2", b"3"), Close()]
        self.serve().on("a").call(lambda request: replies[request.number - 1])
        wire = self.connect()
        wire.send(b"a\r\n" * 5)
        self.assertEqual(wire.received(), b"1\r\n2\r\n3\r\n")
        self.assertTrue(wire.got_eof)

    def test_steps_before_a_function(self) -> None:
        """The steps before ``call`` are performed before the result of the function."""
        self.serve().on("a").reply("first").call(lambda _request: b"then")
        self.assertEqual(self.ask(b"a"), b"first\r\nthen\r\n")
        self.assertRegex(self.server.exchanges[0].by, r"^on, test_expectation\.py:\d+$")

    def test_what_a_function_knows(self) -> None:
        """It has the groups of the pattern, and variables that it can change."""
        server = self.serve()
        seen: list[Call] = []

        def function(call: Call) -> bytes:
            seen.append(call)
            call.server["last"] = call.groups["name"]
            total = int(call.variables.get("n", b"0")) + int(call.groups["2"])
            call.variables["n"] = b"%d" % total
            return b"%d %s" % (total, call.variables["user"])

        server.on(matches=r"ADD (?P<name>\w+) (\d+)").set(user="{name|upper}").call(function)
        server.on("QUIT").call(lambda call: b"%s %d" % (call.server["last"], len(call.groups)))
        self.assertEqual(self.ask(b"ADD ann 1", b"ADD bob 2"), b"1 ANN\r\n3 BOB\r\n")
        self.assertEqual(self.ask(b"QUIT"), b"bob 0\r\n")
        self.assertEqual(seen, server.requests(starts_with="ADD"))
        self.assertEqual({*seen}, {it.request for it in seen})

    def test_the_fault_of_a_reply(self) -> None:
        """It is injected into what the function returns, too."""
        self.serve().on("a").reply("ab").fault("limit_data", bytes=6).call(lambda _call: b"cdef")
        self.assertEqual(self.ask(b"a"), b"ab\r\ncd")

    def test_a_function_that_answers_later(self) -> None:
        """A coroutine function can await a Deferred before it answers."""
        fired: Deferred[bytes] = Deferred()

        async def function(request: Request) -> bytes:
            return await fired + request.data

        self.serve().expect("a").reply("first").call(function)
        wire = self.connect()
        wire.send(b"a\r\n")
        self.assertEqual(wire.received(), b"")
        fired.callback(b"then ")
        wire.turn()
        self.assertEqual(wire.received(), b"first\r\nthen a\r\n")
        self.assertEqual(self.server.problems(), "")


class MistakeTests(ServerCase):
    """Tests for arguments that are not usable: the call raises, and names the line and argument."""

    def mistake(self, call: Any, *arguments: Any, **keywords: Any) -> str:
        with self.assertRaises(ScriptError) as raised:
            call(*arguments, **keywords)
        place, message = str(raised.exception).split(": ", 1)
        self.assertRegex(place, r"^test_expectation\.py:\d+$")
        return message

    def test_the_error_names_the_line(self) -> None:
        """The error begins with the line of the call, the method, and what is wrong."""
        server = self.serve()
        with self.assertRaises(ScriptError) as raised:
            server.on("a").reply(template="{nobody}")
        line = raised.exception.__traceback__.tb_lineno
        self.assertIn(f"test_expectation.py:{line}: reply: unknown name", str(raised.exception))

    def test_steps_that_cannot_be_combined(self) -> None:
        """No step can follow an ending, and a cycle can be combined with some steps only."""
        on = self.serve().on
        self.assertIn("expected no step after close", self.mistake(on("a").close().reply, "x"))
        self.assertEqual(
            self.mistake(on("a").cycle("x").abort),
            "abort: expected no step besides wait and close together with cycle",
        )
        self.assertEqual(self.mistake(on("a").wait, -1), "wait: expected seconds >= 0, found -1")
        self.assertIn("fault.kind: unknown kind", self.mistake(on("a").fault, "slice"))
        self.assertIn("slicer", self.mistake(on("a").fault, "slice"))
        self.assertIn("fault.size: ", self.mistake(on("a").fault, "slicer", size=0))
        self.assertIn("goto: expected a string", self.mistake(on("a").goto, 3))

    def test_faults_of_cycles_are_their_own(self) -> None:
        """Those of one expectation do not count what another one has sent."""
        self.serve()
        for name in ("a", "b"):
            reply = {"reply": name, "faults": [{"kind": "limit_data", "bytes": 4}]}
            self.server.on(name).cycle(reply)
        wire = self.connect()
        wire.send(b"a\r\nb\r\n")
        self.assertEqual(wire.received(), b"a\r\nb\r\n")

    def test_wrong_cycles_of_answers(self) -> None:
        """The message names the key."""
        on = self.serve().on
        for reply, message in (
            (
                {"reply": "a", "delai": 1},
                "cycle[0].delai: unknown key 'delai'; did you mean delay?",
            ),
            ({"delay": 1}, "cycle[0]: expected one of reply, do, close"),
            ({"reply": "a", "set": {"count": "y"}}, "cycle[0].set.count: expected another name"),
            ({"forward": True}, "cycle[0]: expected a server with upstream=(host, port)"),
            ({"reply": "a\nb"}, "cycle[0].reply: a line cannot contain a newline"),
        ):
            self.assertIn(message, self.mistake(on("a").cycle, reply))

    def test_wrong_cycles_and_functions(self) -> None:
        """A cycle has replies, which are not empty, and a function can be called."""
        on = self.serve().on
        wrong: list[list[Any]] = [[], [[]], ["a", []]]
        for replies in wrong:
            message = self.mistake(on("a").cycle, *replies)
            self.assertEqual(message, "cycle: expected at least one payload in each reply")
        second = self.mistake(on("a").cycle("x").cycle, "y")
        self.assertEqual(second, "cycle: expected one cycle, found a second one")
        self.assertIn("cycle[1][0]: a line", self.mistake(on("a").cycle, "x", ["y\n", "z"]))
        with self.assertRaisesRegex(TypeError, "call: expected a function of a request, found 'x'"):
            on("a").call("x")  # type: ignore[arg-type]  # a mistake

    def test_what_cannot_be_framed(self) -> None:
        """A reply or a predicate that the framing rules out raises before any client connects."""
        on = self.serve().on
        self.assertIn("a line cannot contain a newline", self.mistake(on("a").reply, "x\ny"))
        self.assertIn("no request can match", self.mistake(on, "a\r\n"))
        on = self.serve(framing=Mixed(Netstring(), Line())).on
        self.assertIn("a line cannot contain a newline", self.mistake(on("a\n").reply, "x\ny"))

    def test_a_greeting_that_cannot_be_framed(self) -> None:
        """The error names the line that makes the server."""
        message = self.mistake(MemoryServer, greeting=["a", "a\nb"])
        self.assertIn("greeting[1]: a line cannot contain a newline", message)

    def test_unknown_predicates(self) -> None:
        """A keyword that is not a predicate raises TypeError, also if it is a key of scripts."""
        server = self.serve()
        methods: list[Any] = [server.on, server.expect, server.expect_next]
        for call in [*methods, server.requests, server.when]:
            with self.assertRaisesRegex(TypeError, "'start_with'; did you mean starts_with"):
                call(start_with="a")
        self.assertRaises(TypeError, server.on, "a", times=2)
        self.assertRaises(TypeError, server.on, "a", not_={"like": "b"})

    def test_predicates_that_cannot_be_in_not(self) -> None:
        """``ignore_case`` applies to all predicates."""
        server = self.serve()
        case = self.mistake(server.on, "a", not_={"contains": "b", "ignore_case": True})
        self.assertIn("not_.ignore_case: expected beside not_", case)

    def test_ignore_case_applies_within_not(self) -> None:
        """The predicates in ``not_`` ignore case if those beside it do."""
        server = self.serve()
        server.on(starts_with="a", not_={"contains": "b"}, ignore_case=True).reply("x")
        server.on().reply("y")
        self.assertEqual(self.ask(b"A", b"aB"), b"x\r\ny\r\n")

    def test_a_wrong_number_of_requests(self) -> None:
        """The number of expected requests is a positive integer."""
        message = self.mistake(self.serve().expect, "a", times=-1)
        self.assertEqual(message, "times: expected an integer >= 1, found -1")
        message = self.mistake(self.serve().expect, "a", times=True)
        self.assertEqual(message, "times: expected an integer >= 1, found True")
        message = self.mistake(self.serve().on("a").reply, "b", raw="no")
        self.assertEqual(message, "raw: expected true or false, found 'no'")
        message = self.mistake(self.serve().on("a").goto, "*")
        self.assertEqual(message, 'goto: expected one state, found "*", which means every state')
        message = self.mistake(self.serve().expect, "a", times=0)
        self.assertEqual(
            message,
            "times: expected an integer >= 1, found 0;"
            " to assert that none is received, call assert_received(..., times=0)",
        )

    def test_an_answer_that_has_replied(self) -> None:
        """Nothing can be added to an answer after its first request, whether it replied or not."""
        calls: list[Callable[[Expectation], object]] = [
            lambda answer: answer.reply("x"),
            lambda answer: answer.wait(1),
            lambda answer: answer.close(),
            lambda answer: answer.cycle("x"),
            lambda answer: answer.fault("slicer", size=1),
            lambda answer: answer.goto("x"),
            lambda answer: answer.call(lambda _request: b"x"),
        ]
        for steps in ((), ("x",)):
            server = self.serve()
            answer = server.on("a")
            for payload in steps:
                answer.reply(payload)
            self.ask(b"a")
            for call in calls:
                before = answer.rule
                self.assertIn(
                    'expected before the first request; on "a" has already answered 1',
                    self.mistake(call, answer),
                )
                self.assertIs(answer.rule, before)

    def test_repr(self) -> None:
        """It shows the predicates, the line, and how many requests were received."""
        server = self.serve()
        answers = [server.on("a"), server.expect(starts_with="b", times=2)]
        self.ask(b"b")
        self.assertRegex(
            " ".join(map(repr, answers)),
            r'^<Expectation: on "a" \(test_expectation\.py:\d+\), received 0> '
            r"<Expectation: expect starts_with='b' \(test_expectation\.py:\d+\), received 1 of 2>$",
        )


class RuleTests(ServerCase):
    """Tests for the rule that an expectation holds."""

    def test_predicates(self) -> None:
        """The arguments of a test become the predicates of the rule."""
        server = self.serve()
        rule = server.on(("a", b"b"), size={"min": 1}, not_={"contains": b"x"}, when="s").rule
        self.assertEqual(
            rule.predicates,
            Predicates(equals=(b"a", b"b"), size=(1, None), unless=Predicates(contains=(b"x",))),
        )
        self.assertEqual(rule.when, frozenset(["s"]))
        self.assertEqual(server.on().rule.predicates, Predicates())
        self.assertIsNone(server.on().rule.when)

    def test_payloads(self) -> None:
        """A payload is text, bytes, or a table of a script."""
        reply = self.serve().on().reply("a", b"\xff", {"base64": "AA=="})
        self.assertEqual([*reply.rule.all_steps], [Send(b"a"), Send(b"\xff"), Send(b"\0")])
        reply = self.serve().on().reply("a", b"b", raw=True)
        self.assertEqual([*reply.rule.all_steps], [Send(b"a", raw=True), Send(b"b", raw=True)])

    def test_calls_keep_what_was_compiled(self) -> None:
        """A chained call makes a new rule with the same predicates, and compiles nothing again."""
        expectation = self.serve().on(matches="a+")
        before = expectation.rule
        expectation.reply("x").wait(1).fault("slicer", size=1).goto("s")
        self.assertIsNot(expectation.rule, before)
        self.assertIs(expectation.rule.predicates, before.predicates)

    def test_an_error_changes_nothing(self) -> None:
        """After a call that raises, the expectation is as it was before."""
        expectation = self.serve().on("a").reply("x")
        before = expectation.rule
        for call in (lambda: expectation.cycle("a"), lambda: expectation.wait(-1)):
            self.assertRaises(ScriptError, call)
            self.assertEqual(expectation.rule, before)
        self.assertEqual([*expectation.close().rule.all_steps], [Send(b"x"), Close()])

    def test_the_keys_of_faults(self) -> None:
        """A key has the number of the expectation, so that each fault has dice of its own."""
        server = self.serve()
        server.on("a")
        expectation = server.expect("b").fault("latency", delay=1).fault("slicer", size=1)
        keys = [placed.key for placed in expectation.rule.faults]
        self.assertEqual(keys, ["expect[1].faults[0]", "expect[1].faults[1]"])


class AbortTests(ServerCase):
    """Tests for functions that return a step."""

    def test_a_function_can_reset(self) -> None:
        """The connection is reset after the function's data has been sent."""
        self.serve().on("a").call(lambda _request: (b"x", Abort()))
        wire = self.connect()
        wire.send(b"a\r\n")
        self.assertEqual(wire.received(), b"x\r\n")
        wire.wait(1)
        self.assertTrue(wire.got_reset)
