"""Lines of the request log: how requests, replies and rules are shown to people."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Abort, Close, HalfClose, Hang, Send, StopReading, Unanswered, Wait
from reqresp.exchanges import Exchanges
from reqresp.faults import Direction
from reqresp.journal.entries import (
    Changed,
    Connected,
    Failed,
    Faulted,
    Incomplete,
    Refused,
    Sent,
)
from reqresp.journal.lines import MAX_SEARCH_SECONDS, PlainLines
from reqresp.server.observers import Unasked
from reqresp.steps import Request, RuleReply, Steps
from tests.support.streams import PROPERTY

PEER = IPv4Address("TCP", "192.0.2.1", 1111)


def written(
    *steps: Steps, requests: Sequence[bytes] = (b"a",), lines: PlainLines | None = None
) -> list[str]:
    """Return the lines for *requests*, each answered with the steps at its place."""
    exchanges = Exchanges(PEER, 1, 1, requests, lambda _requests: steps)
    return [*(lines or PlainLines(Clock().seconds)).answers(exchanges, 0.0, 0.0)]


class ReplyTests(SynchronousTestCase):
    """The reply in a line."""

    def shown(self, *steps: Any) -> str:
        [line] = written(steps)
        return line.removeprefix("#1 < 'a'  > ")

    def test_steps(self) -> None:
        """All steps are shown, by their names in messages."""
        for steps, text in (
            ((), "silence"),
            ((Send(b"A"),), "'A'"),
            ((Send(b"A"), Send(b"\xff", raw=True)), r"'A', '\xff' raw"),
            ((Wait(0.5), Send(b"A"), Close()), "wait 0.5 s, 'A', close"),
            ((HalfClose(),), "half-close"),
            ((Abort(),), "reset"),
            ((StopReading(), Hang()), "stop reading, hang"),
        ):
            self.assertEqual(self.shown(*steps), text)

    def test_long_replies_are_cut(self) -> None:
        """A thousand and 24 bytes of a reply are shown, and the size of what is cut."""
        self.assertEqual(self.shown(Send(b"x" * 1024)), f"'{'x' * 1024}'")
        self.assertEqual(self.shown(Send(b"x" * 1025)), f"'{'x' * 1024}'... (1025 bytes)")
        self.assertEqual(
            self.shown(Send(b"x" * 1000), Send(b"y" * 30), Send(b"z")),
            f"'{'x' * 1000}', '{'y' * 24}'... (30 bytes), ''... (1 bytes)",
        )

    def test_many_steps_are_cut(self) -> None:
        """Sixteen steps of a reply are shown, and how many there are."""
        self.assertEqual(self.shown(*[Send(b"x")] * 16), ", ".join(["'x'"] * 16))
        self.assertEqual(
            self.shown(*[Send(b"x")] * 17), ", ".join(["'x'"] * 16) + ", ... (17 steps)"
        )

    def test_rules_and_faults(self) -> None:
        """The place of a rule and the names of faults follow the reply."""
        steps = (Send(b"A"),)
        for reply, text in (
            (RuleReply(steps, "stat", place="stat, rule[3], line 12"), "stat, rule[3], line 12"),
            (
                RuleReply(steps, "r", injected=("latency", "slicer"), place="rule[0]"),
                "rule[0]; faults: latency, slicer",
            ),
            (RuleReply(steps, "respond", injected=("slicer",)), "faults: slicer"),
        ):
            self.assertEqual(written(reply), [f"#1 < 'a'  > 'A'  ({text})"])
        self.assertEqual(written(RuleReply(steps, "respond")), ["#1 < 'a'  > 'A'"])


class MissTests(SynchronousTestCase):
    """Requests that no rule matches."""

    def test_the_nearest_rule(self) -> None:
        """The line says that no rule matches, what answered, and which rule is nearest."""
        for place, nearest, text in (
            ("unmatched", "", "no rule matches"),
            ("unmatched", "nearest: rule[0]", "no rule matches; nearest: rule[0]"),
            ("unmatched, line 9", "", "no rule matches, unmatched, line 9"),
        ):
            reply = RuleReply((), "unmatched", place=place, explain=lambda it=nearest: it)  # type: ignore[misc]
            self.assertEqual(written(reply), [f"#1 < 'a'  > silence  ({text})"])

    def test_the_search_is_bounded(self) -> None:
        """In each second, nearest rules are searched until ten milliseconds are spent."""
        clock = Clock()
        lines = PlainLines(clock.seconds)

        def explain() -> str:
            clock.advance(MAX_SEARCH_SECONDS / 2)
            return "nearest"

        reply = RuleReply((), "unmatched", place="unmatched", explain=explain)
        shown = written(*[reply] * 4, requests=[b"a"] * 4, lines=lines)
        self.assertEqual(["nearest" in line for line in shown], [True, True, False, False])
        clock.advance(1)
        self.assertIn("nearest", written(reply, lines=lines)[0])
        clock.rightNow -= 3600  # a reactor whose clock is the time of day
        self.assertIn("nearest", written(reply, lines=lines)[0])


class RequestTests(SynchronousTestCase):
    """The request in a line."""

    def shown(self, request: bytes) -> str:
        [line] = written((), requests=[request])
        return line.removeprefix("#1 < ").removesuffix("  > silence")

    def test_long_requests_are_cut(self) -> None:
        """A thousand and 24 bytes of a request are shown, and the size of a longer one."""
        self.assertEqual(self.shown(b"x" * 1024), f"'{'x' * 1024}'")
        self.assertEqual(self.shown(b"x" * 1025), f"'{'x' * 1024}'... (1025 bytes)")

    @PROPERTY
    @given(st.binary(max_size=50), st.binary(max_size=50))
    def test_no_bytes_forge_a_line(self, request: bytes, reply: bytes) -> None:
        """Whatever a request and a reply contain, the line is printable and one line."""
        [line] = written((Send(reply),), requests=[request])
        self.assertTrue(line.isascii() and line.isprintable(), line)
        self.assertTrue(line.startswith("#1 < "))


class ConnectionTests(SynchronousTestCase):
    """Lines about connections."""

    def entry(self, entry: Any) -> list[str]:
        return [*PlainLines(Clock().seconds).entry(entry)]

    def test_addresses(self) -> None:
        """A client that connects is shown with its address, which forges no line."""
        for peer, text in (
            (PEER, "192.0.2.1:1111"),
            (UNIXAddress(None), "a UNIX socket"),
            (UNIXAddress(b"/a\n#1 < 'b'"), r"'/a\n#1 < \'b\''"),
        ):
            address: IAddress = peer
            [line] = self.entry(Connected(1.0, address, 1))
            self.assertEqual(line.splitlines(), [line])
            self.assertTrue(line.startswith("#1 ") and line.endswith(" connected"), line)
            self.assertEqual(text.count("\n"), 0)

    def test_what_the_server_logs_has_no_line(self) -> None:
        """What is refused, fails, is unfinished or changed is logged by the server itself."""
        for entry in (
            Changed(1.0, "fault slow removed"),
            Refused(1.0, PEER, "full"),
            Failed(1.0, PEER, 1, "broken"),
            Incomplete(1.0, PEER, 1, b"a", "no line end"),
        ):
            self.assertEqual(self.entry(entry), [])

    def test_faults_of_a_relay(self) -> None:
        """The line has the fault's name and its direction."""
        entry = Faulted(1.0, PEER, 7, Direction.DOWNSTREAM, "slow")
        self.assertEqual(self.entry(entry), ["#7 downstream  (faults: slow)"])

    def test_what_no_request_asked_for(self) -> None:
        """The line of a greeting or a push says which it is."""
        for by, word in ((Unasked.GREETING, "greeting"), (Unasked.PUSH, "push")):
            entry = Sent(1.0, PEER, 7, b"a\n\xff", by)
            self.assertEqual(self.entry(entry), [rf"#7 > 'a\n\xff'  ({word})"])

    def test_unanswered(self) -> None:
        """A request without a reply says so."""
        request = Request(b"a", PEER, 7, 3)
        self.assertEqual(self.entry(Unanswered(1.0, request)), ["#7 < 'a'  unanswered"])
