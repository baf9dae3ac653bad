"""A real twistd with a control server, steered over HTTP while clients are connected."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tests.support
from tests.support import live
from tests.support.live import PATIENCE, Server
from tests.support.live_case import LiveTestCase

SCRIPT = """\
framing = "line"
[[rule]]
equals = "a"
reply = "A"
"""
#: Where the service of a test listens, and where it is steered.
SERVICE, CONTROL = 0, 1
SUPPORT = Path(tests.support.__file__).parent
CONFIG = SUPPORT / "schemathesis.toml"
HOOKS = SUPPORT / "schemathesis_hooks.py"
#: The variables of the environment that the hooks need: where the control server is, and a file to
#: write in what has succeeded.
URL, REPORT = "REQRESP_CONTROL", "REQRESP_REPORT"
#: What only something real can let succeed, whatever is sent.
OF_REAL_ONES = {
    "GET /api/services/{service}/entries/{id}",
    "DELETE /api/services/{service}/expectations/{id}",
    "PATCH /api/services/{service}/faults/{name}",
    "DELETE /api/services/{service}/faults/{name}",
    "POST /api/services/{service}/connections/{connection}/close",
    "POST /api/services/{service}/connections/{connection}/reset",
    "GET /proxies/{proxy}/toxics/{toxic}",
    "DELETE /proxies/{proxy}/toxics/{toxic}",
}
#: A service of each kind.
SERVICES = """\
[[service]]
name = "rules"
listen = 0
framing = "line"
[[service.rule]]
name = "ping"
equals = "PING"
reply = "PONG"

[[service]]
name = "response"
listen = 0
framing = "line"
response = "PONG"

[[service]]
name = "relay"
listen = 0
upstream = "unix:upstream.sock"

[[service]]
name = "upstream"
listen = "unix:upstream.sock"
framing = "line"
response = "PONG"
"""


class ControlTests(LiveTestCase):
    """``twistd reqresp --control``."""

    def controlled(self, *options: str) -> Server:
        """Start a server with a script, and with what controls it."""
        (self.directory / "it.toml").write_text(SCRIPT)
        return self.serve("--script=it.toml", "--control=0", *options, ports=2)

    def ask(
        self, server: Server, method: str, path: str, value: Any = None, **headers: str
    ) -> tuple[int, Any]:
        """Send a request; return its status and the JSON of the response."""
        response = self.begin_request(server, method, path, value, **headers)
        data = response.read()
        return response.status, json.loads(data) if data else None

    def begin_request(
        self, server: Server, method: str, path: str, value: Any = None, **headers: str
    ) -> http.client.HTTPResponse:
        """Send a request; return the response, whose body has not been read."""
        asked = http.client.HTTPConnection("127.0.0.1", server.ports[CONTROL], timeout=PATIENCE)
        self.addCleanup(asked.close)
        lines = {name.replace("_", "-"): text for name, text in headers.items()}
        body = None
        if value is not None:
            body = json.dumps(value)
            lines["Content-Type"] = "application/json"
        asked.request(method, path, body, lines)
        return asked.getresponse()

    def events(self, response: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
        """Yield the ids and the values of the events that arrive."""
        number = ""
        while line := response.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if name == "id":
                number = value
            elif name == "data":
                yield number, json.loads(value)

    def test_a_service_that_is_created(self) -> None:
        """A service that is created answers; a port that is taken is 409, and it can be deleted."""
        server = self.controlled()
        definition = {"name": "new", "listen": 0, "framing": "line", "response": "B"}
        status, created = self.ask(server, "POST", "/api/services", definition)
        self.assertEqual((status, created["kind"]), (201, "response"))
        port = int(created["listen"][0].rpartition(":")[2])
        with live.Client(("127.0.0.1", port)) as client:
            self.assertEqual(client.ask(b"x\n", 3), b"B\r\n")
        taken = {**definition, "name": "other", "listen": port}
        status, error = self.ask(server, "POST", "/api/services", taken)
        self.assertEqual(status, 409)
        self.assertIn(str(port), error["error"])
        self.assertEqual(self.ask(server, "DELETE", "/api/services/new"), (204, None))
        _, listed = self.ask(server, "GET", "/api/services")
        self.assertEqual([it["name"] for it in listed["services"]], ["default"])

    def test_a_script_that_is_replaced(self) -> None:
        """A new script answers new clients, until the reset that a test ends with."""
        server = self.controlled()
        path = "/api/services/default"
        status, _ = self.ask(server, "PUT", f"{path}/script", {"script": SCRIPT.replace("A", "B")})
        self.assertEqual(status, 200)
        self.assertEqual(self.connect(server).ask(b"a\n", 3), b"B\r\n")
        status, error = self.ask(server, "PUT", f"{path}/script", {"script": "rule = 1"})
        self.assertEqual((status, error["problems"][0]["line"]), (422, 1))
        self.assertEqual(self.ask(server, "POST", "/api/reset")[0], 204)
        self.assertEqual(self.connect(server).ask(b"a\n", 3), b"A\r\n")

    def test_a_stream(self) -> None:
        """Entries arrive as they are made, and a stream resumes where it was."""
        server = self.controlled()
        path = "/api/services/default/stream"
        events = self.events(self.begin_request(server, "GET", path))
        client = self.connect(server)
        self.assertEqual(client.ask(b"a\n", 3), b"A\r\n")
        entries: list[Any] = []
        number = ""
        while not any(it["event"] == "answered" for it in entries):
            number, value = next(events)
            entries += value["entries"]
        self.assertEqual([it["id"] for it in entries], [*range(1, len(entries) + 1)])
        client.ask(b"a\n", 3)
        resumed = self.begin_request(server, "GET", path, Last_Event_ID=number)
        _, value = next(self.events(resumed))
        self.assertEqual(value["entries"][0]["id"], int(number) + 1)

    def test_open_connections(self) -> None:
        """Bytes are pushed, a fault and an expectation apply, and the connection is closed."""
        server = self.controlled()
        path = "/api/services/default"
        client = self.connect(server)
        self.assertEqual(client.ask(b"a\n", 3), b"A\r\n")
        self.ask(server, "POST", f"{path}/connections/1/push", {"data": "hello"})
        self.assertEqual(client.receive(5), b"hello")
        fault = {"kind": "blackhole", "stream": "downstream"}
        self.assertEqual(self.ask(server, "POST", f"{path}/faults", fault)[0], 201)
        client.send(b"a\n")
        self.assertEqual(self.ask(server, "DELETE", f"{path}/faults/blackhole")[0], 204)
        expected = {"kind": "expect", "equals": "b", "reply": "expected"}
        self.assertEqual(self.ask(server, "POST", f"{path}/expectations", expected)[0], 201)
        self.assertEqual(client.ask(b"b\n", 10), b"expected\r\n")
        status, verdict = self.ask(server, "POST", f"{path}/verify", {"timeout": 0})
        self.assertIn("> b'expected\\r\\n'", verdict.pop("conversation"))
        self.assertEqual((status, verdict), (200, {"ok": True, "report": None, "unused": []}))
        self.ask(server, "POST", f"{path}/connections/1/close")
        self.assertEqual(client.rest(), b"")

    def test_the_log(self) -> None:
        """Requests that are refused are not logged, and there is no traceback."""
        server = self.controlled()
        for path in ("/evil\x7f", "/api/services/evil"):
            self.ask(server, "GET", path.replace("\x7f", "%7f"))
        self.ask(server, "POST", "/api/services", {"evil": 1})
        server.stop()
        self.assertNotIn("evil", server.log.text())
        self.assertNotIn("Traceback", server.log.text())

    @pytest.mark.timeout(300)  # it takes half a minute alone
    def test_schemathesis(self) -> None:
        """Whatever fits the OpenAPI document, or does not, gets the response that it documents."""
        (self.directory / "services.toml").write_text(SERVICES)
        options = ("--services=services.toml", "--control=0")
        server = self.stopped(live.start(self.directory, "reqresp", *options, ports=4))
        url = f"http://127.0.0.1:{server.ports[-1]}"
        report = self.directory / "report.json"
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("schemathesis")),
                *("--config-file", str(CONFIG), "run", f"{url}/api/openapi.json", "--no-color"),
                # Streams do not end.
                *("--exclude-path-regex", "stream$"),
            ],
            cwd=self.directory,
            env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS), URL: url, REPORT: str(report)},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout[-5000:])
        self.assertLessEqual(OF_REAL_ONES, {*json.loads(report.read_text())})
        server.stop()
        self.assertNotIn("Traceback", server.log.text())
