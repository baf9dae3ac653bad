"""Expectations that are read from tables with the keys of a script's rule."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp import Line, Script, ScriptError
from reqresp._errors import MAX_PROBLEMS
from reqresp.expectations.expectation import BaseExpectation
from reqresp.expectations.written import ExpectationReader, wanted
from reqresp.script.files import ScriptFiles
from tests.support.live import temporary


class WrittenTests(SynchronousTestCase):
    """Has a reader for a server of lines."""

    def read(self, table: dict[str, Any], **options: Any) -> BaseExpectation:
        files = ScriptFiles(options.get("directory"))
        reader = ExpectationReader(Line(), files, options.get("forwards", False))
        return reader.expectation(table, 3, 0)

    def problems(self, table: dict[str, Any], **options: Any) -> list[str]:
        with self.assertRaises(ScriptError) as raised:
            self.read(table, **options)
        return str(raised.exception).splitlines()

    def test_what_is_expected(self) -> None:
        """One request is expected unless the table says otherwise; of an ``on``, any number."""
        for kind, times, expected in (
            ("expect", {}, 1),
            ("expect_next", {"times": 2}, 2),
            ("on", {}, None),
        ):
            it = self.read({"kind": kind, "equals": "a", "reply": "b", **times})
            self.assertEqual((it.kind, it.times, str(it)), (kind, expected, f'{kind} "a"'))

    def test_what_tells_it_from_others(self) -> None:
        """It is its number, or the name that it was given, such as a line of a test."""
        table = {"kind": "expect", "reply": "b"}
        self.assertEqual(self.read(table).where, "expectation 3")
        it = self.read(table | {"name": "test_pop.py:12"})
        self.assertEqual((it.where, it.rule.name), ("test_pop.py:12", "expect, test_pop.py:12"))

    def test_states(self) -> None:
        """It is for every state unless the table says for which."""
        table: dict[str, Any] = {"kind": "on", "reply": "b"}
        self.assertIsNone(self.read(table).rule.when)
        self.assertEqual(self.read(table | {"when": ["a", "b"]}).rule.when, {"a", "b"})

    def test_the_problems_are_those_of_a_script(self) -> None:
        """The same table has the same problems in a script, apart from where it is."""
        table: dict[str, Any] = {
            "equals": ["a", "b\n"],
            "size": {"min": 3, "max": 2},
            "matches": "(",
            "not": {"starts_with": {"hex": "0"}},
            "when": [],
            "do": [{"send": "x", "wait": 1}, {"close": False}, {"hang": True}, {"abort": True}],
            "delay": -1,
            "faults": [{"kind": "latenzy"}, {"kind": "latency", "delay": -1}],
            "name": "!",
            "unknown": 1,
        }
        text = """
            [[rule]]
            equals = ["a", "b\\n"]
            size = { min = 3, max = 2 }
            matches = "("
            not = { starts_with = { hex = "0" } }
            when = []
            do = [{ send = "x", wait = 1 }, { close = false }, { hang = true }, { abort = true }]
            delay = -1
            faults = [{ kind = "latenzy" }, { kind = "latency", delay = -1 }]
            name = "!"
            unknown = 1
        """
        with self.assertRaises(ScriptError) as raised:
            Script.parse(text)
        of_script = {
            it.path.replace("rule[0]", "expectation"): it.message.partition(";")[0]
            for it in raised.exception.problems
        }
        with self.assertRaises(ScriptError) as raised:
            self.read({"kind": "on", **table})
        of_table = {it.path: it.message.partition(";")[0] for it in raised.exception.problems}
        self.assertEqual(of_table, of_script)
        self.assertGreater(len(of_table), 10)

    def test_its_own_keys(self) -> None:
        """A kind is required, and an ``on`` expects no number of requests."""
        self.assertEqual(self.problems({"reply": "x"}), ["expectation.kind: the key is missing"])
        self.assertIn(
            'expectation.kind: expected "on" or "expect" or "expect_next", found \'off\'',
            self.problems({"kind": "off", "reply": "x"}),
        )
        wrong = {"kind": "on", "reply": "x", "times": 2, "scope": "connection"}
        self.assertEqual(
            self.problems(wrong),
            [
                'expectation.times: expected no times with kind = "on"',
                "expectation.scope: expected server: an expectation counts the requests of all"
                " connections, found 'connection'",
            ],
        )
        self.assertIn(
            "expectation.times: expected an integer >= 1, found 0",
            self.problems({"kind": "expect", "reply": "x", "times": 0}),
        )

    def test_an_answer_is_required(self) -> None:
        """Silence has to be asked for, as in a script."""
        self.assertIn("silent = true", self.problems({"kind": "expect"})[0])
        self.assertEqual([*self.read({"kind": "expect", "silent": True}).rule.all_steps], [])

    def test_null(self) -> None:
        """A value of JSON that TOML does not have is a problem like others."""
        self.assertEqual(
            self.problems({"kind": "on", "reply": None})[0],
            "expectation.reply: expected a string, an object or an array, found null",
        )

    def test_what_only_a_script_can_do(self) -> None:
        """It runs code, which others than its author must not choose."""
        self.assertEqual(
            self.problems({"kind": "on", "call": "os:getcwd"}),
            [
                "expectation.call: expected no call here: only a script, a file beside its"
                " functions, runs code"
            ],
        )

    def test_forwarding(self) -> None:
        """It needs a service with an upstream, and a framing that ends replies."""
        table = {"kind": "on", "forward": True}
        self.assertEqual(
            self.problems(table),
            ["expectation: expected no forward: the service has no upstream"],
        )
        self.assertTrue(self.read(table, forwards=True).rule.forwards)

    def test_files(self) -> None:
        """Only files of the directory can be named, and none without one."""
        table = {"kind": "on", "reply": {"file": "it.bin"}}
        self.assertEqual(
            self.problems(table),
            ["expectation.reply: expected text, hex or base64: no file can be named here"],
        )
        directory = temporary(self)
        (directory / "it.bin").write_bytes(b"data")
        replies = self.read(table, directory=directory).rule.replies
        self.assertIn("data", str(replies))
        self.assertIn(
            "outside",
            self.problems({"kind": "on", "reply": {"file": "/etc/passwd"}}, directory=directory)[0],
        )

    def test_very_many_problems(self) -> None:
        """The first of them are shown, and that there are more."""
        table = {"kind": "on", "reply": "x", "equals": ["\n"] * (MAX_PROBLEMS + 1)}
        problems = self.problems(table)
        self.assertEqual(len(problems), MAX_PROBLEMS + 1)
        self.assertIn("more than 100 problems", problems[-1])

    def test_the_dice_of_faults(self) -> None:
        """They are those of the same expectation of a test server: the same seed, the same run."""
        table = {"kind": "expect", "reply": "x", "faults": [{"kind": "latency", "delay": 1}]}
        [fault] = self.read(table).rule.faults
        self.assertEqual(fault.key, "expect[0].faults[0]")

    def test_wanted(self) -> None:
        """Messages show the predicates as they were written, and no key of the answer."""
        table = {
            "kind": "on",
            "when": "in",
            "equals": "a",
            "size": 3,
            "not": {"equals": "b"},
            "reply": "x",
            "name": "it",
            "times": 2,
        }
        self.assertEqual(wanted(table), "\"a\", when='in', size=3, not={'equals': 'b'}")
        self.assertEqual(wanted({"kind": "on"}), "any request")
