"""docs/migrating: what the tables say corresponds to another tool exists here."""

import re
from argparse import _SubParsersAction
from collections.abc import Iterator
from inspect import getmembers, isfunction, signature

from twisted.trial.unittest import SynchronousTestCase

from reqresp.cli.parser import make_parser
from reqresp.script.rule_parts import PredicateArguments
from reqresp.tap import Options
from reqresp.testing import ServerArguments
from tests.support.documents import ROOT
from tests.support.names import CLASSES, keys

API = (ROOT / "docs" / "reference" / "control-api.rst").read_text(encoding="utf-8")
#: The fixtures of pytest, and functions that a test imports.
FUNCTIONS = {"reqresp", "reqresp_server", "serve"}
#: Attributes of a server that listens, and a function of Python's.
OTHERS = {"host", "port", "urandom"}


def literals(text: str) -> Iterator[str]:
    """Yield what is code in the tables of *text*, but for their first columns."""
    for table in re.findall(r"^\.\. list-table::\n(?:   .*\n|\n)+", text, re.MULTILINE):
        for row in re.split(r"^   \* - ", table, flags=re.MULTILINE)[1:]:
            _, *cells = re.split(r"^     -", row, flags=re.MULTILINE)
            yield from re.findall(r"``(.+?)``", " ".join(" ".join(cells).split()))


HERE = [
    literal
    for path in sorted((ROOT / "docs" / "migrating").glob("*.rst"))
    for literal in literals(path.read_text(encoding="utf-8"))
]


def found(pattern: str) -> set[str]:
    """Return what the group of *pattern* matches in the tables."""
    return {name for literal in HERE for name in re.findall(pattern, literal)}


def arguments() -> set[str]:
    """Return the names of the arguments that a test passes."""
    methods = [it for kind in CLASSES for _, it in getmembers(kind, isfunction)]
    names = {name for method in methods for name in signature(method).parameters}
    names |= {*ServerArguments.__annotations__, *PredicateArguments.__annotations__, "tls"}
    return names | keys()


class HereTests(SynchronousTestCase):
    """Names in the tables."""

    def test_options(self) -> None:
        """Each is one of ``twistd reqresp``."""
        options = found(r"--([a-z][a-z-]*)")
        self.assertGreater(len(options), 10)
        self.assertEqual(options - {name.rstrip("=") for name in Options().longOpt}, set())

    def test_commands(self) -> None:
        """Each is one of ``reqresp``."""
        [commands] = [it for it in make_parser()._actions if isinstance(it, _SubParsersAction)]
        self.assertEqual(found(r"^reqresp (\w+)") - {*commands.choices}, set())

    def test_calls(self) -> None:
        """Each is a method of what a test has, a function or a fixture."""
        calls = found(r"(\w+)\(")
        self.assertGreater(len(calls), 10)
        unknown = {it for it in calls if not any(hasattr(kind, it) for kind in CLASSES)}
        self.assertEqual(unknown - FUNCTIONS - OTHERS, set())

    def test_arguments(self) -> None:
        """Each is an argument of a test server, of a method, or a predicate."""
        self.assertEqual(found(r"(?<![\w-])([a-z_]+)=") - arguments(), set())

    def test_keys(self) -> None:
        """Each key is one of a script, and each word that or what a test has."""
        self.assertEqual(found(r"(?:^|[{ ])([a-z_]+) = ") - keys(), set())
        words = found(r"^([a-z_]+)$") - keys() - FUNCTIONS - OTHERS
        self.assertEqual({it for it in words if not hasattr(CLASSES[1], it)}, set())

    def test_requests(self) -> None:
        """Each is a request of the control server."""
        requests = found(r"^([A-Z]+ /.+)$")
        self.assertGreater(len(requests), 2)
        for request in requests:
            self.assertIn(f"\n``{request.replace('NAME', '{service}')}``\n", API)

    def test_literals_are_found(self) -> None:
        """Each is found in all columns but the first, also where a line ends in it."""
        text = (
            "``a``\n\n.. list-table::\n   :header-rows: 1\n\n"
            "   * - ``b``\n     - ``c\n       d``, ``e``\n"
            "     -\n\nf\n"
        )
        self.assertEqual([*literals(text)], ["c d", "e"])
