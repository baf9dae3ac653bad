"""The house: which room leans on which, and what every room has to show."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import reqresp

PACKAGE = Path(reqresp.__file__).parent
PLUGINS = Path(__file__).parent.parent / "twisted" / "plugins"
MODULES = {path.stem: path for path in sorted(PACKAGE.glob("*.py"))}

#: The only module of ours that plugins may import: it is loaded whenever Twisted looks for any
#: plugin, whoever's that is.
FOR_PLUGINS = {"_eager_parser"}

#: Lines of a module, at most.
LINES = 300

#: What each module may import of ours, the lowest floor first: nobody leans on what stands below
#: in this table.  ``__init__`` is the public face: it names rooms, and opens one when it is asked.
MAY_IMPORT: dict[str, set[str]] = {
    "messages": set(),
    "escapes": set(),
    "limits": set(),
    "networks": set(),
    "proxy_header": set(),
    "decoders": set(),
    "closing": set(),
    "transport": set(),
    "patterns": set(),
    "lines": set(),
    "pem": set(),
    "_eager_parser": {"transport"},
    "tls": {"messages", "pem"},
    "observer": {"messages"},
    "entries": {"messages"},
    "meter": {"entries"},
    "length": {"decoders"},
    "commands": {"decoders"},
    "values": {"decoders"},
    "resp": {"commands", "decoders", "values"},
    "framing": {"decoders", "escapes", "length", "resp"},
    "headed": {"decoders", "framing", "patterns"},
    "responders": {"messages"},
    "transcript": {"messages", "observer"},
    "batch": {"messages", "responders"},
    "stream": {"closing", "messages", "transport"},
    "cutting": {"messages"},
    "faults": {"cutting", "messages"},
    "luck": {"cutting", "faults", "messages"},
    "behaviour": {
        *("batch", "decoders", "faults", "framing", "limits", "responders"),
    },
    "performer": {"decoders", "faults", "luck", "messages", "stream"},
    "constants": {"batch", "decoders", "messages", "performer"},
    "protocol": {"closing", "constants", "decoders", "messages", "performer", "stream"},
    "admission": {"limits", "networks"},
    "gathering": {"protocol"},
    "factory": {
        *("admission", "behaviour", "faults", "framing", "gathering", "limits", "messages"),
        *("networks", "observer", "protocol", "responders"),
    },
    "preamble": {"admission", "factory", "messages", "networks", "proxy_header"},
    "__init__": set(),
    # What scripts are made of.
    "predicates": {"patterns", "responders"},
    "index": {"patterns", "predicates", "responders"},
    "tables": {"lines"},
    "document": {"length", "limits"},
    "payloads": {"document", "messages", "responders", "tables"},
    "rules": {
        *("decoders", "faults", "index", "messages", "payloads", "predicates", "responders"),
    },
    "states": {"predicates", "rules", "tables"},
    "parts": {"document", "faults", "framing", "headed", "payloads", "tables"},
    "answers": {
        *("decoders", "document", "framing", "messages", "parts", "payloads", "rules"),
    },
    "builder": {"answers", "document", "framing", "parts", "payloads", "predicates", "rules"},
    "script": {
        *("behaviour", "builder", "document", "faults", "framing", "limits", "lines", "parts"),
        *("payloads", "rules", "states", "tables"),
    },
    # The command reqresp.
    "nearest": {"predicates", "rules"},
    "explain": {"decoders", "faults", "messages", "nearest", "predicates", "rules", "script"},
    "ask": {"commands", "decoders", "framing", "resp", "values"},
    "arguments": {"__init__", "ask", "escapes", "framing"},
    "command": {"arguments", "ask", "explain", "framing", "script"},
    "__main__": {"command"},
    # What tests are served with.
    "journal": {"entries", "messages", "observer"},
    "journal_file": {"entries", "journal", "messages"},
    "stubs": {
        *("builder", "document", "framing", "messages", "responders", "rules", "script", "tables"),
    },
    "expectations": {"decoders", "messages", "observer", "responders", "rules", "stubs"},
    "watch": {"entries", "journal", "messages", "observer", "predicates"},
    "verdict": {"entries", "expectations", "messages", "nearest", "stubs", "watch"},
    "fakes": {
        *("behaviour", "entries", "expectations", "factory", "faults", "framing", "journal"),
        *("limits", "messages", "predicates", "responders", "rules", "script", "stubs"),
        *("verdict", "watch"),
    },
    "reactors": set(),
    "certificates": set(),
    "sockets": set(),
    "loopback": {"sockets", "transport"},
    "memory": {"fakes", "loopback", "stubs"},
    "local": {"fakes", "messages", "reactors", "stubs", "transport"},
    "testing": {
        *("certificates", "fakes", "local", "memory", "messages", "reactors", "stubs", "tls"),
        "transport",
    },
    "pytest_plugin": {"testing"},
    # twistd reqresp.
    "listening": set(),
    "signals": set(),
    "lame_duck": set(),
    "service": {"factory", "lame_duck", "listening", "signals"},
    "conversions": set(),
    "places": {"conversions"},
    "options": {
        *("__init__", "conversions", "escapes", "framing", "limits", "networks", "places"),
    },
    "metrics": {"__init__", "admission", "factory", "faults", "meter"},
    "pages": {"factory", "meter", "metrics"},
    "worker_files": {"options"},
    "assembly": {
        *(
            "factory",
            "journal_file",
            "limits",
            "listening",
            "meter",
            "observer",
            "options",
            "pages",
            "places",
        ),
        *("preamble", "responders", "script", "service", "tls", "transcript"),
        "worker_files",
    },
    "shared": {"transport"},
    "log_pipe": set(),
    "spawner": {"log_pipe"},
    "supervisor": {"lame_duck", "listening", "options", "signals", "spawner", "worker_files"},
    "worker": {
        *("assembly", "listening", "log_pipe", "options", "service", "shared", "spawner"),
    },
    "tap": {"assembly", "listening", "options", "supervisor"},
}


def imported(node: ast.AST, *, late: bool = True) -> Iterator[str]:
    """
    The dotted names that code imports: in functions too (*late*), or only while it is imported.

    What stands under ``if TYPE_CHECKING:`` is left out: it is not there when the code runs, so
    nothing leans on it; a lower room may name a higher one in an annotation.
    """
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import():
                yield from (alias.name for alias in child.names)
            case ast.ImportFrom():
                package = "reqresp." * bool(child.level) + (child.module or "")
                yield from (f"{package.rstrip('.')}.{alias.name}" for alias in child.names)
            case ast.If(test=ast.Name("TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                yield from imported(ast.Module(child.orelse, []), late=late)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() if not late:
                pass
            case _:
                yield from imported(child, late=late)


def ours(names: Iterator[str]) -> set[str]:
    """The modules of ours among dotted *names*."""
    parts = [name.split(".") for name in names]
    found = [[*part, ""][1] for part in parts if part[0] == "reqresp"]
    return {name if name in MAY_IMPORT or name in MODULES else "__init__" for name in found}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


class FloorTests(SynchronousTestCase):
    """Imports point one way."""

    def test_every_module_has_its_floor(self) -> None:
        """A new module is given its place before it is used, and a gone one leaves no gap."""
        self.assertEqual(
            sorted(MODULES),
            sorted(MAY_IMPORT),
            "MAY_IMPORT in tests/test_architecture.py says for each module of reqresp/ which others"
            " it may import: put a new one above all that will lean on it, with as few as it needs",
        )

    def test_no_floor_leans_on_a_higher_one(self) -> None:
        """The table itself has no arrow that points up."""
        lower: set[str] = set()
        for name, floor in MAY_IMPORT.items():
            self.assertLessEqual(floor, lower, f"{name} may import what stands below it here")
            lower.add(name)

    def test_modules_import_what_they_may(self) -> None:
        """Also within their functions: a late import is an arrow too."""
        for name, path in MODULES.items():
            arrows = ours(imported(tree(path))) - MAY_IMPORT.get(name, set())
            self.assertEqual(
                arrows, set(), f"reqresp/{path.name} leans on what MAY_IMPORT does not allow it"
            )

    def test_plugins_load_nothing_of_the_server(self) -> None:
        """They name what there is; it is loaded when it is chosen."""
        plugins = {path.name: path for path in PLUGINS.glob("*.py")}
        self.assertIn("reqresp_plugin.py", plugins)
        for name, path in plugins.items():
            self.assertLessEqual(ours(imported(tree(path), late=False)), FOR_PLUGINS, name)


class ReactorTests(SynchronousTestCase):
    """To import the reactor is to install it, which is for the program to do."""

    def test_no_module_imports_the_reactor(self) -> None:
        """When it is itself imported."""
        for path in [*MODULES.values(), *PLUGINS.glob("*.py")]:
            names = imported(tree(path), late=False)
            self.assertNotIn("twisted.internet.reactor", set(names), path.name)

    def test_importing_everything_installs_no_reactor(self) -> None:
        """Nor does anything that our modules import."""
        modules = ", ".join(f"reqresp.{name}" for name in MODULES)
        program = f"import sys, {modules}; print('twisted.internet.reactor' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=PACKAGE.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual((done.stdout, done.stderr), ("False\n", ""))


class RoomTests(SynchronousTestCase):
    """What every module has to show."""

    def test_the_first_line_tells_the_job(self) -> None:
        """One sentence, of a few words at least, on one line."""
        for path in MODULES.values():
            first, *rest = (ast.get_docstring(tree(path)) or "").split("\n")
            self.assertRegex(first, r"^\S+( \S+){3,}\.$", f"the docstring of {path.name}")
            self.assertEqual(rest[:1], [""] * bool(rest), f"the docstring of {path.name}")

    def test_modules_are_short(self) -> None:
        """A module with more than a screenful or five has more than one job."""
        for path in MODULES.values():
            lines = len(path.read_text(encoding="utf-8").splitlines())
            self.assertLess(lines, LINES, path.name)


class ReadingTests(SynchronousTestCase):
    """The tests above see what they look for."""

    def test_every_kind_of_import_is_seen(self) -> None:
        """Of a package, of a module, of a name, relative, and within a function."""
        code = """
import reqresp
import reqresp.tap as roof, os
from reqresp import factory, __version__
from reqresp.messages import Send
from . import framing
from .limits import Limits
try:
    import reqresp.batch
except ImportError:
    pass
async def late():
    from reqresp.service import CannotStart
"""
        self.assertEqual(
            ours(imported(ast.parse(code))),
            {
                *("__init__", "tap", "factory", "messages", "framing", "limits", "batch"),
                "service",
            },
        )

    def test_what_runs_late_can_be_left_out(self) -> None:
        """A class body runs at once, its methods later."""
        code = """
class C:
    from reqresp import tap
    def method(self):
        from twisted.internet import reactor
"""
        self.assertEqual([*imported(ast.parse(code), late=False)], ["reqresp.tap"])

    def test_what_only_a_type_checker_sees_is_left_out(self) -> None:
        """But not what stands beside it."""
        code = """
if TYPE_CHECKING:
    from reqresp.tap import Options
else:
    from reqresp import batch
if typing.TYPE_CHECKING:
    from reqresp.service import Listener
if sys.platform == "linux":
    from reqresp import closing
"""
        self.assertEqual(ours(imported(ast.parse(code))), {"batch", "closing"})
