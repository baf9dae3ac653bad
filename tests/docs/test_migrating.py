"""docs/migrating: what the tables name exists, on both sides where the other can be installed."""

import re
import socket
import subprocess
from argparse import _SubParsersAction
from collections.abc import Iterator
from inspect import getmembers, isfunction, signature

import pytest_httpserver
from pytest_httpserver import hooks, pytest_plugin
from twisted.trial.unittest import SynchronousTestCase

from reqresp.cli.parser import make_parser
from reqresp.script.rule_parts import PredicateArguments
from reqresp.tap import Options
from reqresp.testing import ServerArguments
from tests.support import live
from tests.support.documents import ROOT, blocks
from tests.support.live import PATIENCE, Client, Log
from tests.support.names import CLASSES, keys

API = (ROOT / "docs" / "reference" / "control-api.rst").read_text(encoding="utf-8")
#: The fixtures of pytest, and functions that a test imports.
FUNCTIONS = {"reqresp", "reqresp_server", "serve"}
#: Attributes of a server that listens, and a function of Python's.
OTHERS = {"host", "port", "urandom"}


def literals(text: str, columns: slice = slice(1, None)) -> Iterator[str]:
    """Yield what is code in *columns* of the tables of *text*: in all but the first."""
    for table in re.findall(r"^\.\. list-table::\n(?:   .*\n|\n)+", text, re.MULTILINE):
        for row in re.split(r"^   \* - ", table, flags=re.MULTILINE)[1:]:
            cells = re.split(r"^     -", row, flags=re.MULTILINE)[columns]
            yield from re.findall(r"``(.+?)``", " ".join(" ".join(cells).split()))


def page(name: str) -> str:
    """Return the text of a page."""
    return (ROOT / "docs" / "migrating" / f"{name}.rst").read_text(encoding="utf-8")


def there(name: str) -> str:
    """Return what is code in the first column of a page, a line each."""
    return "\n".join(literals(page(name), slice(1)))


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
        self.assertEqual([*literals(text, slice(1))], ["b"])


class ThereTests(SynchronousTestCase):
    """The first column, and the examples of another tool."""

    def test_ncat(self) -> None:
        """ncat has the options; its loop sends its text to a client that sends nothing."""
        ncat = live.program("ncat")
        text = there("ncat-and-socat")
        options = {*re.findall(r"(?<=[ `])--[a-z-]+", text)}
        self.assertGreater(len(options), 5)
        usage = subprocess.run([ncat, "--help"], capture_output=True, text=True, check=False).stdout
        self.assertEqual(options - {*re.findall(r"--[a-z-]+", usage)}, set())

        [loop] = [it.code for it in blocks(page("ncat-and-socat")) if it.language == "sh"]
        command = loop.partition(" &")[0].replace("ncat -lk", "exec ncat -v -lk")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        loops = subprocess.Popen(
            ["bash", "-c", command.replace("9999", str(port))], stderr=subprocess.PIPE
        )
        log = Log(loops.stderr)
        self.addCleanup(log.close)
        self.addCleanup(loops.wait, PATIENCE)
        self.addCleanup(loops.kill)
        log.wait("Listening on")
        for _ in range(2):
            with Client(("127.0.0.1", port)) as client:
                self.assertEqual(client.rest(), b"pong\n")

    def test_socat(self) -> None:
        """socat has the addresses, and their options."""
        socat = live.program("socat")
        usage = subprocess.run([socat, "-hhh"], capture_output=True, text=True, check=False).stdout
        text = there("ncat-and-socat")
        names = {it.lower() for it in re.findall(r"\b[A-Z]+(?:-[A-Z]+)?(?=:)", text)}
        names |= {*re.findall(r",([a-z-]+)", text)}
        self.assertGreater(len(names), 8)
        known = {*re.findall(r"^ +([a-z-]+)(?=[:\t ])", usage, re.MULTILINE)}
        self.assertEqual(names - known, {"host"})  # of HOST:PORT

    def test_pytest_httpserver(self) -> None:
        """The names are fixtures, methods of the server and of what it returns, or classes."""
        names = {*re.findall(r"(\w+)(?=\()", there("pytest-httpserver"))}
        names |= {*re.findall(r"^\w+$", there("pytest-httpserver"), re.MULTILINE)}
        self.assertGreater(len(names), 15)
        homes = (
            *(pytest_httpserver, hooks, pytest_plugin),
            *(pytest_httpserver.HTTPServer, pytest_httpserver.RequestHandler),
        )
        with pytest_httpserver.HTTPServer() as server:
            unknown = {
                it for it in names if not any(hasattr(home, it) for home in (*homes, server))
            }
        self.assertEqual(unknown, set())
