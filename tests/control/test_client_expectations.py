"""The expectations of a server in another process, as a test sees them."""

import socket

from twisted.trial.unittest import SynchronousTestCase

from reqresp.control import ControlClient
from reqresp.control._remote_answer import expectation_table
from reqresp.script import ScriptError
from tests.support.live import PATIENCE
from tests.support.steered import Steered


class ExpectationTests(Steered):
    """What a test does with an expectation."""

    def setUp(self) -> None:
        super().setUp()
        self.client = ControlClient(self.url)

    def test_what_it_has_received(self) -> None:
        """It counts its requests, and is met with as many as are expected."""
        some = self.client.expect("STAT", times=2).reply("+OK")
        every = self.client.on(starts_with="S")
        self.assertEqual((some.kind, some.times, every.times), ("expect", 2, None))
        self.assertEqual((str(some), some.wanted), ('expect "STAT"', '"STAT"'))
        self.assertRegex(some.where, r"^test_client_expectations\.py:\d+$")
        self.assertEqual((some.count, some.is_met, every.is_met), (0, False, True))
        self.ask(b"STAT", b"STAT", b"STAT")
        self.assertEqual((some.count, some.is_met, every.count), (2, True, 1))

    def test_some_are_removed(self) -> None:
        """The others stay, with what has come; without arguments, all is gone."""
        one, two = self.client.expect("a").reply("A"), self.client.expect("b").reply("B")
        self.ask(b"b", b"NOOP")
        self.client.clear(one)
        self.client.verify()
        self.assertEqual(two.count, 1)
        with self.assertRaisesRegex(ValueError, "expected an expectation of this service, found"):
            self.client.clear(one)
        self.client.clear()
        self.assertEqual((two.count, self.client.requests()), (0, []))

    def test_variables(self) -> None:
        """They are kept, and templates of those that are added later name them."""
        self.client.on(matches=r"USER (\w+)").set(user="{1}", sign=b"{").reply("+OK")
        self.client.on("WHO").reply(template="{sign}{user}")
        self.assertEqual(self.ask(b"USER ann", b"WHO"), b"+OK\r\n{ann\r\n")
        with self.assertRaisesRegex(ScriptError, r"expectations\.py:\d+: set\.other"):
            self.client.on("x").set(other="{nobody}")

    def test_replies_to_others(self) -> None:
        """They are sent to clients in a state, this one included."""
        self.client.on("in").goto("inside").reply("in")
        self.client.on("all", when="inside").reply("hello", to="state:inside")
        self.assertEqual(self.ask(b"in", b"all"), b"in\r\nhello\r\n")
        with self.assertRaisesRegex(ScriptError, r"py:\d+: reply\.do\[0\]\.to: expected"):
            self.client.on("x").reply("y", to="nobody")

    def test_events_and_timers(self) -> None:
        """They are answered without a request, which cannot wait then."""
        hello = self.client.on_event("connect", times=1).reply("+OK ready")
        self.client.every(0.01, jitter=0.01, times=1).reply("tick")
        self.assertEqual((hello.times, hello.is_met), (None, True))
        address = ("127.0.0.1", self.server.port)
        with socket.create_connection(address, PATIENCE) as client:
            received = client.makefile("rb").read(17)
        self.assertEqual(received, b"+OK ready\r\ntick\r\n")
        for wrong, problem in (
            (
                self.client.every(60).hold,
                r"hold: expected no hold: there is no request on timer",
            ),
            (lambda: self.client.on_event("connected"), r"on_event\.on: expected"),
            (lambda: self.client.every(0), r"every: expected seconds >= 0.001"),
        ):
            with self.assertRaisesRegex(ScriptError, rf"expectations\.py:\d+: {problem}"):
                wrong()


class TableTests(SynchronousTestCase):
    """What is sent for an expectation."""

    def test_its_name(self) -> None:
        """It is the line of the test, without what a name cannot have."""
        found = expectation_table("on", "a", {}, None, "a(1) [b].py:1")
        self.assertEqual(found["name"], "a1 b.py:1")

    def test_wrong_predicates(self) -> None:
        """An unknown one is refused here, and a wrong value by the server."""
        with self.assertRaisesRegex(TypeError, "unknown predicate 'starts_wth'; did you mean"):
            expectation_table("on", None, {"starts_wth": "x"}, None, "a:1")
        table = expectation_table("on", None, {"contains": 5}, None, "a:1")
        self.assertEqual(table["contains"], 5)
