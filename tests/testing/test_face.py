"""The names of `reqresp.testing`, of which some are imported late."""

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from reqresp import testing


class FaceTests(SynchronousTestCase):
    """Importing the package, and its names."""

    def test_servers_in_memory_are_imported_late(self) -> None:
        """Twisted's test framework is imported with a server in memory, and not before."""
        program = (
            "import sys; from reqresp.testing import Server;"
            "print('twisted.trial' in sys.modules);"
            "from reqresp.testing import InMemoryReactor, MemoryServer;"
            "print('twisted.trial' in sys.modules, MemoryServer.__name__, InMemoryReactor.__name__)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        self.assertEqual(done.stdout.split(), ["False", "True", "MemoryServer", "InMemoryReactor"])

    def test_another_name_is_an_error(self) -> None:
        """A misspelt name is an AttributeError, as in any module."""
        with self.assertRaisesRegex(AttributeError, "has no attribute 'MemorySever'"):
            _ = testing.MemorySever
