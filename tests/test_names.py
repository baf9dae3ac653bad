"""The public names, and what it costs to find the plugin."""

import ast
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import reqresp


class NamesTests(SynchronousTestCase):
    """What `from reqresp import ...` gives."""

    def test_every_name_is_there(self) -> None:
        """Each public name can be imported, and is listed."""
        for name in reqresp.__all__:
            self.assertIn(name, dir(reqresp))
            self.assertIsNotNone(getattr(reqresp, name))

    def test_another_name_is_an_error(self) -> None:
        """A misspelt name fails as in any module."""
        with self.assertRaisesRegex(AttributeError, "has no attribute 'Reqresp'"):
            _ = reqresp.Reqresp

    def test_type_checkers_see_the_same(self) -> None:
        """The imports for type checkers and the table at run time agree."""
        source = ast.parse(Path(reqresp.__file__).read_text())
        seen = {
            alias.name: str(node.module).removeprefix("reqresp.")
            for node in ast.walk(source)
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("reqresp.")
            for alias in node.names
        }
        self.assertEqual(seen, reqresp._ROOMS)

    def test_looking_for_plugins_loads_no_server_and_no_reactor(self) -> None:
        """Whoever has reqresp installed pays nothing for it in other Twisted programs."""
        code = (
            "import sys; import twisted.plugins.reqresp_plugin;"
            "print(*(name for name in sys.modules"
            " if name.startswith('reqresp.') or name == 'twisted.internet.reactor'))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        self.assertEqual(done.stdout.split(), [b"reqresp._eager_parser"])
