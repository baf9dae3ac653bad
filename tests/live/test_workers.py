"""The real twistd with workers: what clients see, and what happens to the processes."""

import json
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from unittest import SkipTest

import pytest

from reqresp.daemon.build import CONNECTIONS_PER_WORKER
from tests.support import live
from tests.support.live import PATIENCE, Client, Server, twistd
from tests.support.live_case import LiveTestCase

SLOW = """\
framing = "line"
rule = [
    { equals = "a", reply = "A" },
    { equals = "slow", delay = 1, reply = "S" },
    { equals = "late", delay = 1000, reply = "L" },
    { equals = "hang", do = [{ hang = true }] },
]
"""


def gone(pid: int) -> bool:
    """Return whether the process has ended, or is a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def wait_gone(pids: list[int]) -> None:
    """Wait for the end of processes that are not children of this one."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        with os.fdopen(descriptor) as file:
            assert select.select([file], [], [], PATIENCE)[0], f"process {pid} is still running"


class WorkersTestCase(LiveTestCase):
    """Servers with workers."""

    def workers(self, *options: str, count: int = 2, ports: int = 1, **popen: Any) -> Server:
        """Start a server, and wait until its workers are ready."""
        if not any(option.startswith(("--port", "--listen")) for option in options):
            options = ("--port=0", *options)
        server = self.stopped(
            live.start(
                self.directory, "reqresp", f"--workers={count}", *options, ports=ports, **popen
            )
        )
        server.log.wait(r"\(pid \d+\) is ready", count)
        return server

    def pids(self, server: Server) -> dict[int, int]:
        """Return the latest process of each worker, by the worker's number."""
        found = server.log.wait(r"worker (\d+) \(pid (\d+)\) is ready$")
        return {int(match[1]): int(match[2]) for match in found}

    def script(self) -> str:
        (self.directory / "it.toml").write_text(SLOW)
        return "--script=it.toml"

    def clients_of_each(self, server: Server, count: int = 2) -> dict[int, Client]:
        """Return a connected client of each worker, by the worker's number."""
        found: dict[int, Client] = {}
        for _ in range(1000):
            client = self.connect(server)
            host, port = client.socket.getsockname()
            # Lines that a worker logs together follow one line with its name.
            [match] = server.log.wait(rf"#(\d+) {host}:{port} connected")[:1]
            found.setdefault(int(match[1]) // CONNECTIONS_PER_WORKER, client)
            if len(found) == count:
                return found
        raise AssertionError(f"all connections went to the workers {[*found]}")


class ServingTests(WorkersTestCase):
    """What clients receive, and what names the worker."""

    def test_log_journal_and_numbers_name_the_worker(self) -> None:
        """Each worker has its own journal, connection numbers and name in the log."""
        server = self.workers("--journal=it.jsonl", "--framing=line")
        for client in self.clients_of_each(server).values():
            self.assertEqual(client.ask(b"request\n", 10), b"response\r\n")
            client.send(b"close\n")
            client.rest()
        self.assertEqual(server.stop(), -signal.SIGTERM)
        for number in (1, 2):
            lines = [
                json.loads(line)
                for line in (self.directory / f"it.worker-{number}.jsonl").read_text().splitlines()
            ]
            self.assertEqual({line["worker"] for line in lines}, {number})
            self.assertEqual(lines[0]["connection"], number * 1_000_000_000 + 1)
            self.assertIn("request", [line.get("request") for line in lines])
        text = server.log.text()
        self.assertRegex(
            text, r"\[worker 1 reqresp\.journal\.request_log\.RequestLog#info\] #1000000001 "
        )
        self.assertRegex(
            text, r"\[worker 2 reqresp\.journal\.request_log\.RequestLog#info\] #2000000001 "
        )

    def test_listening_is_logged_by_workers(self) -> None:
        """Their parent opens the port, but only a worker logs that it listens."""
        server = self.workers("--quiet", "--metrics=0", ports=3)
        shared, *metrics = dict.fromkeys(server.ports)
        lines = server.log.wait(
            r"\[(.*) reqresp\..*\] Listening on 127\.0\.0\.1:(\d+)( for metrics)?$", 4
        )
        found: dict[str, list[int]] = {}
        for match in lines:
            found.setdefault(match[1], []).append(int(match[2]))
        self.assertEqual(
            found, {f"worker {number}": [shared, port] for number, port in enumerate(metrics, 1)}
        )

    def test_one_worker(self) -> None:
        """A single worker serves, too."""
        server = self.workers(count=1)
        self.assertEqual(self.connect(server).ask(b"request"), b"response")

    def test_tls_is_loaded_only_if_it_is_used(self) -> None:
        """OpenSSL is in the memory of workers with a certificate, and of no others."""
        path = self.directory / "it.pem"
        path.write_bytes(live.pem())
        for options, expected in (((), False), ((f"--tls-cert={path}",), True)):
            server = self.workers("--metrics=0", *options, count=1, ports=2)
            maps = Path(f"/proc/{self.pids(server)[1]}/maps").read_text()
            self.assertEqual("/cryptography/" in maps, expected, options)
            server.stop()

    def test_unix_socket(self) -> None:
        """The path of a UNIX socket survives a killed worker, and is removed at the end."""
        server = self.workers("--listen=unix:it.sock:mode=600", ports=0)
        path = self.directory / "it.sock"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        with Client(str(path), socket.AF_UNIX) as client:
            self.assertEqual(client.ask(b"request"), b"response")
        os.kill(self.pids(server)[1], signal.SIGKILL)
        server.log.wait(r"worker 1 \(pid \d+\) is ready", 2)
        with Client(str(path), socket.AF_UNIX) as client:
            self.assertEqual(client.ask(b"request"), b"response")
        server.stop()
        self.assertFalse(path.exists())

    def test_tls(self) -> None:
        """All workers have the certificate, and all read it again on SIGHUP."""
        path = self.directory / "it.pem"
        path.write_bytes(live.pem())
        server = self.workers("--framing=line", f"--tls-cert={path}")
        context = ssl.create_default_context(cafile=str(path))

        def ask() -> bytes:
            with (
                self.connect(server).socket as plain,
                context.wrap_socket(plain, server_hostname="localhost") as client,
            ):
                client.sendall(b"a\n")
                return client.recv(100)

        self.assertEqual(ask(), b"response\r\n")
        server.signal(signal.SIGHUP)
        server.log.wait(r"worker \d .* reloaded .*it.pem", 2)
        self.assertEqual(ask(), b"response\r\n")
        self.assertNotIn("PRIVATE", server.log.text())

    def test_metrics_of_each(self) -> None:
        """Each worker has its own metrics port, with its own counts and its own readiness."""
        server = self.workers("--metrics=0", "--lame-duck=3", ports=3)
        shared, *measured = dict.fromkeys(server.ports)
        self.clients_of_each(server)
        connected = len(re.findall(r"#\d+ \S+ connected", server.log.text()))
        counts = []
        for port in measured:
            found = re.search(
                r"(?m)^reqresp_connections_accepted_total (\d+)", self.get(port, "/metrics")[1]
            )
            assert found is not None
            counts.append(int(found[1]))
            self.assertEqual(self.get(port, "/readyz"), (200, "ready\n"))
        self.assertEqual((len(counts), sum(counts)), (2, connected))
        self.assertTrue(all(counts))
        server.signal(signal.SIGTERM)
        server.log.wait("no longer ready", 2)
        self.assertEqual([self.get(port, "/readyz")[0] for port in measured], [503, 503])
        with Client(("127.0.0.1", shared)) as client:
            self.assertEqual(client.ask(b"late"), b"response")

    def get(self, port: int, path: str) -> tuple[int, str]:
        """Return the status and the text of a page."""
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()

    def test_many_long_lines_of_log(self) -> None:
        """Long lines that a worker logs stay whole and in order."""
        server = self.workers("--framing=line", "--max-request=2000000", count=1)
        client = self.connect(server)
        numbers = range(3000)
        data = b"".join(b"%d %s\n" % (number, b"x" * 990) for number in numbers)
        threading.Thread(target=client.send, args=(data,), daemon=True).start()
        client.receive(10 * len(numbers))
        client.send(b"last\n")
        server.log.wait("< 'last'")
        found = re.findall(r"^.*#\d+ < '(\d+) x{990}'  > 'response'$", server.log.text(), re.M)
        self.assertEqual([int(number) for number in found], [*numbers])

    def test_lean_reactor(self) -> None:
        """Unless another reactor was chosen, each worker runs the lean one."""
        (self.directory / "it.py").write_text(
            "def name(call):\n"
            "    from twisted.internet import reactor\n"
            "    return type(reactor).__module__.encode()\n"
        )
        (self.directory / "it.toml").write_text('framing = "line"\nrule = [{ call = "it:name" }]\n')
        server = self.workers("--script=it.toml")
        expected = b"reqresp.transport.lean_reactor\r\n"
        for client in self.clients_of_each(server).values():
            self.assertEqual(client.ask(b"name\n", len(expected)), expected)

    def test_other_reactor(self) -> None:
        """A worker uses the same reactor as its parent."""
        command = [*twistd(), "--reactor=poll", "-n", "--pidfile=", "reqresp", "--workers=1"]
        server = self.stopped(
            Server(
                subprocess.Popen(
                    [*command, "--port=0"], cwd=self.directory, stdout=subprocess.PIPE
                ),
                1,
            )
        )
        pid = self.pids(server)[1]
        self.assertIn(b"twisted.internet.pollreactor", Path(f"/proc/{pid}/cmdline").read_bytes())
        self.assertEqual(self.connect(server).ask(b"request"), b"response")

    def test_descriptors(self) -> None:
        """A worker has no file, no terminal and no other worker's pipe open."""
        server = self.workers("--quiet")
        held = {
            number: [str(it.readlink()) for it in Path(f"/proc/{pid}/fd").iterdir()]
            for number, pid in self.pids(server).items()
        }
        for names in held.values():
            for name in names:
                self.assertRegex(
                    name, r"^(pipe:|socket:|anon_inode:\[eventpoll\]|/dev/(null|urandom)$)"
                )
            # The one that it accepts from, and the one on which its parent sends commands.
            self.assertEqual(sum(name.startswith("socket:") for name in names), 2)
        pipes = [{it for it in names if it.startswith("pipe:")} for names in held.values()]
        self.assertEqual(pipes[0] & pipes[1], set())


class EndsTests(WorkersTestCase):
    """Workers that end, and are restarted."""

    def test_the_others_go_on_when_one_is_killed(self) -> None:
        """Clients of the other workers notice nothing, and the killed one is restarted."""
        server = self.workers()
        clients = self.clients_of_each(server)
        before = self.pids(server)
        asked: list[int] = []
        is_over = threading.Event()

        def load() -> None:
            while not is_over.is_set():
                assert clients[2].ask(b"request") == b"response"
                asked.append(len(asked))

        thread = threading.Thread(target=load)
        thread.start()
        os.kill(before[1], signal.SIGKILL)
        server.log.wait(r"worker 1 \(pid \d+\) killed by SIGKILL; restarting now")
        server.log.wait(r"worker 1 \(pid \d+\) is ready", 2)
        count = len(asked)
        while len(asked) < count + 100 and thread.is_alive():
            pass
        is_over.set()
        thread.join(PATIENCE)
        self.assertGreaterEqual(len(asked), count + 100)
        self.assertEqual(clients[1].rest(), b"")
        after = self.pids(server)
        self.assertEqual((after[2], after[1] == before[1]), (before[2], False))
        self.clients_of_each(server)

    def test_waiting_clients_are_not_reset(self) -> None:
        """Clients that no worker has accepted yet are served after a restart."""
        server = self.workers("--quiet")
        pids = self.pids(server)
        for pid in pids.values():
            os.kill(pid, signal.SIGSTOP)
        clients = [self.connect(server) for _ in range(40)]
        for client in clients:
            client.send(b"request")
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
        self.assertEqual([client.receive(8) for client in clients], [b"response"] * 40)

    @pytest.mark.timeout(300)  # fifty processes start, one after the other
    def test_fifty_restarts_leak_nothing(self) -> None:
        """After fifty restarts, the parent has as many descriptors as before."""
        server = self.workers("--quiet", count=1)

        def descriptors() -> int:
            return len([*Path(f"/proc/{server.pid}/fd").iterdir()])

        before = descriptors()
        for number in range(2, 52):
            os.kill(self.pids(server)[1], signal.SIGKILL)
            server.log.wait(r"worker 1 \(pid \d+\) is ready", number)
        self.assertEqual(descriptors(), before)

    def test_parent_killed(self) -> None:
        """If the parent is killed, workers drain and end, without a lame duck time."""
        server = self.workers(self.script(), "--lame-duck=1000")
        clients = self.clients_of_each(server)
        for client in clients.values():
            self.begin(client, b"slow\n")
        pids = [*self.pids(server).values()]
        server.signal(signal.SIGKILL)
        self.assertEqual([client.rest() for client in clients.values()], [b"S\r\n"] * 2)
        wait_gone(pids)
        server.wait()

    def test_parent_killed_while_workers_start(self) -> None:
        """A worker that does not listen yet ends with its parent, too."""
        server = self.serve("--workers=2")
        _ = server.port
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        server.signal(signal.SIGKILL)
        wait_gone([int(pid) for pid in children])
        server.wait()


class StopTests(WorkersTestCase):
    """Stopping the parent and its workers."""

    def test_waits_for_slow_replies(self) -> None:
        """The parent ends after the last worker has drained."""
        server = self.workers(self.script())
        clients = self.clients_of_each(server)
        for client in clients.values():
            self.begin(client, b"slow\n")
        server.signal(signal.SIGTERM)
        self.assertEqual([client.rest() for client in clients.values()], [b"S\r\n"] * 2)
        pids = [*self.pids(server).values()]
        self.assertEqual(server.wait(), -signal.SIGTERM)
        self.assertTrue(all(map(gone, pids)))
        server.log.wait(r"worker \d \(pid \d+\) exited with status 0", 2)

    def test_new_clients_are_refused_while_draining(self) -> None:
        """While workers drain, no process keeps the listening socket open."""
        server = self.workers(self.script())
        port = server.port
        client = self.connect(server)
        self.begin(client, b"slow\n")
        server.signal(signal.SIGTERM)
        server.log.wait(r"worker \d .*Closed", 2)
        # It closes a turn after it has said so.
        while True:
            try:
                Client(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                break
        self.assertEqual(client.rest(), b"S\r\n")
        server.wait()

    def test_signals_to_the_whole_group(self) -> None:
        """SIGTERM, SIGINT and SIGUSR1 for the whole process group lose no reply."""
        server = self.workers(self.script(), start_new_session=True)
        clients = self.clients_of_each(server)
        for client in clients.values():
            self.begin(client, b"slow\n")
        for pid in self.pids(server).values():
            os.kill(pid, signal.SIGUSR1)
        os.killpg(server.pid, signal.SIGTERM)
        server.log.wait(r"worker \d .*Closed", 2)
        for pid in self.pids(server).values():
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
        self.assertEqual([client.rest() for client in clients.values()], [b"S\r\n"] * 2)
        self.assertEqual(server.wait(), -signal.SIGTERM)

    def test_interrupted_twice(self) -> None:
        """A second SIGINT resets connections with pending replies at once."""
        server = self.workers(self.script(), "--drain=1000", start_new_session=True)
        clients = self.clients_of_each(server)
        for client in clients.values():
            self.begin(client, b"late\n")
        os.killpg(server.pid, signal.SIGINT)
        server.log.wait(r"worker \d .*Closed", 2)
        os.killpg(server.pid, signal.SIGINT)
        self.assertEqual([client.is_reset() for client in clients.values()], [True, True])
        server.wait()

    def test_sighup(self) -> None:
        """SIGHUP makes all workers read the script again, and kills none."""
        server = self.workers(self.script(), "--journal=it.jsonl")
        before = self.pids(server)
        (self.directory / "it.toml").write_text(SLOW.replace('"A"', '"new"'))
        for number in (1, 2):
            path = self.directory / f"it.worker-{number}.jsonl"
            path.rename(path.with_suffix(".old"))
        server.signal(signal.SIGHUP)
        server.log.wait(r"worker \d .* reloaded ", 2)
        server.log.wait(r"worker \d .* reopened as a new file", 2)
        for client in self.clients_of_each(server).values():
            self.assertEqual(client.ask(b"a\n", 5), b"new\r\n")
        self.assertEqual(self.pids(server), before)

    def test_sighup_while_workers_start(self) -> None:
        """SIGHUP reaches workers that are not ready yet, and kills none."""
        server = self.serve("--workers=2", self.script())
        _ = server.port
        for _ in range(3):
            server.signal(signal.SIGHUP)
        server.log.wait(r"worker \d .* reloaded ", 2)
        self.assertNotIn("killed by", server.log.text())


class StartTests(WorkersTestCase):
    """Ways to start, and what keeps a server from starting."""

    def refusal(self, *options: str) -> str:
        """Return the only line with which twistd with workers refuses to start."""
        ended = live.run_all(
            self.directory,
            {"it": [*twistd(), "-n", "--pidfile=", "--logfile=log", "reqresp", *options]},
        )["it"]
        self.assertEqual((ended.status, ended.output), (1, ""))
        [line] = ended.errors.splitlines()
        log = self.directory / "log"
        self.assertNotIn("worker 1", log.read_text() if log.exists() else "")
        return line

    def test_busy_port(self) -> None:
        """A port in use is reported once, by the parent."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            line = self.refusal("--workers=2", f"--port={port}")
        self.assertEqual(
            line, f"reqresp: cannot listen on 127.0.0.1:{port}: Address already in use"
        )

    def test_bad_script(self) -> None:
        """For a script with errors no worker is started, and no journal is created."""
        (self.directory / "it.toml").write_text("rule = 1")
        line = self.refusal("--workers=2", "--port=0", "--script=it.toml", "--journal=j")
        self.assertIn("it.toml", line)
        self.assertEqual([*self.directory.glob("j*")], [])

    def test_script_broken_after_the_start(self) -> None:
        """A restarted worker reports errors in the script until they are corrected."""
        server = self.workers(self.script())
        (self.directory / "it.toml").write_text("rule = 1")
        os.kill(self.pids(server)[1], signal.SIGKILL)
        server.log.wait(r"worker 1 stderr\] reqresp: .*it\.toml")
        server.log.wait(r"worker 1 \(pid \d+\) exited with status 1; restarting in 0\.25 s")
        self.assertEqual(self.connect(server).ask(b"a\n", 3), b"A\r\n")
        self.script()
        server.log.wait(r"worker 1 \(pid \d+\) is ready", 2)

    def test_uid(self) -> None:
        """With ``--uid``, another user serves a port that only root may open."""
        if os.getuid() != 0:
            raise SkipTest("only root can become another user")
        with socket.socket() as it:
            for low in range(1023, 600, -1):
                try:
                    it.bind(("127.0.0.1", low))
                except OSError:
                    continue
                break
        server = self.stopped(
            live.start(
                Path("/"),
                *("--uid=nobody", "reqresp", f"--port={low}", "--workers=2"),
                python=live.shared_python(),
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        )
        server.log.wait("is ready", 2)
        self.assertEqual(self.connect(server).ask(b"request"), b"response")
        for pid in self.pids(server).values():
            self.assertNotEqual(Path(f"/proc/{pid}").stat().st_uid, 0)
        self.assertEqual(server.port, low)

    def test_file_that_another_user_may_not_read(self) -> None:
        """A script that the user of ``--uid`` cannot read ends twistd before it serves."""
        if os.getuid() != 0:
            raise SkipTest("only root can become another user")
        self.script()
        self.directory.chmod(0o700)
        server = self.stopped(
            live.start(
                Path("/"),
                *("--uid=nobody", "reqresp", "--port=0", "--workers=2"),
                f"--script={self.directory}/it.toml",
                python=live.shared_python(),
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        )
        self.assertEqual(server.wait(), 1)
        self.assertRegex(
            server.log.text(),
            r"(?m)^reqresp: .*it.toml: cannot be read: Permission denied",
        )
        self.assertNotIn("is ready", server.log.text())

    def test_journal_in_a_missing_directory(self) -> None:
        """A journal in a missing directory is reported by the parent."""
        line = self.refusal("--port=0", "--workers=2", "--journal=no/such")
        self.assertRegex(
            line, "^reqresp: --journal: .*/no/such.worker-1: No such file or directory$"
        )

    def test_daemon_elsewhere(self) -> None:
        """A daemon that changes its directory finds the files that its options name."""
        elsewhere = self.directory / "elsewhere"
        elsewhere.mkdir()
        self.script()
        daemon = [*twistd(), "--pidfile=pid", "--logfile=log", f"--rundir={elsewhere}"]
        ended = live.run_all(
            self.directory,
            {"it": [*daemon, "reqresp", "--port=0", "--workers=2", "--script=it.toml"]},
        )["it"]
        self.assertEqual((ended.status, ended.errors), (0, ""))
        parent = int((self.directory / "pid").read_text())
        self.addCleanup(wait_gone, [parent])
        self.addCleanup(os.kill, parent, signal.SIGTERM)
        # Its log is a file: read it as it grows.
        tail = subprocess.Popen(
            ["tail", "-n", "+1", "-F", f"--pid={parent}", str(self.directory / "log")],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        log = live.Log(tail.stdout)
        self.addCleanup(log.close)
        self.addCleanup(tail.wait)
        self.addCleanup(tail.kill)
        log.wait("is ready", 2)
        port = int(log.wait(r"starting on (\d+)$")[0][1])
        with Client(("127.0.0.1", port)) as client:
            self.assertEqual(client.ask(b"a\n", 3), b"A\r\n")

    def test_checkout(self) -> None:
        """A worker imports the same modules as its parent, not those in its directory."""
        elsewhere = self.directory / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "json.py").write_text("raise SystemExit('not this one')")
        server = self.stopped(
            live.start(
                self.directory,
                *(f"--rundir={elsewhere}", "reqresp", "--port=0", "--workers=1"),
                env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent)},
            )
        )
        server.log.wait("is ready")
        self.assertEqual(self.connect(server).ask(b"request"), b"response")


class SystemdTests(WorkersTestCase):
    """Sockets from systemd, whose part a shell plays."""

    def shared(self) -> socket.socket:
        it = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.addCleanup(it.close)
        return it

    def passed(self, it: socket.socket, *options: str) -> Server:
        """Start a twistd that inherits *it* as from systemd."""
        return self.stopped(live.start_on(self.directory, it, *options))

    def test_workers(self) -> None:
        """Workers accept from a socket of systemd, and leave it open."""
        it = self.shared()
        server = self.passed(it, "--workers=2")
        server.log.wait("is ready", 2)
        self.clients_of_each(server)
        server.stop()
        again = self.passed(it)
        self.assertEqual(self.connect(again).ask(b"request"), b"response")

    def test_instances_share_it(self) -> None:
        """Instances of a template unit share a socket; one stops, and no client is refused."""
        it = self.shared()
        one, other = self.passed(it), self.passed(it)
        self.assertEqual(one.port, other.port)
        one.signal(signal.SIGSTOP)
        with self.connect(other) as client:
            self.assertEqual(client.ask(b"request"), b"response")
        one.signal(signal.SIGCONT)
        one.stop()
        clients = [self.connect(other) for _ in range(20)]
        self.assertEqual([client.ask(b"request") for client in clients], [b"response"] * 20)
        other.stop()
        with Client(it.getsockname()) as waiting:
            waiting.send(b"request")
            self.passed(it)
            self.assertEqual(waiting.receive(8), b"response")
