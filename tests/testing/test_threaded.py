"""The server in a thread of its own."""

import asyncio
import contextlib
import errno
import gc
import math
import select
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trustme
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Line, Responder, Script, ScriptError
from reqresp.steps import Request, Send, Wait
from reqresp.testing import LocalServer, MemoryServer, Server, serve
from tests.support.descriptors import descriptors
from tests.support.live import PATIENCE, Client, temporary
from tests.support.threaded import ask
from tests.support.typed_sample import check, run_client, script

#: The size of a stack that no system has memory for.
TOO_LARGE_STACK = 2**46


def output_of(program: str, *arguments: str) -> str:
    """Run *program*, with warnings as errors and no output to standard error; return its output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0), done.stderr
    return done.stdout


class BlockingHandler:
    """A handler that blocks until `go_on` is set."""

    def __init__(self) -> None:
        self._busy = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, _request: Request) -> None:
        self._busy.set()
        self.go_on.wait(PATIENCE)

    def wait_until_busy(self) -> None:
        self._busy.wait(PATIENCE)


class ServerCase(SynchronousTestCase):
    """A test case whose servers end with the test, verified or not."""

    def serve(self, **arguments: Any) -> Server:
        server = Server(**arguments)
        self.addCleanup(server.end)
        return server

    def connect(self, server: Server) -> Client:
        client = Client((server.host, server.port), client_family(server))
        self.addCleanup(client.close)
        return client


def client_family(server: Server) -> int:
    return socket.AF_INET6 if ":" in server.host else socket.AF_INET


class ExampleTests(ServerCase):
    """Tests with the typed sample, and with asyncio."""

    def test_typed_sample(self) -> None:
        """The replies are in the order of the requests, and all expectations are met."""
        server = self.serve(framing="line", greeting="+OK")
        script(server)
        said = run_client(server.host, server.port)
        self.assertEqual(
            said,
            b"+OK\r\n+OK\r\n+OK 2 320\r\n+OK\r\n+OK\r\n+OK\r\nbody\r\n.\r\n+OK 7\r\n"
            b"+OK 1\r\n-ERR\r\nY\r\n.\r\n+BYE\r\n\x00\xff",
        )
        check(server)

    def test_with_asyncio(self) -> None:
        """A future of requests can be awaited while the client runs in the same loop."""

        async def client(server: Server) -> tuple[bytes, list[Request]]:
            quitted = asyncio.wrap_future(server.when("QUIT"))
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"QUIT\r\n")
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
            return line, await quitted

        server = self.serve()
        server.expect("QUIT").reply("+OK")
        line, requests = asyncio.run(client(server))
        self.assertEqual((line, [it.data for it in requests]), (b"+OK\r\n", [b"QUIT"]))
        server.verify()

    def test_await_with_asyncio(self) -> None:
        """A future can be awaited as it is, also within a timeout, in a loop that runs."""

        async def client(server: Server) -> list[list[Request]]:
            _reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"STAT\r\nQUIT\r\n")
            found = [
                await server.when("STAT"),
                await asyncio.wait_for(server.when("QUIT"), PATIENCE),
            ]
            writer.close()
            await writer.wait_closed()
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(server.when("LIST"), 0.001)
            return found

        server = self.serve(respond=lambda request: request.data)
        found = asyncio.run(client(server))
        self.assertEqual([[it.data for it in each] for each in found], [[b"STAT"], [b"QUIT"]])

    def test_await_without_asyncio(self) -> None:
        """Where no event loop runs, the error says what to call instead."""

        async def client() -> object:
            return await self.serve().when("STAT")

        with self.assertRaisesRegex(RuntimeError, r"call result\(timeout\)"):
            client().send(None)

    def test_wait_for_in_an_event_loop(self) -> None:
        """``wait_for`` raises at once, and says what to do; in a thread of its own it works."""

        async def client(server: Server) -> list[Request]:
            with self.assertRaisesRegex(RuntimeError, r"would block .*await server\.when"):
                server.wait_for("STAT", timeout=PATIENCE)
            _reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"STAT\r\n")
            found = await asyncio.to_thread(server.wait_for, "STAT")
            writer.close()
            return found

        server = self.serve(respond=lambda request: request.data)
        self.assertEqual(len(asyncio.run(client(server))), 1)

    def test_timeout_with_asyncio(self) -> None:
        """A timeout in asyncio cancels the future, and the server continues."""

        async def client(server: Server) -> None:
            await asyncio.wait_for(asyncio.wrap_future(server.when("QUIT")), 0.001)

        server = self.serve()
        server.on("QUIT").reply("+OK")
        self.assertRaises(TimeoutError, asyncio.run, client(server))
        self.assertEqual(ask(server, "QUIT"), b"+OK\r\n")
        self.assertEqual(len(server.wait_for("QUIT")), 1)


class ArgumentTests(ServerCase):
    """Tests for the arguments of a server."""

    def test_a_script(self) -> None:
        """A script can be the path of a file."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "smtp.toml")
            path.write_text('[[rule]]\nequals = "NOOP"\nreply = "250 ok"\n')
            for name in (path, str(path)):
                self.assertEqual(ask(self.serve(script=name), "NOOP"), b"250 ok\r\n")

    def test_a_function(self) -> None:
        """A function is called in the server's thread."""
        server = self.serve(respond=lambda _request: threading.current_thread().name.encode())
        self.assertEqual(ask(server, "who?"), b"reqresp\r\n")
        server.verify()

    def test_tls(self) -> None:
        """The client context trusts the server by its address and as localhost; others do not."""
        server = self.serve(tls=True, greeting="hello")
        context = server.client_context
        assert context is not None
        for name in ("127.0.0.1", "localhost"):
            with (
                self.connect(server) as client,
                context.wrap_socket(client.socket, server_hostname=name) as secure,
            ):
                self.assertEqual(secure.recv(7), b"hello\r\n")
        strangers = (context, "other.test"), (ssl.create_default_context(), "127.0.0.1")
        for stranger, name in strangers:
            with self.connect(server) as client, self.assertRaises(ssl.SSLCertVerificationError):
                stranger.wrap_socket(client.socket, server_hostname=name)
        server.disconnect_all()
        server.verify()

    def test_the_end_of_a_tls_connection(self) -> None:
        """A TLS connection ends with the server; the client may receive a close_notify first."""
        server = self.serve(tls=True)
        context = server.client_context
        assert context is not None
        with context.wrap_socket(
            self.connect(server).socket, server_hostname="127.0.0.1"
        ) as secure:
            server.end()
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(secure.recv(1), b"")

    def echo_over_tls(self, server: Server, context: ssl.SSLContext) -> None:
        """Check that TLS works in all its parts: much data both ways, and a clean end."""
        data = bytes(range(256)) * 4096
        with (
            socket.create_connection((server.host, server.port), PATIENCE) as connection,
            context.wrap_socket(connection, server_hostname="localhost") as client,
        ):
            # In one thread: OpenSSL does not let two use a connection at once.
            client.setblocking(False)
            sent, received = 0, b""
            while len(received) < len(data):
                writers = [client] if sent < len(data) else []
                self.assertNotEqual(select.select([client], writers, [], PATIENCE), ([], [], []))
                with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    sent += client.send(data[sent : sent + 2**16]) if writers else 0
                with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    received += client.recv(2**16)
            self.assertEqual(received, data)
            client.settimeout(PATIENCE)
            client.unwrap()

    def test_tls_with_certificates_of_the_test(self) -> None:
        """``tls`` can be a context, or the files of a certificate and of its key."""
        leaf = trustme.CA().issue_cert("localhost")
        directory = temporary(self)
        leaf.cert_chain_pems[0].write_to_path(directory / "cert.pem")
        leaf.private_key_pem.write_to_path(directory / "key.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(context)
        pair = (directory / "cert.pem", str(directory / "key.pem"))
        echo: Any = {"framing": "chunk", "respond": lambda request: request.data}
        of_pair, of_context = self.serve(tls=pair, **echo), self.serve(tls=context, **echo)
        assert of_pair.client_context is not None
        self.assertIsNone(of_context.client_context)
        for server in (of_pair, of_context):
            self.echo_over_tls(server, of_pair.client_context)
            server.verify()
        made = self.serve(tls=True, **echo)
        assert made.client_context is not None
        self.echo_over_tls(made, made.client_context)

    def test_failed_handshakes(self) -> None:
        """A client that does not trust the server is no connection and causes no error."""
        server = self.serve(tls=True)
        with capturedLogs() as events:
            with self.connect(server) as client, self.assertRaises(ssl.SSLCertVerificationError):
                ssl.create_default_context().wrap_socket(client.socket, server_hostname="localhost")
            server.disconnect_all()
        server.verify()
        logged = [event["reason"] for event in events if "reason" in event]
        self.assertEqual(logged, ["TLS handshake failed: tlsv1 alert unknown ca"])

    def test_wrong_tls(self) -> None:
        """Anything else is refused before the server listens, and the error says what is right."""
        directory = temporary(self)
        pem = directory / "cert.pem"
        pem.write_text("no certificate")
        for wrong in ("/no/such.pem", 1, None, (pem,), (pem, None), (pem, pem, pem)):
            with self.assertRaisesRegex(TypeError, "tls: expected True, an ssl.SSLContext, or the"):
                Server(tls=wrong)  # type: ignore[arg-type]  # a mistake
        with self.assertRaisesRegex(ValueError, "no/such.pem: .*No such file"):
            Server(tls=("/no/such.pem", pem))
        with self.assertRaisesRegex(
            ValueError, "cert.pem: contains no certificate; expected the server's certificate"
        ):
            Server(tls=(pem, pem))
        with self.assertRaisesRegex(ValueError, "tls: expected an SSLContext for a server"):
            Server(tls=ssl.create_default_context())

    def test_tls_without_the_extra(self) -> None:
        """The error names the extra that has to be installed."""
        program = """
import sys
from reqresp.testing import Server
for name in sys.argv[1:]:
    sys.modules[name] = None  # as if it were not installed
try:
    Server(tls=True)
except ImportError as error:
    print(error)
"""
        for name in ("trustme", "OpenSSL"):
            self.assertEqual(
                output_of(program, name),
                f"tls: {name} is not installed: run pip install 'reqresp[testing]'\n",
            )

    def test_wrong_arguments(self) -> None:
        """The error of an unknown argument names a similar one, and no class."""
        makers: list[Callable[..., object]] = [
            Server,
            MemoryServer,
            LocalServer,
            lambda **arguments: serve(**arguments).__enter__(),
        ]
        for make in makers:
            with self.assertRaises(TypeError) as raised:
                make(frame="line")
            self.assertEqual(
                str(raised.exception), "unknown argument 'frame'; did you mean framing?"
            )

    def test_wrong_times(self) -> None:
        """The error of a time that is none is one line, and names the line and the method."""
        server, memory = self.serve(), MemoryServer()
        local = LocalServer(memory.reactor)
        waiting: list[Callable[..., object]] = [
            server.wait_for,
            server.assert_received,
            server.next_request,
            server.wait_for_connection,
            server.wait_for_close,
            server.assert_no_open_connections,
            server.verify,
            local.received,
            local.held,
            local.connected,
            local.closed,
            local.verify,
        ]
        for method in waiting:
            for seconds in ("1", math.nan, math.inf, True):
                with self.assertRaisesRegex(
                    ScriptError,
                    r"^test_threaded\.py:\d+: \w+\.timeout: expected seconds, .* found [^\n]+$",
                ):
                    method(timeout=seconds)
        for name, call in {
            "advance": lambda: memory.advance("1"),  # type: ignore[arg-type]
            "call_timeout": lambda: setattr(server, "call_timeout", "1"),
        }.items():
            with self.assertRaisesRegex(ScriptError, rf"\d: {name}: expected seconds, .*found '1'"):
                call()
        for options in ({"limits": {"idle_timeout": "1"}}, {"limits": {"max_request": None}}):
            with self.assertRaisesRegex(ScriptError, r"expected .*, found"):
                MemoryServer(**options)
        with self.assertRaisesRegex(
            ScriptError, r"^test_threaded\.py:\d+: accepting\.after: expected seconds from 0 .*'1'"
        ):
            server.accepting(after="1")  # type: ignore[arg-type]
        with self.assertRaisesRegex(
            ScriptError, r"^test_threaded\.py:\d+: accepting: expected one of now, .*, found 'no'"
        ):
            server.accepting("no")  # type: ignore[arg-type]
        server.verify(timeout=-1)

    def test_wrong_numbers(self) -> None:
        """The error of a number of times that is none is one line, too."""
        server = self.serve()
        for count in ("1", None, 1.5, -1, True):
            with self.assertRaisesRegex(
                ScriptError, r"^test_threaded\.py:\d+: times: expected an integer >= 0, found "
            ):
                server.wait_for(times=count)  # type: ignore[arg-type]
            with self.assertRaisesRegex(ScriptError, r"\.py:\d+: times: expected an integer >= 1"):
                server.wait_for_connection(count)  # type: ignore[arg-type]
        self.assertEqual(server.wait_for(times=0), [])

    def test_wrong_types(self) -> None:
        """The error of an argument of the server names it."""
        for name, wrong, expected in (
            ("framing", 5, "the name of a framing, or a Framing"),
            ("framing", Line, "the name of a framing, or a Framing"),
            ("limits", 5, "Limits, or a dictionary of them"),
            ("faults", 5, "a list of faults"),
            ("faults", ["latency"], "a list of faults"),
            ("host", 5, "an address such as '127.0.0.1'"),
            ("ignore", "a", "a list of patterns"),
            ("ignore_case", "yes", "True or False"),
            ("ordered", "no", "True or False"),
            ("recording", 5, "a path"),
            ("redact", 5, "a list of patterns"),
            ("replay", 5, "a path, or a Replay"),
            ("respond", 5, "a function or a Responder"),
            ("respond", Responder, "a function or a Responder"),
            ("script", 5, "a path, or a Script"),
            ("seed", "x", "an integer"),
            ("start_tls", 5, "True, an ssl.SSLContext, or"),
            ("strict", "no", "True or False"),
            ("tls", 5, "True, an ssl.SSLContext, or"),
        ):
            arguments: Any = {name: wrong}
            with self.assertRaisesRegex(TypeError, f"^{name}: expected {expected}.*found [^\n]+$"):
                Server(**arguments)
        with self.assertRaisesRegex(TypeError, "^port: expected a port from 0 to 65535, found -1$"):
            MemoryServer(port=-1)
        with self.assertRaisesRegex(TypeError, "^host: expected an address such as .*, found 5$"):
            LocalServer(MemoryServer().reactor, host=5)  # type: ignore[arg-type]
        with self.assertRaisesRegex(
            TypeError, "^limits: unknown limit 'max_reqest'; did you mean max_request\\?$"
        ):
            MemoryServer(limits={"max_reqest": 1})  # type: ignore[arg-type]

    def test_no_connection(self) -> None:
        """The error of what is no connection names the argument."""
        server = self.serve()
        for wrong in (5, "1", True):
            with self.assertRaisesRegex(
                ScriptError,
                r"^test_threaded\.py:\d+: wait_for_close\.connection:"
                rf" expected a ServerConnection, such as [^ ]+, found {wrong!r}$",
            ):
                server.wait_for_close(wrong)  # type: ignore[arg-type]
        self.assertEqual(len(server.connections), 0)

    def test_repr(self) -> None:
        """It shows the address, whether it listens, and the expectations."""
        server = self.serve()
        server.on("a")
        server.expect("b")
        name = f"<Server 127.0.0.1:{server.port}: "
        self.assertEqual(repr(server), f"{name}listening, 2 expectations, 1 of them unmet>")
        server.stop()
        self.assertEqual(repr(server), f"{name}stopped, 2 expectations, 1 of them unmet>")
        server.end()
        self.assertEqual(repr(server), f"{name}ended, 2 expectations, 1 of them unmet>")
        self.assertRegex(repr(MemoryServer()), r"^<MemoryServer 127\.0\.0\.1:40000: listening, ")
        self.assertIn("not listening", repr(LocalServer(MemoryServer().reactor)))

    def test_another_address(self) -> None:
        """The host can be an IPv6 address or a name."""
        for host, name in (
            ("::1", "[::1]"),
            ("127.0.0.2", "127.0.0.2"),
            ("localhost", "localhost"),
        ):
            server = self.serve(host=host, respond=lambda request: request.data)
            self.assertEqual(server.name, f"{name}:{server.port}")
            with self.connect(server) as client:
                self.assertEqual(client.ask(b"a\r\n", 3), b"a\r\n")
            server.end()

    def test_several(self) -> None:
        """Several servers run at once, each with a port and a conversation of its own."""
        servers = [self.serve(respond=lambda request: request.data) for _ in range(3)]
        for number, server in enumerate(servers):
            self.assertEqual(ask(server, str(number)), f"{number}\r\n".encode())
        self.assertEqual([len(it.exchanges) for it in servers], [1, 1, 1])
        servers[0].end()
        self.assertEqual(ask(servers[2], "x"), b"x\r\n")


class LifeTests(ServerCase):
    """Tests for start, stop and end."""

    def test_refused_while_stopped(self) -> None:
        """A stopped server refuses clients; started again, it has its port and requests."""
        server = self.serve(respond=lambda request: request.data)
        port = server.port
        ask(server, "a")
        for _ in range(2):
            server.stop()
            server.stop()
            self.assertRaises(ConnectionRefusedError, self.connect, server)
            server.start()
            server.start()
            self.assertEqual(ask(server, "b"), b"b\r\n")
        self.assertEqual(server.port, port)
        self.assertEqual([it.connection for it in server.requests()], [1, 2, 3])

    def test_the_port_is_reserved(self) -> None:
        """Another socket gets the port of a stopped server neither on purpose nor by chance."""
        server = self.serve()
        server.stop()
        with socket.socket() as other, self.assertRaises(OSError) as raised:
            other.bind((server.host, server.port))
        self.assertEqual(raised.exception.errno, errno.EADDRINUSE)
        ports = []
        for _ in range(100):
            with socket.socket() as other:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                other.bind((server.host, 0))
                ports.append(other.getsockname()[1])
        self.assertNotIn(server.port, ports)
        server.start()

    def test_connections_are_reset(self) -> None:
        """All connections are reset, also one that waits for a reply; new ones are accepted."""
        server = self.serve(greeting="hi")
        server.on("wait").wait(PATIENCE).reply("never")
        clients = [self.connect(server) for _ in range(3)]
        for client in clients:
            client.receive(4)
        clients[0].send(b"wait\r\n")
        server.wait_for("wait")
        server.disconnect_all()
        self.assertEqual([it.is_reset() for it in clients], [True] * 3)
        self.assertEqual(self.connect(server).receive(4), b"hi\r\n")
        server.verify()

    def test_a_client_at_the_end(self) -> None:
        """A connected client is reset when the server ends, and new ones are refused."""
        server = self.serve(greeting="hi")
        client = self.connect(server)
        client.receive(4)
        server.end()
        self.assertTrue(client.is_reset())
        self.assertRaises(ConnectionRefusedError, self.connect, server)

    def test_nothing_is_left(self) -> None:
        """After the end no thread and no descriptor is left; a second end does nothing."""
        for host, tls in (("127.0.0.1", False), ("::1", True)):
            gc.collect()
            before = descriptors(), threading.active_count()
            server = Server(host=host, tls=tls, respond=lambda request: request.data)
            if not tls:
                ask(server, "a")
            server.stop()
            server.end()
            server.end()
            server.stop()
            self.assertEqual((descriptors(), threading.active_count()), before)

    def test_a_server_that_is_collected(self) -> None:
        """Without ``end``, nothing is left either, and there is a ResourceWarning."""
        gc.collect()
        before = descriptors(), threading.active_count()
        server = Server(respond=lambda request: request.data)
        name = server.name
        with Client((server.host, server.port)) as client:
            client.ask(b"a\r\n", 3)
            server.assert_received("a")
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                del server
                gc.collect()
            for thread in threading.enumerate():
                if thread.name == "reqresp":
                    thread.join(PATIENCE)
        self.assertEqual((descriptors(), threading.active_count()), before)
        [warning] = [it for it in caught if it.category is ResourceWarning]
        self.assertIn(f"the test server {name} was not ended", str(warning.message))

    def test_a_program_that_ends_no_server(self) -> None:
        """At the end of a program, there is a ResourceWarning, and the program ends."""
        program = """
from reqresp.testing import Server
server = Server()
server.on("a").call(lambda request: server.name)  # so nothing is collected before the end
"""
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-c", program],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(done.returncode, 0)
        self.assertIn("ResourceWarning: the test server 127.0.0.1:", done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_after_the_end(self) -> None:
        """After the end, requests can be asked for, and no method waits."""
        server = self.serve()
        server.expect("a").reply("b")
        ask(server, "a")
        server.end()
        self.assertEqual([it.request.data for it in server.exchanges], [b"a"])
        self.assertIn("< b'a'", server.conversation())
        server.verify()
        server.assert_received("a", times=1)
        server.assert_received("b", times=0)
        self.assertRaises(AssertionError, server.wait_for, "b", timeout=PATIENCE)
        with self.assertRaisesRegex(RuntimeError, "it cannot be started again"):
            server.start()

    def test_a_server_that_cannot_be_made(self) -> None:
        """A server with wrong arguments leaves no thread and no descriptor."""
        mistakes: list[tuple[type[Exception], dict[str, Any]]] = [
            (OSError, {"host": "192.0.2.1"}),
            (OSError, {"host": "::ffff:192.0.2.1"}),
            (TypeError, {"bogus": 1}),
            (ValueError, {"framing": "bogus"}),
            (ValueError, {"script": "/nowhere.toml"}),
            (ValueError, {"greeting": "a\nb"}),
        ]
        before = descriptors(), threading.active_count()
        for error, what in mistakes:
            self.assertRaises(error, Server, **what)
            gc.collect()
            self.assertEqual((descriptors(), threading.active_count()), before, what)

    def test_a_thread_that_cannot_be_started(self) -> None:
        """A server that the system refuses a thread leaves no descriptor."""
        before = descriptors(), threading.active_count()
        self.addCleanup(threading.stack_size, threading.stack_size(TOO_LARGE_STACK))
        with self.assertRaisesRegex(RuntimeError, "can't start new thread"):
            Server()
        gc.collect()
        self.assertEqual((descriptors(), threading.active_count()), before)


class AssertionTests(ServerCase):
    """Tests for assertions, which include everything that was sent before."""

    def missed(self, call: Callable[..., object], *arguments: Any, **keywords: Any) -> str:
        with self.assertRaises(AssertionError) as raised:
            call(*arguments, timeout=0.01, **keywords)
        return str(raised.exception)

    def test_what_was_sent_was_received(self) -> None:
        """Data counts that the server has not read yet, however much it is."""
        server = self.serve()
        handler = BlockingHandler()
        server.on("block").call(handler)
        server.on(size=998)
        client = self.connect(server)
        client.send(b"block\r\n")
        handler.wait_until_busy()
        client.send((b"a" * 998 + b"\r\n") * 150)  # two or three reads
        handler.go_on.set()
        with self.assertRaisesRegex(AssertionError, "'aaa' 150 times, expected 1"):
            server.assert_received(starts_with="aaa", times=1, timeout=PATIENCE)
        server.assert_received(size=998, times=150, timeout=PATIENCE)

    def test_at_least_once(self) -> None:
        """Without ``times``, one request is enough."""

        def answer(_request: Request) -> bytes:
            return b"x"

        server = self.serve(respond=answer)
        ask(server, "a", "b", "a")
        server.assert_received("a")
        server.assert_received(starts_with="b")
        text = self.missed(server.assert_received, "c")
        self.assertEqual(
            text.splitlines(),
            [
                f'reqresp 127.0.0.1:{server.port}: received "c" 0 times, expected at least 1',
                *(f"  #1 < b'{it}'  > b'x\\r\\n'  ({answer.__qualname__})" for it in "aba"),
            ],
        )

    def test_exact_number(self) -> None:
        """With ``times``, there are neither fewer requests nor more."""
        server = self.serve(respond=lambda _request: b"x")
        ask(server, "a", "b", "a")
        server.assert_received("a", times=2)
        self.assertIn(
            'received "a" 2 times, expected 3', self.missed(server.assert_received, "a", times=3)
        )
        self.assertIn(
            'received "a" 2 times, expected 1', self.missed(server.assert_received, "a", times=1)
        )

    def test_zero_times(self) -> None:
        """A request that was sent just before counts."""
        server = self.serve()
        server.on("a")
        client = self.connect(server)
        server.assert_received("a", times=0)
        client.send(b"a\r\n")
        self.assertIn(
            'received "a" 1 time, expected 0', self.missed(server.assert_received, "a", times=0)
        )

    def test_everything_is_read_before_it_is_counted(self) -> None:
        """``assert_received`` and ``verify`` wait until the server has read everything."""
        calls: list[Callable[[Server], object]] = [
            lambda server: server.assert_received("late", times=0),
            lambda server: server.verify(),
        ]
        for call in calls:
            server = self.serve()
            handler = BlockingHandler()
            server.on("block").call(handler)
            first, second = self.connect(server), self.connect(server)
            first.send(b"block\r\n")
            handler.wait_until_busy()
            second.send(b"late\r\n")
            threading.Timer(0.05, handler.go_on.set).start()
            self.assertRaises(AssertionError, call, server)

    def test_waiting_for_requests(self) -> None:
        """``wait_for`` waits for requests of another thread."""
        server = self.serve(respond=lambda _request: b"x")
        thread = threading.Thread(target=ask, args=(server, "a", "b", "a"))
        thread.start()
        self.assertEqual([it.number for it in server.wait_for("a", times=2)], [1, 3])
        thread.join(PATIENCE)

    def verify(
        self, meanwhile: Callable[[Client], object], timeout: float | None = PATIENCE
    ) -> list[AssertionError]:
        """Call *meanwhile* with the client while ``verify`` waits for a request; return errors."""
        server = self.serve(greeting="hi")
        server.expect("a").reply("b")
        client = self.connect(server)
        client.receive(4)
        errors: list[AssertionError] = []

        def verify() -> None:
            try:
                server.verify(timeout)
            except AssertionError as error:
                errors.append(error)

        thread = threading.Thread(target=verify)
        thread.start()
        thread.join(0.05)
        meanwhile(client)
        thread.join(PATIENCE / 2)
        self.assertFalse(thread.is_alive())
        return errors

    def test_verify_waits_for_connected_clients(self) -> None:
        """``verify`` waits for the requests of clients that are connected."""
        self.assertEqual(self.verify(lambda client: client.send(b"a\r\n")), [])

    def test_verify_stops_waiting_without_clients(self) -> None:
        """``verify`` does not wait any longer once the last client has disconnected."""
        (error,) = self.verify(lambda client: client.close(), timeout=None)
        self.assertIn("1 unmet expectation", str(error))

    def test_verify_waits_for_clients_that_have_not_connected(self) -> None:
        """With a timeout, ``verify`` waits for a client that connects only then."""
        server = self.serve()
        server.expect("a").reply("b")
        server.expect("c").reply("d")
        timers = [threading.Timer(0.05 * at, ask, (server, it)) for at, it in enumerate("ac", 1)]
        for timer in timers:
            timer.start()
        server.verify(timeout=PATIENCE)
        for timer in timers:
            timer.join(PATIENCE)

    def test_no_client_connected(self) -> None:
        """An error says whether a client has connected at all, and without a timeout is quick."""
        server = self.serve()
        server.expect("a")
        for call in (server.verify, lambda: server.assert_received("a", timeout=0)):
            with self.assertRaisesRegex(AssertionError, "\n  no client connected"):
                call()
        self.assertEqual(server.conversation(), "")
        with (
            self.connect(server),
            self.assertRaisesRegex(AssertionError, "\n  no request received"),
        ):
            server.verify(timeout=0)
        self.assertEqual(self.serve().report(), "no client connected")

    def test_verify_waits_for_the_end_of_a_request(self) -> None:
        """A request that is arriving can still be finished; if it is not, the test fails."""
        for end, message in ((b"\r\n", ""), (b"T", "1 unfinished request")):
            server = self.serve()
            server.on("STAT").reply("+OK")
            client = self.connect(server)
            client.send(b"STAT")
            timer = threading.Timer(0.05, client.send, (end,))
            timer.start()
            error = ""
            try:
                server.verify(timeout=PATIENCE if not message else 0.2)
            except AssertionError as raised:
                error = str(raised)
            timer.join(PATIENCE)
            self.assertEqual(bool(error), bool(message))
            self.assertIn(message, error)

    def test_a_client_that_does_not_finish(self) -> None:
        """The commonest mistake of a client: it sends no line end, and closes."""
        server = self.serve()
        server.expect("STAT").reply("+OK")
        with self.connect(server) as client:
            client.send(b"STAT")
        with self.assertRaisesRegex(AssertionError, "a matching request was not finished: no line"):
            server.verify()

    def test_verify_reads_everything(self) -> None:
        """``verify`` sees the requests of clients that have disconnected at once."""
        server = self.serve()
        for _ in range(10):
            with self.connect(server) as client:
                client.send(b"a\r\n")
        with self.assertRaisesRegex(AssertionError, ": 10 unexpected requests\n"):
            server.verify()


class HandlerTests(ServerCase):
    """Tests for handlers."""

    def test_blocking_calls_raise(self) -> None:
        """A method that waits for the server's thread raises in a handler."""
        calls: list[Callable[[Server], object]] = [
            lambda server: server.exchanges,
            lambda server: server.entries,
            lambda server: server.requests(),
            lambda server: server.conversation(),
            lambda server: server.problems(),
            lambda server: server.when("a"),
            lambda server: server.wait_for("a"),
            lambda server: server.assert_received("a"),
            lambda server: server.verify(),
            lambda server: server.disconnect_all(),
            lambda server: server.stop(),
            lambda server: server.end(),
        ]
        server = self.serve()
        raised: list[str] = []

        def handler(_request: Request) -> bytes:
            for call in calls:
                try:
                    call(server)
                except RuntimeError as error:
                    raised.append(str(error))
            return b"done"

        server.on("a").call(handler)
        self.assertEqual(ask(server, "a"), b"done\r\n")
        self.assertEqual(len(raised), len(calls))
        self.assertIn("a handler", raised[0])
        self.assertEqual(ask(server, "a"), b"done\r\n")  # the server still listens

    def test_what_a_handler_raises_is_the_cause(self) -> None:
        """The error of ``verify`` has the exception as its cause; the client is reset."""
        server = self.serve()
        server.on("a").call(lambda request: request.nothing)  # type: ignore[attr-defined]  # it raises
        client = self.connect(server)
        client.send(b"a\r\n")
        self.assertTrue(client.is_reset())
        with self.assertRaisesRegex(AssertionError, ": 1 error\n") as raised:
            server.verify()
        self.assertIsInstance(raised.exception.__cause__, AttributeError)
        self.assertIn("in <lambda>", server.report())

    def test_a_handler_that_blocks(self) -> None:
        """The error of a call that waits for the server has the line that the handler is at."""
        server = self.serve()
        handler = BlockingHandler()
        server.on("a").call(handler)
        self.connect(server).send(b"a\r\n")
        handler.wait_until_busy()
        server.call_timeout = 0.01
        with self.assertRaisesRegex(TimeoutError, r"busy for 0\.01 s, at threading\.py:\d+"):
            server.requests()
        self.assertIn("TimeoutError: the server's thread", server.report())
        handler.go_on.set()
        server.call_timeout = PATIENCE
        server.verify()

    def test_a_handler_that_blocks_at_the_end(self) -> None:
        """The port is released, and the thread ends when the handler returns."""
        gc.collect()
        before = descriptors(), threading.active_count()
        server = Server()
        handler = BlockingHandler()
        server.on("a").call(handler)
        with Client((server.host, server.port)) as client:
            client.send(b"a\r\n")
            handler.wait_until_busy()
            server.call_timeout = 0.01
            self.assertRaises(TimeoutError, server.end)
            server.end()
            handler.go_on.set()
            for thread in threading.enumerate():
                if thread.name == "reqresp":
                    thread.join(PATIENCE)
        self.assertEqual((descriptors(), threading.active_count()), before)


class ProcessTests(SynchronousTestCase):
    """Tests that run a program in a process of its own."""

    def test_nothing_is_left_in_a_process(self) -> None:
        """No global reactor is installed, no thread is left, and no warning is shown."""
        program = """
import socket, ssl, sys, threading
from reqresp.testing import serve

def handler(request):
    raise ValueError("boom")

for tls in (False, True):
    with serve(tls=tls, greeting="hi") as server:
        server.on("a").wait(0.001).reply("b").fault("slicer", size=1, delay=0.001)
        client = socket.create_connection((server.host, server.port), 60)
        if tls:
            client = server.client_context.wrap_socket(client, server_hostname=server.host)
        with client:
            client.sendall(b"a\\r\\n")
            while client.recv(1) != b"b":
                pass
        server.stop()
        server.start()
try:
    with serve() as server:
        server.on("a").call(handler)
        with socket.create_connection((server.host, server.port), 60) as client:
            client.sendall(b"a\\r\\n")
            try:
                client.recv(1)
            except ConnectionResetError:
                pass
except AssertionError as error:
    print(error.__cause__)
print([it for it in ["twisted.internet.reactor"] if it in sys.modules])
print(threading.enumerate() == [threading.main_thread()])
"""
        self.assertEqual(output_of(program), "boom\n[]\nTrue\n")

    def test_no_warning_at_exit(self) -> None:
        """A descriptor that Twisted keeps in reserve causes no warning at exit."""
        program = "from reqresp.testing import serve\nwith serve(): pass"
        self.assertEqual(output_of(program), "")


class DetailTests(ServerCase):
    """Tests for details that users have reported."""

    def test_a_state_that_is_not_in_the_script(self) -> None:
        """A state of the test has the script's rules for every state."""
        script = Script.parse('rule = [{ when = "*", equals = "NOOP", reply = "noop" }]')
        server = self.serve(script=script)
        server.on("DATA").reply("354").goto("data")
        server.on(when="data", starts_with="x").reply("in data")
        self.assertEqual(ask(server, "DATA", "NOOP", "x"), b"354\r\nnoop\r\nin data\r\n")
        server.verify()

    def test_requests_have_no_state(self) -> None:
        """``when`` is an argument of expectations only."""
        server = self.serve()
        with self.assertRaises(TypeError):
            server.requests("A", when="nonsense")

    def test_steps_after_a_call_or_a_cycle(self) -> None:
        """No step follows a call, and no cycle another one; waits before a cycle add up."""
        server = self.serve()
        with self.assertRaises(ValueError):
            server.on("A").call(lambda _request: b"a").reply("b")
        with self.assertRaises(ValueError):
            server.on("B").cycle("a").cycle("b")
        rule = server.on("C").cycle("a").wait(1).wait(2).rule
        self.assertEqual([*rule.all_steps], [Wait(3), Send(b"a")])

    def test_a_handler_that_waits(self) -> None:
        """A handler can use the server's clock to wait."""
        server = self.serve()

        async def answer(_request: Request) -> bytes:
            await deferLater(server.clock, 0.01)
            return b"late"

        server.on("A").call(answer)
        self.assertEqual(ask(server, "A"), b"late\r\n")

    def test_a_request_that_waits_is_verified(self) -> None:
        """``verify`` waits for a request that arrives while an earlier one is being answered."""
        for second in (b"A\n", b"DELETE\n"):
            server = self.serve()
            server.expect("A").wait(0.05).reply("ok")
            client = self.connect(server)
            client.send(b"A\n" + second)
            server.wait_for("A", timeout=PATIENCE)
            with self.assertRaisesRegex(AssertionError, "1 unexpected request"):
                server.verify(PATIENCE)

    def test_a_late_error_is_verified(self) -> None:
        """``verify`` waits for a handler that raises after a while."""
        server = self.serve()

        async def fail(_request: Request) -> bytes:
            await deferLater(server.clock, 0.05)
            raise ValueError("late")

        server.expect("A").call(fail)
        client = self.connect(server)
        client.send(b"A\n")
        server.wait_for("A", timeout=PATIENCE)
        with self.assertRaisesRegex(AssertionError, "ValueError: late"):
            server.verify(PATIENCE)

    def test_futures_of_a_server_that_has_ended(self) -> None:
        """A future that is not done is cancelled when the server ends."""
        with serve() as server:
            found = server.when("A")
        self.assertTrue(found.cancelled())

    def test_a_long_conversation(self) -> None:
        """An error and the report have the end of a long conversation, `conversation` has all."""
        server = self.serve()
        server.on("A").reply("b")
        ask(server, *["A"] * 200)
        with self.assertRaises(AssertionError) as caught:
            server.assert_received("B", timeout=0)
        self.assertIn("... 150 earlier lines omitted", str(caught.exception))
        self.assertEqual(len(server.report().splitlines()), 51)
        self.assertEqual(len(server.conversation().splitlines()), 200)


class WaitingTests(SynchronousTestCase):
    """Waiting for connections, for their end, and for requests to answer."""

    def setUp(self) -> None:
        self.server = Server(strict=False)
        self.addCleanup(self.server.end)

    def client(self) -> socket.socket:
        client = socket.create_connection((self.server.host, self.server.port), PATIENCE)
        self.addCleanup(client.close)
        return client

    def test_connections(self) -> None:
        """They are waited for, and so is their end, by the client or by the test."""
        clients = [self.client() for _ in range(2)]
        second = self.server.wait_for_connection(2, timeout=PATIENCE)
        self.assertEqual((second.number, len(self.server.connections)), (2, 2))
        second.send("hello")
        self.assertEqual(clients[1].recv(10), b"hello\r\n")
        second.close()
        self.server.wait_for_close(second, timeout=PATIENCE)
        self.assertEqual(clients[1].recv(10), b"")
        clients[0].close()
        self.server.assert_no_open_connections(timeout=PATIENCE)

    def test_what_does_not_come(self) -> None:
        """The error says what was expected, and has the conversation."""
        with self.assertRaisesRegex(AssertionError, "^connections: expected 1, found 0\n"):
            self.server.wait_for_connection(timeout=0)
        self.client()
        one = self.server.wait_for_connection(timeout=PATIENCE)
        with self.assertRaisesRegex(AssertionError, "^connection 1 is open\n"):
            self.server.wait_for_close(one, timeout=0)
        with self.assertRaisesRegex(AssertionError, "^expected no open connection, found 1\n"):
            self.server.assert_no_open_connections(timeout=0)
        with self.assertRaisesRegex(AssertionError, "^no request waits for the test: "):
            self.server.next_request("a", timeout=0)

    def test_a_request_that_the_test_answers(self) -> None:
        """The client waits in its thread, and the test replies."""
        self.server.on().hold()
        client = self.client()
        client.sendall(b"a\n")
        request = self.server.next_request(timeout=PATIENCE)
        request.reply(f"answer to {request.data.decode()}")
        self.assertEqual(client.recv(20), b"answer to a\r\n")

    def test_stop_listening(self) -> None:
        """Clients are refused, and the open connection goes on."""
        self.server.on("a").reply("b")
        client = self.client()
        self.server.wait_for_connection(timeout=PATIENCE)
        self.server.stop_listening()
        with self.assertRaises(ConnectionRefusedError):
            self.client()
        client.sendall(b"a\n")
        self.assertEqual(client.recv(10), b"b\r\n")
        self.server.start()
        self.client()
        self.server.wait_for_connection(2, timeout=PATIENCE)

    def test_in_an_event_loop(self) -> None:
        """A coroutine awaits the futures; what would block the loop is refused."""

        async def ask() -> bytes:
            self.server.on().hold()
            with self.assertRaisesRegex(RuntimeError, r"await server\.when_held\(\.\.\.\)"):
                self.server.next_request()
            reader, writer = await asyncio.open_connection(self.server.host, self.server.port)
            await self.server.connections.when_opened()
            writer.write(b"a\n")
            (await self.server.when_held()).reply("A")
            line = await reader.readline()
            writer.close()
            await self.server.connections.when_closed()
            return line

        self.assertEqual(asyncio.run(ask()), b"A\r\n")
