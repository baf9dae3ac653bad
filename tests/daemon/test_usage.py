"""The text that ``twistd reqresp --help`` prints."""

import os
from pathlib import Path

from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.option_table import GROUPS
from reqresp.daemon.options import Options
from tests.support.twisted_endpoints import HAS_TLS_ENDPOINT

#: To accept changes of the help, write the output of `Options().getUsage(80)` to this file.
HELP = Path(__file__).parent.parent / "golden" / "help.txt"


class HelpTests(SynchronousTestCase):
    """What ``twistd reqresp --help`` prints."""

    def test_text(self) -> None:
        """The help is the text in tests/golden/help.txt."""
        self.assertEqual(Options().getUsage(80), HELP.read_text(encoding="utf-8"))

    def test_width(self) -> None:
        """No line is wider than the terminal."""
        for width in (70, 80, 100):
            lines = Options().getUsage(width).splitlines()
            self.assertLessEqual(max(map(len, lines)), width)

    def test_width_of_the_terminal(self) -> None:
        """The width is that of the environment, or 80."""
        self.patch(os, "environ", {"COLUMNS": "100"})
        self.assertEqual(Options().getUsage(), Options().getUsage(100))
        os.environ.clear()
        self.assertEqual(Options().getUsage(), Options().getUsage(80))

    def test_narrow_terminal(self) -> None:
        """On a very narrow terminal, explanations keep a readable width."""
        self.assertIn("\n  -q, --quiet                 log only problems:", Options().getUsage(20))

    def test_every_option(self) -> None:
        """Every option that is parsed is in the help, once, and no other."""
        named = [option.name for group in GROUPS.values() for option in group]
        self.assertEqual(sorted(named), sorted(name.rstrip("=") for name in Options().longOpt))

    def test_defaults(self) -> None:
        """Every option with a value and a default shows the default."""
        text = " ".join(Options().getUsage(width=1000).split())
        for name, default in {
            "port": "9999",
            "interface": "127.0.0.1",
            "backlog": "1024",
            "response": "response",
            "close-on": "close",
            "framing": "chunk; with --script: the script's, or line",
            "max-request": "65536",
            "max-connections": "the soft limit on open files less 128",
            "max-per-peer": "no limit",
            "idle-timeout": "never",
            "drain": "5",
            "lame-duck": "0",
        }.items():
            _, found, rest = text.partition(f"--{name}=")
            self.assertTrue(found, name)
            self.assertIn(f"[default: {default}]", rest.partition("=")[0], name)

    def test_endpoints(self) -> None:
        """Twisted knows every kind of endpoint that the help names."""
        text = " ".join(Options().getUsage(80).split())
        for kind in ("tcp", "tcp6", "unix", "ssl", "tls", "systemd", "haproxy"):
            self.assertIn(f" {kind}:", text)
            if kind == "tls" and not HAS_TLS_ENDPOINT:
                continue
            # Each lacks something, and says so; one that is unknown would say that.
            with self.assertRaises(Exception) as caught:
                serverFromString(MemoryReactorClock(), f"{kind}:bogus=1")
            self.assertNotIn("Unknown endpoint type", str(caught.exception), kind)
