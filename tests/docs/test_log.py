"""The log as the documents show it: compared with the log of a server."""

import json
import re
import signal
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from tests.support import live
from tests.support.documents import ROOT, indented

README = (ROOT / "README.rst").read_text(encoding="utf-8")
LOG_LINES = (ROOT / "docs" / "reference" / "log-lines.rst").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.rst").read_text(encoding="utf-8")


def block(text: str, first: str) -> list[str]:
    """Return the lines of the indented block of *text* that begins with *first*."""
    lines = text.splitlines()
    at = next(at for at, line in enumerate(lines) if line.strip().startswith(first))
    return indented(lines[at:], deeper_than=0).splitlines()


def without_chance(lines: list[str]) -> list[str]:
    """Return *lines* without ports, and without the side that ended a connection first."""
    without_ports = (re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", line) for line in lines)
    return [line.replace("cleanly: Connection done.", "cleanly.") for line in without_ports]


class LogTests(SynchronousTestCase):
    """What a server logs."""

    def setUp(self) -> None:
        self.directory = live.temporary(self)

    def log(self, *arguments: str, sent: list[list[bytes]]) -> list[str]:
        """Return the lines about connections after clients have *sent* all, one after the other."""
        with live.start(self.directory, "reqresp", "--port=0", *arguments) as server:
            for number, pieces in enumerate(sent, 1):
                with server.connect() as client:
                    for piece in pieces:
                        client.send(piece)
                        if piece != pieces[-1]:
                            client.receive(1)
                    client.half_close()
                    client.rest()
                server.log.wait(f"#{number} .*disconnected|disconnected.*connection.:{number}")
            self.text = server.log.text()
        found = (re.search(r'(#\d+ .*|\{"event".*)$', line) for line in self.text.splitlines())
        return [match[1] for match in found if match and "Request" not in match[1]]

    def test_the_readme(self) -> None:
        """The log of the two requests in the README is the one that it shows."""
        shown = self.log(sent=[[b"hello"], [b"close"]])
        self.assertEqual(without_chance(shown), without_chance(block(README, "#1 127.0.0.1")))

    def script(self) -> str:
        (self.directory / "it.toml").write_text("\n".join(block(OPERATIONS, "rule = [")))
        return f"--script={self.directory / 'it.toml'}"

    def test_operations(self) -> None:
        """The log of the script and the clients that are described is the one that is shown."""
        shown = self.log(self.script(), sent=[[b"STAT\n", b"STAT\n", b"QUIT\n"], [b"STAR\n"]])
        self.assertEqual(without_chance(shown), without_chance(block(OPERATIONS, "#1 127.0.0.1")))

    def test_the_stable_lines(self) -> None:
        """Each line for which programs may search is logged."""
        stable = re.findall(r"^   \* - ``(.+)``$", LOG_LINES, re.MULTILINE)
        self.assertEqual(len(stable), 8)
        rules = "rule = [{ equals = 'slow', reply = '', delay = 60 }]"
        script = f"greeting = 'hi'\nunmatched = 'yes'\n{rules}\n"
        path = self.directory / "it.toml"
        path.write_text(script)
        options = ("--port=0", "--script=it.toml", "--drain=0")
        with live.start(self.directory, "reqresp", *options) as server:
            with server.connect() as client:
                self.assertEqual(client.ask(b"a\n", 9), b"hi\r\nyes\r\n")
                client.send(b"slow\n")
                for text, said in ((script, "reloaded"), ("framin = 1\n", "reload failed")):
                    path.write_text(text)
                    server.signal(signal.SIGHUP)
                    server.log.wait(said)
            server.stop()
            for line in stable:
                words = re.split(r"\b[A-Z]+\b", re.sub(r"\bN\b", "1", line))
                pattern = ".+".join(map(re.escape, words))
                self.assertRegex(server.log.text(), pattern)

    def test_json(self) -> None:
        """The command that is shown prints the lines of JSON, and nothing else."""
        sent = [[b"STAT\n", b'{"event":1}\n', b"QUIT\n"]]
        self.log(self.script(), "--log-format=json", sent=sent)
        command = re.search(r"``sed -n\s+('[^']*') twistd.log``", OPERATIONS)
        assert command is not None
        printed = subprocess.run(
            ["sed", "-n", command[1].strip("'")],
            input=self.text,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        events = [json.loads(line)["event"] for line in printed.splitlines()]
        self.assertEqual(events, ["connected", "answered", "answered", "disconnected"])
