"""
The server on the running reactor, in test suites of users.

Each suite runs in a process of its own, because pytest-twisted uses the reactor of this process,
and trial would report what pytest-twisted leaves in it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

#: The number of seconds that a suite can take.
SUITE_TIMEOUT = 120

HEAD = """
from typing import Any
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.mail.pop3 import AdvancedPOP3Client
from twisted.trial.unittest import TestCase

from reqresp import Table
from reqresp.testing import LocalServer

class End(Protocol):
    def __init__(self):
        self.got, self.lost = b"", Deferred()
    def dataReceived(self, data):
        self.got += data
    def connectionLost(self, reason):
        self.lost.callback(reason.type)

def connect(server, client=None):
    return connectProtocol(HostnameEndpoint(reactor, server.host, server.port), client or End())
"""

TRIAL = """
class ReadmeTests(TestCase):
    async def test_pop3(self):
        async with LocalServer(greeting="+OK") as server:
            server.expect("STAT").wait(0.01).reply("+OK 2 320")
            server.expect("QUIT").reply("+OK").close()
            client = await connect(server, AdvancedPOP3Client())
            self.assertEqual(await client.stat(), (2, 320))
            await client.quit()

class Asking(Protocol):
    def __init__(self):
        self.reply = Deferred()
    def connectionMade(self):
        self.transport.write(b"a\\n")
    def dataReceived(self, data):
        self.reply.callback(data)

class ForwardedTests(TestCase):
    async def test_a_service_on_the_same_reactor(self):
        async with (
            LocalServer(respond=Table({b"a": b"1"})) as service,
            LocalServer(upstream=(service.host, service.port)) as server,
        ):
            client = await connect(server, Asking())
            self.assertEqual(await client.reply, b"1\\r\\n")

class LifeTests(TestCase):
    def setUp(self):
        self.server = LocalServer()
        self.addCleanup(self.server.stop)
        return self.server.start()

    async def test_connected_clients_are_reset(self):
        ends = [await connect(self.server) for _ in range(3)]
        await self.server.stop()
        # The clients' ends are gone from the reactor, too.
        self.assertTrue(all(end.lost.called for end in ends))
        self.assertEqual(await ends[0].lost, ConnectionLost)
        self.assertEqual(self.server.factory.open, 0)

    async def test_a_waiting_reply_is_dropped(self):
        self.server.on("a").wait(60).reply("late")
        end = await connect(self.server)
        end.transport.write(b"a\\r\\n")
        await self.server.received("a")

    async def test_same_port_again(self):
        port = self.server.port
        await self.server.start()
        await self.server.stop()
        await self.server.stop()
        with self.assertRaises(ConnectError):
            await connect(self.server)
        self.assertIs(await self.server.start(), self.server)
        self.assertEqual(self.server.port, port)
        await connect(self.server)

    async def test_accepting(self):
        self.server.on("a").reply("A")
        self.server.accepting("refuse")
        with self.assertRaises(ConnectError):
            await connect(self.server)
        self.server.accepting(after=0.01)
        client = await connect(self.server, Asking())
        self.assertEqual(await client.reply, b"A\\r\\n")
        self.server.accepting("late")
        waiting = await connect(self.server, Asking())
        self.server.accepting("now")
        self.assertEqual(await waiting.reply, b"A\\r\\n")
        await self.server.stop()
        with self.assertRaisesRegex(RuntimeError, "expected a server that listens"):
            self.server.accepting("late")

    async def test_disconnect_all(self):
        end = await connect(self.server)
        await self.server.disconnect_all()
        self.assertTrue(end.lost.called)
        await connect(self.server)

    async def test_stop_listening(self):
        self.server.on("a").reply("A").close()
        end = await connect(self.server)
        await self.server.stop_listening()
        await self.server.stop_listening()
        with self.assertRaises(ConnectError):
            await connect(self.server)
        end.transport.write(b"a\\n")
        await end.lost
        self.assertEqual(end.got, b"A\\r\\n")

class ConnectionTests(TestCase):
    async def test_connections(self):
        async with LocalServer() as server:
            server.on().hold()
            waiting = server.connected()
            end = await connect(server)
            connection = await waiting
            self.assertEqual([*server.connections], [connection])
            connection.send("hello")
            end.transport.write(b"a\\n")
            (await server.held("a")).reply("A")
            connection.close()
            await server.closed(connection)
            await server.closed()
            await end.lost
            self.assertEqual(end.got, b"hello\\r\\nA\\r\\n")

    async def test_what_does_not_come(self):
        async with LocalServer() as server:
            server.on().hold()
            for waiting, told in (
                (server.connected(2, timeout=0), "connections: expected 2, found 0\\n"),
                (server.held("a", timeout=0), "no request waits for the test: expected \\"a\\"\\n"),
            ):
                with self.assertRaises(AssertionError) as caught:
                    await waiting
                self.assertTrue(str(caught.exception).startswith(told), caught.exception)
            end = await connect(server)
            one = await server.connected()
            with self.assertRaisesRegex(AssertionError, "^connection 1 is open"):
                await server.closed(one, timeout=0)

class AssertionTests(TestCase):
    @inlineCallbacks
    def test_received(self):
        server = LocalServer()
        yield server.start()
        server.on(starts_with="").reply("ok")
        end = yield connect(server)
        waiting = server.received("b", times=2)
        end.transport.write(b"b\\r\\na\\r\\nb\\r\\n")
        requests = yield waiting
        self.assertEqual([it.data for it in requests], [b"b", b"b"])
        # All three have been answered.
        self.assertEqual(len(server.exchanges), 3)
        again = yield server.received("a", timeout=0)
        self.assertEqual([it.number for it in again], [2])
        yield server.stop()

    async def test_not_received(self):
        async with LocalServer() as server:
            server.on(starts_with="").reply("ok")
            end = await connect(server)
            end.transport.write(b"a\\r\\n")
            await server.received("a")
            with self.assertRaisesRegex(AssertionError, '"b" 0 times, expected at least 1'):
                await server.received("b", timeout=0.01)
            # A wait that timed out is gone.
            self.assertEqual(len(server._waiters), 0)
            # After the timeout, a new call finds the request.
            end.transport.write(b"b\\r\\n")
            await server.received("b")
            for request in "bc":
                waiting = server.received(request)
                waiting.cancel()
                with self.assertRaises(CancelledError):
                    await waiting

    async def test_verify_waits(self):
        async with LocalServer() as server:
            server.expect("a").reply("ok")
            end = await connect(server)
            reactor.callLater(0.02, end.transport.write, b"a\\r\\n")

    async def test_verify(self):
        server = await LocalServer().start()
        server.expect("STAT")
        end = await connect(server)
        end.transport.write(b"STAS\\r\\n")
        with self.assertRaises(AssertionError) as caught:
            await server.verify()
        self.assertIn("1 unexpected request, 1 unmet expectation", str(caught.exception))
        self.assertIn(f"reqresp 127.0.0.1:{server.port}:", str(caught.exception))
        await server.stop()

    async def test_verify_waits_for_a_client_that_is_not_connected(self):
        async with LocalServer() as server:
            server.expect("a").reply("ok")
            verified = server.verify(timeout=30)
            end = await connect(server)
            end.transport.write(b"a\\r\\n")
            await verified

    async def test_no_client_connected(self):
        server = await LocalServer().start()
        server.expect("a")
        with self.assertRaisesRegex(AssertionError, "\\n  no client connected"):
            await server.verify()
        await server.stop()

    async def test_verify_times_out(self):
        server = await LocalServer().start()
        server.expect("a")
        await connect(server)
        with self.assertRaisesRegex(AssertionError, "received 0 of 1"):
            await server.verify(timeout=0.01)
        await server.stop()

    async def test_an_error_of_the_block_comes_first(self):
        with self.assertRaisesRegex(KeyError, "mine"):
            async with LocalServer() as server:
                server.expect("a")
                raise KeyError("mine")
        self.assertEqual(server.factory.open, 0)

    async def test_end_of_block(self):
        with self.assertRaisesRegex(AssertionError, "unmet"):
            async with LocalServer() as server:
                server.expect("a")
        with self.assertRaises(ConnectError):
            await connect(server)
"""

DIRTY = """
class DirtyTests(TestCase):
    async def test_left_open(self):
        server = await LocalServer().start()
        await connect(server)
"""

PYTEST = """
import pytest
import pytest_twisted

@pytest_twisted.async_yield_fixture
async def server():
    async with LocalServer(framing="line", greeting="+OK") as server:
        yield server

@pytest_twisted.ensureDeferred
async def test_fixture(server):
    server.expect("STAT").reply("+OK 2 320")
    client = await connect(server, AdvancedPOP3Client())
    assert await client.stat() == (2, 320)

@pytest.fixture
def blocked_on():
    server = pytest_twisted.blockon(LocalServer().start())
    yield server
    pytest_twisted.blockon(server.verify())
    pytest_twisted.blockon(server.stop())

@pytest_twisted.inlineCallbacks
def test_blockon(blocked_on):
    blocked_on.expect("a").reply("ok")
    end = yield connect(blocked_on)
    end.transport.write(b"a\\r\\n")
    yield blocked_on.received("a")
"""


class SuiteTests(SynchronousTestCase):
    """Tests that run the suites with trial and with pytest."""

    def run_suite(self, text: str, *command: str) -> tuple[int, str]:
        """Run a suite in a process of its own; return its status and output."""
        directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        (directory / "test_suite.py").write_text(HEAD + text)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", *command],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SUITE_TIMEOUT,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
        )
        return done.returncode, done.stdout

    def test_trial(self) -> None:
        """With trial, the reactor is clean after each test."""
        status, output = self.run_suite(TRIAL, "twisted.trial", "test_suite")
        self.assertEqual(status, 0, output)
        self.assertIn("PASSED (successes=19)", output)

    def test_trial_finds_what_is_left(self) -> None:
        """Trial reports a server that is not stopped, so the test above would notice."""
        status, output = self.run_suite(DIRTY, "twisted.trial", "test_suite")
        self.assertNotEqual(status, 0, output)
        self.assertIn("DirtyReactorAggregateError", output)

    def test_pytest_twisted(self) -> None:
        """The server can be a fixture, and plain functions can wait for its Deferreds."""
        status, output = self.run_suite(
            PYTEST, "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"
        )
        self.assertEqual(status, 0, output)
        self.assertIn("2 passed", output)
