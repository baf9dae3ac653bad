"""
The testing guide: its examples are run, and have the outcome that the guide shows.

The first line of an example is the command that runs it; without a command, that is ``pytest``.
"""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from reqresp import testing
from reqresp.testing import (
    BaseServer,
    Expectation,
    LocalServer,
    MemoryServer,
    Server,
    ServerArguments,
)
from tests.support.documents import ROOT, Block, blocks
from tests.support.live import PATIENCE
from tests.support.nested import without_slow

GUIDE = (ROOT / "docs" / "testing.rst").read_text(encoding="utf-8")

PYTEST = (
    *("pytest", "-v", "-W", "error", "--tb=short", "-p", "no:cacheprovider"),
    *("-c", "/dev/null", "--rootdir", "."),  # no configuration of a parent directory
)
#: The modules that run examples, with their options, for the words in a first line.
RUNNERS = {
    "": (*PYTEST, *without_slow(needed=["anyio"])),
    "pytest-twisted": (*PYTEST, *without_slow(needed=["twisted"])),
    "python -m twisted.trial": ("twisted.trial", "--reporter=verbose"),
    "python -m unittest": ("unittest", "-v"),
}
#: What each of them prints for a test that has passed.
PASSED = {
    "": " PASSED ",
    "pytest-twisted": " PASSED ",
    "python -m twisted.trial": "[OK]",
    "python -m unittest": "... ok",
}


@frozen
class Example:
    """
    A file of the guide, its runner, and the message that its last test fails with.

    *argument* is what the runner is called with, as a reader types it.
    """

    line: int
    runner: str
    argument: str
    name: str
    code: str
    message: str | None

    @property
    def tests(self) -> int:
        """The number of its tests."""
        return len(re.findall(r"^ *(?:async )?def test_", self.code, re.MULTILINE))


def examples(text: str) -> list[Example]:
    """Return all files in *text*."""
    found = blocks(text)
    following = [*found[1:], Block(0, "nothing", "")]
    return [
        Example(block.line, *_named(block), after.code if after.language == "text" else None)
        for block, after in zip(found, following, strict=True)
        if block.language in ("python", "toml")
    ]


def _named(block: Block) -> tuple[str, str, str, str]:
    """Return the runner, its argument, the name and the code of a file."""
    head = re.match(r"# (?:(.+) )?(\w+)(\.\w+)?$", block.code, re.MULTILINE)
    if head is None:
        raise ValueError(f"line {block.line}: the first line does not name the file")
    # In a process of its own: the reactor and trio's loop handle the same signals.
    runner = head[1] or ("pytest-twisted" if "import pytest_twisted" in block.code else "")
    suffix = head[3] or ""
    return runner, head[2] + suffix, head[2] + (suffix or ".py"), f"{block.code}\n"


@frozen
class Ran:
    """The output and the exit status of a runner."""

    status: int
    output: str


@cache
def run_all() -> dict[str, Ran]:
    """Run all examples: one process for each runner, all at the same time."""
    with TemporaryDirectory() as directory:
        for example in examples(GUIDE):
            Path(directory, example.name).write_text(example.code, encoding="utf-8")
        started = {runner: _start(runner, directory) for runner in RUNNERS}
        return {runner: _end(process) for runner, process in started.items()}


def _start(runner: str, directory: str) -> "subprocess.Popen[str]":
    names = [it.argument for it in examples(GUIDE) if it.tests and it.runner == runner]
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", *RUNNERS[runner], *names],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _end(process: "subprocess.Popen[str]") -> Ran:
    try:
        output, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Ran(process.returncode, output)


def without_ports(text: str) -> str:
    """Return *text* with PORT for every port."""
    return re.sub(r"(127\.0\.0\.1):\d+", r"\1:PORT", text)


def messages(output: str) -> list[str]:
    """Return the messages of servers in the output of pytest, as errors or in sections."""
    errors = re.findall(r"^E   AssertionError: (reqresp .*(?:\n(?:E   |    ).*)*)", output, re.M)
    section = r"^-+ Captured reqresp call -+\n(reqresp .*(?:\n(?![-_=]{3}).*)*)"
    return [re.sub(r"\n.{4}", "\n", it) for it in errors] + re.findall(section, output, re.M)


class ExamplesTests(SynchronousTestCase):
    """Tests that run the examples."""

    def test_outcomes(self) -> None:
        """The last test of a file with a message fails, and every other test passes."""
        for runner, ran in run_all().items():
            mine = [it for it in examples(GUIDE) if it.runner == runner]
            failing = [it for it in mine if it.message is not None]
            self.assertEqual(ran.status, 1 if failing else 0, ran.output)
            passed = sum(it.tests for it in mine) - len(failing)
            self.assertEqual(ran.output.count(PASSED[runner]), passed, ran.output)

    def test_messages(self) -> None:
        """The messages are those of the guide, except for the ports."""
        ran = run_all()[""]
        shown = [it.message for it in examples(GUIDE) if it.message is not None]
        failed = [without_ports(it) for it in messages(ran.output)]
        self.assertEqual(sorted(failed), sorted(map(without_ports, shown)), ran.output)

    def test_every_example_is_a_file(self) -> None:
        """No Python stands in a block that is only indented, which these tests would not find."""
        found = re.findall(r"::\n\n +(?:@|async |class |def |from |import |server).*", GUIDE)
        self.assertEqual(found, [])

    def test_every_runner_is_shown(self) -> None:
        """There is an example for each runner, and for no other."""
        self.assertEqual({it.runner for it in examples(GUIDE) if it.tests}, set(RUNNERS))

    def test_every_name_is_documented(self) -> None:
        """All arguments and public names of servers and expectations are in the reference."""
        _, _, reference = GUIDE.partition("\nAPI reference\n")
        reference, _, _ = reference.partition("\nMigrating from other tools\n")
        words = {*re.findall(r"\w+", " ".join(re.findall(r"``(.+?)``", reference)))}
        names = {"host", "tls", *ServerArguments.__annotations__}
        for kind in (Server, MemoryServer, LocalServer, Expectation):
            names |= {name for name in vars(kind) if not name.startswith("_")}
        with MemoryServer() as server:  # with what it has been given when it was made
            names |= {*vars(BaseServer), *vars(server)} - {"factory"}
        names |= {*testing.__all__}
        names = {name for name in names if not name.startswith("_")}
        # Called by the server only.
        names -= {"name", "matches", "answer"}
        self.assertEqual(names - words, set())


class HelperTests(SynchronousTestCase):
    """Tests for the helpers of this module."""

    def test_files_are_found(self) -> None:
        """A file has a name, a runner, and the message that follows."""
        text = """
.. code-block:: python

   # python -m it test_a
   def test_a(): ...

       async def test_b(): ...

.. code-block:: text

   no

.. code-block:: toml

   # a.toml
"""
        python, toml = examples(text)
        self.assertEqual(
            (python.runner, python.name, python.message), ("python -m it", "test_a.py", "no")
        )
        self.assertEqual((python.argument, toml.argument), ("test_a", "a.toml"))
        self.assertEqual((python.tests, toml.tests), (2, 0))
        self.assertEqual((toml.runner, toml.name, toml.message), ("", "a.toml", None))

    def test_a_file_without_a_name(self) -> None:
        """A file without a name is an error: it would not be run."""
        with self.assertRaises(ValueError):
            examples(".. code-block:: python\n\n   import a\n")

    def test_messages_are_found(self) -> None:
        """Messages of servers are found whole and separate, other messages are not."""
        output = """
E   AssertionError: reqresp b
E     c

E   AssertionError: reqresp d
      e
___ test_f ___
E   AssertionError: f
--- Captured reqresp call ---
reqresp g
  h
=== end ===
"""
        self.assertEqual(messages(output), ["reqresp b\n  c", "reqresp d\n  e", "reqresp g\n  h"])
