"""The real twistd with ``accept`` in a script: how clients connect, and how that changes."""

import json
import signal
import socket
from http.client import HTTPConnection
from typing import Any

from tests.support import live
from tests.support.live import PATIENCE, Server
from tests.support.live_case import LiveTestCase

#: Seconds after which a client of these tests gives up.
SHORT = 0.3

RELOADED = "reloaded .*it.toml"


class AcceptCase(LiveTestCase):
    """A server with the script ``it.toml``."""

    def write(self, accept: str) -> str:
        """Write the script, in which *accept* says how clients connect; return its option."""
        text = f'accept = {accept}\nrule = [{{ equals = "a", reply = "A" }}]\n'
        (self.directory / "it.toml").write_text(text)
        return "--script=it.toml"

    def reload(self, server: Server, accept: str, count: int) -> None:
        """Let *server* read the script again, the *count*-th time."""
        self.write(accept)
        server.signal(signal.SIGHUP)
        server.log.wait(RELOADED, count)

    def assert_answered(self, server: Server) -> None:
        """Assert that a client connects and is answered."""
        with server.connect() as client:
            self.assertEqual(client.ask(b"a\n", 3), b"A\r\n")

    def assert_refused(self, port: int) -> None:
        """Assert that ``connect()`` is refused."""
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), PATIENCE)

    def assert_held(self, port: int) -> None:
        """Assert that ``connect()`` gets no answer."""
        with self.assertRaises(TimeoutError):
            socket.create_connection(("127.0.0.1", port), SHORT)


class AcceptTests(AcceptCase):
    """``accept`` of a script, which SIGHUP changes on the ports that are open."""

    def test_changed_on_sighup(self) -> None:
        """Clients are refused, then held, then late, then answered; open connections go on."""
        server = self.serve(self.write('"now"'))
        with server.connect() as before:
            self.assertEqual(before.ask(b"a\n", 3), b"A\r\n")
            self.reload(server, '"refuse"', 1)
            self.assert_refused(server.port)
            self.reload(server, '"hold"', 2)
            self.assert_held(server.port)
            self.reload(server, '"late"', 3)
            with server.connect() as late:
                late.send(b"a\n")
                self.assertEqual(before.ask(b"a\n", 3), b"A\r\n")
                self.reload(server, "{ after = 0.01 }", 4)
                self.assertEqual(late.receive(3), b"A\r\n")
            self.assert_answered(server)
            self.reload(server, '"now"', 5)
            self.assert_answered(server)
            self.reload(server, '"hold"', 6)
        self.assertEqual(server.stop(), -signal.SIGTERM)
        self.assertNotIn("Traceback", server.log.text())

    def test_workers(self) -> None:
        """Workers hold clients and accept them again; refusing takes a restart, says one line."""
        server = self.serve(self.write('"hold"'), "--workers=2")
        server.log.wait(r"\(pid \d+\) is ready", 2)
        self.assert_held(server.port)
        self.reload(server, '"now"', 2)
        self.assert_answered(server)
        self.write('"refuse"')
        server.signal(signal.SIGHUP)
        server.log.wait("accept: refuse takes a restart with --workers", 2)
        self.assert_answered(server)
        self.assertEqual(server.stop(), -signal.SIGTERM)
        self.assertNotIn("Traceback", server.log.text())

    def test_workers_that_refuse(self) -> None:
        """Workers that refuse clients from the start accept them after a reload."""
        server = self.serve(self.write('"refuse"'), "--workers=2")
        server.log.wait(r"\(pid \d+\) is ready", 2)
        self.assert_refused(server.port)
        self.reload(server, '"now"', 2)
        self.assert_answered(server)
        self.assertEqual(server.stop(), -signal.SIGTERM)


class OtherWaysTests(AcceptCase):
    """Other ways to change it than SIGHUP, and sockets that the server has not opened."""

    def test_watch(self) -> None:
        """A changed script is read by itself, and applies to the port that is open."""
        server = self.serve(self.write('"now"'), "--watch")
        self.assert_answered(server)
        self.write('"refuse"')
        server.log.wait(RELOADED)
        self.assert_refused(server.port)
        self.write('"now"')
        server.log.wait(RELOADED, 2)
        self.assert_answered(server)

    def test_http(self) -> None:
        """A script that is put, and a change of this key alone; a reset changes it back."""
        server = self.serve(self.write('"now"'), "--control=0", ports=2)
        service, control = server.ports
        script = {"script": 'accept = "refuse"\nrule = [{ reply = "B" }]'}
        self.ask(control, "PUT", "/api/services/default/script", script, 200)
        self.assert_refused(service)
        self.ask(control, "PATCH", "/api/services/default", {"accept": "hold"}, 200)
        self.assert_held(service)
        self.ask(control, "PATCH", "/api/services/default", {"accept": "now"}, 200)
        with server.connect() as client:
            self.assertEqual(client.ask(b"a\n", 3), b"B\r\n")
        self.ask(control, "PUT", "/api/services/default/script", script, 200)
        self.assert_refused(service)
        self.ask(control, "POST", "/api/reset", None, 204)
        self.assert_answered(server)

    def ask(self, port: int, method: str, path: str, value: Any, status: int) -> None:
        """Send a request to a control server, and assert the *status* of its response."""
        asked = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.addCleanup(asked.close)
        headers = {} if value is None else {"Content-Type": "application/json"}
        asked.request(method, path, None if value is None else json.dumps(value), headers)
        response = asked.getresponse()
        data = response.read()
        self.assertEqual(response.status, status, data)

    def test_a_socket_of_systemd(self) -> None:
        """A socket that another process has opened holds clients, and accepts them again."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            server = self.stopped(live.start_on(self.directory, listening, self.write('"hold"')))
            server.log.wait("Listening on 127")  # a client that came before would be in the queue
            self.assert_held(server.port)
            self.reload(server, '"late"', 1)
            with server.connect() as late:
                late.send(b"a\n")
                self.reload(server, '"now"', 2)
                self.assertEqual(late.receive(3), b"A\r\n")
            self.reload(server, '"refuse"', 3)
            self.assert_refused(server.port)
            self.reload(server, '"now"', 4)
            self.assert_answered(server)
        self.assertEqual(server.stop(), -signal.SIGTERM)
        self.assertNotIn("Traceback", server.log.text())


class UNIXTests(AcceptCase):
    """``accept`` on a UNIX socket."""

    def test_held_and_accepted(self) -> None:
        """A client is held, then accepted; that one can be refused is said in one line."""
        server = self.serve(
            self.write('"hold"'), "--listen=unix:it.sock", "--listen=tcp:0:interface=127.0.0.1"
        )
        server.log.wait("Listening on 127")  # a client that came before would be in the queue
        self.assert_held(server.port)
        path = str(self.directory / "it.sock")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(SHORT)
            with self.assertRaises(OSError):
                client.connect(path)
        self.reload(server, '"now"', 1)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(path)
            client.sendall(b"a\n")
            self.assertEqual(client.recv(3), b"A\r\n")
        self.write('"refuse"')
        server.signal(signal.SIGHUP)
        server.log.wait(
            r"keeping the current rules: .*accept: expected now, late, hold or"
            r" \{ after = SECONDS \} for a UNIX socket, found refuse$"
        )
        self.assert_answered(server)
