"""The real twistd, and what clients see on real sockets, with ``nc`` and ``openssl``."""

import os
import re
import signal
import socket
import ssl
import subprocess
from pathlib import Path
from unittest import SkipTest, skipUnless

from reqresp import __version__
from tests.support import live
from tests.support.live import PATIENCE, Client, Ended, Server, twistd
from tests.support.live_case import LiveTestCase
from tests.support.twisted_endpoints import HAS_TLS_ENDPOINT

MIB = 2**20


class ClientsTests(LiveTestCase):
    """What clients receive."""

    def test_requests_are_answered_and_close_closes(self) -> None:
        """Each request gets the response, and ``close`` closes after it."""
        client = self.connect(self.serve())
        self.assertEqual(client.ask(b"request"), b"response")
        self.assertEqual(client.ask(b"another"), b"response")
        client.send(b"close")
        self.assertEqual(client.rest(), b"response")

    def test_a_closed_client_disturbs_no_other(self) -> None:
        """The end of one client does not end others."""
        server = self.serve()
        other = self.connect(server)
        self.assertEqual(other.ask(b"request"), b"response")
        client = self.connect(server)
        client.send(b"close")
        self.assertEqual(client.rest(), b"response")
        self.assertEqual(other.ask(b"request"), b"response")

    def test_500_clients_at_once(self) -> None:
        """500 clients, all connected at once, get the replies to 20 requests each."""
        server = self.serve()
        clients = [self.connect(server) for _ in range(500)]
        for number in range(20):
            for client in clients:
                client.send(b"request %d" % number)
            for client in clients:
                self.assertEqual(client.receive(8), b"response")
        for client in clients:
            client.send(b"close")
        self.assertEqual([client.rest() for client in clients], [b"response"] * 500)

    def test_500_clients_get_their_own_replies_in_order(self) -> None:
        """With 20 pending requests from each of 500 clients, no reply is lost or mixed up."""
        server = self.embed(
            "application = serve(lambda request: b're:' + request.data, framing=Line())\n"
        )
        clients = [self.connect(server) for _ in range(500)]
        for who, client in enumerate(clients):
            client.send(b"".join(b"%d/%d\n" % (who, number) for number in range(20)))
        for client in clients:
            client.half_close()
        for who, client in enumerate(clients):
            expected = b"".join(b"re:%d/%d\r\n" % (who, number) for number in range(20))
            self.assertEqual(client.rest(), expected)

    def test_half_close(self) -> None:
        """A client that half-closes at once receives its reply, and then EOF."""
        client = self.connect(self.serve())
        client.send(b"request")
        client.half_close()
        self.assertEqual(client.rest(), b"response")

    def test_half_close_before_a_late_reply(self) -> None:
        """Replies that become ready later reach a client that has half-closed."""
        server = self.embed(
            "application = serve(lambda request: (Wait(0.1), request.data), framing=Line())\n"
        )
        client = self.connect(server)
        client.send(b"a\nb\n")
        client.half_close()
        self.assertEqual(client.rest(), b"a\r\nb\r\n")

    def test_eof_is_no_request(self) -> None:
        """A client that closes without a request receives nothing, and no request is logged."""
        server = self.serve()
        client = self.connect(server)
        client.half_close()
        self.assertEqual(client.rest(), b"")
        client.close()
        server.log.wait("#1 .* disconnected: ")
        self.assertNotIn("b''", server.log.text())

    def test_eof_costs_no_time(self) -> None:
        """While a half-closed client waits for its reply, the server uses no processor time."""
        server = self.embed("application = serve(lambda request: (Wait(1), b'late'))\n")
        client = self.connect(server)
        client.send(b"request")
        client.half_close()
        before = server.processor_time()
        self.assertEqual(client.rest(), b"late")
        # A busy loop would have used most of that second.
        self.assertLess(server.processor_time() - before, 0.25)

    def test_idle_client(self) -> None:
        """A client that sends nothing for the idle time is closed; an active client is not."""
        server = self.serve("--idle-timeout=0.2")
        client = self.connect(server)
        self.assertEqual(client.ask(b"request"), b"response")
        self.assertEqual(client.rest(), b"")

    def test_oversize_request(self) -> None:
        """A request over the limit closes its connection; one line in the log says why."""
        server = self.serve("--framing=line", "--max-request=10")
        client = self.connect(server)
        client.send(b"0123456789\n01234567890\nlater\n")
        self.assertEqual(client.rest(), b"response\r\n")
        [match] = server.log.wait("closing$")
        self.assertRegex(match.string, r"127\.0\.0\.1:\d+: .*10.*; closing")
        self.assertEqual(self.connect(server).ask(b"x\n", 10), b"response\r\n")

    def test_too_many_connections(self) -> None:
        """A client over the limit is reset; a later client within the limit is served."""
        server = self.serve("--max-connections=1")
        client = self.connect(server)
        self.assertEqual(client.ask(b"request"), b"response")
        self.assertTrue(self.connect(server).is_reset())
        self.assertEqual(client.ask(b"close"), b"response")
        client.close()
        server.log.wait("#1 .* disconnected: ")
        self.assertEqual(self.connect(server).ask(b"request"), b"response")
        self.assertIn("refused, 1 connections are open, the limit", server.log.text())

    def test_too_many_connections_of_a_peer(self) -> None:
        """A client over the limit of its address is reset; other addresses are served."""
        server = self.serve("--max-per-peer=1")
        self.assertEqual(self.connect(server).ask(b"request"), b"response")
        self.assertTrue(self.connect(server).is_reset())
        with socket.create_connection(
            ("127.0.0.1", server.port), PATIENCE, source_address=("127.0.0.2", 0)
        ) as elsewhere:
            elsewhere.sendall(b"request")
            self.assertEqual(elsewhere.recv(8, socket.MSG_WAITALL), b"response")

    def test_abort(self) -> None:
        """An abort resets the connection; what was sent before it arrives."""
        server = self.embed("application = serve(lambda request: (b'before', Abort()))\n")
        client = self.connect(server)
        self.assertEqual(client.ask(b"request", 6), b"before")
        self.assertTrue(client.is_reset())

    def test_responder_that_raises(self) -> None:
        """A responder that raises resets only its connection; the log has its traceback."""
        server = self.embed(
            "def respond(request):\n"
            "    return b'%d' % (1 / int(request.data))\n"
            "application = serve(respond)\n"
        )
        other = self.connect(server)
        self.assertEqual(other.ask(b"1", 1), b"1")
        client = self.connect(server)
        client.send(b"0")
        self.assertTrue(client.is_reset())
        self.assertEqual(other.ask(b"1", 1), b"1")
        self.assertIn("ZeroDivisionError: division by zero", server.log.text())
        self.assertIn("Traceback", server.log.text())

    def test_awaited_reply(self) -> None:
        """The reply of a slow coroutine keeps its place in the order of replies."""
        server = self.embed(
            "from twisted.internet.task import deferLater\n"
            "async def respond(request):\n"
            "    await deferLater(reactor, 0.1 if request.number == 1 else 0)\n"
            "    return request.data\n"
            "application = serve(respond, framing=Line())\n"
        )
        client = self.connect(server)
        self.assertEqual(client.ask(b"slow\nfast\n", 12), b"slow\r\nfast\r\n")


class MemoryTests(LiveTestCase):
    """A client that sends and never reads."""

    def flood(self, piece: bytes, *options: str) -> int:
        """
        Let a client send up to 64 MiB of *piece* and read nothing; return how much it sent.

        The server's memory grows by less than 32 MiB, and it serves others meanwhile.
        """
        server = self.serve("--quiet", *options)
        other = self.connect(server)
        request = piece[: piece.find(b"\n") + 1] or b"request"

        def served() -> bytes:
            other.send(request)
            return other.socket.recv(64 * 1024)

        reply = served()
        before = server.memory()
        client = self.connect(server)
        most = 0

        def turn() -> None:
            nonlocal most
            self.assertEqual(served(), reply)
            most = max(most, server.memory())

        sent = client.fill(piece, 64 * MIB, turn)
        turn()
        self.assertLess(most - before, 32 * MIB)
        return sent

    def test_64_mib_of_chunks(self) -> None:
        """Replies to chunks fit into the buffers of the kernel: the server reads all requests."""
        self.assertEqual(self.flood(b"r" * 64 * 1024, "--framing=chunk"), 64 * MIB)

    def test_64_mib_of_lines(self) -> None:
        """Replies to lines do not fit: the server stops reading until they are read."""
        self.assertLess(self.flood(b"request\n" * 8192, "--framing=line"), 64 * MIB)

    def test_64_mib_of_short_lines_with_long_replies(self) -> None:
        """The server stops reading when replies are five hundred times as long as requests."""
        sent = self.flood(b"r\n" * 32768, "--framing=line", f"--response={'x' * 1000}")
        self.assertLess(sent, 64 * MIB)

    def test_reads_at_last(self) -> None:
        """A client that reads late receives every reply."""
        server = self.serve("--quiet", "--framing=line")
        client = self.connect(server)
        other = self.connect(server)
        piece = b"request\n" * 8192
        sent = client.fill(piece, 64 * MIB, lambda: other.ask(b"request\n", 10))
        whole, part = divmod(sent, len(b"request\n"))
        self.assertEqual(client.receive(whole * 10), b"response\r\n" * whole)
        client.send(b"request\n"[part:] + b"close\n")
        self.assertEqual(client.rest(), b"response\r\n" * 2)


class ProgramsTests(LiveTestCase):
    """Commands that people type."""

    def pipe(self, text: bytes, *command: str) -> bytes:
        """Return what *command* prints with *text* and then EOF on its standard input."""
        return subprocess.run(
            [live.program(command[0]), *command[1:]],
            input=text,
            stdout=subprocess.PIPE,
            check=True,
            timeout=PATIENCE,
        ).stdout

    def test_nc_half_close(self) -> None:
        """``printf request | nc -N`` prints the response and returns."""
        port = str(self.serve().port)
        self.assertEqual(self.pipe(b"request", "nc", "-N", "127.0.0.1", port), b"response")

    def test_nc_half_close_late(self) -> None:
        """``nc -N`` prints a reply that is sent later, and returns."""
        server = self.embed("application = serve(lambda request: (Wait(0.2), b'late'))\n")
        port = str(server.port)
        self.assertEqual(self.pipe(b"request", "nc", "-N", "127.0.0.1", port), b"late")

    def test_nc_close(self) -> None:
        """``printf close | nc`` prints the response and returns, because the server closes."""
        port = str(self.serve().port)
        self.assertEqual(self.pipe(b"close", "nc", "127.0.0.1", port), b"response")

    def test_nc_on_a_unix_socket(self) -> None:
        """A UNIX socket answers like a port."""
        _server, path = self.serve_unix()
        self.assertEqual(self.pipe(b"request", "nc", "-N", "-U", path), b"response")

    def s_client(self, port: int, text: bytes) -> bytes:
        """Return what ``openssl s_client`` prints, which trusts only our certificate."""
        return self.pipe(
            text,
            *("openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port}"),
            *("-CAfile", str(self.directory / "it.pem"), "-verify_return_error"),
            *("-servername", "localhost", "-verify_hostname", "localhost"),
        )

    def test_openssl_on_ssl(self) -> None:
        """``ssl:`` answers over TLS with the given certificate, and closes."""
        self.directory.joinpath("it.pem").write_bytes(live.pem())
        server = self.serve(
            "--listen=ssl:0:interface=127.0.0.1:privateKey=it.pem:certKey=it.pem",
            "--framing=line",
        )
        text = self.s_client(server.port, b"request\nclose\n")
        self.assertEqual(text, b"response\r\n" * 2)

    def test_tls_clients_that_read_late_are_let_go(self) -> None:
        """A TLS connection ends although its client sends many requests before it reads."""
        self.directory.joinpath("it.pem").write_bytes(live.pem())
        server = self.serve(
            "--listen=ssl:0:interface=127.0.0.1:privateKey=it.pem:certKey=it.pem",
            *("--framing=line", "--max-connections=1", f"--response={'x' * 1000}"),
        )
        context = ssl.create_default_context(cafile=str(self.directory / "it.pem"))
        for number in (1, 2, 3):
            with (
                socket.create_connection(("127.0.0.1", server.port), 60) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as client,
            ):
                client.sendall(b"request\n" * 9000 + b"close\n")
                received = 0
                while data := client.recv(65536):
                    received += len(data)
            self.assertEqual(received, 9001 * 1002)
            server.log.wait("disconnected", number)

    @skipUnless(HAS_TLS_ENDPOINT, "Twisted before 26.4 has no tls: endpoint")
    def test_openssl_on_tls(self) -> None:
        """``tls:`` answers with the certificate for the name that the client sends."""
        for name in ("certificates/it.pem", "it.pem"):
            path = self.directory / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(live.pem())
        server = self.serve(
            "--listen=tls:certificates:port=0:interface=127.0.0.1", "--framing=line"
        )
        text = self.s_client(server.port, b"request\nclose\n")
        self.assertEqual(text, b"response\r\n" * 2)


class EndpointsTests(LiveTestCase):
    """Where the server can listen."""

    def test_tcp_as_port(self) -> None:
        """The server listens on an endpoint description in place of a port number."""
        server = self.serve("--port=tcp:0:interface=127.0.0.1")
        self.assertEqual(self.connect(server).ask(b"request"), b"response")

    def test_interface(self) -> None:
        """The server listens only on the address that ``--interface`` names."""
        server = self.serve("--interface=127.0.0.2")
        with Client(("127.0.0.2", server.port)) as client:
            self.assertEqual(client.ask(b"request"), b"response")
        self.assertRaises(ConnectionRefusedError, server.connect)

    def test_ipv6(self) -> None:
        """The server listens on IPv6 as endpoint and as interface; the log has it in brackets."""
        self.need_ipv6()
        server = self.serve(
            r"--listen=tcp6:0:interface=\:\:1", "--port=0", "--interface=::1", ports=2
        )
        for port in server.ports:
            with Client(("::1", port), socket.AF_INET6) as client:
                self.assertEqual(client.ask(b"request"), b"response")
        server.log.wait(r"\[::1\]:\d+ connected", 2)

    def need_ipv6(self) -> None:
        """Skip the test on a machine without IPv6."""
        try:
            with socket.socket(socket.AF_INET6) as attempt:
                attempt.bind(("::1", 0))
        except OSError as error:
            raise SkipTest(f"no IPv6 here: {error}") from None

    def test_unix(self) -> None:
        """The server listens on a UNIX socket; its clients have no address, and are logged."""
        server, path = self.serve_unix()
        with Client(path, socket.AF_UNIX) as client:
            self.assertEqual(client.ask(b"request"), b"response")
            client.send(b"close")
            self.assertEqual(client.rest(), b"response")
        server.log.wait("#1 a UNIX socket connected")

    def test_haproxy(self) -> None:
        """With a PROXY header, the address of the client is known before the first request."""
        server = self.serve("--listen=haproxy:tcp:0:interface=127.0.0.1")
        client = self.connect(server)
        client.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\nrequest")
        self.assertEqual(client.receive(8), b"response")
        client.send(b"close")
        self.assertEqual(client.rest(), b"response")

    def test_haproxy_over_the_limit(self) -> None:
        """A limit counts clients with a PROXY header: the client over it is reset."""
        server = self.serve("--listen=haproxy:tcp:0:interface=127.0.0.1", "--max-connections=1")
        header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n"
        client = self.connect(server)
        client.send(header + b"request")
        self.assertEqual(client.receive(8), b"response")
        self.assertTrue(self.connect(server).is_reset())
        self.assertEqual(client.ask(b"request"), b"response")

    def test_systemd(self) -> None:
        """The server listens on a socket that systemd passes."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            server = self.stopped(live.start_on(self.directory, listening))
            port = listening.getsockname()[1]
        self.assertEqual(server.port, port)
        self.assertEqual(self.connect(server).ask(b"request"), b"response")

    def test_eager(self) -> None:
        """The server listens on an ``eager:`` endpoint."""
        server = self.serve("--listen=eager:0:interface=127.0.0.1")
        client = self.connect(server)
        client.send(b"close")
        self.assertEqual(client.rest(), b"response")

    def test_several(self) -> None:
        """Several endpoints are one server: a limit counts the clients of all."""
        server = self.serve(
            *("--port=0", "--listen=unix:it.sock", "--listen=tcp:0:interface=127.0.0.1"),
            "--max-connections=2",
            ports=2,
        )
        self.assertEqual(self.connect(server, 0).ask(b"request"), b"response")
        with Client(str(self.directory / "it.sock"), socket.AF_UNIX) as client:
            self.assertEqual(client.ask(b"request"), b"response")
            self.assertTrue(self.connect(server, 1).is_reset())


class ReactorTests(LiveTestCase):
    """Which reactor serves."""

    def test_the_lean_reactor_serves_if_none_was_chosen(self) -> None:
        """The log names its class."""
        name = r"reactor class: reqresp\.transport\.lean_reactor\.LeanReactor"
        server = self.serve()
        server.log.wait(name)
        self.assertEqual(self.connect(server).ask(b"request"), b"response")

    def test_twistd_decides_with_its_option(self) -> None:
        """``--reactor`` comes before the name of the plugin."""
        server = self.stopped(live.start(self.directory, "--reactor=poll", "reqresp", "--port=0"))
        server.log.wait(r"reactor class: twisted\.internet\.pollreactor\.PollReactor")
        self.assertEqual(self.connect(server).ask(b"request"), b"response")

    def test_it_serves_other_plugins_by_its_name(self) -> None:
        """The reactor is offered to every Twisted application."""
        server = self.stopped(
            live.start(self.directory, "--reactor=lean-epoll", "portforward", "--port=tcp:0")
        )
        server.log.wait(r"reactor class: reqresp\.transport\.lean_reactor\.LeanReactor")


class FramingsTests(LiveTestCase):
    """Every framing, from the command line to the wire."""

    def test_framings(self) -> None:
        """Two requests in one segment, and a third cut in two, get three framed replies."""
        cases = {
            "line": (b"ab\r\n", b"response\r\n"),
            r"line:\n": (b"ab\n", b"response\n"),
            "delimiter:;": (b"ab;", b"response;"),
            r"delimiter:\x00\n": (b"ab\x00\n", b"response\x00\n"),
            "anyline": (b"ab\r", b"response\r\n"),
            r"between:\x02:\x03": (b"\x02ab\x03", b"\x02response\x03"),
            "scpi": (b"#12\n\n\n", b"response\n"),
            "netstring": (b"2:ab,", b"8:response,"),
            "int8": (b"\x02ab", b"\x08response"),
            "int16": (b"\x00\x02ab", b"\x00\x08response"),
            "int16:little": (b"\x02\x00ab", b"\x08\x00response"),
            "int32": (b"\x00\x00\x00\x02ab", b"\x00\x00\x00\x08response"),
            "int32:little:inclusive": (b"\x06\x00\x00\x00ab", b"\x0c\x00\x00\x00response"),
            "length:ascii:4": (b"0002ab", b"0008response"),
            "length:ber": (b"\x81\x02ab", b"\x08response"),
            "fixed:8": (b"8 bytes.", b"response"),
        }
        servers = {framing: self.serve("--framing", framing) for framing in cases}
        for framing, (request, reply) in cases.items():
            client = self.connect(servers[framing])
            cut = len(request) - 1
            self.assertEqual(
                client.ask(request * 2 + request[:cut], len(reply) * 2), reply * 2, framing
            )
            self.assertEqual(client.ask(request[cut:], len(reply)), reply, framing)

    def test_escapes(self) -> None:
        """The response and the closing request can have escapes."""
        server = self.serve("--response", r"\x00a\r\n", "--close-on", r"q\t")
        client = self.connect(server)
        self.assertEqual(client.ask(b"close", 4), b"\x00a\r\n")
        client.send(b"q\t")
        self.assertEqual(client.rest(), b"\x00a\r\n")

    def test_chunk_joins_what_line_tells_apart(self) -> None:
        """With chunk framing ``requestclose`` is one request; with line framing there are two."""
        chunk = self.connect(self.serve())
        self.assertEqual(chunk.ask(b"requestclose"), b"response")
        chunk.half_close()
        self.assertEqual(chunk.rest(), b"")
        line = self.connect(self.serve("--framing=line"))
        line.send(b"request\nclose\n")
        self.assertEqual(line.rest(), b"response\r\n" * 2)


class LogTests(LiveTestCase):
    """The log of requests and connections."""

    def test_requests(self) -> None:
        """Each client is logged with its address, and each request with its reply."""
        server = self.serve()
        client = self.connect(server)
        client.ask(b"re\x00\r\nquest'")
        port = client.socket.getsockname()[1]
        server.log.wait(rf"#1 127\.0\.0\.1:{port} connected$")
        server.log.wait(re.escape(r'''#1 < "re\x00\r\nquest'"''') + "  > 'response'$")

    def test_one_event_for_all_of_a_read(self) -> None:
        """Requests that arrive together are lines of one event."""
        server = self.serve("--framing=line")
        client = self.connect(server)
        client.ask(b"a\nb\nc\n", 30)
        server.log.wait(r"#1 < 'c'")
        lines = [line for line in server.log.lines() if "#1 < " in line]
        self.assertEqual([re.findall("< '(.)'", line) for line in lines], [["a"], ["b"], ["c"]])
        # An event starts with the time of day.
        starts = [bool(re.match(r"\d{4}-\d\d-\d\dT", line)) for line in lines]
        self.assertEqual(starts[1:], [False, False])

    def test_connections(self) -> None:
        """Connections and disconnections are logged, with the reason."""
        server = self.serve()
        client = self.connect(server)
        client.send(b"close")
        client.rest()
        client.close()
        server.log.wait(r"#1 127\.0\.0\.1:\d+ connected")
        server.log.wait(r"#1 127\.0\.0\.1:\d+ disconnected: Connection was closed")

    def test_listening(self) -> None:
        """Each endpoint has a line with the address that it really has, with ``--quiet``, too."""
        path = str(self.directory / "it.sock")
        listen = ("--listen=tcp:0:interface=127.0.0.1", r"--listen=tcp:0:interface=\:\:1")
        server = self.serve("--quiet", *listen, f"--listen=unix:{path}", ports=2)
        lines = server.log.wait(r"#info\] Listening on (\S+)$", 3)
        first, second = server.ports
        self.assertEqual(
            [line[1] for line in lines], [f"127.0.0.1:{first}", f"[::1]:{second}", path]
        )

    def test_long_request(self) -> None:
        """The beginning of a long request is logged, and its length."""
        server = self.serve("--framing=line")
        self.connect(server).ask(b"x" * 5000 + b"\n", 10)
        [match] = server.log.wait(r"< '(x+)'\.\.\. \(5000 bytes\)  > 'response'$")
        self.assertEqual(len(match[1]), 1024)

    def test_quiet(self) -> None:
        """With ``--quiet``, no request and no connection is logged."""
        server = self.serve("--quiet")
        client = self.connect(server)
        self.assertEqual(client.ask(b"close"), b"response")
        self.assertEqual(client.rest(), b"")
        client.close()
        self.assertEqual(server.stop(), -signal.SIGTERM)
        text = server.log.text()
        self.assertIn("Server Shut Down", text)
        self.assertNotIn("client", text)


class StoppingTests(LiveTestCase):
    """SIGTERM, SIGINT, and pending replies."""

    #: The responder logs each request, and answers at SIGUSR2; at SIGHUP it logs that a turn of
    #: the reactor has passed.
    HELD = """
asked = []
def respond(request):
    print("asked", flush=True)
    asked.append(Deferred())
    return asked[-1]
def answer():
    for reply in asked:
        reply.callback(b"late")
signal.signal(signal.SIGUSR2, lambda *_: reactor.callFromThread(answer))
signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(print, "turned", flush=True))
application = serve(respond, drain={drain})
"""

    def held(self, drain: float) -> tuple[Server, Client]:
        """Return a server with a pending reply, and the client that waits for it."""
        server = self.embed(self.HELD.format(drain=drain))
        client = self.connect(server)
        client.send(b"request")
        server.log.wait("asked")
        return server, client

    def test_finishes_what_is_under_way(self) -> None:
        """After a signal, the server stops listening, sends its reply, and ends by that signal."""
        for number in (signal.SIGTERM, signal.SIGINT):
            server, client = self.held(drain=600)
            server.signal(number)
            server.log.wait(r"Port \d+ Closed")
            # The log says so just before it is true.
            server.signal(signal.SIGHUP)
            server.log.wait("turned")
            self.assertRaises(ConnectionRefusedError, server.connect)
            self.assertIsNone(server.process.poll())
            server.signal(signal.SIGUSR2)
            self.assertEqual(client.rest(), b"late")
            client.close()
            self.assertEqual(server.wait(), -number)
            self.assertNotIn("Traceback", server.log.text())

    def test_finishes_steps(self) -> None:
        """
        A delayed reply is sent, too, and the replies after it.

        The server does not wait for a client to close that has received all its replies.
        """
        server = self.embed(
            "def respond(request):\n"
            "    print('asked', flush=True)\n"
            "    return Wait(0.5), request.data\n"
            "application = serve(respond, framing=Line(), drain=600)\n"
        )
        client = self.connect(server)
        client.send(b"a\nb\n")
        server.log.wait("asked")
        server.signal(signal.SIGTERM)
        self.assertEqual(client.rest(), b"a\r\nb\r\n")
        self.assertEqual(server.wait(), -signal.SIGTERM)

    def test_idle_clients_see_eof(self) -> None:
        """A client without pending replies is closed without a reset, and delays nothing."""
        server = self.serve("--drain=600")
        client = self.connect(server)
        self.assertEqual(client.ask(b"request"), b"response")
        server.signal(signal.SIGTERM)
        self.assertEqual(client.rest(), b"")
        client.close()
        self.assertEqual(server.wait(), -signal.SIGTERM)

    def test_without_clients(self) -> None:
        """A server without clients ends at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            server = self.serve("--drain=600")
            self.connect(server).close()
            server.log.wait("#1 .* disconnected")
            server.signal(number)
            self.assertEqual(server.wait(), -number)

    def test_time_is_over(self) -> None:
        """A client whose reply is not ready in time is reset."""
        server, client = self.held(drain=0.2)
        server.signal(signal.SIGTERM)
        self.assertTrue(client.is_reset())
        self.assertEqual(server.wait(), -signal.SIGTERM)
        self.assertNotIn("Traceback", server.log.text())

    def test_second_signal(self) -> None:
        """A second signal ends the server at once, without a traceback in the log."""
        for first, second in (
            (signal.SIGTERM, signal.SIGTERM),
            (signal.SIGINT, signal.SIGINT),
            (signal.SIGINT, signal.SIGTERM),
        ):
            server, client = self.held(drain=600)
            server.signal(first)
            server.log.wait(r"Port \d+ Closed")
            server.signal(second)
            self.assertTrue(client.is_reset())
            self.assertEqual(server.wait(), -first)
            self.assertNotIn("Traceback", server.log.text())

    def test_unix_socket_is_removed(self) -> None:
        """A server removes its UNIX socket when it ends."""
        server, path = self.serve_unix()
        with Client(path, socket.AF_UNIX) as client:
            self.assertEqual(client.ask(b"request"), b"response")
        self.assertEqual(server.stop(), -signal.SIGTERM)
        self.assertFalse(Path(path).exists())


class RefusalsTests(LiveTestCase):
    """Errors at the start: twistd ends at once, with one line that says why."""

    def run_all(self, *cases: tuple[str, ...]) -> list[Ended]:
        """Run ``twistd reqresp`` in the foreground with each of *cases*."""
        commands = {
            str(number): [*twistd(), "--nodaemon", f"--pidfile={number}.pid", "reqresp", *case]
            for number, case in enumerate(cases)
        }
        return list(live.run_all(self.directory, commands).values())

    def assert_refused(self, cases: dict[tuple[str, ...], str], status: int = 2) -> None:
        """Assert that each of *cases* ends with one line on standard error that has its text."""
        for (case, expected), ended in zip(cases.items(), self.run_all(*cases), strict=True):
            self.assertRegex(ended.errors, r"\Areqresp: .*\n\Z", f"{case}: {ended}")
            self.assertIn(expected, ended.errors, f"{case}")
            self.assertNotIn("Traceback", ended.output, f"{case}")
            self.assertEqual(ended.status, status, f"{case}")
        self.assertEqual([path.name for path in self.directory.glob("*.pid")], [])

    def test_options(self) -> None:
        """The error about a bad value names the option and the value."""
        self.assert_refused(
            {
                ("--port=70000",): "--port: expected a port number up to 65535 or an endpoint",
                ("--backlog=x",): "--backlog: expected a whole number >= 0, found 'x'",
                ("--response", r"\q"): r"--response: unknown escape \q",
                ("--close-on", r"\q"): r"--close-on: unknown escape \q",
                ("--framing=x",): "--framing: unknown framing 'x'; expected one of: chunk, line,",
                ("--max-request=0",): "--max-request: expected a whole number >= 1",
                ("--max-connections=x",): "--max-connections: expected a whole number",
                ("--max-per-peer=-1",): "--max-per-peer: expected a whole number >= 1",
                ("--idle-timeout=0",): "--idle-timeout: expected seconds >= 0.001, found '0'",
                ("--drain=nan",): "--drain: expected seconds >= 0, found 'nan'",
                ("--bogus",): "option --bogus not recognized",
                ("bogus",): "unexpected argument 'bogus'",
                ("--port=tcp:0", "--interface=::1"): "--interface requires a port number",
                ("--port=tcp:0", "--backlog=1"): "--backlog requires a port number",
                ("--framing=line", "--response", r"\n"): "--response: expected a payload without",
            }
        )

    def test_endpoints(self) -> None:
        """The error about a bad endpoint names it."""
        self.directory.joinpath("bad.pem").write_text("no PEM")
        self.assert_refused(
            {
                ("--port", description): f"invalid endpoint {description!r}: {reason}"
                for description, reason in {
                    "bogus:1": "Unknown endpoint type: 'bogus'",
                    "tcp:port": "expected a number, found 'port'",
                    "tcp:0:bogus=1": "got an unexpected keyword argument 'bogus'",
                    "ssl:0:privateKey=none.pem": "[Errno 2] No such file or directory",
                    "ssl:0:privateKey=bad.pem": "",
                    "systemd:domain=INET:index=0": "systemd passed no such socket",
                    "haproxy:tcp:port": "expected a number, found 'port'",
                    ":": "",
                }.items()
            }
        )

    def test_cannot_listen(self) -> None:
        """The error about an address that is in use names it, with the system's reason."""
        with socket.create_server(("127.0.0.1", 0)) as busy:
            port = busy.getsockname()[1]
            self.assert_refused(
                {
                    (f"--port={port}",): (
                        f"cannot listen on 127.0.0.1:{port}: Address already in use"
                    ),
                    ("--listen=unix:first.sock", f"--listen=tcp:{port}:interface=127.0.0.1"): (
                        f"cannot listen on tcp:{port}:interface=127.0.0.1: Address already in use"
                    ),
                    ("--port=tcp:99999",): "cannot listen on tcp:99999: ",
                    ("--port=unix:none/it.sock",): (
                        "cannot listen on unix:none/it.sock: No such file or directory"
                    ),
                    ("--port=0", "--interface=203.0.113.1"): (
                        "cannot listen on 203.0.113.1:0: Cannot assign requested address"
                    ),
                },
                status=1,
            )

    def test_privileged_port(self) -> None:
        """The error about a port that needs a privilege names it, with the system's reason."""
        lowest = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
        if lowest <= 1:
            raise SkipTest("no port is privileged here")
        unprivileged: list[str] = []
        if os.geteuid() == 0:
            unprivileged = [live.program("setpriv"), "--bounding-set=-net_bind_service"]
        ended = live.run_all(
            self.directory,
            {"": [*unprivileged, *twistd(), "--nodaemon", "--pidfile=", "reqresp", "--port=1"]},
        )[""]
        self.assertEqual(ended.errors, "reqresp: cannot listen on 127.0.0.1:1: Permission denied\n")
        self.assertNotIn("Traceback", ended.output)
        self.assertEqual(ended.status, 1)

    def test_version(self) -> None:
        """``--version`` prints the version."""
        [ended] = self.run_all(("--version",))
        self.assertRegex(
            ended.output, rf"^reqresp {re.escape(__version__)} \(Twisted \d+\.\d+\.\d+\S*\)\n$"
        )
        self.assertEqual((ended.status, ended.errors), (0, ""))

    def test_help(self) -> None:
        """Help lists every option, and twistd's own help lists the command."""
        commands = {
            "own": [*twistd(), "reqresp", "--help"],
            "twistd's": [*twistd(), "--help"],
        }
        ended = live.run_all(self.directory, commands)
        words = " ".join(ended["own"].output.split())
        for option in (
            *("port", "interface", "listen", "backlog", "response", "close-on", "framing"),
            *("max-request", "max-connections", "max-per-peer", "idle-timeout", "drain"),
            *("lame-duck", "workers", "metrics", "tls-cert", "tls-key", "client-ca", "allow"),
            *("deny", "trust"),
        ):
            self.assertIn(f"--{option}=", words)
        for flag in ("--proxy-protocol", "--quiet", "--version", "--help"):
            self.assertIn(flag, words)
        self.assertIn("[default: 9999]", words)
        self.assertRegex(ended["twistd's"].output, r"\n +reqresp +Answer every request")
        self.assertEqual([each.status for each in ended.values()], [0, 0])


class DaemonTests(LiveTestCase):
    """twistd in the background, which is its default."""

    def daemon(self, *options: str) -> tuple[Ended, int]:
        """Start a daemon; return the output of its parent, and a pipe that ends with the daemon."""
        end, held = os.pipe()
        self.addCleanup(os.close, end)
        try:
            commands = {
                "": [*twistd(), "--pidfile=it.pid", "--logfile=it.log", "reqresp", *options],
            }
            return live.run_all(self.directory, commands, pass_fds=[held])[""], end
        finally:
            os.close(held)

    def ended(self, pipe: int) -> bool:
        """Wait for the daemon's end."""
        os.set_blocking(pipe, True)
        return os.read(pipe, 1) == b""

    def test_serves(self) -> None:
        """It listens when the command returns, logs to its file, and ends at SIGTERM."""
        parent, pipe = self.daemon("--listen=unix:it.sock")
        self.assertEqual(parent, Ended(0, "", ""))
        pid = int(self.directory.joinpath("it.pid").read_text())
        with Client(str(self.directory / "it.sock"), socket.AF_UNIX) as client:
            self.assertEqual(client.ask(b"request"), b"response")
        os.kill(pid, signal.SIGTERM)
        self.assertTrue(self.ended(pipe))
        log = self.directory.joinpath("it.log").read_text()
        self.assertRegex(log, r"#\d+ a UNIX socket connected")
        self.assertIn("Server Shut Down", log)
        self.assertFalse(self.directory.joinpath("it.pid").exists())

    def test_cannot_listen(self) -> None:
        """The command names the address that is in use, and leaves no process or file."""
        with socket.create_server(("127.0.0.1", 0)) as busy:
            port = busy.getsockname()[1]
            parent, pipe = self.daemon("--listen=unix:it.sock", f"--listen=tcp:{port}")
        self.assertEqual(parent.status, 1)
        self.assertEqual(parent.output, "")
        self.assertIn(f"reqresp: cannot listen on tcp:{port}: Address", parent.errors)
        self.assertNotIn("Traceback", parent.errors)
        self.assertTrue(self.ended(pipe))
        self.assertFalse(self.directory.joinpath("it.pid").exists())
        log = self.directory.joinpath("it.log").read_text()
        self.assertEqual(
            log.count(f"reqresp: cannot listen on tcp:{port}: Address already in use"), 1
        )
        self.assertNotIn("Traceback", log)
        with self.assertRaises(OSError):
            Client(str(self.directory / "it.sock"), socket.AF_UNIX)

    def test_useless_options(self) -> None:
        """Errors in the options are reported before the daemon starts."""
        for option, expected in {
            "--drain=x": "--drain: expected seconds",
            "--listen=bogus:1": "invalid endpoint 'bogus:1'",
        }.items():
            parent, pipe = self.daemon(option)
            self.assertEqual((parent.status, parent.output), (2, ""))
            self.assertRegex(parent.errors, rf"\Areqresp: {re.escape(expected)}.*\n\Z")
            self.assertTrue(self.ended(pipe))
            self.assertEqual([path.name for path in self.directory.iterdir()], [])
