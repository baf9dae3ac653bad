"""SIGINT while the real twistd loads plugins, before there is a reactor that handles it."""

import os
import signal
import subprocess

from tests.support import live
from tests.support.live import Server
from tests.support.live_case import LiveTestCase

#: A plugin that says when it is imported, and then waits: until SIGINT, or the end of its input,
#: whichever Python notices first.  If there is a file "quick", it does not wait.
SLOW_PLUGIN = """\
import os
import sys

from twisted.application.service import ServiceMaker

if not os.path.exists("quick"):
    print("slow plugin", flush=True)
    sys.stdin.read()

slow = ServiceMaker("slow", "no.such.module", "It is never used.", "slow")
"""


class PluginsTests(LiveTestCase):
    """Twisted catches a KeyboardInterrupt in a plugin's module, logs it, and goes on."""

    def setUp(self) -> None:
        super().setUp()
        plugins = self.directory / "twisted" / "plugins"
        plugins.mkdir(parents=True)
        (plugins / "a_slow_plugin.py").write_text(SLOW_PLUGIN)

    def start(self, *arguments: str) -> Server:
        """Start twistd with the slow plugin."""
        path = os.pathsep.join([str(self.directory), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"PYTHONPATH": path}
        return self.stopped(
            live.start(self.directory, *arguments, stdin=subprocess.PIPE, env=environment)
        )

    def assert_sigint_ends(self, server: Server) -> None:
        """Assert that SIGINT, when it imports the plugin, ends *server* before it listens."""
        server.log.wait("slow plugin")
        server.signal(signal.SIGINT)
        assert server.process.stdin is not None
        server.process.stdin.close()
        self.assertEqual(server.wait(), -signal.SIGINT, server.log.text())
        self.assertNotIn("starting on", server.log.text())

    def test_plugin_that_is_not_in_the_cache(self) -> None:
        """SIGINT while Twisted imports a plugin for its cache does not start the server."""
        self.assert_sigint_ends(self.start("reqresp", "--port=0"))

    def test_plugin_that_is_in_the_cache(self) -> None:
        """SIGINT while Twisted imports a plugin to look at it does not start the server."""
        quick = self.directory / "quick"
        quick.touch()
        cached = self.start("--help")
        assert cached.process.stdin is not None
        cached.process.stdin.close()
        self.assertEqual(cached.wait(), 0)
        quick.unlink()
        self.assert_sigint_ends(self.start("reqresp", "--port=0"))
