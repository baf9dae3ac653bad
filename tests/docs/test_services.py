"""The first steps of docs/services.rst, as a reader takes them in an empty directory."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support import live
from tests.support.live import Client
from tests.support.live_case import LiveTestCase

PAGE = Path(__file__).parent.parent.parent / "docs" / "services.rst"


class FirstStepsTests(LiveTestCase):
    """What the page shows first needs nothing that it does not show."""

    def command(self, *arguments: str) -> str:
        """Return what ``reqresp`` prints, which must succeed."""
        command = [sys.executable, "-m", "reqresp", *arguments]
        done = subprocess.run(
            command, cwd=self.directory, capture_output=True, text=True, check=False
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_an_empty_directory(self) -> None:
        """The file is right once the command before it has run, and its services answer."""
        text = PAGE.read_text(encoding="utf-8")
        [arguments] = re.findall(r"^    reqresp (new .*)$", text, re.MULTILINE)
        [example] = re.findall(r"^\.\. code:: toml\n\n((?:   .*\n|\n)+)", text, re.MULTILINE)[:1]
        self.command(*arguments.split())
        file = re.sub("^   ", "", example, flags=re.MULTILINE)
        (self.directory / "services.toml").write_text(file)
        found = self.command("check", "services.toml")
        self.assertEqual(found, "services.toml: ok: 3 services: smtp, cache, echo\n")
        free = re.sub(r"(= |127\.0\.0\.1:)(2525|6380|7000)\b", r"\g<1>0", file)
        (self.directory / "services.toml").write_text(free)
        server = self.stopped(
            live.start(self.directory, "reqresp", "--services=services.toml", ports=3)
        )
        for name, request, reply in (("smtp", b"", b"220 "), ("echo", b"hi\n", b"hello\r\nhi\r\n")):
            [line] = server.log.wait(rf"Listening on 127\.0\.0\.1:(\d+) for {name}$")
            with Client(("127.0.0.1", int(line[1]))) as client:
                self.assertEqual(client.ask(request, len(reply)), reply)
        self.assertTrue((self.directory / "cache.sock").is_socket())
