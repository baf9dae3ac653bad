"""Browser: the page of a real twistd in headless Chromium, and clients of its services."""

import itertools
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import SkipTest
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from twisted.trial.unittest import SynchronousTestCase

from tests.support import live, services
from tests.support.live import PATIENCE

#: The script of the service ``smtp``.
SCRIPT = """\
greeting = "220 mail.test"
unmatched = "500 what?"

[[rule]]
starts_with = "MAIL FROM:"
reply = "250 sender ok"

# The only mailbox.
[[rule]]
equals = "RCPT TO:<bob@mail.test>"
reply = "250 recipient ok"

[[rule]]
name = "data"
equals = "DATA"
reply = "354 go on"
goto = "data"

[[rule]]
when = "data"
equals = "."
reply = "250 queued"
goto = "start"

[[rule]]
equals = "SLOW"
delay = 0.02
reply = ["250-a", "250 b"]

[[rule]]
equals = "QUIT"
reply = "221 bye"
close = true
"""

#: A service with rules in two states, those of `SCRIPT`.
SMTP = """\
[[service]]
name = "smtp"
listen = "tcp:0:interface=127.0.0.1"
script = "smtp.toml"
"""

#: Services with rules in two states, with a fixed reply, and one that is disabled.
SERVICES = f"""\
{SMTP}
[[service]]
name = "fixed"
listen = "tcp:0:interface=127.0.0.1"
framing = "line"
response = "yes"

[[service]]
name = "off"
listen = "tcp:0:interface=127.0.0.1"
enabled = false
response = "no"
"""

#: A relay to redis with faults in both directions, one whose service does not run, and a server
#: that forwards to redis what its rules do not answer.
RELAYS = """
[[service]]
name = "redis"
listen = "tcp:0:interface=127.0.0.1"
upstream = "{redis}"

[[service.fault]]
stream = "upstream"
kind = "slicer"
size = 6

[[service.fault]]
stream = "downstream"
kind = "latency"
delay = 0.01

[[service]]
name = "gone"
listen = "tcp:0:interface=127.0.0.1"
upstream = "127.0.0.1:1"

[[service]]
name = "spy"
listen = "tcp:0:interface=127.0.0.1"
framing = "resp"
upstream = "{redis}"
unmatched = { forward = true }

[[service.rule]]
equals = "GET stock"
reply = "$1\\r\\n0"

[[service.fault]]
kind = "latency"
delay = 0.02
"""

#: Milliseconds after which a test that waits for the page fails.
WAIT = 30_000

#: What the server of `SCRIPT` sends to a new client.
GREETING = b"220 mail.test\r\n"


class Stage:
    """
    A twistd with services under control, and a browser; both are shared by the tests of a module.

    Call `start` and `stop` in ``setUpModule`` and ``tearDownModule``: while the browser runs, its
    driver owns asyncio in this thread.

    :param text: its services, as TOML; ``{redis}`` is the address of a redis that is started.
    :param script: that of the service ``smtp``.
    """

    def __init__(self, text: str = SERVICES, script: str = SCRIPT) -> None:
        self._text = text
        self._script = script
        self._ending = ExitStack()

    def start(self) -> None:
        """
        Start both.

        :raises SkipTest: Chromium or playwright is not installed.
        """
        try:
            playwright = import_module("playwright.sync_api")
        except ImportError:
            raise SkipTest("playwright is not installed") from None
        chromium = live.program("chromium")
        with ExitStack() as ending:
            text = self._text
            if "{redis}" in text:
                redis = ending.enter_context(services.redis_server())
                text = text.replace("{redis}", redis.forward)
            directory = Path(tempfile.mkdtemp(prefix="reqresp-"))
            ending.callback(shutil.rmtree, directory)
            directory.joinpath("smtp.toml").write_text(self._script, encoding="utf-8")
            directory.joinpath("services.toml").write_text(text, encoding="utf-8")
            self.server = start_controlled(directory)
            ending.callback(self.server.stop)
            # The server starts meanwhile.
            driver = playwright.sync_playwright().start()
            ending.callback(driver.stop)
            # Chromium has no sandbox for root.
            options = ["--no-sandbox"] if os.geteuid() == 0 else []
            self.browser = driver.chromium.launch(executable_path=chromium, args=options)
            ending.callback(self.browser.close)
            self.origin = f"http://127.0.0.1:{control_port(self.server)}"
            self.names = {it["name"] for it in self.api("GET", "/api/services")["services"]}
            self._ending = ending.pop_all()

    def stop(self) -> None:
        """Stop both."""
        self._ending.close()

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Request *path* of the API; return the JSON of the response."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = Request(self.origin + path, data, headers, method=method)  # noqa: S310, http
        try:
            with urlopen(request, timeout=PATIENCE) as response:  # noqa: S310, http
                text = response.read()
        except HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()}") from error
        return json.loads(text) if text else None

    def service(self, name: str) -> Any:
        """Return a service as the API shows it."""
        return self.api("GET", f"/api/services/{name}")

    def connect(self, name: str = "smtp") -> live.Client:
        """Connect to a service."""
        return live.Client(("127.0.0.1", self.port(name)))

    def port(self, name: str) -> int:
        """Return the port that a service listens on."""
        return int(self.service(name)["listen"][0].rpartition(":")[2])

    def converse(self, *requests: bytes, name: str = "smtp", greeting: bytes = GREETING) -> None:
        """Send *requests* on a new connection, await a line after each, and close."""
        with self.connect(name) as client, client.socket.makefile("rb") as lines:
            if greeting:
                assert lines.readline() == greeting
            for request in requests:
                client.send(request)
                lines.readline()

    def say(self, port: int, request: bytes, size: int) -> bytes:
        """Send *request* to a port, and return *size* bytes of what comes back."""
        with live.Client(("127.0.0.1", port)) as client:
            return client.ask(request, size)

    def flood(self, count: int, name: str = "fixed") -> None:
        """Send *count* requests at once, and await all replies."""
        with self.connect(name) as client:
            reply = len(b"yes\r\n")
            for start in range(0, count, 500):
                some = min(500, count - start)
                client.send(b"".join(b"request %d\r\n" % (start + it) for it in range(some)))
                client.receive(some * reply)


def redis_command(*words: bytes) -> bytes:
    """Return a command of redis."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(it), it) for it in words)


def start_controlled(directory: Path, *options: str) -> live.Server:
    """Run twistd with the services in ``services.toml`` of *directory*, under control."""
    words = ("reqresp", "--services=services.toml", "--control=0", "--quiet", *options)
    return live.start(directory, *words)


def control_port(server: live.Server) -> int:
    """Return the port of the control server."""
    match = server.log.wait(r"LimitedSite starting on (\d+)$")[0]
    return int(match[1])


_BOXES = """() => Array.from(document.querySelectorAll(".row"), (row) => {
    const { top, bottom } = row.getBoundingClientRect();
    return [row.id, top, bottom];
})"""


class PageCase(SynchronousTestCase):
    """
    A page that is open in a fresh browser context, with services as they were at the start.

    A message on its console, an error or a violation of its policy fails the test.
    """

    stage: Stage
    width = 1600
    height = 900
    theme = "light"

    def setUp(self) -> None:
        self.reset()
        self.said: list[str] = []
        self.context = self.stage.browser.new_context(
            viewport={"width": self.width, "height": self.height}, color_scheme=self.theme
        )
        self.addCleanup(self.context.close)
        self.context.set_default_timeout(WAIT)
        self.page = self.context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(f"dialog: {dialog.message}"))

    def reset(self) -> None:
        """Bring the services to where they were at the start."""
        self.stage.api("POST", "/api/reset", {})
        for it in self.stage.api("GET", "/api/services")["services"]:
            if it["name"] not in self.stage.names:
                self.stage.api("DELETE", f"/api/services/{it['name']}")

    def _console(self, message: Any) -> None:
        # Chromium reports every response that is an error; the page shows them itself.
        if not message.text.startswith("Failed to load resource"):
            self.said.append(message.text)

    def tearDown(self) -> None:
        self.assertEqual(self.said, [])

    def open(self, service: str = "smtp") -> Any:
        """Open the page with a service chosen; return it once the service is shown."""
        self.page.goto(f"{self.stage.origin}/#{service}")
        self.page.locator(".service.on").wait_for()
        self.wait("document.querySelector('#count').textContent !== ''")
        return self.page

    def assert_accessible(self, state: str, part: str | None = None) -> None:
        """
        Assert that axe-core finds no violation, in either theme.

        :param state: what is shown, for the message.
        :param part: a selector of the part that is checked; None: the whole page.
        """
        axe = import_module("axe_playwright_python.sync_playwright").Axe()
        for theme in ("light", "dark"):
            # New rows are animated: their colours would be measured between two themes.
            self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            found: Any = axe.run(self.page, part).response["violations"]
            told = [
                (it["id"], node["html"][:160], node["failureSummary"][:200])
                for it in found
                for node in it["nodes"][:3]
            ]
            self.assertEqual(told, [], f"{state}, {theme}")

    def wait(self, condition: str, argument: Any = None) -> None:
        """
        Wait until the JavaScript *condition*, an expression or a function, is true.

        It is asked for again and again from outside: the page's policy lets nothing do so within.
        """
        deadline = time.monotonic() + WAIT / 1000
        while not self.page.evaluate(condition, argument):
            assert time.monotonic() < deadline, f"{condition} with {argument!r} is not true"
            self.page.wait_for_timeout(20)

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait until *condition* returns something true."""
        deadline = time.monotonic() + WAIT / 1000
        while not condition():
            assert time.monotonic() < deadline, "the condition is not true"
            self.page.wait_for_timeout(20)

    def boxes(self) -> list[tuple[str, float, float]]:
        """Return the id, the top and the bottom of each row that exists, from top to bottom."""
        found = self.page.evaluate(_BOXES)
        return sorted(((name, top, end) for name, top, end in found), key=lambda it: it[1])

    def assert_no_gap(self) -> None:
        """Assert that each row begins where the one before it ends."""
        boxes = self.boxes()
        for (_, _, end), (_, top, _) in itertools.pairwise(boxes):
            self.assertAlmostEqual(end, top, delta=0.5)

    def counts(self) -> tuple[int, int]:
        """Return how many entries the list has, and how many were skipped."""
        text = self.text("#count").replace(",", "")
        match = re.match(r"(\d+) entr.*?(\d+) skipped", text)
        assert match is not None, text
        return int(match[1]), int(match[2])

    def wait_rows(self, count: int) -> None:
        """Wait until the list has so many entries."""
        self.wait(
            "count => document.querySelector('#count').textContent.startsWith(count)",
            f"{count:,} entr",
        )

    def row(self, text: str) -> Any:
        """Return the row that contains *text*."""
        return self.page.locator(".row", has_text=text).last

    def text(self, selector: str) -> str:
        """Return the text of an element."""
        return str(self.page.locator(selector).first.text_content())

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements."""
        return [str(it) for it in self.page.locator(selector).all_text_contents()]

    def press(self, *keys: str) -> None:
        """Press keys, one after another."""
        for key in keys:
            self.page.keyboard.press(key)
