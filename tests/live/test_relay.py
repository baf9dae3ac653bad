"""The relay in front of real services: redis, reqresp itself, and HAProxy."""

import os
import resource
import signal
import socket
import ssl
import struct
import threading

import redis

from tests.support import live, services
from tests.support.live import PATIENCE, Server
from tests.support.live_case import LiveTestCase

#: What is freed goes back to the system at once, so that a process has the memory that it holds.
EXACT_MEMORY = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "32768"}


class RedisTests(LiveTestCase):
    """redis-server, and redis-py as its client."""

    def setUp(self) -> None:
        super().setUp()
        service = services.redis_server()
        self.addCleanup(service.stop)
        self.relay = self.serve(f"--forward=unix:{service.path}")

    def client(self, protocol: int) -> redis.Redis:
        """Return a client of the relay that speaks this version of RESP."""
        client = redis.Redis(
            host="127.0.0.1",
            port=self.relay.port,
            protocol=protocol,
            socket_timeout=PATIENCE,
        )
        self.addCleanup(client.close)
        return client

    def test_commands_of_both_protocols(self) -> None:
        """Values, large ones, pipelines and errors are those of redis."""
        for protocol in (2, 3):
            client = self.client(protocol)
            large = bytes(range(256)) * 8192
            client.set("large", large)
            self.assertEqual(client.get("large"), large)
            pipeline = client.pipeline(transaction=False)
            for number in range(1000):
                pipeline.set(f"key{number}", number)
                pipeline.get(f"key{number}")
            self.assertEqual(pipeline.execute()[1::2], [b"%d" % it for it in range(1000)])
            client.delete("list")
            client.rpush("list", "a")
            with self.assertRaisesRegex(redis.ResponseError, "WRONGTYPE"):
                client.get("list")

    def test_messages_that_redis_sends_by_itself(self) -> None:
        """A subscriber gets what another client publishes."""
        for protocol in (2, 3):
            subscriber = self.client(protocol).pubsub(ignore_subscribe_messages=True)
            self.addCleanup(subscriber.close)
            subscriber.subscribe("news")
            # The confirmation, which is ignored.
            subscriber.get_message(timeout=PATIENCE)
            self.client(protocol).publish("news", "hello")
            message = None
            while message is None:
                message = subscriber.get_message(timeout=PATIENCE)
            self.assertEqual(message["data"], b"hello")


class EndingTests(LiveTestCase):
    """How connections end, on real sockets."""

    def service(self) -> socket.socket:
        """Return a listening socket, for a service that this test plays."""
        listening = socket.create_server(("127.0.0.1", 0))
        listening.settimeout(PATIENCE)
        self.addCleanup(listening.close)
        return listening

    def connected(self) -> tuple[socket.socket, socket.socket]:
        """Return a client's socket, and the service's, with a relay in between."""
        listening = self.service()
        relay = self.serve(f"--forward=127.0.0.1:{listening.getsockname()[1]}")
        client = socket.create_connection(("127.0.0.1", relay.port), PATIENCE)
        self.addCleanup(client.close)
        service, _ = listening.accept()
        service.settimeout(PATIENCE)
        self.addCleanup(service.close)
        return client, service

    def test_half_closes(self) -> None:
        """EOF of the client is passed on; the reply after it, and its EOF, come back."""
        client, service = self.connected()
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(received(service), b"request")
        service.sendall(b"x" * 5_000_000)
        service.close()
        self.assertEqual(len(received(client)), 5_000_000)

    def test_a_half_close_with_tls_to_the_service(self) -> None:
        """The service gets close_notify; its reply after that, and its end, come back."""
        pem = self.directory / "it.pem"
        pem.write_bytes(live.pem())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        listening = self.service()
        relay = self.serve(
            f"--forward=localhost:{listening.getsockname()[1]}",
            "--forward-tls",
            f"--forward-ca={pem}",
        )
        client = socket.create_connection(("127.0.0.1", relay.port), PATIENCE)
        self.addCleanup(client.close)
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        plain, _ = listening.accept()
        plain.settimeout(PATIENCE)
        with context.wrap_socket(plain, server_side=True) as service:
            self.assertEqual(received(service), b"request")
            service.sendall(b"x" * 1_000_000)
        self.assertEqual(len(received(client)), 1_000_000)

    def test_a_reset_of_the_service(self) -> None:
        """The client gets what the service has sent, then a reset."""
        client, service = self.connected()
        service.sendall(b"half a reply")
        self.assertEqual(client.recv(100), b"half a reply")
        reset(service)
        with self.assertRaises(ConnectionResetError):
            client.recv(100)

    def test_a_reset_of_the_client(self) -> None:
        """The service gets what the client has sent, then a reset."""
        client, service = self.connected()
        client.sendall(b"half a request")
        self.assertEqual(service.recv(100), b"half a request")
        reset(client)
        with self.assertRaises(ConnectionResetError):
            service.recv(100)

    def test_clients_that_do_not_read_cost_little(self) -> None:
        """Twenty clients read nothing of an endless stream; the service has to wait."""
        listening = self.service()
        relay = self.serve(f"--forward=127.0.0.1:{listening.getsockname()[1]}", env=EXACT_MEMORY)
        sizes, before = [], 0
        for number in range(21):
            if number == 1:  # what is allocated once does not count
                before = relay.memory()
            client = socket.create_connection(("127.0.0.1", relay.port), PATIENCE)
            self.addCleanup(client.close)
            service, _ = listening.accept()
            self.addCleanup(service.close)
            service.settimeout(1)
            sizes.append(fill(service))
        self.assertGreater(min(sizes), 100_000)
        self.assertLess(relay.memory() - before, 2 * 1024 * 1024)

    def test_services_that_do_not_read_cost_little(self) -> None:
        """The same with twenty endless clients, whose services read nothing."""
        listening = self.service()
        relay = self.serve(f"--forward=127.0.0.1:{listening.getsockname()[1]}", env=EXACT_MEMORY)
        sizes, before = [], 0
        for number in range(21):
            if number == 1:
                before = relay.memory()
            client = socket.create_connection(("127.0.0.1", relay.port), PATIENCE)
            self.addCleanup(client.close)
            service, _ = listening.accept()
            self.addCleanup(service.close)
            sizes.append(fill(client))
        self.assertGreater(min(sizes), 100_000)
        self.assertLess(relay.memory() - before, 2 * 1024 * 1024)

    def test_a_stop_waits_for_the_reply(self) -> None:
        """SIGTERM while the service works: the client still gets its reply."""
        listening = self.service()
        relay = self.serve(f"--forward=127.0.0.1:{listening.getsockname()[1]}", "--quiet")
        client = socket.create_connection(("127.0.0.1", relay.port), PATIENCE)
        self.addCleanup(client.close)
        client.sendall(b"request")
        service, _ = listening.accept()
        self.addCleanup(service.close)
        self.assertEqual(service.recv(100), b"request")
        relay.signal(signal.SIGTERM)
        relay.log.wait("Received SIGTERM|SIGTERM|stopping")
        service.sendall(b"reply")
        self.assertEqual(received(client), b"reply")


class DrainTests(LiveTestCase):
    """SIGTERM: what is finished at once, what may continue, and what is reset."""

    def relay(self, drain: str) -> tuple[Server, socket.socket]:
        """Return a relay with ``--drain``, and the listening socket of its service."""
        listening = socket.create_server(("127.0.0.1", 0))
        listening.settimeout(PATIENCE)
        self.addCleanup(listening.close)
        port = listening.getsockname()[1]
        return self.serve(f"--forward=127.0.0.1:{port}", f"--drain={drain}"), listening

    def pair(self, relay: Server, listening: socket.socket) -> tuple[socket.socket, socket.socket]:
        """Return a client's socket, and the service's."""
        client = socket.create_connection(("127.0.0.1", relay.port), PATIENCE)
        self.addCleanup(client.close)
        service, _ = listening.accept()
        service.settimeout(PATIENCE)
        self.addCleanup(service.close)
        return client, service

    def test_what_was_answered_is_closed(self) -> None:
        """The last bytes came from the service and were delivered: both sides get EOF soon."""
        relay, listening = self.relay("1000")
        client, service = self.pair(relay, listening)
        client.sendall(b"request")
        self.assertEqual(service.recv(100), b"request")
        service.sendall(b"reply")
        self.assertEqual(client.recv(100), b"reply")
        relay.signal(signal.SIGTERM)
        self.assertEqual((client.recv(100), service.recv(100)), (b"", b""))
        self.assertEqual(relay.wait(), -signal.SIGTERM)

    def test_what_is_buffered_is_delivered_first(self) -> None:
        """A client that reads late gets all of a large reply, then EOF."""
        relay, listening = self.relay("1000")
        client, service = self.pair(relay, listening)
        client.sendall(b"request")
        self.assertEqual(service.recv(100), b"request")
        size = 8 * 1024 * 1024
        sending = threading.Thread(target=service.sendall, args=(bytes(size),))
        sending.start()
        first = client.recv(1000)
        relay.signal(signal.SIGTERM)
        self.assertEqual(len(first) + len(received(client)), size)
        sending.join(PATIENCE)
        self.assertEqual(relay.wait(), -signal.SIGTERM)

    def test_others_may_continue(self) -> None:
        """A request without a reply keeps its connection, in both directions."""
        relay, listening = self.relay("1000")
        client, service = self.pair(relay, listening)
        client.sendall(b"request")
        self.assertEqual(service.recv(100), b"request")
        relay.signal(signal.SIGTERM)
        relay.log.wait("SIGTERM")
        client.sendall(b", more of it")
        self.assertEqual(service.recv(100), b", more of it")
        service.sendall(b"reply")
        self.assertEqual(received(client), b"reply")
        self.assertEqual(relay.wait(), -signal.SIGTERM)

    def test_what_is_left_is_reset(self) -> None:
        """At the deadline, on both sides."""
        relay, listening = self.relay("0.2")
        client, service = self.pair(relay, listening)
        client.sendall(b"request")
        self.assertEqual(service.recv(100), b"request")
        relay.signal(signal.SIGTERM)
        for side in (client, service):
            with self.assertRaises(ConnectionResetError):
                side.recv(100)
        self.assertEqual(relay.wait(), -signal.SIGTERM)


class IdleTests(LiveTestCase):
    """Connections on which nothing passes."""

    def test_an_idle_connection_is_closed(self) -> None:
        """On both sides, after ``--idle-timeout``; one on which bytes pass stays."""
        listening = socket.create_server(("127.0.0.1", 0))
        listening.settimeout(PATIENCE)
        self.addCleanup(listening.close)
        port = listening.getsockname()[1]
        relay = self.serve(f"--forward=127.0.0.1:{port}", "--idle-timeout=0.5")
        pairs = []
        for _ in range(2):
            client = socket.create_connection(("127.0.0.1", relay.port), PATIENCE)
            self.addCleanup(client.close)
            service, _ = listening.accept()
            service.settimeout(PATIENCE)
            self.addCleanup(service.close)
            pairs.append((client, service))
        (client, service), (other, of_other) = pairs
        ended = threading.Event()

        def keep_busy() -> None:
            while not ended.wait(0.05):
                of_other.sendall(b"x")
                other.recv(100)

        busy = threading.Thread(target=keep_busy)
        busy.start()
        try:
            self.assertEqual((client.recv(100), service.recv(100)), (b"", b""))
        finally:
            ended.set()
            busy.join(PATIENCE)
        other.sendall(b"still open")
        self.assertEqual(of_other.recv(100), b"still open")

    def test_idle_connections_cost_little(self) -> None:
        """A thousand of them, with both of their sockets; the bench has the bar of 3.5 kB."""
        listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        listening.settimeout(PATIENCE)
        self.addCleanup(listening.close)
        relay = self.serve(f"--forward=127.0.0.1:{listening.getsockname()[1]}", "--quiet")
        self.allow_descriptors(relay, 5000)
        before, count = 0, 1000
        for number in range(count + 100):
            if number == 100:  # what is allocated once does not count
                before = relay.memory()
            client = socket.create_connection(("127.0.0.1", relay.port), PATIENCE)
            self.addCleanup(client.close)
            service, _ = listening.accept()
            self.addCleanup(service.close)
        # 3.2 kB; the rest is for the allocator, which takes memory by the megabyte.
        self.assertLess((relay.memory() - before) / count, 4500)

    def allow_descriptors(self, relay: Server, count: int) -> None:
        """Let this process, until the test ends, and *relay* open so many files."""
        for process in (0, relay.pid):
            soft, hard = resource.prlimit(process, resource.RLIMIT_NOFILE)
            resource.prlimit(process, resource.RLIMIT_NOFILE, (min(count, hard), hard))
            if not process:
                self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))


class UnreachableTests(LiveTestCase):
    """A service that cannot be reached: one line in the log, and the client's end."""

    def check(self, address: str, line: str, *options: str) -> None:
        """Check the *line* about a service at *address*, and how clients end."""
        relays = [
            self.serve(f"--forward={address}", f"--unreachable={end}", *options)
            for end in ("reset", "close")
        ]
        clients = [self.connect(relay) for relay in relays]
        self.assertEqual([client.is_reset() for client in clients], [True, False])
        for relay, action in zip(relays, ("resetting", "closing"), strict=True):
            relay.log.wait(rf"127\.0\.0\.1:\d+: upstream {address} {line}; {action}$")
            relay.stop()
            told = [it for it in relay.log.text().splitlines() if "upstream" in it]
            self.assertEqual(len(told), 1, told)

    def test_a_service_that_does_not_answer(self) -> None:
        """``--forward-timeout`` ends the attempt: the queue of the service is full."""
        listening = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.addCleanup(listening.close)
        address = listening.getsockname()
        for _ in range(4):  # the kernel queues one more than the backlog
            waiting = socket.socket()
            self.addCleanup(waiting.close)
            waiting.setblocking(False)
            waiting.connect_ex(address)
        self.check(f"127.0.0.1:{address[1]}", "did not answer in time", "--forward-timeout=0.3")

    def test_a_name_that_does_not_resolve(self) -> None:
        """No server has a name that ends with .invalid."""
        self.check("name.invalid:6379", "has a name that does not resolve")

    def test_a_service_that_refuses(self) -> None:
        """Nothing listens on a port that was closed."""
        self.check(f"127.0.0.1:{services.free_port()}", "refused the connection")

    def test_an_address_without_a_route(self) -> None:
        """The kernel refuses multicast addresses for TCP."""
        self.check("224.0.0.1:6379", "is unreachable")

    def test_a_path_without_a_socket(self) -> None:
        """The line has what the system says."""
        self.check(f"unix:{self.directory}/none.sock", "failed: .*No such file or directory.*")


def received(sock: socket.socket) -> bytes:
    """Return everything up to EOF."""
    pieces = []
    while piece := sock.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def reset(sock: socket.socket) -> None:
    """Close *sock* with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def fill(sock: socket.socket) -> int:
    """Send until the other side accepts no more; return the number of bytes."""
    sock.setblocking(False)
    sent, waits = 0, threading.Event()
    while True:
        try:
            sent += sock.send(bytes(65536))
        except BlockingIOError:
            if waits.wait(0.2):
                break
            try:
                sent += sock.send(bytes(65536))
            except BlockingIOError:
                return sent
    return sent
