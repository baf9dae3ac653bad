"""Mutants: the list fits the project, and a mutant counts as caught only if its check says so."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.reliability import relay_faults
from tests.reliability.mutants import (
    CAUGHT,
    PATIENCE,
    ROOT,
    Mutant,
    judge,
    mutants_table,
    read_mutants,
    run_python,
)
from tests.reliability.scenarios import SCENARIOS

MUTANT = Mutant(name="it breaks", file="it.py", old="1", new="0", scenario="pages", says="pages")
MISSED = "1.0 s  MISSED: pages for these: 2; the bound is 1\n"


class ListTests(SynchronousTestCase):
    """The committed list."""

    def test_each_applies(self) -> None:
        """The text that a mutant replaces is in its file once."""
        stale = [
            (mutant.name, count)
            for mutant in read_mutants()
            if (count := (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.old)) != 1
        ]
        self.assertEqual(stale, [])

    def test_a_scenario_gives_up_in_time(self) -> None:
        """One that waits for bytes that a mutant has lost says so before its time is over."""
        self.assertLess(relay_faults.SILENCE * 2, PATIENCE)

    def test_each_has_a_check(self) -> None:
        """Each mutant names a scenario and a part of its bound, or a test that exists."""
        for mutant in read_mutants():
            if mutant.scenario is not None:
                self.assertIn(mutant.scenario, SCENARIOS, mutant.name)
                self.assertTrue(mutant.says, mutant.name)
                continue
            file, case, test = str(mutant.test).split("::")
            text = (ROOT / file).read_text(encoding="utf-8")
            self.assertRegex(text, rf"(?m)^class {case}\(", mutant.name)
            self.assertRegex(text, rf"(?m)^    def {test}\(", mutant.name)

    def test_a_list_with_problems(self) -> None:
        """A mutant without a check, or with the name of another, is an error."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "mutants.toml")
            one = "[[mutant]]\nname = 'x'\nfile = 'f'\nold = 'o'\nnew = 'n'\n"
            path.write_text(one)
            with self.assertRaisesRegex(ValueError, "x: expected either a scenario or a test"):
                read_mutants(path)
            path.write_text(2 * f"{one}scenario = 's'\n")
            with self.assertRaisesRegex(ValueError, "two mutants have the same name"):
                read_mutants(path)


class JudgeTests(SynchronousTestCase):
    """Verdicts on mutants of a project with one file; the checks are played."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.file = self.root / "it.py"
        self.file.write_text("x = 1\n")
        #: The text of the file at each run of a check, and what the check does without a change.
        self.runs: list[str] = []
        self.sound = 0, "all bounds met\n"

    def judge(self, mutant: Mutant, status: int, output: str) -> str:
        """Return the verdict on *mutant* if its check then ends so."""

        def run(copy: Path, _arguments: Sequence[str]) -> tuple[int, str]:
            text = (copy / "it.py").read_text()
            self.runs.append(text)
            return self.sound if text == "x = 1\n" else (status, output)

        [verdict] = judge([mutant], lambda _line: None, run, self.root).values()
        return verdict

    def test_caught(self) -> None:
        """A scenario that misses the bound has caught it; the project itself is not changed."""
        self.assertEqual(self.judge(MUTANT, 1, MISSED), CAUGHT)
        self.assertEqual(self.runs, ["x = 1\n", "x = 0\n"])
        self.assertEqual(self.file.read_text(), "x = 1\n")

    def test_survived(self) -> None:
        """A check that passes has let it survive."""
        self.assertEqual(self.judge(MUTANT, 0, "all bounds met\n"), "survived")

    def test_failed_otherwise(self) -> None:
        """Another bound, an error or a check that hangs does not count."""
        for status, output in (
            (1, MISSED.replace("pages", "replies")),
            (1, "pages\nTraceback\n"),
            (2, MISSED),
            (-1, MISSED),
        ):
            verdict = self.judge(MUTANT, status, output)
            self.assertEqual(verdict, f"failed otherwise (status {status})")

    def test_a_test_that_fails(self) -> None:
        """A test has caught it if it fails by itself, with the words in its output."""
        mutant = evolve(MUTANT, scenario=None, test="t.py::T::test", says="2 != 1")
        output = "E  2 != 1\nFAILED t.py::T::test - twisted"
        self.assertEqual(self.judge(mutant, 1, output), CAUGHT)
        for other in ("E  2 != 1\nERROR t.py", output.replace("2 != 1", "NameError")):
            self.assertIn("failed otherwise", self.judge(mutant, 1, other))

    def test_a_check_that_fails_anyway(self) -> None:
        """A check that fails without a change proves nothing."""
        self.sound = 1, MISSED
        self.assertEqual(self.judge(MUTANT, 1, MISSED), "fails without it")

    def test_a_stale_mutant(self) -> None:
        """A text that is not there, or twice, is reported, and nothing is run."""
        for old, count in (("2", 0), ("x", 1), (" ", 2)):
            self.runs.clear()
            verdict = self.judge(evolve(MUTANT, old=old, new="y"), 1, MISSED)
            if count == 1:
                self.assertEqual(verdict, CAUGHT)
                continue
            expected = f"it breaks: expected the old text once in it.py, found {count} times"
            self.assertEqual(verdict, expected)
            self.assertEqual(len(self.runs), 1)

    def test_a_check_is_run_once_without_a_change(self) -> None:
        """Two mutants with the same check need it once without a change; each is undone."""
        mutants = [MUTANT, evolve(MUTANT, name="it breaks otherwise", new="7")]
        texts: list[str] = []

        def run(copy: Path, _arguments: Sequence[str]) -> tuple[int, str]:
            texts.append((copy / "it.py").read_text())
            return (0, "") if texts[-1] == "x = 1\n" else (1, MISSED)

        said: list[str] = []
        verdicts = judge(mutants, said.append, run, self.root)
        self.assertEqual(verdicts, {mutant.name: CAUGHT for mutant in mutants})
        self.assertEqual(texts, ["x = 1\n", "x = 0\n", "x = 7\n"])
        self.assertEqual(len(said), 3)

    def test_the_table(self) -> None:
        """The table has a row for each mutant, with the last part of a test's name."""
        mutant = evolve(MUTANT, scenario=None, test="t.py::T::test")
        row = mutants_table([mutant], {mutant.name: CAUGHT}).splitlines()[3]
        self.assertEqual(row.split(), ["it", "breaks", "test", "caught"])

    def test_commands(self) -> None:
        """A check runs with the modules of the copy."""
        (self.root / "it.py").write_text("import it, sys\nsys.exit(print(it.__file__) or 3)\n")
        self.assertEqual(run_python(self.root, ["-c", "import it"]), (3, f"{self.file}\n"))
        self.assertIn("pages", MUTANT.command())
        self.assertIn(
            "t.py::T::test", evolve(MUTANT, scenario=None, test="t.py::T::test").command()
        )
