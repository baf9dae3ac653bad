"""The public names, and what it costs to find the plugin."""

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

import reqresp


def public_names() -> list[str]:
    """Return what ``from reqresp import *`` imports."""
    return list(getattr(reqresp, "__all__"))  # noqa: B009 (made when it is asked for)


class NamesTests(SynchronousTestCase):
    """What `from reqresp import ...` gives."""

    def test_every_name_is_there(self) -> None:
        """Each public name can be imported, and is listed."""
        for name in public_names():
            self.assertIn(name, dir(reqresp))
            self.assertIsNotNone(getattr(reqresp, name))

    def test_another_name_is_an_error(self) -> None:
        """A misspelt name fails as in any module."""
        with self.assertRaisesRegex(AttributeError, "has no attribute 'Reqresp'"):
            _ = reqresp.Reqresp

    def test_looking_for_plugins_loads_no_server_and_no_reactor(self) -> None:
        """Whoever has reqresp installed pays nothing for it in other Twisted programs."""
        code = (
            "import sys; import twisted.plugins.reqresp_plugin;"
            "print(*(name for name in sys.modules"
            " if name.startswith('reqresp.') or name == 'twisted.internet.reactor'))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        self.assertEqual(done.stdout.split(), [b"reqresp._endpoint_parser"])
