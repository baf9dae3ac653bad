"""The commands of docs/control.rst, as they are written, against a real server."""

import re
import shlex
import socket
import subprocess
from pathlib import Path

from reqresp.control import ControlClient
from tests.support import live
from tests.support.live import PATIENCE
from tests.support.live_case import LiveTestCase

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "control.rst"
#: What commands ask for: the method, the end of the path, and the status of the response.
STATUSES = {
    ("GET", "services", 200),
    ("POST", "services", 201),
    ("PUT", "script", 422),
    ("GET", "entries", 200),
    ("GET", "stream", 200),
    ("POST", "push", 204),
    ("POST", "push", 200),  # to all
    ("POST", "close", 204),
    ("POST", "reset", 204),
    ("POST", "expectations", 201),
    ("POST", "faults", 201),
    ("POST", "verify", 200),
    ("POST", "requests", 200),
    ("POST", "reply", 204),
    ("PATCH", "latency", 200),
    ("DELETE", "latency", 204),
}


def commands() -> list[list[str]]:
    """Return the arguments of curl of each command, in the order of the page."""
    text = PAGE.read_text(encoding="utf-8").replace("\\\n", "")
    found = re.findall(r"^ +(?:\$ )?curl (.*)$", text, re.MULTILINE)
    return [shlex.split(it) for it in found]


class CommandTests(LiveTestCase):
    """What the page shows can be done as it is shown."""

    def test_each_command(self) -> None:
        """It has the status that its text says; one that streams is ended after a moment."""
        script = str(ROOT / "examples" / "smtp.toml")
        server = self.serve("--port=0", f"--script={script}", "--control=0", ports=2)
        self.root = f"http://127.0.0.1:{server.ports[1]}"
        done = {self.run_curl(arguments) for arguments in commands()}
        self.assertEqual(done, STATUSES)

    def run_curl(self, arguments: list[str]) -> tuple[str, str, int]:
        """Run curl; return the method, the end of the path and the status."""
        arguments = [it.replace("http://127.0.0.1:8474", self.root) for it in arguments]
        arguments = [it.replace('"listen": 9998', '"listen": 0') for it in arguments]
        [url] = [it for it in arguments if it.startswith(self.root)]
        if url.endswith("/requests"):
            self.number = self.connect_to_ping(b"STAT\n")
        if "/connections/1/" in url:
            at = arguments.index(url)
            number = self.number if url.endswith("/reply") else self.connect_to_ping()
            arguments[at] = url = url.replace("/1/", f"/{number}/")
        is_stream = url.endswith("/stream")
        more = ["--max-time", "1"] if is_stream else []
        command = [live.program("curl"), "-sS", "-o", "answer", "-w", "%{method} %{http_code}"]
        ended = subprocess.run(
            [*command, *more, *arguments],
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(ended.returncode, 28 if is_stream else 0, ended.stderr)  # 28: time is up
        method, status = ended.stdout.split()
        return method, url.partition("?")[0].rpartition("/")[2], int(status)

    def connect_to_ping(self, more: bytes = b"") -> int:
        """
        Connect to the service of the page; return the number of the connection.

        :param more: what is sent once the first request was answered.
        """
        client = ControlClient(self.root, "ping")
        host, _, port = client.addresses[0].rpartition(":")
        connection = socket.create_connection((host, int(port)), PATIENCE)
        self.addCleanup(connection.close)
        connection.sendall(b"PING\n")
        self.assertEqual(connection.recv(10), b"PONG\r\n")
        connection.sendall(more)
        [opened, *_] = client.entries(event="connected", limit=1)
        number: int = opened["connection"]
        return number
