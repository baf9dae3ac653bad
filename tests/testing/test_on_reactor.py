"""
The server on the running reactor, in suites of users.

These run in a process of their own: the reactor of this one belongs to pytest-twisted, and trial's
tests find it dirty.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

#: Seconds after which a run has gone wrong.
PATIENCE = 120

HEAD = """
from typing import Any
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.mail.pop3 import AdvancedPOP3Client
from twisted.trial.unittest import TestCase

from reqresp.testing._on_reactor import LocalServer

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

class LifeTests(TestCase):
    def setUp(self):
        self.server = LocalServer()
        self.addCleanup(self.server.stop)
        return self.server.start()

    async def test_clients_that_stay_are_reset(self):
        ends = [await connect(self.server) for _ in range(3)]
        await self.server.stop()
        # Their ends are gone from the reactor, not only the server's.
        self.assertTrue(all(end.lost.called for end in ends))
        self.assertEqual(await ends[0].lost, ConnectionLost)
        self.assertEqual(self.server.factory.connections, set())

    async def test_a_reply_under_way_is_dropped(self):
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

    async def test_disconnect_all(self):
        end = await connect(self.server)
        await self.server.disconnect_all()
        self.assertTrue(end.lost.called)
        await connect(self.server)

class VerdictTests(TestCase):
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
        # They have been answered by then.
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
            # Too late: nobody waits any more.
            end.transport.write(b"b\\r\\n")
            await server.received("b")
            for request in "bc":
                waiting = server.received(request)
                waiting.cancel()
                with self.assertRaises(CancelledError):
                    await waiting

    async def test_verify_waits_for_what_is_under_way(self):
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

    async def test_verify_gives_up(self):
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
        self.assertEqual(server.factory.connections, set())

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
    """Suites that use it, run by what runs them."""

    def run_suite(self, text: str, *command: str) -> tuple[int, str]:
        """Run a suite in a process of its own; give its status and what it printed."""
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
            timeout=PATIENCE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
        )
        return done.returncode, done.stdout

    def test_trial(self) -> None:
        """The reactor is clean behind each test."""
        status, told = self.run_suite(TRIAL, "twisted.trial", "test_suite")
        self.assertEqual(status, 0, told)
        self.assertIn("PASSED (successes=12)", told)

    def test_trial_finds_what_is_left(self) -> None:
        """The test above would notice: who does not stop leaves the reactor dirty."""
        status, told = self.run_suite(DIRTY, "twisted.trial", "test_suite")
        self.assertNotEqual(status, 0, told)
        self.assertIn("DirtyReactorAggregateError", told)

    def test_pytest_twisted(self) -> None:
        """As a fixture, and waited for by plain functions."""
        status, told = self.run_suite(
            PYTEST, "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"
        )
        self.assertEqual(status, 0, told)
        self.assertIn("2 passed", told)
