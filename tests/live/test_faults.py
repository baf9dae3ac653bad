"""Faults of a relay on real sockets: what a client's kernel reports, in real time."""

import json
import signal
import socket
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp.relay import RelayFactory, tcp_upstream
from reqresp.server.stream_faults import StreamFault
from reqresp.testing import ThreadedReactor
from reqresp.transport.eager import EagerServerEndpoint
from tests.reliability.serving import metrics
from tests.support.live import PATIENCE
from tests.support.live_case import LiveTestCase


class ScriptTests(LiveTestCase):
    """twistd with a script that is a relay with faults."""

    def test_faults_of_a_script(self) -> None:
        """They apply, and the log, the journal and the metrics name them; a reload removes them."""
        listening = socket.create_server(("127.0.0.1", 0))
        listening.settimeout(PATIENCE)
        self.addCleanup(listening.close)
        upstream = f'[upstream]\naddress = "127.0.0.1:{listening.getsockname()[1]}"\n'
        script = self.directory / "it.toml"
        script.write_text(
            f'seed = 1\n{upstream}[[fault]]\nstream = "downstream"\nname = "cut off"\n'
            'kind = "limit_data"\nbytes = 3\n'
        )
        relay = self.serve(
            *("--script=it.toml", "--journal=it.jsonl", "--port=0"),
            *("--metrics=tcp:0:interface=127.0.0.1",),
            ports=2,
        )

        def ask() -> bytes:
            with socket.create_connection(("127.0.0.1", relay.port), PATIENCE) as client:
                service, _ = listening.accept()
                with service:
                    service.sendall(b"abcdef")
                    service.shutdown(socket.SHUT_WR)
                    received = b""
                    while piece := client.recv(100):
                        received += piece
            return received

        self.assertEqual(ask(), b"abc")
        relay.log.wait(r"#1 downstream  \(faults: cut off\)")
        self.assertEqual(metrics(relay)['reqresp_faults_total{kind="limit_data"}'], 1)
        script.write_text(upstream)
        relay.signal(signal.SIGHUP)
        relay.log.wait("reloaded")
        self.assertEqual(ask(), b"abcdef")
        relay.stop()
        lines = [json.loads(it) for it in (self.directory / "it.jsonl").read_text().splitlines()]
        [faulted] = [it for it in lines if it["event"] == "faulted"]
        self.assertEqual((faulted["stream"], faulted["faults"]), ("downstream", ["cut off"]))


class FaultTests(SynchronousTestCase):
    """A relay in a thread, and the two sockets that it connects."""

    def setUp(self) -> None:
        self.thread = ThreadedReactor()
        self.addCleanup(self.thread.stop)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.settimeout(PATIENCE)
        self.addCleanup(self.listening.close)
        reactor = self.thread.reactor
        upstream = tcp_upstream(reactor, "127.0.0.1", self.listening.getsockname()[1])
        self.factory = RelayFactory(upstream, clock=reactor, seed=1)
        endpoint = EagerServerEndpoint(reactor, 0, interface="127.0.0.1")
        port = self.thread.call(endpoint.listen, self.factory)
        self.port = port.getHost().port
        self.addCleanup(lambda: self.thread.call(self.factory.drain, 0))
        self.addCleanup(lambda: self.thread.call(port.stopListening))

    def connected(self) -> tuple[socket.socket, socket.socket]:
        """Return the sockets of a new client and of the service."""
        client = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        service, _ = self.listening.accept()
        for sock in (client, service):
            sock.settimeout(PATIENCE)
            self.addCleanup(sock.close)
        return client, service

    def fault(self, kind: str, stream: str, **parameters: Any) -> StreamFault:
        """Add a fault, which holds when this returns."""
        live = self.thread.call(lambda: self.factory.fault(kind, stream=stream, **parameters))
        assert isinstance(live, StreamFault)
        return live

    def test_reset_peer_resets_an_open_connection(self) -> None:
        """The client and the service get ECONNRESET, not EOF, while both are connected."""
        client, service = self.connected()
        client.sendall(b"hello")
        self.assertEqual(service.recv(100), b"hello")
        self.fault("reset_peer", "downstream")
        for sock in (client, service):
            with self.assertRaises(ConnectionResetError):
                sock.recv(100)

    def test_reset_peer_after_bytes(self) -> None:
        """They arrive; a client that reads them within the delay gets the reset after them."""
        self.fault("reset_peer", "downstream", bytes=5, delay=0.3)
        client, service = self.connected()
        service.sendall(b"abcdefgh")
        self.assertEqual(client.recv(100), b"abcde")
        with self.assertRaises(ConnectionResetError):
            client.recv(100)

    def test_reset_peer_with_a_probability_of_0(self) -> None:
        """No connection is reset."""
        self.fault("reset_peer", "downstream", probability=0)
        client, service = self.connected()
        service.sendall(b"abc")
        self.assertEqual(client.recv(100), b"abc")

    def test_timeout_under_traffic(self) -> None:
        """A client that sends all the time sees the end after the time."""
        self.fault("timeout", "upstream", seconds=0.4)
        client, service = self.connected()
        began = time.monotonic()
        client.settimeout(0.01)
        ended = False
        while not ended and time.monotonic() < began + PATIENCE:
            try:
                client.send(b"x" * 100)
                ended = client.recv(100) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                ended = True
        self.assertTrue(ended)
        self.assertGreater(time.monotonic() - began, 0.35)
        self.assertEqual(service.recv(100), b"")

    def test_the_last_byte_of_limit_data(self) -> None:
        """It arrives, and the client reads an orderly end after it."""
        self.fault("limit_data", "downstream", bytes=1_000_000)
        client, service = self.connected()
        service.sendall(b"x" * 1_000_001)
        received = 0
        while piece := client.recv(65536):
            received += len(piece)
        self.assertEqual(received, 1_000_000)

    def test_slow_close(self) -> None:
        """Bytes arrive at once, EOF does not."""
        self.fault("slow_close", "downstream", delay=0.3)
        client, service = self.connected()
        service.sendall(b"bye")
        service.close()
        self.assertEqual(client.recv(100), b"bye")
        began = time.monotonic()
        self.assertEqual(client.recv(100), b"")
        self.assertGreater(time.monotonic() - began, 0.2)

    def test_latency_that_changes(self) -> None:
        """What is on its way arrives as soon as the delay is removed."""
        client, service = self.connected()
        slow = self.fault("latency", "downstream", delay=1000)
        service.sendall(b"late")
        client.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            client.recv(100)
        client.settimeout(PATIENCE)
        self.thread.call(slow.remove)
        self.assertEqual(client.recv(100), b"late")
