"""The pytest fixture, in runs of pytest in processes of their own."""

import re
import subprocess
import tempfile
from collections.abc import Collection
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from tests.support import nested
from tests.support.golden import golden
from tests.support.live import PATIENCE

POP = '''\
"""Tests of a client for POP3."""
import asyncio
import socket
import unittest

import pytest

from reqresp.testing import serve


def ask(server, *requests):
    with socket.create_connection((server.host, server.port), 60) as client:
        for request in requests:
            client.sendall(request.encode() + b"\\r\\n")
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as file:
            return file.read().decode()


def boom(request):
    raise ValueError("boom")


def test_content(reqresp_server):
    server = reqresp_server()
    server.expect("STAT").reply("+OK")
    assert ask(server, "STAT") == "+OK\\r\\n"


def test_unexpected(reqresp_server):
    server = reqresp_server()
    server.on("USER ann").reply("+OK")
    server.expect("STAT").reply("+OK 2 320")
    ask(server, "USER ann", "STAS")


def test_two_servers(reqresp_server):
    reqresp_server().expect("STAT").reply("+OK")
    reqresp_server().expect("QUIT").close()


def test_handler(reqresp_server):
    server = reqresp_server()
    server.on("STAT").call(boom)
    with socket.create_connection((server.host, server.port), 60) as client:
        client.sendall(b"STAT\\r\\n")
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_earlier_failure(reqresp_server):
    server = reqresp_server()
    server.expect("STAT").reply("-ERR")
    server.expect("QUIT")
    assert ask(server, "STAT") == "+OK\\r\\n", "this counts"


def test_earlier_failure_of_a_content_server(reqresp_server):
    server = reqresp_server()
    server.expect("STAT").reply("-ERR")
    pytest.fail(ask(server, "STAT"))


def test_verified_by_hand(reqresp_server):
    server = reqresp_server()
    server.expect("STAT")
    server.verify(timeout=0)


def test_skipped(reqresp_server):
    reqresp_server().expect("STAT")
    pytest.skip("not today")


@pytest.mark.xfail(raises=AssertionError, strict=True)
def test_expected_to_fail(reqresp_server):
    reqresp_server().expect("STAT")


@pytest.mark.xfail(strict=True)
def test_expected_to_fail_but_passes(reqresp_server):
    reqresp_server().on("STAT")


def test_not_strict(reqresp_server):
    ask(reqresp_server(strict=False), "STAT")


@pytest.fixture
def logged_in(reqresp_server):
    server = reqresp_server()
    server.expect("USER ann").reply("+OK")
    return server


def test_server_of_a_fixture(logged_in):
    pass


def test_asyncio(reqresp_server):
    server = reqresp_server()
    server.expect("QUIT")

    async def client():
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"STAT\\r\\n")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    asyncio.run(client())


class UnitTests(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _server(self, reqresp_server):
        self.server = reqresp_server()
        self.server.expect("STAT").reply("+OK")

    def test_content(self):
        ask(self.server, "STAT")

    def test_unmet(self):
        pass

    def test_earlier_failure(self):
        self.assertEqual(1, 2)

    def test_serve(self):
        ask(self.server, "STAT")
        with serve() as server:
            server.expect("QUIT")
'''

TWISTED = """
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.threads import deferToThread


class Asking(Protocol):
    def connectionMade(self):
        self.transport.write(b"STAT\\r\\n")


async def client(server):
    endpoint = TCP4ClientEndpoint(reactor, server.host, server.port)
    protocol = await connectProtocol(endpoint, Asking())
    await deferToThread(server.wait_for, "STAT")
    protocol.transport.loseConnection()


@pytest_twisted.ensureDeferred
async def test_content(reqresp_server):
    server = reqresp_server()
    server.expect("STAT").reply("+OK")
    await client(server)


@pytest_twisted.ensureDeferred
async def test_unmet(reqresp_server):
    server = reqresp_server()
    server.expect("STAT").reply("+OK")
    server.expect("QUIT").close()
    await client(server)
"""


FAILING = """
import socket
import threading

import pytest


@pytest.fixture
def client(reqresp_server):
    server = reqresp_server()
    with socket.create_connection((server.host, server.port), 60) as client:
        client.sendall(b"LOGIN\\r\\n")
        assert client.recv(10) == b"+OK"


def test_client(client):
    pass


@pytest.fixture
def busy(reqresp_server):
    server = reqresp_server()
    is_busy, go_on = threading.Event(), threading.Event()

    def handler(request):
        is_busy.set()
        go_on.wait(60)

    server.on("block").call(handler)
    with socket.create_connection((server.host, server.port), 60) as client:
        client.sendall(b"block\\r\\n")
        is_busy.wait(60)
        server.call_timeout = 0.01
        yield server
        go_on.set()
        server.call_timeout = 60


def test_busy(busy):
    assert not "this counts"
"""


READY_MADE = """
import socket


def ask(server, request):
    with socket.create_connection((server.host, server.port), 60) as client:
        client.sendall(request)
        return client.recv(100)


def test_content(reqresp):
    reqresp.expect("STAT").reply("+OK")
    assert ask(reqresp, b"STAT\\r\\n") == b"+OK\\r\\n"


def test_both(reqresp, reqresp_server):
    assert reqresp.requests() == []
    assert reqresp.port != reqresp_server().port


def test_unmet(reqresp):
    reqresp.expect("QUIT")
"""


MISTAKES = """
from reqresp import Script


def test_unknown_argument(reqresp_server):
    reqresp_server(frame="line")


def test_positional_argument(reqresp_server):
    reqresp_server("line")


def test_wrong_value(reqresp_server):
    reqresp_server(framing="lines")


def test_wrong_greeting(reqresp_server):
    reqresp_server(greeting="a\\nb")


def test_unknown_predicate(reqresp):
    reqresp.on(start_with="a")


def test_wrong_reply(reqresp):
    reqresp.on("a").reply("x\\ny")


def test_wrong_times(reqresp):
    reqresp.expect("a", times=0)


def test_wrong_script(reqresp_server, tmp_path):
    path = tmp_path / "it.toml"
    path.write_text("framig = 1")
    reqresp_server(script=path)


def test_script_by_hand():
    Script.parse("framig = 1")


def test_no_such_script(reqresp_server, tmp_path):
    reqresp_server(script=tmp_path / "it.toml")


def test_received(reqresp):
    reqresp.assert_received("STAT", timeout=0)


def test_waited(reqresp):
    reqresp.wait_for("STAT", timeout=0)


def test_verified(reqresp):
    reqresp.expect("STAT")
    reqresp.verify()
"""


class Run:
    """A run of pytest on one module: the outcomes of its tests, and the output."""

    def __init__(self, text: str, *arguments: str, needed: Collection[str] = ()) -> None:
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "test_pop.py").write_text(text)
            done = subprocess.run(
                nested.pytest("-W", "error", "--junitxml=junit.xml", *arguments, needed=needed),
                cwd=directory,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            cases = ElementTree.parse(Path(directory, "junit.xml")).iter("testcase")  # noqa: S314, our own
        self.output = done.stdout
        self.errors = done.stderr
        self.failures: dict[str, str] = {}
        self.outcomes: dict[str, list[str]] = {}
        for case in cases:
            name = case.attrib["classname"].removeprefix("test_pop").lstrip(".")
            name = f"{name}.{case.attrib['name']}".lstrip(".")
            found = [it for it in case if it.tag in ("failure", "error", "skipped")]
            self.outcomes[name] = [f"{it.tag} {it.get('type', '')}".strip() for it in found]
            self.failures[name] = "".join(it.get("message") or "" for it in found)

    def section(self, name: str) -> str:
        """Return the section of the output for the test *name*; empty if it did not fail."""
        parts = re.split(r"^_{3,} (.*) _{3,}$", self.output, flags=re.MULTILINE)
        return parts[parts.index(name) + 1] if name in parts else ""


@cache
def run_of_pop() -> Run:
    """Return the run of the tests above, which happens once, beside all plugins of others."""
    return Run(POP, needed=nested.SLOW)


class PluginTests(SynchronousTestCase):
    """Tests for the outcome and the messages of tests that use the fixture."""

    @property
    def run_of_pop(self) -> Run:
        return run_of_pop()

    def test_outcomes(self) -> None:
        """Each test has one outcome: there is no error besides a test that has passed."""
        self.assertEqual(
            self.run_of_pop.outcomes,
            {
                "test_content": [],
                "test_unexpected": ["failure"],
                "test_two_servers": ["failure"],
                "test_handler": ["failure"],
                "test_earlier_failure": ["failure"],
                "test_earlier_failure_of_a_content_server": ["failure"],
                "test_verified_by_hand": ["failure"],
                "test_skipped": ["skipped pytest.skip"],
                "test_expected_to_fail": ["skipped pytest.xfail"],
                "test_expected_to_fail_but_passes": ["failure"],
                "test_not_strict": [],
                "test_server_of_a_fixture": ["failure"],
                "test_asyncio": ["failure"],
                "UnitTests.test_content": [],
                "UnitTests.test_unmet": ["failure"],
                "UnitTests.test_earlier_failure": ["failure"],
                "UnitTests.test_serve": ["failure"],
            },
        )
        self.assertEqual(self.run_of_pop.errors, "")

    def assert_message(self, name: str, test: str) -> None:
        expected, text = golden(name, self.run_of_pop.failures[test])
        self.assertEqual(text, expected, "see golden() in tests/expectations/test_report.py")

    def test_messages(self) -> None:
        """A message has the conversation and the lines of the test."""
        self.assert_message("pytest_unexpected", "test_unexpected")
        self.assert_message("pytest_two_servers", "test_two_servers")
        self.assert_message("pytest_handler", "test_handler")
        self.assert_message("pytest_asyncio", "test_asyncio")
        self.assert_message("pytest_fixture", "test_server_of_a_fixture")
        self.assert_message("pytest_unittest", "UnitTests.test_unmet")
        self.assert_message("pytest_serve", "UnitTests.test_serve")

    def test_the_traceback_is_short(self) -> None:
        """The traceback has no line of reqresp, and nothing is shown twice."""
        section = self.run_of_pop.section("test_unexpected")
        self.assertNotIn("reqresp/", section)
        self.assertNotIn("Captured", section)
        self.assertEqual(section.count("1 unexpected request"), 1)
        section = self.run_of_pop.section("test_verified_by_hand")
        self.assertIn(">       server.verify(timeout=0)", section)
        self.assertNotIn("reqresp/", section)

    def test_the_traceback_of_a_handler(self) -> None:
        """The traceback has the line of the handler that raised, and nothing is logged."""
        section = self.run_of_pop.section("test_handler")
        self.assertIn('>       raise ValueError("boom")', section)
        self.assertNotIn("Captured stderr", section)

    def test_an_earlier_failure_keeps_its_message(self) -> None:
        """The error of a test stays, and the server's report is below."""
        self.assertIn("this counts", self.run_of_pop.failures["test_earlier_failure"])
        section = self.run_of_pop.section("test_earlier_failure")
        below = section.partition("Captured reqresp call")[2]
        self.assertIn('unmet: expect "QUIT" (test_pop.py:54): received 0 of 1', below)
        section = self.run_of_pop.section("test_earlier_failure_of_a_content_server")
        self.assertIn("#1 < b'STAT'  > b'-ERR\\r\\n'", section)
        failure = self.run_of_pop.failures["UnitTests.test_earlier_failure"]
        self.assertIn("1 != 2", failure)
        section = self.run_of_pop.section("UnitTests.test_earlier_failure")
        self.assertIn('unmet: expect "STAT"', section.partition("Captured reqresp call")[2])

    def test_reports_of_other_failures(self) -> None:
        """A failing fixture has a report; a server that cannot be asked hides no error."""
        run = Run(FAILING)
        self.assertEqual([*run.outcomes.values()], [["error"], ["failure"]])
        section = run.section("ERROR at setup of test_client")
        self.assertIn("b'LOGIN'  unexpected", section.partition("Captured reqresp setup")[2])
        self.assertIn("this counts", run.failures["test_busy"])
        self.assertIn("busy for 0.01 s", run.section("test_busy"))

    def test_mistakes(self) -> None:
        """pytest shows the line of the test, the reason, and no line of the package."""
        run = Run(MISTAKES)
        reasons = {
            "unknown_argument": "unknown argument 'frame'; did you mean framing?",
            "positional_argument": "expected keyword arguments only, such as framing=..., found",
            "wrong_value": "'lines'",
            "wrong_greeting": "greeting: a line cannot contain a newline",
            "unknown_predicate": "did you mean starts_with?",
            "wrong_reply": "reply: a line cannot contain a newline",
            "wrong_times": "call assert_received(..., times=0)",
            "wrong_script": "did you mean framing?",
            "script_by_hand": "did you mean framing?",
            "no_such_script": "No such file",
            "received": "no client connected",
            "waited": "no client connected",
            "verified": "no client connected",
        }
        self.assertEqual({*run.outcomes}, {f"test_{it}" for it in reasons})
        for name, reason in reasons.items():
            section = run.section(f"test_{name}")
            self.assertIn(reason, section)
            self.assertRegex(section, r"(?m)^test_pop\.py:\d+: ")
            self.assertNotRegex(section, r"\.py:\d+: in (?!test_)", name)
            self.assertNotRegex(section, r"(reqresp|contextlib)\S*\.py:\d+", name)
            self.assertNotRegex(section, r"\b(BaseServer|_\w+\()", name)

    def test_a_ready_made_server(self) -> None:
        """The fixture ``reqresp`` is a server of its own in each test, and is verified."""
        run = Run(READY_MADE)
        self.assertEqual(
            run.outcomes, {"test_content": [], "test_both": [], "test_unmet": ["failure"]}
        )
        self.assertIn('unmet: expect "QUIT"', run.failures["test_unmet"])

    def test_pytest_twisted(self) -> None:
        """The fixture works in tests that pytest-twisted runs on the global reactor."""
        run = Run(TWISTED, needed=["twisted"])
        self.assertEqual(run.outcomes, {"test_content": [], "test_unmet": ["failure"]})
        self.assertIn(
            'unmet: expect "QUIT" (test_pop.py:32): received 0 of 1', run.failures["test_unmet"]
        )
        self.assertEqual(run.errors, "")

    def test_xdist(self) -> None:
        """The outcomes are the same with pytest-xdist."""
        run = Run(POP, "-n", "2")
        self.assertEqual(run.outcomes, self.run_of_pop.outcomes)
        self.assertEqual(run.errors, "")


class ImportTests(SynchronousTestCase):
    """Tests for what the plugin imports."""

    def test_the_plugin_imports_nothing(self) -> None:
        """Before a server is made, Twisted and the rest of reqresp are not imported."""
        text = """
import sys

def found():
    return sorted(it for it in sys.modules if it.split(".")[0] in ("twisted", "attr", "re2"))

def test_before():
    ours = [it for it in sys.modules if it.split(".")[0] == "reqresp"]
    assert (sorted(ours), found()) == (["reqresp", "reqresp.pytest_plugin"], [])

def test_asked_for(reqresp_server):
    assert "twisted" in sys.modules
    reqresp_server()
    assert "twisted.internet.reactor" not in sys.modules
    assert "twisted.trial" not in sys.modules
    reqresp_server(tls=True)
    assert "twisted.internet.reactor" not in sys.modules
"""
        # The plugins of others import Twisted, attrs or what imports them.
        run = Run(text)
        self.assertEqual(run.outcomes, {"test_before": [], "test_asked_for": []}, run.output)
