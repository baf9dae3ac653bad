"""The structure of the code: imports, modules and the public faces of packages.

import-linter checks the floors of the packages: its contract is in pyproject.toml.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import reqresp

PACKAGE = Path(reqresp.__file__).parent
PROJECT = PACKAGE.parent
PLUGINS = sorted((PROJECT / "twisted" / "plugins").glob("*.py"))

#: Each module of ours by its dotted name; a package stands for its ``__init__``.
MODULES = {
    ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
PACKAGES = [name for name, path in MODULES.items() if path.name == "__init__.py"]

#: The only module of ours that plugins may import: Twisted loads them with every other plugin.
FOR_PLUGINS = {"reqresp._endpoint_parser.EagerParser"}

#: A module has fewer lines than this; about 250 read best.
MAX_LINES = 500

#: Modules that may be longer, up to so many lines.
LONGER_MODULES = {
    # One class with one state.  Cutting it would spread the state over modules.
    "reqresp.server.connection": 700,
}

#: Public modules whose behaviour shows only through the module in the comment.
TESTED_ELSEWHERE: set[str] = set()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(node: ast.AST, package: str = "", *, late: bool = True) -> Iterator[str]:
    """
    Yield the dotted names that code of *package* imports.

    Imports under ``TYPE_CHECKING`` count only with *late*, as do those in functions.
    """
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import():
                yield from (alias.name for alias in child.names)
            case ast.ImportFrom():
                parents = package.split(".")[: 1 - child.level or None] if child.level else []
                module = ".".join([*parents, *filter(None, [child.module])])
                yield from (f"{module}.{alias.name}" for alias in child.names)
            case ast.If(test=ast.Name("TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")) if (
                not late
            ):
                yield from imported(ast.Module(child.orelse, []), package, late=late)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() if not late:
                pass
            case _:
                yield from imported(child, package, late=late)


def imports_of(name: str, *, late: bool = True) -> set[str]:
    """Return the dotted names that the module *name* of ours imports."""
    package = name if name in PACKAGES else name.rpartition(".")[0]
    return {*imported(tree(MODULES[name]), package, late=late)}


def foreign_private_names(name: str, names: set[str]) -> set[str]:
    """Return those of *names* that are private to a package the module *name* is not in."""
    foreign = set()
    for dotted in names:
        for package in PACKAGES[1:]:
            private = dotted.startswith(f"{package}._")
            if private and not f"{name}.".startswith(f"{package}."):
                foreign.add(dotted)
    return foreign


class ImportTests(SynchronousTestCase):
    """What modules import."""

    def test_private_modules_are_imported_only_within_their_package(self) -> None:
        """Other packages use the public face or a public module of a package."""
        for name in MODULES:
            self.assertEqual(foreign_private_names(name, imports_of(name)), set(), name)

    def test_plugins_load_nothing_of_the_server(self) -> None:
        """Importing a plugin imports only the parser of endpoint strings."""
        self.assertIn("reqresp_plugin.py", [path.name for path in PLUGINS])
        for path in PLUGINS:
            ours = {it for it in imported(tree(path), late=False) if it.startswith("reqresp")}
            self.assertLessEqual(ours, FOR_PLUGINS, path.name)

    def test_no_test_module_imports_another(self) -> None:
        """What tests share is in tests/support."""
        for path in sorted((PROJECT / "tests").rglob("*.py")):
            package = ".".join(path.relative_to(PROJECT).parent.parts)
            for name in imported(tree(path), package):
                self.assertNotRegex(name, r"^tests\.(\w+\.)*test_", path.name)


class FloorTests(SynchronousTestCase):
    """The floors, as import-linter checks them and as the documentation shows them."""

    def test_the_documented_floors_are_those_that_are_checked(self) -> None:
        """The table in docs/architecture.rst shows the layers of pyproject.toml, in their order."""
        settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
        [contract] = settings["tool"]["importlinter"]["contracts"]
        layers = [{*layer.split(" | ")} for layer in contract["layers"]]
        page = (PROJECT / "docs" / "architecture.rst").read_text(encoding="utf-8")
        self.assertEqual(documented_floors(page), layers)


def documented_floors(page: str) -> list[set[str]]:
    """Return the names in the second column of the table of floors in *page*, row by row."""
    _before, _heading, rest = page.partition("\nFloor  Package")
    floors: list[set[str]] = []
    for line in rest.partition("\n=====")[2].partition("\n=====")[0].splitlines()[1:]:
        if line[:5].strip():
            floors.append(set())
        floors[-1] |= {*re.findall(r"``(\w+)``", line[7:49])}
    return floors


class ReactorTests(SynchronousTestCase):
    """Only the main program may install a reactor, and importing the reactor installs it."""

    def test_no_module_imports_the_reactor(self) -> None:
        """No module imports the reactor while it is itself imported."""
        for path in [*MODULES.values(), *PLUGINS]:
            names = {*imported(tree(path), late=False)}
            self.assertNotIn("twisted.internet.reactor", names, path.name)

    def test_importing_everything_installs_no_reactor(self) -> None:
        """Neither our modules nor the modules that they import install one."""
        program = (
            f"import sys, {', '.join(MODULES)}; print('twisted.internet.reactor' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual((done.stdout, done.stderr), ("False\n", ""))


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> set[str]:
    """Return the names of the parameters of a function, or of what makes an object of a class."""
    if isinstance(node, ast.ClassDef):
        fields = {ast.unparse(it.target) for it in node.body if isinstance(it, ast.AnnAssign)}
        makers = [it for it in node.body if isinstance(it, ast.FunctionDef)]
        made = [parameters(it) for it in makers if it.name in ("__init__", "__new__")]
        return {it.lstrip("_") for it in fields}.union(*made)
    every = ast.walk(node.args)
    return {it.arg for it in every if isinstance(it, ast.arg)}


class ModuleTests(SynchronousTestCase):
    """What every module shows."""

    def test_the_first_line_says_the_job(self) -> None:
        """A module's docstring begins with one sentence of four words or more, on its own line."""
        for name, path in MODULES.items():
            first, *rest = (ast.get_docstring(tree(path)) or "").split("\n")
            self.assertRegex(first, r"^\S+( \S+){3,}\.$", f"the docstring of {name}")
            self.assertEqual(rest[:1], [""] * bool(rest), f"the docstring of {name}")

    def test_docstrings_name_real_parameters(self) -> None:
        """Each ``:param`` of a docstring is a parameter of that function or class."""
        for name, path in MODULES.items():
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    text = ast.get_docstring(node) or ""
                    documented = {*re.findall(r"^\s*:param (\w+):", text, re.MULTILINE)}
                    self.assertLessEqual(documented, parameters(node), f"{node.name} in {name}")

    def test_modules_are_short(self) -> None:
        """No module reaches the ceiling."""
        for name, path in MODULES.items():
            lines = len(path.read_text(encoding="utf-8").splitlines())
            self.assertLess(lines, LONGER_MODULES.get(name, MAX_LINES), name)


class TestedTests(SynchronousTestCase):
    """Where the tests of a module are."""

    def test_every_public_module_has_its_tests(self) -> None:
        """The tests of reqresp/PACKAGE/MODULE.py are in tests/PACKAGE/test_MODULE.py."""
        missing = set()
        for name, path in MODULES.items():
            place = path.relative_to(PACKAGE)
            if path.stem.startswith("_") or not has_behaviour(tree(path)):
                continue
            tests = PROJECT / "tests" / place.parent / f"test_{path.stem}.py"
            if not tests.is_file():
                missing.add(name)
        self.assertEqual(missing, TESTED_ELSEWHERE)


def has_behaviour(node: ast.AST) -> bool:
    """Return whether code has a function or a method that does more than state a docstring."""
    return any(
        isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef) and len(it.body) > 1
        for it in ast.walk(node)
    )


class FaceTests(SynchronousTestCase):
    """A package's ``__init__`` is its public face."""

    def test_every_name_of_a_face_can_be_imported(self) -> None:
        """All names in the ``__all__`` of a package exist, each once."""
        for name in PACKAGES:
            package = import_module(name)
            names = list(getattr(package, "__all__", ()))
            self.assertEqual(len(names), len({*names}), name)
            self.assertEqual([it for it in names if not hasattr(package, it)], [], name)

    def test_a_face_shows_no_private_name(self) -> None:
        """Names with a leading underscore stay within their package."""
        for name in PACKAGES[1:]:
            names = getattr(import_module(name), "__all__", ())
            self.assertEqual([it for it in names if it.startswith("_")], [], name)


class ReadingTests(SynchronousTestCase):
    """The functions that these tests read code with."""

    def test_every_kind_of_import_is_found(self) -> None:
        """Of a package, a module or a name, absolute or relative, and within a function."""
        code = """
import reqresp
import reqresp.tap as roof, os
from reqresp.steps import Send, Wait
from . import framing
from .limits import Limits
from ..steps import Close
if TYPE_CHECKING:
    from reqresp.tap import Options
try:
    import reqresp._text
except ImportError:
    pass
async def late():
    from reqresp.daemon import service
"""
        self.assertEqual(
            {*imported(ast.parse(code), "reqresp.server")},
            {
                *("reqresp", "reqresp.tap", "os", "reqresp.steps.Send", "reqresp.steps.Wait"),
                *("reqresp.server.framing", "reqresp.server.limits.Limits"),
                *("reqresp.steps.Close", "reqresp.tap.Options", "reqresp._text"),
                "reqresp.daemon.service",
            },
        )

    def test_late_imports_can_be_left_out(self) -> None:
        """A class body runs when its module is imported, but its methods run later."""
        code = """
class C:
    from reqresp import tap
    def method(self):
        from twisted.internet import reactor
"""
        self.assertEqual([*imported(ast.parse(code), late=False)], ["reqresp.tap"])

    def test_imports_of_a_type_checker_can_be_left_out(self) -> None:
        """Imports in the ``else`` branch, or under another condition, still count."""
        code = """
if TYPE_CHECKING:
    from reqresp.tap import Options
else:
    from reqresp import steps
if typing.TYPE_CHECKING:
    from reqresp.daemon.service import Listener
if sys.platform == "linux":
    from reqresp import faults
"""
        self.assertEqual(
            {*imported(ast.parse(code), late=False)}, {"reqresp.steps", "reqresp.faults"}
        )

    def test_private_names_of_other_packages_are_found(self) -> None:
        """A package may import its own private modules, and the private modules of the root."""
        names = {"reqresp.framing._base.Decoder", "reqresp.framing.Line", "reqresp._text.escape"}
        self.assertEqual(foreign_private_names("reqresp.framing._resp", names), set())
        self.assertEqual(
            foreign_private_names("reqresp.server.factory", names),
            {"reqresp.framing._base.Decoder"},
        )
