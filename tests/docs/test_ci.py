"""docs/howto/ci.rst: the steps of its jobs are run, except for those that install."""

import re

from twisted.trial.unittest import SynchronousTestCase

from tests.support import live
from tests.support.documents import ROOT, blocks
from tests.support.walkthrough import Walkthrough

PAGE = ROOT / "docs" / "howto" / "ci.rst"
BLOCKS = blocks(PAGE.read_text(encoding="utf-8"))
SCRIPT = '[[rule]]\nequals = "ping"\nreply = "pong"\n'
TEST = """
import socket

def test_it(reqresp_server):
    server = reqresp_server()
    server.expect("ping").reply("pong")
    with socket.create_connection((server.host, server.port)) as client:
        client.sendall(b"ping\\n")
        assert client.recv(10).strip() == b"pong"
"""
#: The extras that steps need, by words of theirs.
NEEDED = {"--metrics": "metrics", "pytest": "testing"}


class StepTests(SynchronousTestCase):
    """What the jobs do."""

    def setUp(self) -> None:
        self.directory = live.temporary(self)
        (self.directory / "it.toml").write_text(SCRIPT)
        (self.directory / "test_it.py").write_text(TEST)
        self.walkthrough = Walkthrough(self, PAGE, self.directory)

    def do(self, command: str) -> str:
        """Return what a command prints, which must succeed."""
        ended = self.walkthrough.run(command)
        self.assertEqual(ended.returncode, 0, ended.stdout)
        return ended.stdout

    def test_jobs(self) -> None:
        """Each installs the extras that the steps of the page need, and runs the tests."""
        code = "\n".join(it.code for it in BLOCKS)
        needed = sorted(extra for word, extra in NEEDED.items() if word in code)
        jobs = [it.code for it in BLOCKS if it.language == "yaml"]
        self.assertEqual(len(jobs), 2)
        for job in jobs:
            install, test = re.findall(r"- (?:run: )?((?:pip|python) .+)", job)
            [extras] = re.findall(r"'\./reqresp\[(.+?)\]'", install)
            self.assertEqual(extras.split(","), needed)
            self.assertIn("1 passed", self.do(test))

    def test_a_server_for_another_language(self) -> None:
        """The server answers once the step has ended, and its log has the request."""
        live.program("curl")
        [step] = [it.code for it in BLOCKS if it.language == "sh"]
        asked = self.do(
            f"set -e\ntrap 'kill $!; wait $! || true' EXIT\n{step}\n"
            "reqresp ask 127.0.0.1:9999 --script it.toml ping\n"
        )
        self.assertIn("pong\n", asked)
        self.assertIn("#1 < 'ping'  > 'pong'", (self.directory / "reqresp.log").read_text())
