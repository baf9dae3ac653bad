"""The starter scripts of ``reqresp new``: the commands in their first lines, with the real port."""

import shlex
import sys

from reqresp.cli.starting import KINDS
from reqresp.testing import serve
from tests.support import live
from tests.support.live_case import LiveTestCase

REQRESP = [sys.executable, "-m", "reqresp"]


class StarterTests(LiveTestCase):
    """Each starter is started and tried as its comment says."""

    def output_of(self, *command: str) -> str:
        """Return what *command* prints; it must succeed."""
        ended = live.run_all(self.directory, {"": command})[""]
        self.assertEqual(ended.status, 0, ended)
        return ended.output

    def tried(self, kind: str, upstream: str = "") -> str:
        """
        Run both commands in the comment of a starter; return what the second one prints.

        :param upstream: the address of the service that a relay forwards to.
        """
        path = self.directory / f"{kind}.toml"
        self.output_of(*REQRESP, "new", str(path), f"--kind={kind}")
        text = path.read_text()
        start, trial = (line.removeprefix("#     ") for line in text.splitlines()[2:4])
        if upstream:
            path.write_text(text.replace("127.0.0.1:6379", upstream))
        twistd, _, options = start.partition(" reqresp ")
        self.assertEqual(twistd, "twistd -n --pidfile=")
        server = self.serve(*shlex.split(options))
        self.assertEqual(trial.count("9999"), 1)
        program, *arguments = shlex.split(trial.replace("9999", str(server.ports[0])))
        command = REQRESP if program == "reqresp" else [live.program(program)]
        return self.output_of(*command, *arguments)

    def test_line(self) -> None:
        """The greeting and a reply to each line."""
        self.assertEqual(self.tried("line"), "welcome\nhello, client\nwhat?\n")

    def test_binary(self) -> None:
        """Replies in hex; the second has the byte of its request."""
        self.assertEqual(self.tried("binary"), "81000001\n820007\n")

    def test_http(self) -> None:
        """The page."""
        self.assertEqual(self.tried("http"), "hello\n")

    def test_smtp(self) -> None:
        """A mail is delivered."""
        self.assertIn("250 2.0.0 queued\n -> QUIT\n<-  221 2.0.0 bye\n", self.tried("smtp"))

    def test_relay(self) -> None:
        """The reply of the service, here one that answers everything alike."""
        with serve(framing="chunk") as service:
            service.on(contains="PING").reply("+PONG\r\n")
            self.assertEqual(self.tried("relay", f"{service.host}:{service.port}"), "PONG\n")

    def test_all(self) -> None:
        """Each kind of starter is tried here."""
        tests = {name.removeprefix("test_") for name in dir(self) if name.startswith("test_")}
        self.assertEqual(tests - {"all"}, {*KINDS})
