"""Reliability: each scenario at a small scale, and the command."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing._decoders import DelimiterDecoder
from tests.reliability import inputs
from tests.reliability.decoding import FRAMINGS, FramingSubject
from tests.reliability.fuzz_worker import fuzz
from tests.reliability.report import made, table
from tests.reliability.scenarios import SCENARIOS
from tests.reliability.subjects import SUBJECTS
from tests.reliability.values import (
    at_least,
    at_most,
    exactly,
    growth,
    percentile,
    scaled,
    unbounded,
)

ROOT = Path(__file__).parent.parent.parent
#: A scale at which a scenario takes a few seconds.
SMALL = 0.01


class ScenarioTests(SynchronousTestCase):
    """Each scenario meets all its bounds at a small scale."""

    def keeps_its_bounds(self, name: str) -> None:
        said: list[str] = []
        figures = SCENARIOS[name].run(SMALL, said.append)
        missed = [figure for figure in figures if not figure.met]
        self.assertEqual(missed, [], "\n".join(said))
        self.assertTrue(figures)
        self.assertTrue(said, "a scenario must report its steps")

    def test_idle(self) -> None:
        """Idle connections do not affect regular clients."""
        self.keeps_its_bounds("idle")

    def test_slow_senders(self) -> None:
        """A client that sends a byte a second takes little memory."""
        self.keeps_its_bounds("slow-senders")

    def test_endless_requests(self) -> None:
        """A request that never ends is closed in time, whatever arrives in between."""
        self.keeps_its_bounds("endless-requests")

    def test_half_headers(self) -> None:
        """A connection without a complete PROXY header is reset."""
        self.keeps_its_bounds("half-headers")

    def test_never_readers(self) -> None:
        """A client that does not read is not read from."""
        self.keeps_its_bounds("never-readers")

    def test_floods(self) -> None:
        """Twenty floods of requests do not keep another client waiting."""
        self.keeps_its_bounds("floods")

    def test_pages(self) -> None:
        """Clients of the metrics pages delay neither other clients nor a stop."""
        self.keeps_its_bounds("pages")

    def test_tls(self) -> None:
        """Clients that use TLS badly cost little memory, and delay no other client."""
        self.keeps_its_bounds("tls")

    def test_storms(self) -> None:
        """Clients that reset leave no descriptor and no memory."""
        self.keeps_its_bounds("storms")

    def test_descriptors(self) -> None:
        """Without free descriptors, connected clients are served."""
        self.keeps_its_bounds("descriptors")

    def test_disk(self) -> None:
        """A full disk loses no reply, and lost entries are counted."""
        self.keeps_its_bounds("disk")

    def test_journal(self) -> None:
        """A large reply takes little of the journal."""
        self.keeps_its_bounds("journal")

    def test_fuzz(self) -> None:
        """Each decoder handles all inputs."""
        self.keeps_its_bounds("fuzz")

    def test_responders(self) -> None:
        """A failing responder affects only its own clients."""
        self.keeps_its_bounds("responders")

    def test_relay_faults(self) -> None:
        """What passes a relay arrives unchanged, however its faults change."""
        self.keeps_its_bounds("relay-faults")

    def test_sigterm(self) -> None:
        """All received requests are answered before the end."""
        self.keeps_its_bounds("sigterm")

    def test_sighup(self) -> None:
        """A reload loses no request, and new connections get the new rules."""
        self.keeps_its_bounds("sighup")

    def test_sigkill(self) -> None:
        """A killed server can be restarted, and its journal is readable."""
        self.keeps_its_bounds("sigkill")

    def test_workers(self) -> None:
        """A killed worker loses only its own clients, and is restarted."""
        self.keeps_its_bounds("workers")

    def test_soak(self) -> None:
        """Memory and descriptors do not grow."""
        self.keeps_its_bounds("soak")

    def test_all_are_tested(self) -> None:
        """Each scenario has a test here."""
        tested = {name[5:].replace("_", "-") for name in dir(self) if name.startswith("test_")}
        self.assertEqual({*SCENARIOS} - tested, set())


class FigureTests(SynchronousTestCase):
    """How figures are computed, compared and written."""

    def test_bounds(self) -> None:
        """A value at its bound is met, one beyond it is missed; without a bound it is met."""
        self.assertTrue(at_most("x", 2.0, 2.0).met)
        self.assertFalse(at_most("x", 2.1, 2.0).met)
        self.assertTrue(at_least("x", 3, 3).met)
        self.assertFalse(at_least("x", 2, 3).met)
        self.assertTrue(exactly("x", 3, 3).met)
        self.assertFalse(exactly("x", 4, 3).met)
        self.assertTrue(unbounded("x", 1e9).met)

    def test_how_they_are_written(self) -> None:
        """A figure has three digits and its unit, and its bound a direction."""
        figure = at_most("x", 1.234, 2048, "KiB")
        self.assertEqual((figure.measured, figure.bound), ("1.23 KiB", "<= 2,048 KiB"))

    def test_growth(self) -> None:
        """Growth compares the last third with the first, without the warm-up."""
        self.assertEqual(growth([0, *[5] * 9]), 0)
        self.assertEqual(growth([0, *[5] * 6, *[7] * 3]), 2)
        self.assertEqual(growth([1]), 0)

    def test_percentile(self) -> None:
        """A percentile does not depend on the order."""
        self.assertEqual(percentile([float(n) for n in range(100, 0, -1)], 99), 100)
        self.assertEqual(percentile([1.0], 99), 1)

    def test_scaled(self) -> None:
        """A scaled number is not below its minimum."""
        self.assertEqual([scaled(1000, 0.5, 10), scaled(1000, 0.001, 10)], [500, 10])

    def test_the_table(self) -> None:
        """The table has a row for each figure, its scenario once, and a verdict."""
        text = table({"it": [exactly("one", 1, 1), exactly("two", 1, 2), unbounded("three", 3)]})
        rows = [line.split() for line in text.splitlines()[3:6]]
        self.assertEqual(
            rows,
            [
                ["it", "one", "1", "1", "met"],
                ["\\", "two", "1", "2", "missed"],
                ["\\", "three", "3", "-", "-"],
            ],
        )

    def test_how_a_table_was_made(self) -> None:
        """A sentence has the command, the time, the date, the machine and the versions."""
        self.assertRegex(
            made("it --well", 1234.5),
            r"^``it --well`` took 1,234 s on \d{4}-\d\d-\d\d: .* cores; Python .*, Twisted \d",
        )


class FuzzTests(SynchronousTestCase):
    """The fuzzer finds failures, and repeats its inputs."""

    def failure(self, subject: FramingSubject) -> str | None:
        found = fuzz(subject, 2000, Random(1))  # noqa: S311 (no secret)
        failure: str | None = found["failure"]
        return failure

    def test_an_exception_of_another_kind(self) -> None:
        """An unexpected exception is reported with its input."""

        class Raises:
            def decoder(self, limit: int) -> DelimiterDecoder:
                return Raising(limit, b"\n")

            def encode(self, payload: bytes) -> bytes:
                return payload

        class Raising(DelimiterDecoder):
            def feed(self, data: bytes) -> list[bytes]:
                return [data.name]  # type: ignore[attr-defined]

        found = self.failure(evolve(FRAMINGS["line"], framing=Raises()))
        self.assertRegex(found or "", r"^input \d+, \[b'.*\]: AttributeError: ")

    def test_requests_that_depend_on_how_they_are_cut(self) -> None:
        """Requests that depend on the cut, as those of chunks, are reported."""
        self.assertIn("in pieces", self.failure(evolve(FRAMINGS["chunk"], is_cut_safe=True)) or "")

    def test_the_same_seed_makes_the_same_inputs(self) -> None:
        """The same seed makes the same inputs, to repeat a failure."""
        for name, subject in SUBJECTS.items():
            makes = [subject.inputs(Random(7)) for _ in range(2)]  # noqa: S311
            first, second = ([make() for _ in range(50)] for make in makes)
            self.assertEqual(first, second, name)

    def test_pieces_make_the_stream(self) -> None:
        """The pieces of a stream contain all its bytes."""
        random = Random(1)  # noqa: S311
        for size in range(20):
            stream = random.randbytes(size)
            self.assertEqual(b"".join(inputs.pieces(stream, random)), stream)


class CommandTests(SynchronousTestCase):
    """The command ``python -m tests.reliability``."""

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
        """The command prints steps and figures, and writes them with the machine."""
        with tempfile.TemporaryDirectory() as folder:
            done = self.run_command("--only", "disk", "--scale", "0.01", "--output", folder)
            written = Path(folder, "reliability-table.rst").read_text()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"(?m)^ +\d+\.\d s  disk: ")
        self.assertRegex(done.stdout, r"all bounds met\n\Z")
        self.assertRegex(written, r"(?m)^disk +replies, with and without a full disk .* met$")
        self.assertIn(":command: ``python -m tests.reliability --only disk --scale 0.01``", written)

    def test_unknown_scenarios(self) -> None:
        """An unknown scenario is refused, with the list of known ones."""
        done = self.run_command("--only", "nosuch")
        self.assertEqual(done.returncode, 2)
        self.assertIn("never-readers", done.stderr)
