"""HAProxy, with the configuration in deploy/, before three real servers."""

import json
import os
import re
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import define, field

from tests.support import live
from tests.support.live import PATIENCE, Log, Server
from tests.support.live_case import LiveTestCase

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
HOSTS = ["127.0.0.11", "127.0.0.12", "127.0.0.13"]
CLIENTS = 100
#: Connections of each client, one request on each.
ROUNDS = 30


def free_port(*hosts: str) -> int:
    """Return a port number that is free on all of *hosts* at this moment."""
    while True:
        with closing(socket.socket()) as one:
            one.bind((hosts[0], 0))
            port: int = one.getsockname()[1]
            try:
                for host in hosts[1:]:
                    with closing(socket.socket()) as another:
                        another.bind((host, port))
            except OSError:
                continue
            return port


@define
class Asking:
    """One connection of a client: it sends a request and reads the reply until EOF."""

    number: int
    socket: socket.socket
    request: bytes
    received: bytearray = field(factory=bytearray)


@define
class Outcome:
    """What became of each request."""

    answered: set[str] = field(factory=set)
    cut: set[str] = field(factory=set)
    refused: list[str] = field(factory=list)
    #: The address that each request was sent from.
    sources: dict[str, str] = field(factory=dict)


class Crowd:
    """`CLIENTS` clients at once, each with its own address, in one thread."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._selector = selectors.DefaultSelector()
        self.outcome = Outcome()

    def run(self, rounds: int) -> Iterator[int]:
        """Let each client make *rounds* connections; yield how many are done so far."""
        left = dict.fromkeys(range(CLIENTS), rounds)
        for number in left:
            self._begin(number, left[number])
        done = 0
        deadline = time.monotonic() + PATIENCE
        try:
            while self._selector.get_map():
                assert time.monotonic() < deadline, self.outcome
                for key, events in self._selector.select(PATIENCE):
                    if self._go_on(key.data, events):
                        done += 1
                        number = key.data.number
                        left[number] -= 1
                        if left[number]:
                            self._begin(number, left[number])
                yield done
        finally:
            for key in [*self._selector.get_map().values()]:
                self._end(key.data)
            self._selector.close()

    def _begin(self, number: int, turn: int) -> None:
        client = socket.socket()
        client.bind((f"127.0.1.{number + 1}", 0))
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", self._port))
        asking = Asking(number, client, f"{number}/{turn}".encode())
        self._selector.register(client, selectors.EVENT_WRITE, asking)

    def _go_on(self, asking: Asking, events: int) -> bool:
        """Read or write; return whether the connection has ended."""
        name = asking.request.decode()
        if events & selectors.EVENT_WRITE:
            error = asking.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self.outcome.refused.append(os.strerror(error))
                return self._end(asking)
            host, port = asking.socket.getsockname()
            self.outcome.sources[name] = f"{host}:{port}"
            try:
                asking.socket.send(asking.request + b"\n")
                asking.socket.shutdown(socket.SHUT_WR)
            except OSError:  # it was reset meanwhile
                self.outcome.cut.add(name)
                return self._end(asking)
            self._selector.modify(asking.socket, selectors.EVENT_READ, asking)
            return False
        try:
            data = asking.socket.recv(1000)
        except ConnectionResetError:
            data = b""
        if data:
            asking.received += data
            return False
        (self.outcome.answered if asking.received == b"response\r\n" else self.outcome.cut).add(
            name
        )
        return self._end(asking)

    def _end(self, asking: Asking) -> bool:
        self._selector.unregister(asking.socket)
        asking.socket.close()
        return True


class HAProxyTests(LiveTestCase):
    """One load balancer, three servers, a hundred clients."""

    def setUp(self) -> None:
        super().setUp()
        program = live.program("haproxy")
        self.port, self.measured = free_port(*HOSTS), free_port(*HOSTS)
        self.front = free_port("127.0.0.1")
        self.servers = [
            self.serve(
                f"--port={self.port}",
                f"--interface={host}",
                *("--framing=line", "--proxy-protocol", "--lame-duck=3", "--drain=10"),
                f"--metrics=tcp:{self.measured}:interface={host}",
                f"--journal={host}.jsonl",
                ports=2,
            )
            for host in HOSTS
        ]
        for server in self.servers:
            self.assertEqual(len(server.ports), 2)
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as ready:
            ready.bind(str(self.directory / "ready"))
            ready.settimeout(PATIENCE)
            self.balancer = subprocess.Popen(
                # As systemd starts it, with a notification when it listens.
                [program, "-Ws", "-f", str(self.configuration())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=os.environ | {"NOTIFY_SOCKET": str(self.directory / "ready")},
            )
            self.log = Log(self.balancer.stdout)
            self.addCleanup(self.end)
            while b"READY=1" not in ready.recv(1000):
                pass

    def end(self) -> None:
        self.balancer.terminate()
        self.balancer.wait(PATIENCE)
        self.log.close()

    def configuration(self) -> Path:
        """Write the configuration in deploy/, with only its addresses replaced."""
        text = (DEPLOY / "haproxy.cfg").read_text()
        replaced = {
            "bind :9999": f"bind 127.0.0.1:{self.front}",
            "connect port 9100": f"connect port {self.measured}",
        } | {f"192.0.2.{host[-2:]}:9999": f"{host}:{self.port}" for host in HOSTS}
        for old, new in replaced.items():
            self.assertEqual(text.count(old), 1, old)
            text = text.replace(old, new)
        path = self.directory / "haproxy.cfg"
        path.write_text(text)
        return path

    def entries(self, server: Server) -> list[Any]:
        """Return the entries of a server's journal."""
        path = self.directory / f"{HOSTS[self.servers.index(server)]}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def test_a_server_is_killed_and_another_drained(self) -> None:
        """No client is refused, and what the drained server has received is answered."""
        killed, drained, other = self.servers
        crowd = Crowd(self.front)
        thirds = {CLIENTS * ROUNDS // 3: killed.process.kill}
        cut: list[int] = []

        def drain() -> None:
            cut.append(len(crowd.outcome.cut))
            drained.signal(signal.SIGTERM)

        thirds[2 * CLIENTS * ROUNDS // 3] = drain
        for done in crowd.run(ROUNDS):
            for due in [due for due in thirds if due <= done]:
                thirds.pop(due)()
        self.assertEqual(thirds, {})
        self.assertEqual(drained.wait(), -signal.SIGTERM)
        other.stop()
        outcome = crowd.outcome
        self.assertEqual(outcome.refused, [])
        self.assertEqual(len(outcome.answered) + len(outcome.cut), CLIENTS * ROUNDS)
        for server in (drained, other):
            entries = self.entries(server)
            requests = {it["request"] for it in entries if "request" in it}
            self.assertTrue(requests - {"ping"})
            self.assertEqual(requests - {"ping"} - outcome.answered, set())
            self.assertEqual([it for it in entries if it["event"] == "unanswered"], [])
        # Only connections of the killed server were cut; the drain cut none.
        self.assertLessEqual(len(outcome.cut), CLIENTS)
        self.assertEqual(cut, [len(outcome.cut)])

    def test_true_addresses(self) -> None:
        """The journal and the log have the clients' addresses, never the load balancer's."""
        crowd = Crowd(self.front)
        for _ in crowd.run(2):
            pass
        for server in self.servers:
            server.signal(signal.SIGTERM)
        for server in self.servers:
            self.assertEqual(server.wait(), -signal.SIGTERM)
        outcome = crowd.outcome
        self.assertEqual((len(outcome.answered), outcome.refused), (2 * CLIENTS, []))
        journaled = {
            entry["request"]: entry["peer"]
            for server in self.servers
            for entry in self.entries(server)
            if entry["event"] == "answered" and entry["request"] != "ping"
        }
        self.assertEqual(journaled, outcome.sources)
        logged: dict[str, str] = {}
        for server in self.servers:
            text = server.log.text()
            peers = dict(re.findall(r"(#\d+) (\S+) connected", text))
            exchanges = re.findall(r"(#\d+) < '(\d+/\d+)'", text)
            logged |= {request: peers[number] for number, request in exchanges}
        self.assertEqual(logged, outcome.sources)

    def test_readiness_fails_before_the_listener_closes(self) -> None:
        """The load balancer notices a drain from /readyz, while new clients are still served."""
        drained = self.servers[0]
        crowd = Crowd(self.front)
        for _ in crowd.run(1):
            pass
        drained.signal(signal.SIGTERM)
        drained.log.wait("no longer ready")
        self.log.wait("Server reqresp/one is DOWN")
        # Its port is still open: new clients are answered.
        with closing(socket.create_connection((HOSTS[0], self.port), PATIENCE)) as client:
            client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nlate\n")
            self.assertEqual(client.recv(100), b"response\r\n")
        self.assertEqual(drained.wait(), -signal.SIGTERM)
        self.assertNotIn("cannot", drained.log.text())


class UnitsTests(LiveTestCase):
    """The unit files for systemd."""

    def test_systemd_accepts_them(self) -> None:
        """systemd finds no mistake in them, and rates their exposure as low."""
        program = live.program("systemd-analyze")
        twistd = self.directory / "twistd"
        twistd.write_text("#!/bin/sh\n")
        twistd.chmod(0o755)
        for path in DEPLOY.glob("*.*"):
            text = path.read_text().replace("/opt/reqresp/bin/twistd", str(twistd))
            (self.directory / path.name).write_text(text)
        units = [
            str(self.directory / name)
            for name in ("reqresp.service", "reqresp@1.service", "reqresp-shared.socket")
        ]
        ended = live.run_all(
            self.directory,
            {
                "verify": [program, "verify", "--man=no", *units],
                "security": [program, "security", "--offline=yes", "--threshold=20", *units[:1]],
            },
        )
        self.assertEqual(ended["verify"].output + ended["verify"].errors, "")
        self.assertEqual((ended["verify"].status, ended["security"].status), (0, 0))

    def test_commands(self) -> None:
        """The options in their commands are valid."""
        from reqresp.daemon.options import Options

        for name in ("reqresp.service", "reqresp@.service"):
            text = (DEPLOY / name).read_text().replace("\\\n", " ").replace("%i", "1")
            [command] = re.findall("^ExecStart=(.*)$", text, re.MULTILINE)
            words = command.split()
            options = Options()
            options.parseOptions(words[words.index("reqresp") + 1 :])
            self.assertEqual(options["drain"], 10)
