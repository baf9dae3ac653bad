"""Reliability: every scenario, small; and what the command makes of them."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing._base import DelimiterDecoder
from tests.reliability import inputs
from tests.reliability.decoding import FRAMINGS, FramingSubject
from tests.reliability.fuzz_worker import fuzz
from tests.reliability.report import table
from tests.reliability.scenarios import SCENARIOS
from tests.reliability.subjects import SUBJECTS
from tests.reliability.values import (
    at_least,
    at_most,
    exactly,
    growth,
    percentile,
    scaled,
    told,
)

ROOT = Path(__file__).parent.parent.parent
#: Enough to see that it works, in a few seconds each.
SMALL = 0.01


class ScenarioTests(SynchronousTestCase):
    """Each of them, small, keeps all its bounds."""

    def keeps_its_bounds(self, name: str) -> None:
        said: list[str] = []
        figures = SCENARIOS[name].run(SMALL, said.append)
        missed = [figure for figure in figures if not figure.met]
        self.assertEqual(missed, [], "\n".join(said))
        self.assertTrue(figures)
        self.assertTrue(said, "a scenario tells its steps")

    def test_idle(self) -> None:
        """Those that say nothing are in nobody's way."""
        self.keeps_its_bounds("idle")

    def test_slow_senders(self) -> None:
        """A byte a second costs next to nothing."""
        self.keeps_its_bounds("slow-senders")

    def test_half_headers(self) -> None:
        """Who does not say who it is, is let go."""
        self.keeps_its_bounds("half-headers")

    def test_never_readers(self) -> None:
        """Who does not read is not read from."""
        self.keeps_its_bounds("never-readers")

    def test_storms(self) -> None:
        """Nothing is left of those that reset."""
        self.keeps_its_bounds("storms")

    def test_descriptors(self) -> None:
        """When there are none, those that are connected go on."""
        self.keeps_its_bounds("descriptors")

    def test_disk(self) -> None:
        """A full one costs no reply, and what it costs is counted."""
        self.keeps_its_bounds("disk")

    def test_fuzz(self) -> None:
        """No decoder is surprised."""
        self.keeps_its_bounds("fuzz")

    def test_responders(self) -> None:
        """A bad one harms those that ask it."""
        self.keeps_its_bounds("responders")

    def test_sigterm(self) -> None:
        """What was received is answered."""
        self.keeps_its_bounds("sigterm")

    def test_sighup(self) -> None:
        """Nobody notices, but for the new rules."""
        self.keeps_its_bounds("sighup")

    def test_sigkill(self) -> None:
        """It starts again, and its journal can be read."""
        self.keeps_its_bounds("sigkill")

    def test_workers(self) -> None:
        """One that is killed takes nobody with it but its own clients, and is back."""
        self.keeps_its_bounds("workers")

    def test_soak(self) -> None:
        """Nothing grows."""
        self.keeps_its_bounds("soak")

    def test_all_are_tested(self) -> None:
        """A new one needs a test."""
        tested = {name[5:].replace("_", "-") for name in dir(self) if name.startswith("test_")}
        self.assertEqual({*SCENARIOS} - tested, set())


class FigureTests(SynchronousTestCase):
    """How figures are judged and reckoned."""

    def test_bounds(self) -> None:
        """At the bound it is met, beyond it is not; what is only told is met."""
        self.assertTrue(at_most("x", 2.0, 2.0).met)
        self.assertFalse(at_most("x", 2.1, 2.0).met)
        self.assertTrue(at_least("x", 3, 3).met)
        self.assertFalse(at_least("x", 2, 3).met)
        self.assertTrue(exactly("x", 3, 3).met)
        self.assertFalse(exactly("x", 4, 3).met)
        self.assertTrue(told("x", 1e9).met)

    def test_how_they_are_written(self) -> None:
        """Digits that mean something, with their unit; a bound that says which way."""
        figure = at_most("x", 1.234, 2048, "KiB")
        self.assertEqual((figure.measured, figure.bound), ("1.23 KiB", "<= 2,048 KiB"))

    def test_growth(self) -> None:
        """The last third against the first; the start does not count."""
        self.assertEqual(growth([0, *[5] * 9]), 0)
        self.assertEqual(growth([0, *[5] * 6, *[7] * 3]), 2)
        self.assertEqual(growth([1]), 0)

    def test_percentile(self) -> None:
        """Of any order."""
        self.assertEqual(percentile([float(n) for n in range(100, 0, -1)], 99), 100)
        self.assertEqual(percentile([1.0], 99), 1)

    def test_scaled(self) -> None:
        """Never less than makes sense."""
        self.assertEqual([scaled(1000, 0.5, 10), scaled(1000, 0.001, 10)], [500, 10])

    def test_the_table(self) -> None:
        """A row for each figure, its scenario named once, and a verdict."""
        text = table({"it": [exactly("one", 1, 1), exactly("two", 1, 2), told("three", 3)]})
        rows = [line.split() for line in text.splitlines()[3:6]]
        self.assertEqual(
            rows,
            [
                ["it", "one", "1", "1", "met"],
                ["\\", "two", "1", "2", "missed"],
                ["\\", "three", "3", "-", "-"],
            ],
        )


class FuzzTests(SynchronousTestCase):
    """It would find something, if there were something."""

    def surprise(self, subject: FramingSubject) -> str | None:
        found = fuzz(subject, 2000, Random(1))  # noqa: S311 (no secret)
        surprise: str | None = found["surprise"]
        return surprise

    def test_an_exception_of_another_kind(self) -> None:
        """It is told with the input that raised it."""

        class Raises:
            def decoder(self, limit: int) -> DelimiterDecoder:
                return Raising(limit, b"\n")

            def encode(self, payload: bytes) -> bytes:
                return payload

        class Raising(DelimiterDecoder):
            def feed(self, data: bytes) -> list[bytes]:
                return [data.name]  # type: ignore[attr-defined]

        found = self.surprise(evolve(FRAMINGS["line"], framing=Raises()))
        self.assertRegex(found or "", r"^input \d+, \[b'.*\]: AttributeError: ")

    def test_requests_that_depend_on_how_they_are_cut(self) -> None:
        """As those of chunks do, which nobody should call safe."""
        self.assertIn("in pieces", self.surprise(evolve(FRAMINGS["chunk"], is_cut_safe=True)) or "")

    def test_the_same_seed_makes_the_same_inputs(self) -> None:
        """So that a surprise can be had again."""
        for name, subject in SUBJECTS.items():
            makes = [subject.inputs(Random(7)) for _ in range(2)]  # noqa: S311
            first, second = ([make() for _ in range(50)] for make in makes)
            self.assertEqual(first, second, name)

    def test_pieces_make_the_stream(self) -> None:
        """Nothing is lost in cutting."""
        random = Random(1)  # noqa: S311
        for size in range(20):
            stream = random.randbytes(size)
            self.assertEqual(b"".join(inputs.pieces(stream, random)), stream)


class CommandTests(SynchronousTestCase):
    """``python -m tests.reliability``."""

    def run_command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "tests.reliability", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_writes_a_table(self) -> None:
        """Its steps, the figures, and where they were had."""
        with tempfile.TemporaryDirectory() as folder:
            done = self.run_command("--only", "disk", "--scale", "0.01", "--output", folder)
            written = Path(folder, "reliability-table.rst").read_text()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"(?m)^ +\d+\.\d s  disk: ")
        self.assertRegex(done.stdout, r"all bounds met\n\Z")
        self.assertRegex(written, r"(?m)^disk +replies while .* met$")
        self.assertIn(":command: ``python -m tests.reliability --only disk --scale 0.01``", written)

    def test_unknown_scenarios(self) -> None:
        """They are refused, and the others named."""
        done = self.run_command("--only", "nosuch")
        self.assertEqual(done.returncode, 2)
        self.assertIn("never-readers", done.stderr)
