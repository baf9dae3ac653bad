"""Test servers that record a real service, or replay what they have recorded."""

import asyncio
import os
import socket
import ssl
import warnings
from errno import ENOSPC
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from unittest import mock

import pytest
from twisted.trial.unittest import SynchronousTestCase

from reqresp import DirectedFault, Latency, Script, Table
from reqresp.recording import RecordingError, load
from reqresp.script import ScriptError
from reqresp.testing import (
    MemoryServer,
    MissingRecordingError,
    Server,
    UnusedRecordingWarning,
    serve,
)
from tests.support.recorded import HEADER


class RecordingCase(SynchronousTestCase):
    """A test case with a service in memory, and the path of a recording."""

    def setUp(self) -> None:
        self.directory = Path(mkdtemp())
        self.path = self.directory / "it.rec"
        self.service = MemoryServer(respond=Table({b"a": b"1", b"b": b"2"}))

    def server(self, **arguments: Any) -> MemoryServer:
        """Return a server that records the service, or replays it."""
        arguments.setdefault("upstream", ("127.0.0.1", self.service.port))
        return MemoryServer(reactor=self.service.reactor, recording=self.path, **arguments)

    def ask(self, server: MemoryServer, *requests: bytes) -> bytes:
        """Send lines on a new connection, which is closed; return what was received."""
        peer = server.reactor.connect_peer(server.port)
        for request in requests:
            server.pump()
            peer.send(request + b"\n")
        server.pump()
        peer.half_close()
        server.pump()
        return peer.received()

    def recorded(self) -> list[bytes]:
        """Return what clients have sent, for each conversation of the file."""
        return [
            b"".join(
                it.data[0]  # type: ignore[misc]  # no end and no mark
                for it in one.events
                if it.sender.value == ">" and isinstance(it.data, tuple)
            )
            for one in load(self.path).conversations
        ]


class ModeTests(RecordingCase):
    """When a server records, and when it replays."""

    def test_once(self) -> None:
        """Without a file the service is recorded; with one it is not connected to."""
        with self.server() as server:
            self.assertEqual(self.ask(server, b"a", b"b"), b"1\r\n2\r\n")
        self.assertEqual(self.recorded(), [b"a\nb\n"])
        self.service.stop()
        before = self.path.read_bytes()
        with self.server() as server:
            self.assertEqual(self.ask(server, b"a", b"b"), b"1\r\n2\r\n")
        self.assertEqual(self.path.read_bytes(), before)
        self.assertEqual([*self.directory.iterdir()], [self.path])

    def test_wrong_patterns(self) -> None:
        """The error names the argument, also while the other one is not used."""
        for name in ("ignore", "redact"):
            with self.assertRaisesRegex(
                ScriptError, rf"^test_recording\.py:\d+: {name}: invalid RE2 pattern '\('"
            ):
                self.server(**{name: ["("]})
        self.assertFalse(self.path.exists())

    def test_without_an_upstream(self) -> None:
        """A file is replayed without knowing the service; to record, it is needed."""
        with self.server() as server:
            self.ask(server, b"a")
        with self.server(upstream=None) as server:
            self.assertEqual(self.ask(server, b"a"), b"1\r\n")
        self.path.unlink()
        with self.assertRaisesRegex(TypeError, "expected upstream, to record"):
            self.server(upstream=None)

    def test_a_failed_test(self) -> None:
        """Nothing is left of what was recorded if the test fails."""
        with self.assertRaisesRegex(ValueError, "boom"), self.server() as server:
            self.ask(server, b"a")
            raise ValueError("boom")
        self.assertEqual([*self.directory.iterdir()], [])

    def test_none(self) -> None:
        """With ``none`` nothing is recorded; without the file it is an error."""
        with self.assertRaisesRegex(
            MissingRecordingError,
            rf"recording: {self.path} does not exist; to record it, run: the test with"
            " record='once'",
        ):
            self.server(record="none")
        with self.server() as server:
            self.ask(server, b"a")
        with self.server(record="none") as server:
            self.assertEqual(self.ask(server, b"a"), b"1\r\n")

    def test_all(self) -> None:
        """With ``all`` the service answers, and what it says is added to the file."""
        for request in (b"a", b"b", b"a"):
            with self.server(record="all") as server:
                self.ask(server, request)
        self.assertEqual(self.recorded(), [b"a\n", b"b\n", b"a\n"])

    def test_all_after_a_torn_line(self) -> None:
        """What is added does not continue a line that a crash has torn."""
        self.path.write_text(HEADER + "> a\\n\n> to", encoding="utf-8")
        with self.server(record="all") as server:
            self.ask(server, b"b")
        self.assertEqual(self.recorded(), [b"a\n", b"b\n"])

    def test_rewrite(self) -> None:
        """With ``rewrite`` the service answers, and the file has only what it says now."""
        for request in (b"a", b"b"):
            with self.server(record="rewrite") as server:
                self.ask(server, request)
        self.assertEqual(self.recorded(), [b"b\n"])

    def test_nothing_was_recorded(self) -> None:
        """A test in which nothing passes changes no file, and a warning says so."""
        for mode in ("once", "rewrite", "all"):
            text = (
                f"{self.path}: nothing was recorded: no client has connected, or nothing was sent"
            )
            with pytest.warns(UserWarning, match=text), self.server(record=mode):
                pass
            self.assertEqual([*self.directory.iterdir()], [])

    def test_a_failed_test_does_not_warn(self) -> None:
        """That nothing was recorded does not matter if the test fails."""
        with (
            warnings.catch_warnings(record=True) as caught,
            self.assertRaisesRegex(ValueError, "boom"),
            self.server(),
        ):
            raise ValueError("boom")
        self.assertEqual(caught, [])

    def test_an_unknown_mode(self) -> None:
        """Another word is an error."""
        with self.assertRaisesRegex(ScriptError, "record: expected one of 'once', 'none', 'all'"):
            self.server(record="new")

    def test_a_new_directory(self) -> None:
        """The directory of the file is made."""
        self.path = self.directory / "recordings" / "it.rec"
        with self.server() as server:
            self.ask(server, b"a")
        self.assertTrue(self.path.is_file())

    def test_a_file_that_cannot_be_replaced(self) -> None:
        """The error is raised, and nothing is left over."""
        server = self.server()
        server.__enter__()
        self.ask(server, b"a")
        with mock.patch.object(Path, "replace", side_effect=OSError(13, "Permission denied")):
            self.assertRaises(OSError, server.__exit__, None, None, None)
        self.assertEqual([*self.directory.iterdir()], [])

    def test_a_full_disk(self) -> None:
        """The test fails, and the recording is left as it was."""
        self.path.write_text(HEADER)
        server = self.server(record="rewrite")
        server.__enter__()
        with mock.patch.object(os, "write", side_effect=OSError(ENOSPC, os.strerror(ENOSPC))):
            self.ask(server, b"a")
            error = self.assertRaises(OSError, server.__exit__, None, None, None)
        self.assertRegex(
            str(error), r"it\.rec is left as it was: [0-9]+ lines of the new one could"
        )
        self.assertEqual([*self.directory.iterdir()], [self.path])
        self.assertEqual(self.path.read_text(), HEADER)


class ArgumentTests(RecordingCase):
    """What goes with a recording."""

    def test_what_excludes_it(self) -> None:
        """A server that records or replays takes nothing that answers."""
        script = Script.parse('rule = [{ reply = "x" }]')
        for name, value in {
            "script": script,
            "respond": Table({}),
            "framing": "line",
            "greeting": "hi",
        }.items():
            arguments: dict[str, Any] = {name: value}
            with self.assertRaisesRegex(TypeError, f"expected one of .*; found .*{name}"):
                self.server(**arguments)

    def test_ignore(self) -> None:
        """What the patterns match may differ when it is replayed."""
        with self.server() as server:
            self.ask(server, b"a", b"b", b"id=1234")
        with self.server(ignore=["id=(.*)"]) as server:
            self.assertEqual(self.ask(server, b"a", b"b", b"id=x"), b"1\r\n2\r\n")

    def test_redact(self) -> None:
        """What the patterns match is not in the file, and may differ, too."""
        with self.server(redact=["PASS (.+)"]) as server:
            self.ask(server, b"a", b"PASS secret")
        self.assertNotIn(b"secret", self.path.read_bytes())
        with self.server() as server:
            self.ask(server, b"a", b"PASS other")

    def test_a_deviation(self) -> None:
        """A client that does what was not recorded makes the test fail."""
        with self.server() as server:
            self.ask(server, b"a")
        with (
            self.assertRaisesRegex(AssertionError, "differs from conversation 1"),
            self.server() as it,
        ):
            self.ask(it, b"b")

    def test_what_was_not_asked_for(self) -> None:
        """What was recorded and not asked for is told."""
        with self.server() as server:
            self.ask(server, b"a")
        with pytest.warns(UnusedRecordingWarning), self.server():
            pass
        with self.assertRaisesRegex(AssertionError, "unused"), self.server(unused="fail"):
            pass

    def test_a_broken_file(self) -> None:
        """A file with problems is not replayed, and not replaced."""
        self.path.write_text("oops\n", encoding="utf-8")
        self.assertRaises(RecordingError, self.server)


class FaultTests(RecordingCase):
    """What goes wrong while the service is recorded goes wrong while it is replayed."""

    def check_delay(self, server: MemoryServer) -> None:
        """Check that a request arrives five seconds late."""
        peer = server.reactor.connect_peer(server.port)
        server.pump()
        peer.send(b"a\n")
        server.advance(4.9)
        self.assertEqual(peer.received(), b"")
        server.advance(0.2)
        self.assertEqual(peer.received(), b"1\r\n")
        peer.half_close()
        server.advance(6)

    def test_from_the_beginning(self) -> None:
        """A fault of what clients send applies in both."""
        slow = DirectedFault(fault=Latency(delay=5), stream="upstream", name="slow")
        for is_replayed in (False, True):
            self.assertIs(self.path.exists(), is_replayed)
            with self.server(faults=[slow]) as server:
                self.assertEqual([it.name for it in server.faults], ["slow"])
                self.check_delay(server)

    def test_from_now_on(self) -> None:
        """So does one that is added, and it can be removed."""
        for is_replayed in (False, True):
            self.assertIs(self.path.exists(), is_replayed)
            with self.server() as server:
                with server.fault("latency", stream="upstream", delay=5):
                    self.check_delay(server)
                self.assertEqual(self.ask(server, b"b"), b"2\r\n")

    def test_other_faults(self) -> None:
        """A replay has no service whose bytes could be held: they are refused in both."""
        slow = DirectedFault(fault=Latency(delay=5), stream="downstream", name="slow")
        for is_replayed in (False, True):
            self.assertIs(self.path.exists(), is_replayed)
            with self.assertRaisesRegex(
                TypeError,
                "^faults: expected stream='upstream' with recording, as a replay has no service;"
                " found stream='downstream'$",
            ):
                self.server(faults=[slow])
            with self.server() as server:
                for stream in ("downstream", None):
                    with self.assertRaisesRegex(
                        TypeError, f"^fault: expected stream='upstream' with .* stream={stream!r}$"
                    ):
                        server.fault("latency", stream=stream, delay=5)
                self.ask(server, b"a")


class ThreadedTests(SynchronousTestCase):
    """Servers in a thread, with real sockets."""

    def setUp(self) -> None:
        self.path = Path(mkdtemp()) / "it.rec"
        self.service = Server(respond=Table({b"a": b"1"}))
        self.addCleanup(self.service.end)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the server."""
        upstream = (self.service.host, self.service.port)
        return {"upstream": upstream, "recording": self.path}

    def ask(self, server: Server) -> bytes:
        """Send a line, and return the reply."""
        client = socket.create_connection((server.host, server.port), 60)
        if server.client_context is not None:
            client = server.client_context.wrap_socket(client, server_hostname=server.host)
        with client:
            client.sendall(b"a\n")
            return client.recv(100)

    def test_serve(self) -> None:
        """A block that raises nothing keeps what was recorded, and needs no service then."""
        with serve(**self.arguments()) as server:
            self.assertEqual(self.ask(server), b"1\r\n")
        self.service.stop()
        with serve(**self.arguments()) as server:
            self.assertEqual(self.ask(server), b"1\r\n")

    def test_tls(self) -> None:
        """Clients use TLS; what is recorded is what is inside."""
        for _ in range(2):
            with serve(tls=True, **self.arguments()) as server:
                self.assertEqual(self.ask(server), b"1\r\n")
            self.service.stop()
        self.assertIn(b"> a\\n\n", self.path.read_bytes())

    def test_asyncio(self) -> None:
        """Clients of asyncio are recorded and replayed, also with TLS."""

        async def ask(tls: bool) -> bytes:
            async with serve(tls=tls, **self.arguments()) as server:
                context: ssl.SSLContext | None = server.client_context
                reader, writer = await asyncio.open_connection(
                    server.host, server.port, ssl=context
                )
                writer.write(b"a\n")
                reply = await reader.readline()
                writer.close()
                await writer.wait_closed()
                return reply

        for tls in (False, True):
            self.assertEqual(asyncio.run(ask(tls)), b"1\r\n")
            self.assertEqual(asyncio.run(ask(tls)), b"1\r\n")
            self.path.unlink()

    def test_verified_by_hand(self) -> None:
        """A server that was made by hand keeps its recording when it is told so."""
        server = Server(**self.arguments())
        self.ask(server)
        server.keep_recording()
        self.assertFalse(self.path.exists())
        server.end()
        self.assertTrue(self.path.exists())


class LastBytesTests(RecordingCase):
    """What is recorded after the test has passed."""

    def test_until_the_server_ends(self) -> None:
        """What a client sends before the server ends, as in a fixture's teardown, is recorded."""
        server = self.server()
        server.keep_recording()
        self.ask(server, b"a")
        server.__exit__(None, None, None)
        self.assertEqual(self.recorded(), [b"a\n"])
