"""The commands of docs/toxiproxy.rst, as they are written, against a real server and a redis."""

import json
import re
import shlex
import subprocess
import time
from pathlib import Path

from tests.support import live, services
from tests.support.live import PATIENCE
from tests.support.live_case import LiveTestCase

PAGE = Path(__file__).parent.parent.parent / "docs" / "toxiproxy.rst"
#: The port of the proxy on the page.
PORT = "26379"
#: What the page says of a command for which the toxic makes its reader wait.
SLOW = "# after a second"
#: Arguments of each program, besides those on the page: redis-cli prints as on a terminal.
ARGUMENTS = {"curl": ["--silent", "--show-error", "--fail"], "redis-cli": ["--no-raw"]}


def commands() -> list[tuple[str, str]]:
    """Return each command of the walk through, and what the page shows below it."""
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(r"^    \$ (.+)\n((?:    [^$\s].*\n)*)", text, re.MULTILINE)


class CommandTests(LiveTestCase):
    """What the page shows can be done as it is shown."""

    def test_the_walk_through(self) -> None:
        """Each command prints what the page shows, and as late as it says."""
        redis = services.redis_server()
        self.addCleanup(redis.stop)
        # The service that options describe listens first.
        control = self.serve("--control=0", ports=2).ports[1]
        self.places = {
            "localhost:8474": f"127.0.0.1:{control}",
            f"localhost:{PORT}": "localhost:0",
            "localhost:6379": redis.forward,
        }
        done = commands()
        self.assertEqual(len(done), 8)
        for command, shown in done:
            begin = time.monotonic()
            printed = self.printed(command)
            took = time.monotonic() - begin
            self.assertGreaterEqual(took, 1 if SLOW in command else 0, command)
            expected = "".join(line.strip() + "\n" for line in shown.splitlines())
            self.assertEqual(printed, expected, command)

    def printed(self, command: str) -> str:
        """Run *command* on the ports of the test; return what it prints, of curl but JSON."""
        for written, real in self.places.items():
            command = command.replace(written, real)
        name, *arguments = shlex.split(command, comments=True)
        done = subprocess.run(
            [live.program(name), *ARGUMENTS[name], *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if name == "redis-cli":
            return (done.stdout + done.stderr).replace(self.places[PORT], PORT)
        self.assertEqual(done.returncode, 0, done.stderr)
        if PORT not in self.places:  # it has created the proxy
            self.places[PORT] = json.loads(done.stdout)["listen"].rpartition(":")[2]
        return ""
