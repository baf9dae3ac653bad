"""A test that steers a server in another process."""

import asyncio
import re
import socket
import subprocess
import sys
import warnings
from typing import Any

from reqresp.control import ControlClient, ControlError
from reqresp.expectations.unused import UnusedRecordingWarning
from reqresp.script import ScriptError
from tests.support.live import PATIENCE
from tests.support.live_case import LiveTestCase
from tests.support.steered import Steered


def unnumbered(error: AssertionError) -> str:
    """Return the text of *error* without the numbers of connections."""
    return re.sub(r"#\d+", "#N", str(error))


class ClientTests(Steered):
    """What a client says of the service ``default``."""

    def setUp(self) -> None:
        super().setUp()
        self.client = ControlClient(self.url)

    def test_expectations_answer(self) -> None:
        """Each method adds to an answer, as with the fixture, and the verdict is empty."""
        client = self.client
        client.expect("STAT").reply("+OK 2 320")
        client.on(starts_with=[b"RETR", b"\xff"]).reply("one", b"\xfe").wait(0.01).close()
        client.on("raw").reply("x", raw=True).reply(hex="00", raw=True)
        client.on(matches=r"TOP (\d+)", size={"min": 5}).reply(template="{1}")
        client.on("in").goto("inside").reply("in")
        client.expect_next("where", when="inside").reply("here")
        client.on("turn").cycle("1", ["2", "3"]).close()
        client.on("cut").reply("abc").fault("limit_data", bytes=1)
        client.on("half").half_close()
        client.on(not_={"starts_with": ""}).abort()
        replies = {
            (b"STAT", b"NOOP"): b"+OK 2 320\r\n+OK\r\n",
            (b"RETR 1", b"NOOP"): b"one\r\n\xfe\r\n",
            (b"\xff",): b"one\r\n\xfe\r\n",
            (b"raw", b"TOP 7"): b"x\x007\r\n",
            (b"in", b"where"): b"in\r\nhere\r\n",
            (b"turn",): b"1\r\n",
            (b"turn", b"NOOP"): b"2\r\n3\r\n",
            (b"cut",): b"a",
            (b"half",): b"",
        }
        self.assertEqual({asked: self.ask(*asked) for asked in replies}, replies)
        client.verify()

    def test_a_verdict(self) -> None:
        """It is that of the fixture: it names the line of the test, and has the conversation."""
        self.client.expect("STAT", times=2).reply("+OK")
        line = sys._getframe().f_lineno - 1
        self.ask(b"STAT", b"NOOP")
        with self.assertRaises(AssertionError) as raised:
            self.client.verify(timeout=0)
        self.assertEqual(
            unnumbered(raised.exception),
            "reqresp default: 1 unmet expectation\n"
            f"  #N < b'STAT'  > b'+OK\\r\\n'  (expect, test_client.py:{line})\n"
            "  #N < b'NOOP'  > b'+OK\\r\\n'  (rule[0])\n"
            f'unmet: expect "STAT" (test_client.py:{line}): received 1 of 2',
        )
        self.client.clear()
        self.client.verify()

    def test_unexpected_requests(self) -> None:
        """They are problems, unless the verdict is not strict."""
        self.ask(b"STAS")
        with self.assertRaisesRegex(AssertionError, "1 unexpected request"):
            self.client.verify()
        self.client.verify(strict=False)

    def test_requests(self) -> None:
        """Those that were received, with their client's address, and those that are waited for."""
        self.ask(b"NOOP", b"NOOP")
        found = self.client.requests("NOOP", ignore_case=True)
        self.assertEqual([(it.data, it.number) for it in found], [(b"NOOP", 1), (b"NOOP", 2)])
        address: Any = found[0].peer
        self.assertEqual(address.host, "127.0.0.1")
        self.assertEqual(len(self.client.wait_for("NOOP", times=2)), 2)
        self.client.assert_received("NOOP", times=2)
        self.client.assert_received("NOOP")
        with self.assertRaises(AssertionError) as raised:
            self.client.wait_for("NOOP", times=3, timeout=0.01)
        self.assertEqual(
            unnumbered(raised.exception).splitlines(),
            [
                'reqresp default: received "NOOP" 2 times, expected at least 3',
                *["  #N < b'NOOP'  > b'+OK\\r\\n'  (rule[0])"] * 2,
            ],
        )
        with self.assertRaisesRegex(AssertionError, "0 times, expected at least 1"):
            self.client.assert_received("STAT", timeout=0)
        with self.assertRaisesRegex(AssertionError, "2 times, expected 1"):
            self.client.assert_received("NOOP", times=1)

    def test_a_future_of_requests(self) -> None:
        """It is done once they have come, at once if they have, and raises as a call does."""
        future = self.client.when("NOOP", times=2)
        self.ask(b"NOOP")
        self.assertFalse(future.done())
        self.ask(b"NOOP")
        self.assertEqual([it.data for it in future.result(PATIENCE)], [b"NOOP"] * 2)
        self.assertEqual(len(self.client.when("NOOP").result(PATIENCE)), 2)
        wrong = self.client.when(matches="(")
        line = sys._getframe().f_lineno - 1
        with self.assertRaisesRegex(ScriptError, rf"test_client\.py:{line}: when.matches: invalid"):
            wrong.result(PATIENCE)

    def test_entries(self) -> None:
        """They are found by what the API filters by, and a wrong filter names its line."""
        self.ask(b"NOOP", b"NOOP", b"STAS")
        [miss] = self.client.entries(miss=True, connection=1)
        self.assertEqual((miss["event"], miss["request"]), ("answered", "STAS"))
        self.assertEqual(len(self.client.entries(text="noop")), 2)
        [last] = self.client.entries(by="rule[0]", limit=1)
        self.assertEqual((last["request"], last["by"]), ("NOOP", "rule[0]"))
        with self.assertRaisesRegex(ScriptError, r"test_client\.py:\d+: entries.hex: "):
            self.client.entries(hex="xx")

    def test_mistakes(self) -> None:
        """An argument that is not usable raises there, and names the line and the method."""
        expectation = self.client.on("a").reply("b")
        with self.assertRaises(ScriptError) as raised:
            expectation.reply(template="{nobody}")
        line = sys._getframe().f_lineno - 1
        self.assertIn(
            f"test_client.py:{line}: reply.do[1].send: unknown name", str(raised.exception)
        )
        self.assertEqual(self.ask(b"a"), b"b\r\n")
        with self.assertRaisesRegex(ControlError, "has already answered 1"):
            expectation.close()
        with self.assertRaisesRegex(ScriptError, r"test_client\.py:\d+: on.matches: invalid RE2"):
            self.client.on(matches="(")
        with self.assertRaisesRegex(ScriptError, "cycle"):
            self.client.on("c").abort().cycle("1")

    def test_wrong_arguments_of_verify(self) -> None:
        """They name the line of the test and the argument."""
        for arguments, problem in (
            ({"timeout": "x"}, "verify.timeout: expected a number up to"),
            ({"timeout": -1}, "verify.timeout: expected 0 to 600, found -1"),
            ({"unused": "x"}, "verify.unused: expected one of 'warn', 'fail', 'ignore'; found 'x'"),
            ({"strict": "x"}, "verify.strict: expected true or false"),
        ):
            wrong: Any = arguments
            with self.assertRaises(ScriptError) as raised:
                self.client.verify(**wrong)
            line = sys._getframe().f_lineno - 1
            self.assertIn(f"test_client.py:{line}: {problem}", str(raised.exception))

    def test_an_event_loop(self) -> None:
        """What would wait in a running event loop says what to use."""

        async def verify() -> None:
            self.client.verify()

        with self.assertRaisesRegex(RuntimeError, "use AsyncControlClient"):
            asyncio.run(verify())

    def test_servers_that_do_not_answer(self) -> None:
        """An unknown service, a closed port and an address that is none are one line each."""
        with self.assertRaisesRegex(
            ControlError, r"unknown service 'pop'.* \(pass service=NAME\)$"
        ):
            ControlClient(self.url, "pop").verify()
        with self.assertRaisesRegex(ControlError, "http://127.0.0.1:1 does not answer"):
            ControlClient("http://127.0.0.1:1").reset()
        with self.assertRaisesRegex(ControlError, "no JSON|does not answer"):
            ControlClient(f"http://127.0.0.1:{self.server.port}").requests()
        for url in ("localhost", "unix:", "unix://host/path", "ftp://host"):
            with self.assertRaisesRegex(ValueError, f"expected .* or unix:PATH, found '{url}'"):
                ControlClient(url)

    def test_where_it_listens(self) -> None:
        """The addresses are those of the service's clients."""
        self.assertEqual(self.client.addresses, [f"127.0.0.1:{self.server.port}"])
        self.assertIn("default", repr(self.client))


class UnixTests(LiveTestCase):
    """A control server on a UNIX socket, whose service replays a recording."""

    def test_unused_parts_of_a_recording(self) -> None:
        """They are a warning, a problem or nothing, with the text that the fixture has."""
        recording = "# reqresp recording 1\n> a\\n\n< b\\n\n> c\\n\n< d\\n\n"
        (self.directory / "it.rec").write_text(recording, encoding="utf-8")
        options = ("--port=0", "--replay=it.rec", "--control=unix:control")
        server = self.serve(*options)
        server.log.wait("Listening on 'control' for control")
        client = ControlClient(f"unix:{self.directory}/control")
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as wire:
            wire.sendall(b"a\n")
            self.assertEqual(wire.recv(10), b"b\n")
        unused = (
            f"unused: conversation 1 ({self.directory}/it.rec:4): a part that the client did not"
            " ask for, from b'c\\n'"
        )
        with self.assertRaises(AssertionError) as raised:
            client.verify(unused="fail")
        head, *_, last = str(raised.exception).splitlines()
        self.assertEqual((head, last), ("reqresp default: 1 unused part", unused))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            client.verify()
            client.verify(unused="ignore")
        [warning] = caught
        self.assertIs(warning.category, UnusedRecordingWarning)
        self.assertEqual(warning.filename, __file__)
        self.assertEqual(
            str(warning.message),
            f"reqresp default: not all of the recording was asked for\n{unused}",
        )


class TokenTests(LiveTestCase):
    """A control server that demands a token."""

    def test_a_token(self) -> None:
        """With it a client is answered, and without it the error says what is expected."""
        (self.directory / "token").write_text("secret\n", encoding="utf-8")
        server = self.serve("--control=0", "--control-token-file=token", ports=2)
        url = f"http://127.0.0.1:{server.ports[1]}"
        ControlClient(url, token="secret").verify()  # noqa: S106 (a test's)
        for token, message in ((None, "Bearer TOKEN"), ("wrong", "--control-token-file")):
            with self.assertRaisesRegex(ControlError, message) as raised:
                ControlClient(url, token=token).verify()
            self.assertEqual(raised.exception.status, 401)


class ImportTests(Steered):
    """What the client needs."""

    def test_it_needs_no_reactor_and_no_metrics(self) -> None:
        """Importing it loads neither the reactor, nor prometheus_client, nor twisted.web."""
        program = (
            "import sys; from reqresp.control import AsyncControlClient, ControlClient;"
            "print({'twisted.internet.reactor', 'prometheus_client', 'twisted.web'}"
            " & {*sys.modules})"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        self.assertEqual(done.stdout, "set()\n")
