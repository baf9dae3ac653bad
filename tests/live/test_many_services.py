"""Several services in one process, by ``--services``, with real clients and signals."""

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from typing import Any

from tests.support import live
from tests.support.live import Client, Ended, Server
from tests.support.live_case import LiveTestCase

A = '[[service]]\nname = "a"\nlisten = 0\nresponse = "A"\nframing = "line"\n'
B = (
    '[[service]]\nname = "b"\nlisten = 0\nframing = "line"\n'
    '[[service.rule]]\nequals = "x"\nreply = "B"\n'
)
C = '[[service]]\nname = "c"\nlisten = 0\nresponse = "C"\nframing = "line"\n'


class ServicesCase(LiveTestCase):
    """A services file."""

    def setUp(self) -> None:
        super().setUp()
        self.path = self.directory / "services.toml"

    def serve_file(self, text: str, *options: str, ports: int = 2) -> Server:
        self.path.write_text(text)
        arguments = ("reqresp", "--services=services.toml", *options)
        return self.stopped(live.start(self.directory, *arguments, ports=ports))

    def run_file(self) -> Ended:
        """Run a server that cannot start."""
        command = [*live.twistd(), "-n", "--pidfile=", "reqresp", "--services=services.toml"]
        return live.run_all(self.directory, {"it": command})["it"]

    def port_of(self, server: Server, name: str, count: int = 1) -> int:
        """Return the port of the service *name*, once the log has it *count* times."""
        return int(server.log.wait(rf"Listening on 127\.0\.0\.1:(\d+) for {name}$", count)[-1][1])

    def client_of(self, server: Server, name: str) -> Client:
        client = Client(("127.0.0.1", self.port_of(server, name)))
        self.addCleanup(client.close)
        return client

    def reload(self, server: Server, text: str, pattern: str, count: int = 1) -> None:
        """Let the server read *text*, and wait for a line of the log."""
        self.path.write_text(text)
        server.signal(signal.SIGHUP)
        server.log.wait(pattern, count)


class ServingTests(ServicesCase):
    """What services do."""

    def test_each_answers_as_it_is_told(self) -> None:
        """Each has its own port, and its name in the request log."""
        with self.serve_file(A + B) as server:
            a, b = self.client_of(server, "a"), self.client_of(server, "b")
            self.assertEqual(a.ask(b"x\n", 3), b"A\r\n")
            self.assertEqual(b.ask(b"x\n", 3), b"B\r\n")
            server.log.wait(r"b #1 < 'x'")

    def test_problems(self) -> None:
        """All of them, a line each, without a traceback, before anything listens."""
        text = A.replace("framing", "framin") + B.replace("reply", "repl")
        self.path.write_text(text)
        ended = self.run_file()
        self.assertEqual(ended.status, 1)
        lines = ended.errors.splitlines()
        self.assertEqual(len(lines), 2, ended.errors)
        self.assertIn(":5: service[0].framin: unknown key", lines[0])
        self.assertIn(":12: service[1].rule[0].repl: unknown key", lines[1])

    def test_a_port_that_is_taken(self) -> None:
        """One line names it, and the process ends."""
        with self.serve_file(A, ports=1) as server:
            port = self.port_of(server, "a")
            self.path.write_text(A + B.replace("listen = 0", f"listen = {port}"))
            ended = self.run_file()
        self.assertEqual(ended.status, 1)
        self.assertIn(f"reqresp: cannot listen on 127.0.0.1:{port}: Address already", ended.errors)
        self.assertNotIn("Traceback", ended.errors + ended.output)


class ReloadTests(ServicesCase):
    """SIGHUP."""

    def test_an_unchanged_service_goes_on(self) -> None:
        """Its open connection does, while others come, change and go."""
        with self.serve_file(A + B) as server:
            a, b = self.client_of(server, "a"), self.client_of(server, "b")
            self.assertEqual((a.ask(b"x\n", 3), b.ask(b"x\n", 3)), (b"A\r\n", b"B\r\n"))
            self.reload(server, B + C, "reloaded .*: added c; removed a")
            self.assertEqual(a.rest(), b"")
            self.assertEqual(b.ask(b"x\n", 3), b"B\r\n")
            self.assertEqual(self.client_of(server, "c").ask(b"x\n", 3), b"C\r\n")
            self.reload(server, B.replace('"B"', '"N"') + C, "reloaded .*: changed b")
            self.assertEqual(b.ask(b"x\n", 3), b"B\r\n")  # as it began
            self.assertEqual(self.client_of(server, "b").ask(b"x\n", 3), b"N\r\n")

    def test_all_or_nothing(self) -> None:
        """A problem in one service keeps all as they are."""
        with self.serve_file(A + B) as server:
            a = self.client_of(server, "a")
            text = A.replace('"A"', '"N"') + B.replace("equals", "equal")
            self.reload(server, text, "reload failed; keeping the current services: ")
            taken = self.port_of(server, "a")
            text = A.replace('"A"', '"N"') + B + C.replace("= 0", f'= "tcp:{taken}"')
            self.reload(server, text, "keeping the current services: cannot listen on")
            self.assertEqual(a.ask(b"x\n", 3), b"A\r\n")
            self.assertEqual(self.client_of(server, "a").ask(b"x\n", 3), b"A\r\n")


class WorkersTests(ServicesCase):
    """The same services in every worker."""

    def test_workers(self) -> None:
        """SIGHUP adds, changes and removes services; connections of the others go on."""
        with self.serve_file(A + B, "--workers=2") as server:
            for name in ("a", "b"):
                self.port_of(server, name, 2)
            a, b = self.client_of(server, "a"), self.client_of(server, "b")
            self.assertEqual((a.ask(b"x\n", 3), b.ask(b"x\n", 3)), (b"A\r\n", b"B\r\n"))
            self.reload(server, A.replace('"A"', '"N"') + B, "reloaded .*: changed a", 2)
            self.assertEqual(self.client_of(server, "a").ask(b"x\n", 3), b"N\r\n")
            old = self.port_of(server, "a", 2)
            self.reload(server, B + C, "reloaded .*: added c; removed a", 2)
            self.assertEqual(a.rest(), b"")
            self.port_of(server, "c", 2)
            for _ in range(10):
                self.assertEqual(self.client_of(server, "c").ask(b"x\n", 3), b"C\r\n")
            self.assertEqual(b.ask(b"x\n", 3), b"B\r\n")
            with self.assertRaises(ConnectionRefusedError):
                Client(("127.0.0.1", old))

    def test_a_worker_that_starts_again(self) -> None:
        """It has the services that came since; all workers have the same ports."""
        with self.serve_file(A, "--workers=2", ports=1) as server:
            self.port_of(server, "a", 2)
            self.reload(server, A + C, "reloaded .*: added c", 2)
            port = self.port_of(server, "c", 2)
            pids = server.log.wait(r"worker \d \(pid (\d+)\) is ready", 2)
            for match in pids:
                os.kill(int(match[1]), signal.SIGKILL)
            found = server.log.wait(r"Listening on 127\.0\.0\.1:(\d+) for c$", 4)
            self.assertEqual({int(it[1]) for it in found}, {port})
            self.assertEqual(self.client_of(server, "c").ask(b"x\n", 3), b"C\r\n")

    def test_a_reload_that_fails_changes_no_worker(self) -> None:
        """The parent says why, once, before a worker hears of it."""
        with self.serve_file(A, "--workers=2", ports=1) as server:
            port = self.port_of(server, "a", 2)
            with socket.create_server(("127.0.0.1", 0)) as other:
                taken = other.getsockname()[1]
                text = A.replace('"A"', '"N"') + C.replace("= 0", f"= {taken}")
                expected = f"keeping the current services: cannot listen on 127.0.0.1:{taken}"
                self.reload(server, text, expected)
                self.reload(server, text.replace("framing", "framin"), "unknown key 'framin'")
            self.reload(server, A + C, "reloaded .*: added c", 2)
            text = server.log.text()
            self.assertEqual(text.count("reload failed"), 2)
            self.assertEqual(self.client_of(server, "a").ask(b"x\n", 3), b"A\r\n")
            self.assertEqual(self.port_of(server, "a", 2), port)

    def test_a_service_that_begins_anew(self) -> None:
        """Its port never closes; open connections are drained."""
        with self.serve_file(A + B, "--workers=2") as server:
            port = self.port_of(server, "a", 2)
            a, b = self.client_of(server, "a"), self.client_of(server, "b")
            self.assertEqual((a.ask(b"x\n", 3), b.ask(b"x\n", 3)), (b"A\r\n", b"B\r\n"))
            self.reload(server, A + 'allow = "127.0.0.0/8"\n' + B, "reloaded .*: changed a", 2)
            self.assertEqual(a.rest(), b"")
            self.assertEqual(self.port_of(server, "a", 4), port)
            self.assertEqual(self.client_of(server, "a").ask(b"x\n", 3), b"A\r\n")
            self.assertEqual(b.ask(b"x\n", 3), b"B\r\n")

    def test_a_watched_file(self) -> None:
        """The parent watches it, since it opens the sockets."""
        with self.serve_file(A, "--workers=2", "--watch", ports=1) as server:
            self.port_of(server, "a", 2)
            server.log.wait(r"\(pid \d+\) is ready", 2)
            self.path.write_text(A + C)
            server.log.wait("reloaded .*: added c", 2)
            self.port_of(server, "c", 2)
            self.assertEqual(self.client_of(server, "c").ask(b"x\n", 3), b"C\r\n")
            self.assertEqual(server.log.text().count("reload failed"), 0)


class ControlTests(ServicesCase):
    """``--control``."""

    def get(self, port: int, path: str, **headers: str) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=live.PATIENCE) as reply:  # noqa: S310 (ours)
            return reply.read().decode()

    def test_the_api_and_metrics(self) -> None:
        """It shows the services; metrics have their names."""
        with self.serve_file(A + B, "--control=0", ports=3) as server:
            self.assertEqual(self.client_of(server, "a").ask(b"x\n", 3), b"A\r\n")
            port = server.ports[-1]
            found = json.loads(self.get(port, "/api/services"))["services"]
            self.assertEqual([it["name"] for it in found], ["a", "b"])
            text = self.get(port, "/metrics")
            self.assertIn('reqresp_requests_total{service="a"} 1.0', text)
            self.assertIn('reqresp_requests_total{service="b"} 0.0', text)
            self.assertEqual(self.get(port, "/readyz"), "ready\n")

    def test_the_service_of_options(self) -> None:
        """It is named ``default``."""
        with self.serve("--control=0", "--framing=line", ports=2) as server:
            found = json.loads(self.get(server.ports[-1], "/api/services"))["services"]
            self.assertEqual([it["name"] for it in found], ["default"])

    def test_a_port_that_is_taken(self) -> None:
        """One line names it and its option, also where the log is shown as well."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            command = [*live.twistd(), "-n", "--pidfile=", "reqresp", "--port=0"]
            done = subprocess.run(
                [*command, f"--control={port}"],
                cwd=self.directory,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=live.PATIENCE,
                check=False,
            )
        self.assertEqual(done.returncode, 1)
        [line] = [it for it in done.stdout.splitlines() if "already in use" in it]
        expected = f"reqresp: --control: cannot listen on tcp:{port}:interface=127.0.0.1"
        self.assertTrue(line.startswith(expected.split(" on ")[0]), line)
        self.assertIn(str(port), line)

    def test_a_token(self) -> None:
        """A file has it, and requests must have it."""
        (self.directory / "token").write_text("secret\n")
        with self.serve_file(A, "--control=0", "--control-token-file=token") as server:
            port = server.ports[-1]
            with self.assertRaisesRegex(urllib.error.HTTPError, "401"):
                self.get(port, "/api/services")
            found = self.get(port, "/api/services", Authorization="Bearer secret")
            self.assertIn('"a"', found)
