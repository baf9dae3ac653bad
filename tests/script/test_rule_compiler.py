"""What one rule of a script cannot be."""

from reqresp.script import Script
from reqresp.script.names import REPLY_SOURCES, REQUEST_SOURCES
from tests.support.script_errors import ANSWERS, NO_PATTERN, STEPS, ErrorsTestCase, problems_of

WAYS = "text, hex, base64, file, lines, template, template_hex"


class RulesTests(ErrorsTestCase):
    """Rules with missing keys, or with keys that exclude each other."""

    def test_what_answers(self) -> None:
        """A rule needs exactly one way to answer."""
        for keys, message in (
            ('equals = "a"', f": expected one of {ANSWERS}"),
            ("delay = 1", f": expected one of {ANSWERS}"),
            ("silent = false", f": expected one of {ANSWERS}"),
            ("close = false", f": expected one of {ANSWERS}"),
            ('reply = "a", cycle = ["b"]', ": reply and cycle exclude each other"),
            (
                'reply = "a", cycle = ["b"], do = [{ hang = true }], silent = true',
                ": reply and cycle and do and silent exclude each other",
            ),
            ("silent = true, delay = 1", ": delay cannot be combined with silent"),
            ("do = [{ hang = true }], close = true", ": close cannot be combined with do"),
            ("do = [{}]", f".do[0]: expected exactly one of {STEPS}"),
            ("do = [{ sent = 'a' }]", ".do[0].sent: unknown key 'sent'; did you mean send?"),
            ("do = [{ send = ['a'] }]", ".do[0].send: expected a string or a table, found a list"),
            (
                "do = { hang = true }",
                ".do: expected a list of tables, found a table; put it in brackets: [{ ... }]",
            ),
        ):
            self.assert_in_rule(keys, message)

    def test_empty_lists(self) -> None:
        """An empty list is neither an answer nor a predicate."""
        for keys in ("reply = []", "do = []", "cycle = []", "silent = true, equals = []"):
            key = keys.split(" = []")[0].split(", ")[-1]
            self.assert_in_rule(keys, f".{key}: expected at least one element, found an empty list")
        self.assert_in_rule(
            "cycle = ['a', []]", ".cycle[1]: expected at least one element, found an empty list"
        )
        self.assert_in_rule(
            "silent = true, when = []", ".when: expected at least one element, found an empty list"
        )
        self.assert_problem(
            "greeting = []", "1: greeting: expected at least one element, found an empty list"
        )

    def test_cycles(self) -> None:
        """A reply of a cycle has the keys of an answer, but no cycle and no function."""
        for reply, message in (
            (
                "{ delay = 1 }",
                ": expected one of reply, do, close, silent = true or forward = true",
            ),
            ('{ reply = "a", silent = true }', ": reply and silent exclude each other"),
            ('{ reply = "a", times = 1 }', ".times: unknown key 'times'; expected one of"),
            ('{ reply = "a", goto = "no" }', ".goto: unknown state 'no'; expected one of: start"),
            ('{ reply = "a", delay = -1 }', ".delay: expected"),
            ('{ reply = "a", faults = [{ kind = "x" }] }', ".faults[0].kind: unknown kind 'x'"),
            ('{ reply = { template = "{no}" } }', ".reply: unknown name 'no'"),
            ('{ reply = "a", set = { peer = "x" } }', ".set.peer: expected another name"),
        ):
            [problem] = problems_of(f'rule = [{{ cycle = ["x", {reply}] }}]')
            self.assertIn(f"it.toml:1: rule[0].cycle[1]{message}", problem)

    def test_cycles_that_forward(self) -> None:
        """Where there is no request, the problem names the key that forwards one."""
        for reply, key in (
            ("forward = true", "forward"),
            ("do = [{ forward = true }]", "do[0].forward"),
        ):
            [problem] = problems_of(
                f"""
                framing = "line"
                upstream.address = "it:1"
                rule = [{{ on = "connect", cycle = ["x", {{ {reply} }}] }}]
                unmatched = {{ forward = true }}
                """
            )
            expected = f"rule[0].cycle[1].{key}: expected no forward: there is no request"
            self.assertIn(expected, problem)

    def test_payloads(self) -> None:
        """A payload has exactly one encoding."""
        self.assert_in_rule("reply = {}", f".reply: expected exactly one of {WAYS}; found 0")
        self.assert_in_rule(
            'reply = { text = "a", hex = "" }', f".reply: expected exactly one of {WAYS}; found 2"
        )
        self.assert_in_rule(
            'reply = { file = "no such" }',
            ".reply: 'no such' cannot be read: No such file or directory",
        )
        self.assert_in_rule("reply = { text = 1 }", ".reply.text: expected a string, found 1")
        self.assert_in_rule(
            "reply = ['a', ['b']]", ".reply[1]: expected a string or a table, found a list"
        )

    def test_predicates(self) -> None:
        """A predicate cannot have a template with groups, and cannot be raw."""
        template = 'equals = { template = "{x}" }'
        self.assert_in_rule(
            f"silent = true, matches = '(?P<x>a)', {template}",
            f".equals: unknown name 'x'; expected one of: {', '.join(REQUEST_SOURCES)}",
        )
        self.assert_in_rule(
            'silent = true, matches = { template = "{0}" }',
            ".matches: expected no template: this key takes only fixed bytes",
        )
        self.assert_in_rule(
            'silent = true, contains = ["a", { text = "a", raw = true }]',
            ".contains[1]: expected no raw: it is only for what is sent",
        )
        self.assert_in_rule(
            "silent = true, not = { not = { matches = '(' } }",
            f".not.not.matches: {NO_PATTERN}",
        )
        self.assert_in_rule("silent = true, not = { matches = '(' }", f".not.matches: {NO_PATTERN}")

    def test_groups(self) -> None:
        """Templates can name the groups that all patterns have; reserved names are refused."""
        self.assert_in_rule(
            """matches = ["(?P<host>a)(b)", "(?P<host>c)"], reply = { template = "{hots}{2}" }""",
            ".reply: unknown name 'hots'; did you mean host?",
        )
        self.assert_in_rule(
            """matches = ["(?P<host>a)(b)", "(?P<host>c)"], reply = { template = "{2}" }""",
            f".reply: unknown name '2'; expected one of: host, 1, {', '.join(REPLY_SOURCES)}",
        )
        self.assert_in_rule(
            "silent = true, matches = '(?P<peer>a)(?P<count>b)'",
            ".matches: expected another name for the group count: it is reserved",
            ".matches: expected another name for the group peer: it is reserved",
        )
        self.assert_problem(
            'greeting = { reply = { template = "{1}" } }',
            f"1: greeting.reply: unknown name '1'; expected one of: {', '.join(REPLY_SOURCES)}",
        )

    def test_a_scope_of_nothing(self) -> None:
        """Scope "connection" is a problem in a rule that counts nothing."""
        self.assert_in_rule(
            'silent = true, scope = "connection"',
            ".scope: expected times, cycle, lines or {count} in this rule: it counts nothing",
        )
        self.assert_in_rule(
            'silent = true, scope = "client"',
            '.scope: expected "server" or "connection", found \'client\'',
        )

    def test_patterns_that_are_too_much_for_re2(self) -> None:
        """Patterns that need more memory than RE2 may use are a problem, alone or together."""
        self.assert_in_rule(
            "silent = true, matches = '((a{100}){100}){100}'",
            ".matches: invalid RE2 pattern '((a{100}){100}){100}': invalid repetition size: {100}",
        )
        pattern = ".*a.{999}b" * 9
        rules = "".join(
            f"[[rule]]\nsilent = true\nmatches = '{pattern}{at}'\n" for at in range(200)
        )
        (problem,) = problems_of(rules)
        self.assertRegex(
            problem,
            r"\Ait.toml:1: rule: 200 patterns need more than the \d+ bytes of RE2's memory\Z",
        )

    def test_names(self) -> None:
        """A name is short and printable, and stands for one rule."""
        expected = "expected a name of 1 to 60 letters"
        for name in ("", " a", "a ", "rule[0]", "rule[x", "a\\nb", "x" * 61, "\\u202e", "-a", "a'"):
            [problem] = problems_of(f'rule = [{{ reply = "", name = "{name}" }}]')
            self.assertIn(f"it.toml:1: rule[0].name: {expected}", problem)
        for name in ("a", "x" * 60, "STAT: é 1/2", "rule 1", "a.b-c_d+"):
            Script.parse(f'rule = [{{ reply = "", name = "{name}" }}]')

    def test_names_that_are_taken(self) -> None:
        """No two rules have the same name, and none that of the greeting or of unmatched."""
        names = ("it", "greeting", "unmatched", "it")
        tables = ",".join(f'{{ reply = "", equals = "a", name = "{name}" }}' for name in names)
        self.assert_problem(
            f"rule = [{tables}]",
            "1: rule[1].name: expected another name: 'greeting' is the greeting",
            "1: rule[2].name: expected another name: 'unmatched' is what answers unmatched"
            " requests",
            "1: rule[3].name: expected another name: 'it' is the name of rule[0]",
        )


class StepsTests(ErrorsTestCase):
    """Steps after a step that ends the reply."""

    def test_steps_after_an_end(self) -> None:
        """Each step that would never be performed is reported."""
        for name in ("close", "abort", "hang"):
            self.assert_problem(
                f'rule = [{{ do = [{{ {name} = true }}, {{ send = "x" }}] }}]',
                f"1: rule[0].do[1]: expected no step after {name}, which ends the reply",
            )


class ForwardTests(ErrorsTestCase):
    """Without a framing, nothing shows where the reply of a service ends."""

    expected = (
        ": expected a framing that shows where a reply ends, such as line, netstring or resp, as"
        " framing or reply_framing"
    )

    def test_no_framing(self) -> None:
        """Lines, the default, would be a guess: each key that forwards says what is missing."""
        for keys, key in (
            ("forward = true", "forward"),
            ("do = [{ forward = true }]", "do[0].forward"),
            ('cycle = ["a", { forward = true }]', "cycle[1].forward"),
        ):
            self.assert_in_rule(keys, f".{key}{self.expected}")
        self.assert_problem(
            '[upstream]\naddress = "it:1"\n[unmatched]\nforward = true',
            f"4: unmatched.forward{self.expected}",
        )

    def test_a_framing_that_shows_no_end(self) -> None:
        """It is refused alike, of requests or of replies."""
        for before in ('framing = "chunk"', 'reply_framing = "chunk"'):
            self.assert_in_rule("forward = true", f".forward{self.expected}", before=before)

    def test_a_framing_that_is_wrong(self) -> None:
        """That is the only problem."""
        [problem] = problems_of('framing = "lime"\nrule = [{ forward = true }]')
        self.assertIn("it.toml:1: framing: unknown framing", problem)

    def test_a_framing_of_replies(self) -> None:
        """It is enough, with requests that are lines."""
        script = Script.parse('reply_framing = "resp"\nrule = [{ forward = true }]')
        self.assertEqual((script.framing.name, script.reply_framing.name), ("line", "resp"))
