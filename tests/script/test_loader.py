"""Scripts: what each key becomes in the loaded value, and for a client."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from reqresp import Chunk, Limits, Line, Netstring, Script
from reqresp._errors import MAX_PROBLEMS
from reqresp.faults.faults import (
    Bandwidth,
    Corrupt,
    Fault,
    Latency,
    LimitData,
    PlacedFault,
    ResetPeer,
    Slicer,
    SlowClose,
    StopReadingFault,
    Timeout,
)
from reqresp.framing import (
    Delimiter,
    Fixed,
    Framing,
    HeaderBody,
    LengthField,
    LengthPrefix,
    Mixed,
    Resp,
)
from reqresp.script import ScriptError
from tests.support.calls import called_by
from tests.support.live import temporary
from tests.support.scripted import Scripted

FRAMINGS: dict[str, Framing] = {
    '"chunk"': Chunk(),
    '"line"': Line(),
    r'"line:\\n"': Line(b"\n"),
    r"'line:\n'": Line(b"\n"),
    r'"delimiter:\\r\\n\\r\\n"': Delimiter(b"\r\n\r\n"),
    '"netstring"': Netstring(),
    '"int16:little"': LengthPrefix(2, "little"),
    '"int32:big:inclusive"': LengthPrefix(4, "big", inclusive=True),
    '"fixed:9"': Fixed(9),
    '"resp"': Resp(),
    "{ length = { size = 2 } }": LengthField(2),
    '{ length = { size = 2, offset = 4, adjust = -1, encoding = "little", strip = 3 } }': (
        LengthField(2, 4, -1, "little", 3)
    ),
    '"length:ascii:4"': LengthField(4, encoding="ascii"),
    r"{ length = { encoding = 'ber', offset = 1, trailer = { hex = '0d' } } }": LengthField(
        offset=1, encoding="ber", trailer=b"\r"
    ),
    r"""{ head = "line", body = '(\d+)', body_end = "\r\n" }""": HeaderBody(
        Line(), rb"(\d+)", b"\r\n"
    ),
    (
        r"""{ head = 'delimiter:\n\n', body = '(\d+)', body_end = "\u0000", always_body = true,"""
        r""" adjust = 2, chunked = 'c', head_first = 'f', skip = "\n" }"""
    ): HeaderBody(
        Delimiter(b"\n\n"),
        rb"(\d+)",
        b"\0",
        always_body=True,
        adjust=2,
        chunked=b"c",
        head_first=b"f",
        skip=b"\n",
    ),
    r"""{ head = 'delimiter:\r\n\r\n', body = { text = "(a)" } }""": HeaderBody(
        Delimiter(b"\r\n\r\n"), b"(a)"
    ),
}

FAULTS: dict[str, Fault] = {
    'kind = "latency", delay = 1': Latency(delay=1),
    'kind = "latency", delay = 0.5, jitter = 0.1, probability = 0.3': Latency(
        delay=0.5, jitter=0.1, probability=0.3
    ),
    'kind = "bandwidth", rate = 100': Bandwidth(rate=100),
    'kind = "slicer", size = 3, variation = 1, delay = 0.1': Slicer(size=3, variation=1, delay=0.1),
    'kind = "limit_data", bytes = 0': LimitData(bytes=0),
    'kind = "reset_peer"': ResetPeer(),
    'kind = "reset_peer", bytes = 9, delay = 1': ResetPeer(bytes=9, delay=1),
    'kind = "timeout", seconds = 0': Timeout(seconds=0),
    'kind = "slow_close", delay = 2': SlowClose(delay=2),
    'kind = "corrupt"': Corrupt(),
    'kind = "corrupt", bytes = 2': Corrupt(bytes=2),
    'kind = "stop_reading", probability = 0': StopReadingFault(probability=0),
}

#: Predicates, requests that match, and requests that do not.
PREDICATES: dict[str, tuple[list[str], list[str]]] = {
    'equals = "ab"': (["ab"], ["a", "abc", "AB", ""]),
    'equals = ["ab", "c"]': (["ab", "c"], ["b"]),
    'equals = ""': ([""], ["a"]),
    'starts_with = "ab"': (["ab", "abc"], ["a", "xab"]),
    'starts_with = ["a", { hex = "62" }]': (["a", "b", "bc"], ["c"]),
    'ends_with = { base64 = "YWI=" }': (["ab", "xab"], ["abx"]),
    'ends_with = ["b", "c"]': (["ab", "c"], ["bd"]),
    'contains = { text = "ab" }': (["xabx"], ["axb"]),
    'contains = { template = "{connection}" }': (["x1y"], ["x2y"]),
    'equals = { template_hex = "78{request}" }': (["x1", "x2"], ["x2"]),
    r"matches = '\w(\d+)'": (["a1", "b22"], ["a", "xa1", "a1x"]),
    "matches = ['a', 'b.']": (["a", "bc"], ["b"]),
    "matches = { hex = '612a' }": (["", "aaa"], ["b"]),
    "size = 2": (["ab", "é"], ["a", "abc"]),
    "size = { min = 2 }": (["ab", "abcd"], ["a"]),
    "size = { max = 1 }": (["", "a"], ["ab"]),
    "size = { min = 1, max = 2 }": (["a", "ab"], ["", "abc"]),
    "size = {}": (["", "abc"], []),
    'starts_with = "a", ends_with = "b", size = 3': (["axb"], ["ab", "axx", "xxb"]),
    'not = { equals = "ab" }': (["a", "abc", ""], ["ab"]),
    'not = { equals = "ab", size = 1 }': (["abc", ""], ["ab", "x"]),
    "starts_with = 'a', not = { matches = ['.b', '.c'] }": (["a", "ad"], ["ab", "ac", "d"]),
    "not = {}": (["", "a"], []),
    'equals = "aB", ignore_case = true': (["ab", "AB"], ["b"]),
    "matches = 'a[b]', ignore_case = true": (["AB"], ["AA"]),
    'not = { equals = "ab" }, ignore_case = true': (["a"], ["AB", "ab"]),
    'equals = "é", ignore_case = true': (["é"], ["É"]),
}


class ValuesTests(Scripted):
    """The loaded value, before a client connects."""

    def test_an_empty_script(self) -> None:
        """An empty script uses lines and closes at the first request."""
        script = Script.parse("")
        self.assertEqual(script.name, "script")
        self.assertEqual((script.framing, script.reply_framing), (Line(), Line()))
        self.assertEqual((script.limits, script.seed), (Limits(), None))
        self.assertTrue(script.is_empty)
        self.assertEqual(
            [str(it) for it in script.warnings],
            [
                "script: the script answers nothing: the first request of a client closes its"
                " connection"
            ],
        )
        self.assertEqual(script.faults, ())
        self.assertEqual([*script.rules.states], ["start"])
        wire = self.join(self.factory(script))
        self.assertEqual(wire.received(), b"")
        wire.send(b"a\n")
        self.assertTrue(wire.got_eof)

    def test_what_makes_a_script_not_empty(self) -> None:
        """A rule, a greeting, an answer to unmatched requests or a fault is enough."""
        for text in (
            'rule = [{ reply = "a" }]',
            'greeting = "a"',
            "unmatched = { close = true }",
            '[[fault]]\nkind = "stop_reading"',
        ):
            script = Script.parse(text)
            self.assertEqual((script.is_empty, script.warnings), (False, ()), msg=text)
        self.assertTrue(Script.parse('framing = "chunk"\nlimits = {}').is_empty)

    def test_framings(self) -> None:
        """A framing is a name as on the command line or a table, also for replies."""
        for written, framing in FRAMINGS.items():
            script = Script.parse(f"framing = {written}")
            self.assertEqual((script.framing, script.reply_framing), (framing, framing))
            self.assertEqual(script.config().framing, framing)
            script = Script.parse(f'framing = "netstring"\nreply_framing = {written}')
            self.assertEqual((script.framing, script.reply_framing), (Netstring(), framing))
            if framing != Netstring():
                self.assertEqual(script.config().framing, Mixed(Netstring(), framing))

    def test_limits(self) -> None:
        """Limits that are not given have the server's defaults."""
        text = """
            [limits]
            max_request = 9
            max_connections = 2
            max_per_peer = 1
            max_waiting = 8
            idle_timeout = 0.5
        """
        limits = Limits(
            max_request=9, max_connections=2, max_per_peer=1, max_waiting=8, idle_timeout=0.5
        )
        self.assertEqual(Script.parse(text).limits, limits)
        self.assertEqual(Script.parse(text).config().limits, limits)
        self.assertEqual(Script.parse("limits = { max_waiting = 8 }").limits, Limits(max_waiting=8))

    def test_a_seed(self) -> None:
        """A seed is any integer."""
        for seed in (0, 42, -1, 2**63 - 1):
            script = Script.parse(f"seed = {seed}")
            self.assertEqual((script.seed, script.config().seed), (seed, seed))

    def test_faults(self) -> None:
        """Faults keep the order of the file and apply to replies unless `on` says otherwise."""
        for written, fault in FAULTS.items():
            script = Script.parse(
                f"[[fault]]\n{written.replace(', ', chr(10))}\n"
                f'[[fault]]\n{written.replace(", ", chr(10))}\non = "connect"\n'
                f'[[fault]]\nkind = "corrupt"\non = "reply"\n'
                f"[[rule]]\nsilent = true\nfaults = [{{ {written} }}]"
            )
            self.assertEqual(
                script.faults,
                (
                    PlacedFault("fault[0]", fault),
                    PlacedFault("fault[1]", fault, on_connect=True),
                    PlacedFault("fault[2]", Corrupt()),
                ),
            )
            (rule,) = script.rules.rules
            self.assertEqual([*rule.faults], [PlacedFault("rule[0].faults[0]", fault)])

    def test_faults_of_rules(self) -> None:
        """Each rule has its own faults; so have the greeting and `unmatched`."""
        script = Script.parse("""
            greeting = { silent = true, faults = [{ kind = "corrupt", bytes = 1 }] }
            unmatched = { silent = true, faults = [{ kind = "corrupt", bytes = 2 }] }
            rule = [
                { silent = true, equals = "a" },
                { silent = true, faults = [
                    { kind = "corrupt", bytes = 3 },
                    { kind = "corrupt", bytes = 4 },
                ] },
            ]
        """)
        self.assertEqual(
            {rule.name: [placed.fault for placed in rule.faults] for rule in script.rules.all()},
            {
                "greeting": [Corrupt(bytes=1)],
                "unmatched": [Corrupt(bytes=2)],
                "rule[0]": [],
                "rule[1]": [Corrupt(bytes=3), Corrupt(bytes=4)],
            },
        )

    def test_very_many_warnings(self) -> None:
        """Of very many warnings, so many are there, and each is of a bounded length."""
        many = "{ equals = 'a', reply = '' }," * (MAX_PROBLEMS + 2)
        script = Script.parse(f"rule = [{many}]")
        self.assertEqual(len(script.warnings), MAX_PROBLEMS + 1)
        self.assertEqual(str(script.warnings[-1]), "script: more than 100 rules never answer")
        states = [f"s{n}" for n in range(9)]
        chain = "".join(
            f"{{ when = '{here}', goto = '{there}', reply = '' }},"
            for here, there in zip(states, [*states[1:], "s0"], strict=True)
        )
        [warning] = Script.parse(
            f"start = 's0'\nrule = [{chain} {{ when = {states}, reply = '' }}]"
        ).warnings
        self.assertIn(
            "rule[0] and rule[1] and rule[2] and rule[3] and 5 others already answer", str(warning)
        )

    def test_very_many_problems(self) -> None:
        """Of very many problems, the first ones that are found are reported."""
        with self.assertRaises(ScriptError) as caught:
            Script.parse("\n".join(f"a{n} = 1" for n in range(9000)))
        problems = caught.exception.problems
        self.assertEqual(len(problems), MAX_PROBLEMS + 1)
        self.assertEqual(str(problems[-1]), "script: more than 100 problems; some are not shown")

    def test_warnings(self) -> None:
        """A script with warnings loads; each warning has its line."""
        script = Script.parse("[[rule]]\nsilent = true\n[[rule]]\nclose = true", "it.toml")
        self.assertEqual(
            [str(warning) for warning in script.warnings],
            [
                "it.toml:3: rule[1]: never answers: rule[0] already answers every request that it"
                " matches"
            ],
        )

    def test_names_of_rules(self) -> None:
        """A rule can have a name; its faults and counts belong to its place."""
        script = Script.parse(
            "rule = [{ equals = 'a', reply = 'b', name = 'status: é', faults = "
            "[{ kind = 'corrupt' }] }, { reply = '' }]"
        )
        first, second = script.rules.rules
        self.assertEqual((first.name, first.path), ("status: é", "rule[0]"))
        self.assertEqual((second.name, second.path), ("rule[1]", "rule[1]"))
        self.assertEqual(first.faults[0].key, "rule[0].faults[0]")

    def test_places_of_rules(self) -> None:
        """The place of a rule is found by its name, with its line."""
        script = Script.parse(
            "greeting = 'a'\n[[rule]]\nname = 'it'\nequals = 'a'\nreply = ''\n[[rule]]\nreply = ''"
        )
        for by, place in (
            ("it", "it (rule[0], line 2)"),
            ("rule[1]", "rule[1] (line 6)"),
            ("greeting", "greeting (line 1)"),
            ("unmatched", "unmatched"),
            ("other", "other"),
        ):
            self.assertEqual(script.place(by), place)

    def test_lines(self) -> None:
        """The line of each key is kept for later messages."""
        lines = Script.parse(
            "[[rule]]\nsilent = true\n\n[[rule]]\nequals = 'a'\nclose = true"
        ).lines
        self.assertEqual((lines["rule[0]"], lines["rule[1]"], lines["rule[1].equals"]), (1, 4, 5))


class CostTests(SynchronousTestCase):
    """What loading costs, in calls."""

    def test_rules_cost_the_same_each(self) -> None:
        """Loading twice as many rules takes twice as many calls, whatever they have."""
        rule = """[[rule]]
            name = "name {0}"
            matches = "k(.*){0}"
            any = [{{ equals = "v{0} {{attempts}}" }}]
            reply = "{{1}} {{attempts}} {0}"
            set.attempts = "{0}"
        """

        def cost(count: int) -> int:
            text = "".join(rule.format(at) for at in range(count))
            return len(called_by(lambda: Script.parse(text), ["reqresp/script/"]))

        cost(1)
        self.assertLess(cost(200) - cost(100), 1.1 * cost(100))


class LoadTests(Scripted):
    """Scripts in files."""

    def test_a_file(self) -> None:
        """A path is text or a Path, and becomes the name of the script."""
        path = temporary(self) / "it.toml"
        path.write_text("seed = 1")
        for given in (path, str(path)):
            script = Script.load(given)
            self.assertEqual((script.seed, script.name), (1, str(path)))

    def test_files_are_relative_to_the_script(self) -> None:
        """Names of files are relative to the script, not to the working directory."""
        base = temporary(self)
        (base / "it.toml").write_text("""
            greeting = { reply = { file = "data/greeting" } }
            rule = [{ equals = { file = "data/greeting" }, reply = "yes" }]
        """)
        (base / "data").mkdir()
        (base / "data" / "greeting").write_text("hello")
        wire = self.join(self.factory(Script.load(base / "it.toml")))
        self.assertEqual(wire.received(), b"hello\r\n")
        self.assertEqual(self.ask(wire, "hello"), ["yes|"])
        script = Script.parse((base / "it.toml").read_text(), base=str(base))
        self.assertEqual(self.ask(self.join(self.factory(script)), "hello"), ["hello|yes|"])

    def test_files_are_read_once(self) -> None:
        """A file is read when the script is loaded; later changes have no effect."""
        base = temporary(self)
        (base / "reply").write_text("old")
        script = Script.parse('unmatched = [{ file = "reply" }]', base=base)
        (base / "reply").unlink()
        self.assertEqual(self.ask(self.join(self.factory(script)), "a"), ["old|"])

    def test_line_ends_of_any_system(self) -> None:
        """LF and CR LF make the same script, inside strings too."""
        path = temporary(self) / "it.toml"
        path.write_bytes(b'seed = 1\r\n[[rule]]\r\nequals = """\r\na"""\r\nreply = "b"\r\n')
        script = Script.load(path)
        self.assertEqual(script.lines["rule[0].reply"], 5)
        self.assertEqual(self.ask(self.join(self.factory(script)), "a"), ["b|"])

    def test_a_services_file(self) -> None:
        """It is said what it is, and which option takes it."""
        with self.assertRaises(ScriptError) as caught:
            Script.parse('\n[[service]]\nname = "a"', "it.toml")
        self.assertEqual(
            str(caught.exception),
            "it.toml:2: service: expected a script; this is a services file: pass it with"
            " --services",
        )

    def test_relative_paths(self) -> None:
        """A relative path is relative to the working directory."""
        with self.assertRaisesRegex(ValueError, r"\Ano such\.toml: cannot be read: "):
            Script.load(Path("no such.toml"))


class MarkTests(Scripted):
    """A byte order mark, which some editors write."""

    def test_a_byte_order_mark_is_skipped(self) -> None:
        """A byte order mark is not part of the script."""
        path = temporary(self) / "it.toml"
        path.write_bytes(b"\xef\xbb\xbfseed = 5")
        self.assertEqual(Script.load(path).seed, 5)


class PredicatesTests(Scripted):
    """Predicates of a request."""

    def test_each(self) -> None:
        """Each predicate works alone, as a list, with any payload, negated, and with others."""
        for keys, (fitting, others) in PREDICATES.items():
            wire = self.script(f"unmatched = ['no']\nrule = [{{ {keys}, reply = 'yes' }}]")
            self.assertEqual(self.ask(wire, *fitting), ["yes|"] * len(fitting), keys)
            wire = self.script(f"unmatched = ['no']\nrule = [{{ {keys}, reply = 'yes' }}]")
            self.assertEqual(self.ask(wire, *others), ["no|"] * len(others), keys)

    def test_none(self) -> None:
        """A rule without predicates matches any request."""
        wire = self.script("rule = [{ reply = 'yes' }]")
        self.assertEqual(self.ask(wire, "", "a", "é"), ["yes|"] * 3)

    def test_case_is_ignored_everywhere_or_by_some(self) -> None:
        """A rule's ignore_case overrides the script's, either way."""
        rules = """
            unmatched = ["no"]
            rule = [
                { equals = "A", reply = "general" },
                { equals = "B", reply = "exact", ignore_case = false },
                { equals = "C", reply = "folded", ignore_case = true },
            ]
        """
        for before, a, b, c in (
            ("", "no|", "no|", "folded|"),
            ("ignore_case = true", "general|", "no|", "folded|"),
            ("ignore_case = false", "no|", "no|", "folded|"),
        ):
            wire = self.script(before + rules)
            self.assertEqual(self.ask(wire, "a", "b", "c", "B"), [a, b, c, "exact|"])

    def test_bytes_that_are_not_text(self) -> None:
        """Bytes that are not text are compared as bytes; patterns see bytes too."""
        wire = self.script("""
            framing = "int8"
            unmatched = ["no"]
            rule = [
                { equals = { hex = "80" }, reply = "80", ignore_case = true },
                { matches = '\\x81.', reply = "81." },
            ]
        """)
        wire.send(b"\1\x80", b"\1\x81", b"\2\x81\xff", b"\2\x81\n")
        self.assertEqual(wire.received(), b"\00280" + b"\2no" + b"\00381." + b"\2no")


class StatesTests(Scripted):
    """The states in which a rule answers."""

    def test_when(self) -> None:
        """A rule answers in the start state, in one state, in several, or in every state."""
        text = """
            start = "one"
            unmatched = ["no"]
            rule = [
                { equals = "a", reply = "start alone" },
                { equals = "b", when = "two", reply = "two alone" },
                { equals = "c", when = ["one", "three"], reply = "one or three" },
                { equals = "d", when = "*", reply = "any" },
                { starts_with = "one", when = "*", goto = "one", silent = true },
                { starts_with = "two", when = "*", goto = "two", silent = true },
                { starts_with = "three", when = "*", goto = "three", silent = true },
            ]
        """
        for state, replies in (
            ("one", ["start alone|", "no|", "one or three|", "any|"]),
            ("two", ["no|", "two alone|", "no|", "any|"]),
            ("three", ["no|", "no|", "one or three|", "any|"]),
        ):
            self.assertEqual(self.ask(self.script(text), state, *"abcd"), ["", *replies])

    def test_a_scope_for_a_count_that_is_shown(self) -> None:
        """With scope "connection", each client has its own {count}."""
        for scope, second in (("", "3|"), (', scope = "connection"', "1|")):
            factory = self.server(f"rule = [{{ reply = {{ template = '{{count}}' }}{scope} }}]")
            self.assertEqual(self.ask(self.join(factory), "a", "a"), ["1|", "2|"])
            self.assertEqual(self.ask(self.join(factory), "a"), [second])


class AnswersTests(Scripted):
    """The answers of a rule."""

    def asked(self, keys: str, data: bytes = b"a\n", before: str = "") -> bytes:
        """Return what a client receives at once from a rule with these *keys*."""
        wire = self.script(f"{before}\nrule = [{{ {keys} }}]")
        wire.send(data)
        return wire.received()

    def test_replies(self) -> None:
        """A reply is one frame or several, of any payload, framed or raw."""
        for keys, expected in (
            ('reply = "é"', "é\r\n".encode()),
            ('reply = ""', b"\r\n"),
            ('reply = ["b", "", "c"]', b"b\r\n\r\nc\r\n"),
            ('reply = { hex = "00 fF" }', b"\0\xff\r\n"),
            ('reply = { base64 = "AP8=" }', b"\0\xff\r\n"),
            ('reply = { template = "<{0}>" }', b"<a>\r\n"),
            ('reply = { template_hex = "3c{0}{0}3e" }', b"<aa>\r\n"),
            ('reply = { text = "b\\n", raw = true }', b"b\n"),
            ('reply = { template = "{0}", raw = true }', b"a"),
            ('reply = [{ text = "b", raw = true }, "c"]', b"bc\r\n"),
            ("matches = '(.)(?P<x>.*)', reply = { template = '{x}{1}{2}' }", b"a\r\n"),
            ("silent = true", b""),
        ):
            self.assertEqual(self.asked(keys), expected, keys)

    def test_a_framing_of_replies(self) -> None:
        """A script can have a separate framing for replies."""
        self.assertEqual(
            self.asked('reply = ["b", "cd"]', before='reply_framing = "int8"'), b"\1b\2cd"
        )

    def test_groups_of_several_patterns(self) -> None:
        """A group name refers to the pattern that matched, whatever its number there."""
        keys = r"""matches = ['(?P<x>a)(\d)', '(b)(?P<x>\d)'], reply = { template = "{x}{2}" }"""
        self.assertEqual(self.asked(keys, b"a1\nb2\n"), b"a1\r\n22\r\n")

    def test_a_cycle_of_answers(self) -> None:
        """Each reply of a cycle can have what an answer has, besides what the rule has."""
        wire = self.script("""
            seed = 1
            [[rule]]
            cycle = [
              { reply = "late", delay = 2, set = { who = "one" } },
              "plain",
              { reply = { template = "{who}" }, goto = "end" },
            ]
            delay = 1
            set.who = "all"
            faults = [{ kind = "corrupt", probability = 0 }]
            [[rule]]
            when = "end"
            cycle = [
              { do = [{ send = "ab" }], faults = [{ kind = "limit_data", bytes = 1 }] },
              { close = true },
            ]
        """)
        wire.send(b"1\n")
        wire.wait(2.5)
        self.assertEqual(wire.received(), b"")
        wire.wait(0.5)
        self.assertEqual(wire.received(), b"late\r\n")
        for expected in (b"plain\r\n", b"all\r\n"):
            wire.send(b"x\n")
            wire.wait(1)
            self.assertEqual(wire.received(), expected)
        wire.send(b"x\n")
        self.assertEqual(wire.received(), b"a")
        self.assertTrue(wire.got_eof)

    def test_a_cycle_that_closes(self) -> None:
        """The rule's close follows each reply that does not end by itself."""
        factory = self.server(
            "rule = [{ cycle = [{ reply = 'a' }, { close = true }], close = true }]"
        )
        for expected in (b"a\r\n", b""):
            wire = self.join(factory)
            wire.send(b"x\n")
            self.assertEqual((wire.received(), wire.got_eof), (expected, True))

    def test_a_cycle(self) -> None:
        """A cycle's replies come in turn, with the delay and the close of the rule."""
        wire = self.script("rule = [{ cycle = ['b', ['c', { template = '{count}' }]], delay = 1 }]")
        for expected in (b"b\r\n", b"c\r\n2\r\n", b"b\r\n"):
            wire.send(b"a\n")
            self.assertEqual(wire.received(), b"")
            wire.wait(1)
            self.assertEqual(wire.received(), expected)

    def test_delays_and_endings(self) -> None:
        """The delay comes first, then the replies, then the close."""
        wire = self.script('rule = [{ reply = ["b", "c"], delay = 0.5, close = true }]')
        wire.send(b"a\n")
        wire.wait(0.4)
        self.assertEqual((wire.received(), wire.got_eof), (b"", False))
        wire.wait(0.1)
        self.assertEqual((wire.received(), wire.got_eof), (b"b\r\nc\r\n", True))

    def test_a_close_alone(self) -> None:
        """A close without a reply comes at once or after the delay."""
        wire = self.script("rule = [{ close = true, delay = 1 }]")
        wire.send(b"a\n")
        self.assertFalse(wire.got_eof)
        wire.wait(1)
        self.assertEqual((wire.received(), wire.got_eof), (b"", True))

    def test_keys_that_are_false(self) -> None:
        """A key that is false has no effect."""
        self.assertEqual(
            self.asked('reply = "b", close = false, silent = false, delay = 0'), b"b\r\n"
        )

    def test_steps(self) -> None:
        """The steps of `do` are performed in order."""
        wire = self.script("""
            [[rule]]
            do = [
                { send = "b" }, { wait = 1 }, { send = { template = "{0}", raw = true } },
                { wait = 0 }, { half_close = true },
            ]
        """)
        wire.send(b"a\n")
        self.assertEqual((wire.received(), wire.got_eof), (b"b\r\n", False))
        wire.wait(1)
        self.assertEqual((wire.received(), wire.got_eof, wire.is_open), (b"a", True, True))

    def test_steps_that_end(self) -> None:
        """A step ends the connection orderly or by a reset, or leaves it open."""
        for step, eof, reset in (
            ("close", True, False),
            ("abort", False, True),
            ("hang", False, False),
        ):
            wire = self.script(f'rule = [{{ do = [{{ send = "b" }}, {{ {step} = true }}] }}]')
            wire.send(b"a\na\n")
            self.assertEqual(wire.received(), b"b\r\n")
            wire.wait(1)
            self.assertEqual((wire.got_eof, wire.got_reset), (eof, reset), step)

    def test_stop_reading(self) -> None:
        """What was sent before stop_reading is answered."""
        wire = self.script('rule = [{ do = [{ send = "b" }, { stop_reading = true }] }]')
        wire.send(b"a\n")
        self.assertEqual((wire.received(), wire.reading), (b"b\r\n", False))

    def test_greetings(self) -> None:
        """A greeting is a payload, several payloads, or a table with the keys of an answer."""
        for greeting, expected in (
            ('"hi"', b"hi\r\n"),
            ('["hi", { text = "ho", raw = true }]', b"hi\r\nho"),
            ('{ reply = "hi" }', b"hi\r\n"),
            ('{ reply = { template = "{connection}{request}{count}{0}" } }', b"101\r\n"),
            ('{ cycle = ["hi", "ho"] }', b"hi\r\n"),
            ('{ do = [{ send = "hi" }] }', b"hi\r\n"),
            ("{ silent = true }", b""),
        ):
            self.assertEqual(self.script(f"greeting = {greeting}").received(), expected, greeting)

    def test_unmatched(self) -> None:
        """The answer to unmatched requests is a payload, several, or a table."""
        for unmatched, expected in (
            ('"what?"', b"what?\r\n"),
            ('["what", "?"]', b"what\r\n?\r\n"),
            ('{ reply = { template = "no {0}, {count}" } }', b"no a, 1\r\n"),
            ("{ silent = true }", b""),
        ):
            wire = self.script(f"unmatched = {unmatched}")
            wire.send(b"a\n")
            self.assertEqual((wire.received(), wire.got_eof), (expected, False), unmatched)
