"""Servers in threads of their own, as tests use them."""

import asyncio
import contextlib
import errno
import gc
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Script
from reqresp.steps import Request, Send, Wait
from reqresp.testing import Server, serve
from reqresp.testing import _certificates as certificates
from tests.support.live import PATIENCE, Client
from tests.support.typed_sample import check, run_client, script
from tests.testing.test_reactor_thread import descriptors


def ask(server: Server, *requests: str) -> bytes:
    """Send lines, and give what came until the server had no more to say."""
    with Client((server.host, server.port)) as client:
        client.send("".join(f"{it}\r\n" for it in requests).encode())
        client.half_close()
        return client.rest()


class ServerCase(SynchronousTestCase):
    """Servers that end with the test, verified or not."""

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
    """The example of the documents, line by line."""

    def test_all_of_it(self) -> None:
        """Replies come in the order of requests, and all that was expected came."""
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
        """What is waited for can be awaited, on a loop that runs meanwhile."""

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

    def test_giving_up_with_asyncio(self) -> None:
        """A time-out there cancels what is waited for, and the server goes on."""

        async def client(server: Server) -> None:
            await asyncio.wait_for(asyncio.wrap_future(server.when("QUIT")), 0.001)

        server = self.serve()
        server.on("QUIT").reply("+OK")
        self.assertRaises(TimeoutError, asyncio.run, client(server))
        self.assertEqual(ask(server, "QUIT"), b"+OK\r\n")
        self.assertEqual(len(server.wait_for("QUIT")), 1)


class KindTests(ServerCase):
    """What a server can be made of."""

    def test_a_script(self) -> None:
        """From a file."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "smtp.toml")
            path.write_text('[[rule]]\nequals = "NOOP"\nreply = "250 ok"\n')
            for name in (path, str(path)):
                self.assertEqual(ask(self.serve(script=name), "NOOP"), b"250 ok\r\n")

    def test_a_function(self) -> None:
        """It is called in the server's thread."""
        server = self.serve(respond=lambda _request: threading.current_thread().name.encode())
        self.assertEqual(ask(server, "who?"), b"reqresp\r\n")
        server.verify()

    def test_tls(self) -> None:
        """Its client context trusts it, by address and as localhost alone; others do not."""
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

    def test_a_secure_connection_ends_with_the_server(self) -> None:
        """Though its client is there still; it may hear a goodbye first."""
        server = self.serve(tls=True)
        context = server.client_context
        assert context is not None
        with context.wrap_socket(
            self.connect(server).socket, server_hostname="127.0.0.1"
        ) as secure:
            server.end()
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(secure.recv(1), b"")

    def test_tls_takes_an_extra(self) -> None:
        """Which is named where it is not installed."""
        certificates._authority.cache_clear()
        self.addCleanup(certificates._authority.cache_clear)
        with (
            mock.patch.dict(sys.modules, {"trustme": None}),
            self.assertRaisesRegex(ImportError, r"pip install 'reqresp\[testing\]'"),
        ):
            Server(tls=True)

    def test_another_address(self) -> None:
        """Of IPv6, for example; a name is as good."""
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
        """At once, each with its own port and its own conversation."""
        servers = [self.serve(respond=lambda request: request.data) for _ in range(3)]
        for number, server in enumerate(servers):
            self.assertEqual(ask(server, str(number)), f"{number}\r\n".encode())
        self.assertEqual([len(it.exchanges) for it in servers], [1, 1, 1])
        servers[0].end()
        self.assertEqual(ask(servers[2], "x"), b"x\r\n")


class LifeTests(ServerCase):
    """It starts, stops, starts again, and ends."""

    def test_refused_while_stopped(self) -> None:
        """And served again on the same port; what came before is remembered."""
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

    def test_nobody_takes_the_port(self) -> None:
        """Neither on purpose nor by chance."""
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
        """All of them, also one that waits for its reply; the next one is served."""
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

    def test_a_client_that_is_there_at_the_end(self) -> None:
        """It is reset, and refused from then on."""
        server = self.serve(greeting="hi")
        client = self.connect(server)
        client.receive(4)
        server.end()
        self.assertTrue(client.is_reset())
        self.assertRaises(ConnectionRefusedError, self.connect, server)

    def test_nothing_is_left(self) -> None:
        """No thread and no descriptor; nothing happens if it ends twice, stopped or not."""
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

    def test_after_the_end(self) -> None:
        """What came can be asked for; nothing more is waited for."""
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
        with self.assertRaisesRegex(RuntimeError, "cannot be started again"):
            server.start()

    def test_a_server_that_cannot_be_made(self) -> None:
        """Whatever is wrong, it leaves nothing."""
        mistakes: list[tuple[type[Exception], dict[str, Any]]] = [
            (OSError, {"host": "192.0.2.1"}),
            (OSError, {"host": "::ffff:192.0.2.1"}),
            (TypeError, {"bogus": 1}),
            (ValueError, {"framing": "bogus"}),
            (ValueError, {"script": "/nowhere.toml"}),
            (ValueError, {"greeting": "a\nb"}),
            (RuntimeError, {}),
        ]
        before = descriptors(), threading.active_count()
        for error, what in mistakes:
            if not what:

                def refuse(thread: object) -> None:
                    raise RuntimeError("can't start new thread")

                self.patch(threading.Thread, "start", refuse)
            self.assertRaises(error, Server, **what)
            gc.collect()
            self.assertEqual((descriptors(), threading.active_count()), before, what)


class AssertionTests(ServerCase):
    """What a test asserts, it asserts of all that was sent by then."""

    def missed(self, call: Callable[..., object], *arguments: Any, **keywords: Any) -> str:
        with self.assertRaises(AssertionError) as raised:
            call(*arguments, timeout=0.01, **keywords)
        return str(raised.exception)

    def test_what_was_sent_was_received(self) -> None:
        """However much it is, and though no reply was waited for."""
        server = self.serve()
        busy, go_on = threading.Event(), threading.Event()

        def handler(_request: Request) -> None:
            busy.set()
            go_on.wait(PATIENCE)

        server.on("block").call(handler)
        server.on(size=998)
        client = self.connect(server)
        client.send(b"block\r\n")
        busy.wait(PATIENCE)
        client.send((b"a" * 998 + b"\r\n") * 150)  # two or three reads
        go_on.set()
        with self.assertRaisesRegex(AssertionError, "'aaa' 150 times, expected 1"):
            server.assert_received(starts_with="aaa", times=1, timeout=PATIENCE)
        server.assert_received(size=998, times=150, timeout=PATIENCE)

    def test_it_came_at_least_once(self) -> None:
        """Where nothing is said about how often."""

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

    def test_it_came_so_often(self) -> None:
        """Neither less often nor more."""
        server = self.serve(respond=lambda _request: b"x")
        ask(server, "a", "b", "a")
        server.assert_received("a", times=2)
        self.assertIn(
            'received "a" 2 times, expected 3', self.missed(server.assert_received, "a", times=3)
        )
        self.assertIn(
            'received "a" 2 times, expected 1', self.missed(server.assert_received, "a", times=1)
        )

    def test_it_did_not_come(self) -> None:
        """Also if it was sent a moment ago."""
        server = self.serve()
        server.on("a")
        client = self.connect(server)
        server.assert_received("a", times=0)
        client.send(b"a\r\n")
        self.assertIn(
            'received "a" 1 time, expected 0', self.missed(server.assert_received, "a", times=0)
        )

    def test_all_is_read_before_it_is_counted(self) -> None:
        """Whether something must not have come, or everything must."""
        server = self.serve()
        read: list[float] = []
        when_read = server._thread.when_read

        def spy(seconds: float) -> object:
            read.append(seconds)
            return when_read(seconds)

        self.patch(server._thread, "when_read", spy)
        server.assert_received("a", times=0)
        server.verify()
        self.assertEqual(len(read), 2)

    def test_waiting_for_what_comes_later(self) -> None:
        """From another thread, for example."""
        server = self.serve(respond=lambda _request: b"x")
        thread = threading.Thread(target=ask, args=(server, "a", "b", "a"))
        thread.start()
        self.assertEqual([it.number for it in server.wait_for("a", times=2)], [1, 3])
        thread.join(PATIENCE)

    def verify(self, meanwhile: Callable[[Client], object]) -> list[AssertionError]:
        """Verify a server that expects something; do *meanwhile* to its client while it waits."""
        server = self.serve(greeting="hi")
        server.expect("a").reply("b")
        client = self.connect(server)
        client.receive(4)
        until = server._waiters.until

        def spy(is_so: Callable[[], bool]) -> object:
            server._thread.reactor.callLater(0.05, meanwhile, client)
            return until(is_so)

        self.patch(server._waiters, "until", spy)
        errors: list[AssertionError] = []

        def verify() -> None:
            try:
                server.verify(PATIENCE)
            except AssertionError as error:
                errors.append(error)

        thread = threading.Thread(target=verify)
        thread.start()
        thread.join(PATIENCE / 2)
        self.assertFalse(thread.is_alive())
        return errors

    def test_verifying_waits_for_clients_that_are_there(self) -> None:
        """For what they still have to send."""
        self.assertEqual(self.verify(lambda client: client.send(b"a\r\n")), [])

    def test_verifying_waits_no_longer_than_for_the_last_client(self) -> None:
        """When it has left, nothing more can come."""
        (error,) = self.verify(lambda client: client.close())
        self.assertIn("1 unmet expectation", str(error))

    def test_verifying_sees_what_was_just_sent(self) -> None:
        """By a client that has left without waiting for anything."""
        server = self.serve()
        for _ in range(10):
            with self.connect(server) as client:
                client.send(b"a\r\n")
        with self.assertRaisesRegex(AssertionError, ": 10 unexpected requests\n"):
            server.verify()


class HandlerTests(ServerCase):
    """What handlers may do."""

    def test_blocking_calls_raise(self) -> None:
        """They would wait for themselves."""
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
        self.assertEqual(ask(server, "a"), b"done\r\n")  # it listens still

    def test_what_a_handler_raises_is_the_cause(self) -> None:
        """Of the verdict; the client is reset."""
        server = self.serve()
        server.on("a").call(lambda request: request.nothing)  # type: ignore[attr-defined]  # that is it
        client = self.connect(server)
        client.send(b"a\r\n")
        self.assertTrue(client.is_reset())
        with self.assertRaisesRegex(AssertionError, ": 1 error\n") as raised:
            server.verify()
        self.assertIsInstance(raised.exception.__cause__, AttributeError)
        self.assertIn("in <lambda>", server.report())

    def test_one_that_blocks(self) -> None:
        """Whoever waits for the server is told which line keeps it."""
        busy, go_on = threading.Event(), threading.Event()
        server = self.serve()

        def handler(_request: Request) -> None:
            busy.set()
            go_on.wait(PATIENCE)

        server.on("a").call(handler)
        self.connect(server).send(b"a\r\n")
        busy.wait(PATIENCE)
        with self.assertRaisesRegex(TimeoutError, r"busy for 0\.01 s, at threading\.py:\d+"):
            server._thread.call(int, timeout=0.01)
        go_on.set()
        server.verify()

    def test_one_that_blocks_at_the_end(self) -> None:
        """The port is given back, and the thread ends when it can."""
        server = Server()
        stop = server._thread.stop

        def give_up(*_arguments: object) -> None:
            raise TimeoutError("the server's thread was busy")

        self.patch(server._thread, "call", give_up)
        self.patch(server._thread, "stop", give_up)
        self.assertRaises(TimeoutError, server.end)
        self.assertEqual(server._reserved.fileno(), -1)
        server.end()
        del server._thread.call
        stop()


class ServeTests(SynchronousTestCase):
    """A server for the length of a block."""

    def test_it_is_verified(self) -> None:
        """At the end, and it ends in any case."""
        with serve() as server:
            server.expect("a").reply("b")
            self.assertEqual(ask(server, "a"), b"b\r\n")
        self.assertRaises(ConnectionRefusedError, ask, server)
        with self.assertRaisesRegex(AssertionError, "1 unmet expectation"), serve() as server:
            server.expect("a")
        self.assertRaises(ConnectionRefusedError, ask, server)

    def test_what_the_block_raises_counts(self) -> None:
        """And nothing else."""
        with self.assertRaises(KeyError), serve() as server:
            server.expect("a")
            raise KeyError
        self.assertRaises(ConnectionRefusedError, ask, server)

    def test_mistakes_are_in_the_test(self) -> None:
        """Not in what runs context managers."""
        context: AbstractContextManager[Server] = serve(greeting="a\nb")
        with self.assertRaisesRegex(ValueError, r"^test_threaded\.py:\d+: "):
            context.__enter__()


class ProcessTests(SynchronousTestCase):
    """What a whole process sees of it."""

    def test_no_reactor_is_installed_and_nothing_is_left(self) -> None:
        """Not even a warning, when it ends."""
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
        self.assertEqual(self.run_program(program), "boom\n[]\nTrue\n")

    def test_nothing_is_said_at_exit(self) -> None:
        """Of a descriptor that Twisted keeps in reserve, for example."""
        program = "from reqresp.testing import serve\nwith serve(): pass"
        self.assertEqual(self.run_program(program), "")

    def run_program(self, program: str) -> str:
        """Run *program*, for which every warning is an error; give what it said on stdout."""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-X", "dev", "-c", program],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual((done.stderr, done.returncode), ("", 0))
        return done.stdout


class MendedTests(ServerCase):
    """What users stumbled over."""

    def test_serve_tells_beside_an_error(self) -> None:
        """A block that raises keeps its error, which is told what the server has to say."""
        with self.assertRaises(KeyError) as caught, serve() as server:
            server.expect("STAT").reply("+OK")
            raise KeyError("mine")
        self.assertIn("unmet: expect", "".join(caught.exception.__notes__))

    def test_serve_tells_a_verdict_once(self) -> None:
        """It is the error itself."""
        with self.assertRaises(AssertionError) as caught, serve() as server:
            server.expect("STAT").reply("+OK")
        self.assertIn("unmet: expect", str(caught.exception))
        self.assertFalse(hasattr(caught.exception, "__notes__"))

    def test_a_state_that_a_script_does_not_know(self) -> None:
        """Has the script's rules of every state, and the test's."""
        script = Script.parse('rule = [{ when = "*", equals = "NOOP", reply = "noop" }]')
        server = self.serve(script=script)
        server.on("DATA").reply("354").goto("data")
        server.on(when="data", starts_with="x").reply("in data")
        self.assertEqual(ask(server, "DATA", "NOOP", "x"), b"354\r\nnoop\r\nin data\r\n")
        server.verify()

    def test_a_state_is_no_question(self) -> None:
        """What was asked for has none."""
        server = self.serve()
        with self.assertRaises(TypeError):
            server.requests("A", when="nonsense")

    def test_nothing_follows_a_call(self) -> None:
        """Nor a cycle another one; waits add up."""
        server = self.serve()
        with self.assertRaises(ValueError):
            server.on("A").call(lambda _request: b"a").reply("b")
        with self.assertRaises(ValueError):
            server.on("B").cycle("a").cycle("b")
        rule = server.on("C").cycle("a").wait(1).wait(2).rule
        self.assertEqual(rule.replies, [(Wait(3), Send(b"a"))])

    def test_a_handler_can_wait(self) -> None:
        """By the server's clock."""
        server = self.serve()

        async def answer(_request: Request) -> bytes:
            await deferLater(server.clock, 0.01)
            return b"late"

        server.on("A").call(answer)
        self.assertEqual(ask(server, "A"), b"late\r\n")

    def test_what_waits_behind_a_reply_is_verified(self) -> None:
        """It has arrived, although nobody has looked at it when the test is over."""
        for second in (b"A\n", b"DELETE\n"):
            server = self.serve()
            server.expect("A").wait(0.05).reply("ok")
            client = self.connect(server)
            client.send(b"A\n" + second)
            server.wait_for("A", timeout=PATIENCE)
            with self.assertRaisesRegex(AssertionError, "1 unexpected request"):
                server.verify(PATIENCE)

    def test_what_a_handler_raises_late_is_verified(self) -> None:
        """Its reply is under way until then."""
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

    def test_nobody_waits_for_a_server_that_has_ended(self) -> None:
        """A future that was not fired is cancelled."""
        with serve() as server:
            found = server.when("A")
        self.assertTrue(found.cancelled())

    def test_a_long_conversation_is_cut(self) -> None:
        """In each message that tells it."""
        server = self.serve()
        server.on("A").reply("b")
        ask(server, *["A"] * 200)
        with self.assertRaises(AssertionError) as caught:
            server.assert_received("B", timeout=0)
        self.assertIn("... 150 earlier lines omitted", str(caught.exception))
        self.assertEqual(len(server.report().splitlines()), 51)
        self.assertEqual(len(server.conversation().splitlines()), 200)
