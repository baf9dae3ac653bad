"""Python in pages about other subjects: each block is run, in memory where it can be."""

import re
import socket
import subprocess
import sys
from contextlib import chdir
from typing import Any, cast

import twisted.internet
from twisted.internet import reactor  # noqa: F401 (it is there before it is replaced)
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.protocols.wire import Echo
from twisted.trial.unittest import SynchronousTestCase

from reqresp import RelayFactory
from reqresp.testing import InMemoryReactor
from reqresp.testing._memory_peer import MemoryPeer
from tests.support import live
from tests.support.documents import ROOT, Block, blocks
from tests.support.issued import authority, contexts
from tests.support.live import PATIENCE
from tests.support.relayed import RELAY_PORT, SERVICE_PORT, Services
from tests.support.steered import Steered


def blocks_of(page: str, language: str = "python") -> list[Block]:
    """Return the blocks of the *page*, in their order."""
    text = (ROOT / "docs" / f"{page}.rst").read_text(encoding="utf-8")
    return [it for it in blocks(text) if it.language == language]


def examples(page: str) -> list[str]:
    """Return the Python blocks of the *page*, in their order."""
    return [it.code for it in blocks_of(page)]


def run(code: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run *code*, which can use *names*; return them with those that it defines."""
    exec(code, names)  # noqa: S102 (an example of ours)
    return names


class MemoryTests(SynchronousTestCase):
    """Examples on a reactor in memory."""

    def setUp(self) -> None:
        self.reactor = InMemoryReactor()
        self.patch(twisted.internet, "reactor", self.reactor)
        self.directory = live.temporary(self)
        self.services = Services()

    def ask(self, port: int, request: bytes) -> MemoryPeer:
        """Return a new client that has sent *request*."""
        client = self.reactor.connect_peer(port)
        client.send(request)
        self.reactor.advance(0)
        return client

    def test_forwarding(self) -> None:
        """The function answers some requests, and the service the others."""
        forwarding, *_ = examples("relay")
        self.reactor.listenTCP(SERVICE_PORT, self.services)
        self.reactor.listenTCP(RELAY_PORT, run(forwarding, {})["factory"])
        client = self.ask(RELAY_PORT, b"GET stock\r\nGET price\r\n")
        self.assertEqual(client.received(), b"$1\r\n0\r\n")
        [service] = self.services.made
        self.assertEqual(service.got, b"GET price\r\n")
        service.transport.write(b"$1\r\n7\r\n")
        self.reactor.advance(0)
        self.assertEqual(client.received(), b"$1\r\n7\r\n")

    def test_relay(self) -> None:
        """It listens and passes bytes; its faults come, change and go."""
        _, relay, faults, _ = examples("relay")
        self.reactor.listenTCP(SERVICE_PORT, Factory.forProtocol(Echo))
        names = run(relay, {})
        self.assertTrue(self.reactor.hasRun)
        self.assertEqual(self.ask(RELAY_PORT, b"hello").received(), b"hello")
        clients: list[MemoryPeer] = []
        received: list[bytes] = []

        def program() -> None:
            clients.append(self.ask(RELAY_PORT, b"late"))
            self.reactor.advance(0.09)
            received.append(clients[0].received())

        run(faults.replace("    ...\n", "    program()\n"), names | {"program": program})
        [client] = clients
        self.assertEqual(received, [b""])
        self.reactor.advance(0)
        self.assertEqual(client.received(), b"late")
        self.assertEqual(names["factory"].faults, ())

    def test_tls_to_a_service(self) -> None:
        """A service with a trusted certificate for the name gets the bytes."""
        _, relay, _, tls = examples("relay")
        certificate, _ = contexts("db.example")
        service = TLSMemoryBIOFactory(certificate, False, self.services, cast(Any, self.reactor))
        self.reactor.listenTCP(5432, service)
        names = run(relay, {"root": Certificate.loadPEM(authority().cert_pem.bytes())})
        # The system does not trust the authority of these tests.
        trusting = tls.replace('TLS("db.example")', 'TLS("db.example", trustRoot=root)')
        self.assertNotEqual(trusting, tls)
        upstream = run(trusting, names)["upstream"]
        self.reactor.listenTCP(5433, RelayFactory(upstream))
        self.ask(5433, b"hello")
        self.assertEqual([it.got for it in self.services.made], [b"hello"])

    def test_recorder(self) -> None:
        """What passes is recorded, without the secret."""
        [code] = examples("recording")
        self.reactor.listenTCP(SERVICE_PORT, self.services)
        with chdir(self.directory):
            names = run(code, {})
        self.reactor.listenTCP(RELAY_PORT, names["factory"])
        self.ask(RELAY_PORT, b"PASS hunter2\r\n")
        names["recorder"].close()
        text = (self.directory / "redis.rec").read_text()
        self.assertIn("\n> PASS \\<password>\\r\\n\n", text)
        self.assertNotIn("hunter2", text)

    def test_replay(self) -> None:
        """The recording that the page about recordings shows is replayed."""
        [code] = examples("replay")
        recording, *_ = blocks_of("recording", "text")
        (self.directory / "redis.rec").write_text(f"{recording.code}\n")
        with chdir(self.directory):
            factory = run(code, {})["factory"]
        self.reactor.listenTCP(RELAY_PORT, factory)
        client = self.ask(RELAY_PORT, b"*1\r\n$4\r\nPING\r\n")
        self.assertEqual(client.received(), b"+PONG\r\n")

    def test_access(self) -> None:
        """A client of another network is refused."""
        access, _ = examples("operations")
        self.reactor.listenTCP(RELAY_PORT, run(access, {})["factory"])
        client = self.reactor.connect_peer(RELAY_PORT)
        self.reactor.advance(0)
        self.assertTrue(client.got_reset)

    def test_metrics(self) -> None:
        """The site shows what the factory counts."""
        _, counted = examples("operations")
        names = run(counted, {})
        self.reactor.listenTCP(RELAY_PORT, names["factory"])
        self.reactor.listenTCP(9100, names["site"])
        self.ask(RELAY_PORT, b"hello")
        pages = self.ask(9100, b"GET /metrics HTTP/1.0\r\n\r\n").received()
        self.assertIn(b"\nreqresp_requests_total 1.0\n", pages)

    def test_eager_endpoint(self) -> None:
        """It listens."""
        endpoint, _ = examples("transport")
        run(endpoint, {"factory": Factory.forProtocol(Echo)})
        self.assertEqual(self.ask(9999, b"hello").received(), b"hello")


class ProcessTests(SynchronousTestCase):
    """Examples that need a process of their own."""

    def printed(self, code: str) -> str:
        """Return what *code* prints."""
        ended = subprocess.run(
            [sys.executable, "-c", code],
            cwd=live.temporary(self),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        return ended.stdout

    def test_lean_reactor(self) -> None:
        """What imports the reactor afterwards has the lean one."""
        _, install = examples("transport")
        check = "from twisted.internet import reactor\nprint(type(reactor).__name__)"
        self.assertEqual(self.printed(f"{install}\n{check}"), "LeanReactor\n")

    def test_services(self) -> None:
        """The service listens, and its address is printed."""
        [code] = examples("services")
        end = "reactor.callWhenRunning(created.addBoth, lambda _: reactor.stop())\nreactor.run()"
        self.assertRegex(self.printed(f"{code}\n{end}"), r"\A\('127\.0\.0\.1:\d+',\)\n\Z")


class ControlTests(Steered):
    """Examples of a client of the control server."""

    def test_control_client(self) -> None:
        """A program that sends STAT is answered, held, and disconnected."""
        expect, hold, connections = examples("control")
        replies: list[bytes] = []
        names: dict[str, Any] = {"program": lambda: replies.append(self.ask(b"STAT"))}
        where = '"http://127.0.0.1:8474", service="ping"'
        self.assertIn(where, expect)
        run(with_program(expect.replace(where, repr(self.url))), names)
        self.assertEqual(replies, [b"+OK 2 320\r\n"])

        with self.connect() as program:
            names["program"] = lambda: program.sendall(b"STAT\n")
            run(with_program(hold), names)
            self.assertEqual(program.makefile("rb").readline(), b"+OK 2 320\r\n")
        names["client"].reset()

        with self.connect() as program:
            run(connections, names)
            self.assertEqual(program.makefile("rb").read(), b"421 shutting down\r\nnews\r\n")

    def connect(self) -> socket.socket:
        """Return a connection to the service."""
        return socket.create_connection(("127.0.0.1", self.server.port), PATIENCE)


def with_program(code: str) -> str:
    """Return *code* with a call of ``program`` where it says what the program does."""
    found = re.sub(r"\.\.\.(?=  # the program under test )", "program()", code)
    assert found != code, code
    return found
