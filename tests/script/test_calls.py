"""Functions that answer, from modules beside a script."""

from reqresp import ReqRespFactory
from reqresp.script import Script, ScriptError
from reqresp.script.explain import explain
from tests.support.conversation import Conversation
from tests.support.live import temporary
from tests.support.wire import Wire

MODULE = """
import dataclasses
from reqresp import Close

@dataclasses.dataclass
class State:
    count: int = 0

STATE = State()

def hello(call):
    STATE.count += 1
    call.variables["name"] = call.groups["1"].upper()
    call.server["all"] = call.server.get("all", b"") + call.request.data
    return b"%d %d" % (STATE.count, call.request.number), Close()

async def later(call):
    return b"later"

def wrong(call):
    raise LookupError("no")

def text(call):
    return "no bytes"

def wrong_variable(call):
    call.variables["name"] = "no bytes"
    return b"a"

async def number(call):
    return b"a", 5
"""


class CalledCase(Conversation):
    """Scripts beside the modules that they name."""

    def script(self, text: str, module: str = MODULE) -> Script:
        """Return the script *text* beside the file ``answers.py``."""
        base = temporary(self)
        (base / "answers.py").write_text(module)
        (base / "sub").mkdir()
        (base / "sub" / "more.py").write_text(module)
        return Script.parse(text, "it.toml", base)

    def problem(self, text: str, module: str = MODULE) -> str:
        """Return the problems of a script."""
        with self.assertRaises(ScriptError) as caught:
            self.script(text, module)
        return str(caught.exception)

    def ask(self, factory: ReqRespFactory, data: bytes) -> Wire:
        """Return a new connection that has sent *data*."""
        wire = Wire(factory, self.reactor)
        wire.send(data)
        return wire


class CallTests(CalledCase):
    """Rules with ``call``."""

    def test_a_function_answers(self) -> None:
        """It gets the request and the groups, and its steps are performed."""
        factory = self.factory(
            self.script("[[rule]]\nmatches = 'hello (.*)'\ncall = 'answers:hello'"), observers=[]
        )
        first = self.ask(factory, b"hello ann\n")
        self.assertEqual(first.received(), b"1 1\r\n")
        self.assertTrue(first.got_eof)
        self.assertEqual(self.ask(factory, b"hello bob\n").received(), b"2 1\r\n")

    def test_a_coroutine_answers_later(self) -> None:
        """A coroutine, of a module in a folder, is awaited."""
        factory = self.factory(
            self.script("[[rule]]\nequals = 'x'\ncall = 'sub.more:later'"), observers=[]
        )
        self.assertEqual(self.ask(factory, b"x\n").received(), b"later\r\n")

    def test_a_function_that_raises(self) -> None:
        """The connection is reset, and the error is logged."""
        factory = self.factory(self.script("[[rule]]\ncall = 'answers:wrong'"), observers=[])
        wire = self.ask(factory, b"x\n")
        self.assertTrue(wire.got_reset)
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)

    def test_a_function_that_returns_no_reply(self) -> None:
        """The error names the rule and the function, now or later."""
        for name, found in (("text", "'no bytes'"), ("number", "5")):
            script = self.script(f"[[rule]]\ncall = 'answers:{name}'")
            wire = self.ask(self.factory(script, observers=[]), b"x\n")
            self.assertTrue(wire.got_reset)
            [error] = self.flushLoggedErrors(TypeError)
            self.assertEqual(
                error.getErrorMessage(),
                f"rule[0], line 1, call answers:{name}: expected bytes, a step, a tuple of these,"
                f" or None; found {found}",
            )

    def test_a_variable_that_is_not_bytes(self) -> None:
        """The error of the template that names it names it, too."""
        script = self.script(
            "[[rule]]\nequals = 'a'\nset.name = ''\ncall = 'answers:wrong_variable'\n"
            "[[rule]]\nreply = { template = '{name}' }"
        )
        wire = self.ask(self.factory(script, observers=[]), b"a\nb\n")
        self.assertEqual((wire.received(), wire.got_reset), (b"a\r\n", True))
        [error] = self.flushLoggedErrors(TypeError)
        message = "variable name: expected bytes, found 'no bytes'"
        self.assertEqual(error.getErrorMessage(), message)

    def test_variables_are_shared_with_templates(self) -> None:
        """What a function sets stands in templates, and the other way round."""
        script = self.script(
            """
            [[rule]]
            equals = "all"
            reply  = { template = "{all}" }

            [[rule]]
            matches = "(.*)"
            set     = { all = { template = "<", scope = "server" } }
            call    = "answers:hello"
            """
        )
        factory = self.factory(script, observers=[])
        self.ask(factory, b"a\n")
        self.assertEqual(self.ask(factory, b"all\n").received(), b"<a\r\n")

    def test_a_changed_module(self) -> None:
        """A script whose module has changed is not the same."""
        rule = "[[rule]]\ncall = 'answers:hello'"
        script = self.script(rule)
        self.assertTrue(script.is_same(self.script(rule)))
        self.assertFalse(script.is_same(self.script(rule, MODULE + "#")))

    def test_it_is_named(self) -> None:
        """Explain names the function and does not call it; a reply names it in its place."""
        script = self.script("[[rule]]\nmatches = '(.*)'\ncall = 'answers:hello'")
        self.assertIn("    call answers:hello", explain(script, [b"x"]))
        [rule] = script.rules.rules
        self.assertEqual(rule.place, "rule[0], line 1, call answers:hello")
        factory = self.factory(script, observers=[])
        self.assertEqual(self.ask(factory, b"x\n").received(), b"1 1\r\n")

    def test_what_is_wrong(self) -> None:
        """Each error is a problem with the key's line, and with that of the module."""
        rule = "[[rule]]\ncall = 'answers:hello'"
        for text, module, problem in (
            (rule, "import nothing_like_it", "line 1: ModuleNotFoundError: No module named"),
            (rule, "x = 1\ny = 1 / 0", "line 2: ZeroDivisionError: division by zero"),
            (rule, "import sys\nsys.exit(0)", "line 2: SystemExit: 0"),
            (rule, "def hello(", "line 1: '(' was never closed"),
            (rule, "def helo(call): ...", "unknown function 'hello'; did you mean helo?"),
            ("[[rule]]\ncall = 'hello'", MODULE, "expected MODULE:FUNCTION, found 'hello'"),
            ("[[rule]]\ncall = '../x:y'", MODULE, "expected MODULE:FUNCTION, found '../x:y'"),
            ("[[rule]]\ncall = 'os:system'", MODULE, "cannot be read: No such file"),
            ("[[rule]]\ncall = 'answers:hello'\nreply = 'a'", MODULE, "exclude each other"),
            (
                "greeting = { call = 'answers:hello' }",
                MODULE,
                "expected no call: there is no request on connect",
            ),
        ):
            found = self.problem(text, module)
            self.assertIn(problem, found)
            self.assertRegex(found, r"^it\.toml:\d: (rule\[0\]|greeting)")


FRAMES = """
class Digits:
    def decoder(self, limit):
        from reqresp.framing import SizedDecoder
        return SizedDecoder(limit, lambda buffer, at, limit: (at + 1, buffer[at] - 48))

    def encode(self, payload):
        return b"%d%b" % (len(payload), payload)

def wrong():
    raise LookupError("no")

def other():
    return "line"
"""


class FramingTests(CalledCase):
    """Framings of one's own, which ``call`` of a framing names."""

    SCRIPT = "framing = { call = 'answers:Digits' }\n[[rule]]\nreply = 'ok'\n"

    def test_requests_and_replies(self) -> None:
        """They have it, also in the state that says so."""
        factory = self.factory(self.script(self.SCRIPT, FRAMES), observers=[])
        self.assertEqual(self.ask(factory, b"1a2bc").received(), b"2ok2ok")
        script = self.script(
            "[[rule]]\nreply = 'go'\ngoto = 'b'\n[[rule]]\nwhen = 'b'\nreply = 'ok'\n"
            "[state.b]\nframing.call = 'answers:Digits'\nreply_framing.call = 'answers:Digits'\n",
            FRAMES,
        )
        factory = self.factory(script, observers=[])
        self.assertEqual(self.ask(factory, b"a\n1a").received(), b"go\r\n2ok")

    def test_a_changed_module(self) -> None:
        """A script that is read again is the same, unless its module has changed."""
        script = self.script(self.SCRIPT, FRAMES)
        self.assertTrue(script.is_same(self.script(self.SCRIPT, FRAMES)))
        self.assertFalse(script.is_same(self.script(self.SCRIPT, FRAMES + "#")))

    def test_what_is_wrong(self) -> None:
        """Each error is a problem with the key."""
        for call, problem in (
            ("'answers:wrong'", "answers:wrong: LookupError: no"),
            ("'answers:other'", "answers:other: expected a framing, found 'line'"),
            ("'answers:Digit'", "unknown function 'Digit'; did you mean Digits?"),
            ("'answers'", "expected MODULE:FUNCTION, found 'answers'"),
            ("'answers:Digits', head = 'line'", "expected no other key of a framing beside it"),
        ):
            found = self.problem(f"framing = {{ call = {call} }}\n", FRAMES)
            self.assertTrue(found.startswith(f"it.toml:1: framing.call: {problem}"), found)
