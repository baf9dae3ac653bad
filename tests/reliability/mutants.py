"""
Mutants: small changes that break the server, each of which a scenario or a test must catch.

They are listed in ``mutants.toml``, and applied to a temporary copy of the project, one after
another.  A check that lets its mutant pass cannot fail, and proves nothing.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from bench.report import simple_table
from tests.reliability.values import Say

ROOT = Path(__file__).parent.parent.parent
LIST = Path(__file__).with_name("mutants.toml")
#: The scale of scenarios: they take a few seconds.
SCALE = 0.01
#: The longest time of a check, in seconds; one that takes longer has caught nothing.
PATIENCE = 300.0
#: The longest time of one test, in seconds: a mutant may make it run for ever.
TEST_TIMEOUT = 30
#: The verdict on a mutant that its check has found.
CAUGHT = "caught"
#: What a copy does not need, and what may be large.
_NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "venv", "build", "*.egg-info")


@frozen(kw_only=True)
class Mutant:
    """
    A change of one file, and the check that must catch it.

    :param name: what is wrong then.
    :param file: the path of the file in the project.
    :param old: the text to replace, which occurs once.
    :param scenario: the scenario whose bound is missed then; None: a test catches it.
    :param test: the test that fails then, as pytest names it; None: a scenario catches it.
    :param says: a part of what the scenario says about the bound, or of the test's output.
    """

    name: str
    file: str
    old: str
    new: str
    scenario: str | None = None
    test: str | None = None
    says: str = ""

    @property
    def check(self) -> str:
        """The scenario or the test, as a word."""
        return self.scenario or self.test or ""

    def command(self) -> Sequence[str]:
        """Return the arguments of Python that run the check."""
        if self.scenario is not None:
            return ("-m", "tests.reliability", "--only", self.scenario, "--scale", str(SCALE))
        options = ("-q", "-x", "-p", "no:cacheprovider", f"--timeout={TEST_TIMEOUT}")
        return ("-m", "pytest", *options, str(self.test))

    def is_caught(self, status: int, output: str) -> bool:
        """
        Return whether a check with this exit status and output has caught this change.

        A check that has ended for another reason, such as an error when it starts, proves nothing.
        """
        if status != 1:
            return False
        if self.test is not None:
            return f"FAILED {self.test}" in output and self.says in output
        missed = [line for line in output.splitlines() if "MISSED: " in line]
        return any(self.says in line for line in missed)

    def apply(self, root: Path) -> None:
        """
        Change the file in *root*.

        :raises ValueError: the text to replace does not occur exactly once.
        """
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(
                f"{self.name}: expected the old text once in {self.file},"
                f" found {text.count(self.old)} times"
            )
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


def read_mutants(path: Path = LIST) -> list[Mutant]:
    """
    Return the listed mutants.

    :raises ValueError: one has not exactly one check, or shares its name with another.
    """
    mutants = [Mutant(**each) for each in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]]
    for mutant in mutants:
        if (mutant.scenario is None) == (mutant.test is None):
            raise ValueError(f"{mutant.name}: expected either a scenario or a test")
    names = [mutant.name for mutant in mutants]
    if len(names) != len({*names}):
        raise ValueError("two mutants have the same name")
    return mutants


#: Runs Python with arguments in a copy of the project; returns the exit status and the output.
Run = Callable[[Path, Sequence[str]], tuple[int, str]]


def run_python(root: Path, arguments: Sequence[str]) -> tuple[int, str]:
    """Run Python with *arguments* in *root*, whose modules it uses."""
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.terminate()  # it stops its servers
            output, _ = process.communicate()
            return -1, f"{output}\nstopped after {PATIENCE:g} s"
    return process.returncode, output


def judge(
    mutants: Sequence[Mutant], say: Say, run: Run = run_python, root: Path = ROOT
) -> dict[str, str]:
    """
    Return a verdict on each of *mutants*: `CAUGHT`, or what happened instead.

    Each check is first run without a change: it must pass then.
    """
    verdicts: dict[str, str] = {}
    sound: dict[str, bool] = {}
    with _copy(root) as copy:
        for mutant in mutants:
            if mutant.check not in sound:
                say(f"{mutant.check}, without a change")
                status, output = run(copy, mutant.command())
                sound[mutant.check] = status == 0
                if status:
                    say(f"FAILED:\n{output}")
            verdict = _judge(mutant, copy, run) if sound[mutant.check] else "fails without it"
            verdicts[mutant.name] = verdict
            say(f"{mutant.name} ({mutant.check}): {verdict}")
    return verdicts


def _judge(mutant: Mutant, copy: Path, run: Run) -> str:
    path = copy / mutant.file
    before = path.read_bytes()
    try:
        mutant.apply(copy)
        status, output = run(copy, mutant.command())
    except ValueError as error:
        return str(error)
    finally:
        path.write_bytes(before)
    if mutant.is_caught(status, output):
        return CAUGHT
    return "survived" if status == 0 else f"failed otherwise (status {status})"


@contextmanager
def _copy(root: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="reqresp-") as name:
        copy = Path(name, "project")
        shutil.copytree(root, copy, ignore=_NOT_COPIED)
        yield copy


def mutants_table(mutants: Sequence[Mutant], verdicts: Mapping[str, str]) -> str:
    """Return a table of the mutants, their checks, and the verdicts."""
    rows = [(one.name, one.check.rpartition("::")[2], verdicts[one.name]) for one in mutants]
    return simple_table(("mutant", "check", "verdict"), rows)
