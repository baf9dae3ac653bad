"""Entries: the events of a server's past, and their form as JSON."""

import base64
import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from reqresp import (
    Abort,
    Answered,
    Changed,
    Close,
    Command,
    Connected,
    Disconnected,
    Exchange,
    Failed,
    Faulted,
    HalfClose,
    Hang,
    Incomplete,
    Refused,
    Request,
    Send,
    Sent,
    Steps,
    StopReading,
    Unanswered,
    Unasked,
    Wait,
    as_json,
)
from reqresp.exchanges import UNMATCHED
from reqresp.faults import Direction
from reqresp.journal import Entry, Passed, UpstreamEnded, UpstreamFailed, UpstreamOpened
from reqresp.script.compiler import compile_script
from reqresp.script.files import ScriptFiles
from reqresp.script.reader import Reader
from reqresp.script.rule import CLOSES
from reqresp.steps import Broadcast, FaultEffect, Forward

PEER = IPv4Address("TCP", "192.0.2.1", 1234)


def request(data: bytes = b"a") -> Request:
    return Request(data, PEER, 3, 7)


def answered(
    steps: Steps = (), data: bytes = b"a", by: str = "rule[0]", injected: tuple[str, ...] = ()
) -> Answered:
    return Answered(1.5, 2.5, Exchange(request(data), steps, by, injected))


#: Any bytes, and any text as UTF-8.
BYTES = st.binary() | st.text().map(str.encode)
STEPS = st.lists(
    st.builds(Send, BYTES, st.booleans())
    | st.builds(Wait, st.floats(0, 1000))
    | st.sampled_from([StopReading()])
).map(tuple)


def as_bytes(value: Any) -> bytes:
    """Return the bytes that a line of JSON stands for."""
    if isinstance(value, str):
        return value.encode()
    return base64.b64decode(value["base64"])


class JsonTests(SynchronousTestCase):
    """An entry as a dict for JSON."""

    def test_comings_and_goings(self) -> None:
        """Each entry of a connection has its time, its client and, if there is one, its reason."""
        who = {"connection": 3, "peer": "192.0.2.1:1234"}
        cases: dict[Any, dict[str, Any]] = {
            Connected(1.5, PEER, 3): {"event": "connected", "at": 1.5} | who,
            Refused(1.5, PEER, "full"): {
                "event": "refused",
                "at": 1.5,
                "peer": "192.0.2.1:1234",
                "reason": "full",
            },
            Failed(1.5, PEER, 3, "no"): {"event": "failed", "at": 1.5, **who, "reason": "no"},
            Incomplete(1.5, PEER, 3, b"STAT", "no line end"): {
                "event": "incomplete",
                "at": 1.5,
                **who,
                "request": "STAT",
                "missing": "no line end",
            },
            Sent(1.5, PEER, 3, b"+OK", Unasked.GREETING): {
                "event": "sent",
                "at": 1.5,
                **who,
                "data": "+OK",
                "by": "greeting",
            },
            Changed(1.5, "script: 2 rules"): {
                "event": "changed",
                "at": 1.5,
                "what": "script: 2 rules",
            },
            UpstreamOpened(1.5, PEER, 3): {"event": "upstream_opened", "at": 1.5, **who},
            UpstreamFailed(1.5, PEER, 3, "it"): {
                "event": "upstream_failed",
                "at": 1.5,
                **who,
                "reason": "it",
            },
            Passed(1.5, PEER, 3, Direction.DOWNSTREAM, b"+OK"): {
                "event": "passed",
                "at": 1.5,
                **who,
                "stream": "downstream",
                "data": "+OK",
            },
            Passed(1.5, PEER, 3, Direction.UPSTREAM, b""): {
                "event": "passed",
                "at": 1.5,
                **who,
                "stream": "upstream",
                "eof": True,
            },
            UpstreamEnded(1.5, PEER, 3, "it"): {
                "event": "upstream_ended",
                "at": 1.5,
                **who,
                "reason": "it",
            },
            Faulted(1.5, PEER, 3, Direction.UPSTREAM, "slow"): {
                "event": "faulted",
                "at": 1.5,
                **who,
                "stream": "upstream",
                "faults": ["slow"],
            },
            Disconnected(1.5, PEER, 3, "it"): {
                "event": "disconnected",
                "at": 1.5,
                **who,
                "reason": "it",
            },
        }
        for entry, expected in cases.items():
            self.assertEqual(as_json(entry), expected)

    def test_an_exchange(self) -> None:
        """An answered request has its times, its bytes, its rule and its steps."""
        self.assertEqual(
            as_json(answered((Send(b"b"), Close()))),
            {
                "event": "answered",
                "at": 1.5,
                "sent": 2.5,
                "connection": 3,
                "peer": "192.0.2.1:1234",
                "number": 7,
                "request": "a",
                "by": "rule[0]",
                "steps": [{"send": "b"}, {"close": True}],
            },
        )

    def test_an_unanswered_request(self) -> None:
        """An unanswered request has the keys of a request and none of a reply."""
        self.assertEqual(
            as_json(Unanswered(1.5, request())),
            {
                "event": "unanswered",
                "at": 1.5,
                "connection": 3,
                "peer": "192.0.2.1:1234",
                "number": 7,
                "request": "a",
            },
        )

    def test_faults(self) -> None:
        """The faults that changed the reply are named."""
        self.assertEqual(
            as_json(answered(injected=("slicer", "abort")))["faults"], ["slicer", "abort"]
        )
        self.assertNotIn("faults", as_json(answered()))

    def test_what_faults_have_made_of_a_reply(self) -> None:
        """Their delay, the sizes of slices and other bytes are written where there are any."""
        effect = FaultEffect(delay=0.25, slices=(4, 1), data=b"\xff1234")
        entry = Answered(1.5, 2.5, Exchange(request(), (), "", ("slicer",), effect))
        written = as_json(entry, max_bytes=3)
        self.assertEqual((written["delayed"], written["slices"]), (0.25, [4, 1]))
        self.assertEqual(written["altered"], {"base64": "/zE=", "size": 5, "truncated": True})
        entry = Answered(1.5, 2.5, Exchange(request(), (), "", ("corrupt",), FaultEffect()))
        self.assertFalse({"delayed", "slices", "altered"} & as_json(entry).keys())

    def test_a_miss(self) -> None:
        """A request that no rule answered is marked, whatever answered it."""
        miss = answered((Send(b"what?"),), by=UNMATCHED)
        self.assertTrue(miss.is_miss)
        self.assertIs(as_json(miss)["miss"], True)
        self.assertFalse(answered().is_miss)
        self.assertNotIn("miss", as_json(answered()))

    def test_misses_are_named_by_rules(self) -> None:
        """Rules and entries use the same name for what answers unmatched requests."""
        self.assertEqual(CLOSES.name, UNMATCHED)

    def test_bytes(self) -> None:
        """Bytes in UTF-8 are written as text, other bytes as base64."""
        for data, expected in {
            b"": "",
            "ä\n\0".encode(): "ä\n\0",
            b"\xff": {"base64": "/w=="},
            b"\xed\xa0\x80": {"base64": "7aCA"},  # a surrogate, which UTF-8 does not allow
        }.items():
            self.assertEqual(as_json(Unanswered(0, request(data)))["request"], expected)
            self.assertEqual(as_json(answered((Send(data),)))["steps"], [{"send": expected}])

    def test_raw_bytes(self) -> None:
        """Bytes that were sent without framing are marked as raw, as in a script."""
        steps = as_json(answered((Send(b"a", raw=True), Send(b"\xff", raw=True))))["steps"]
        self.assertEqual(
            steps,
            [{"send": {"text": "a", "raw": True}}, {"send": {"base64": "/w==", "raw": True}}],
        )

    def test_an_entry_that_is_too_large_ends_early(self) -> None:
        """It holds so many bytes in all, then the sizes of what is left out, marked."""
        entry = answered((Send(b"reply"), Wait(1), Send(b"more", raw=True)), data=b"request")
        whole = as_json(entry)
        self.assertEqual(as_json(entry, max_bytes=16), whole)
        line = as_json(entry, max_bytes=9)
        self.assertEqual(line["request"], {"text": "reque", "size": 7, "truncated": True})
        self.assertEqual(
            line["steps"],
            [
                {"send": {"text": "repl", "size": 5, "truncated": True}},
                {"wait": 1},
                {"send": {"text": "", "size": 4, "truncated": True, "raw": True}},
            ],
        )

    def test_a_large_request_leaves_room_for_its_reply(self) -> None:
        """A reply has up to half of the bytes, however long its request is, and needs no more."""
        replies: Steps = (Send(b"ok"), Broadcast(b"ok"), Forward(b"ok"))
        for step in replies:
            line = as_json(answered((step,), data=b"request"), max_bytes=8)
            self.assertEqual(line["request"], {"text": "reques", "size": 7, "truncated": True})
            [written] = line["steps"]
            self.assertIn("ok", written.values())
            line = as_json(answered((step,), data=b"request"), max_bytes=9)
            self.assertEqual(line["request"], "request")
        line = as_json(answered((Send(b"x" * 5000),), data=b"y" * 5000), max_bytes=2048)
        self.assertEqual(len(line["request"]["text"]), 1024)
        self.assertEqual(len(line["steps"][0]["send"]["text"]), 1024)

    def test_a_cut_within_a_character(self) -> None:
        """The character is left out; what is not UTF-8 is base64, cut or not."""
        for data, most, kept in (
            ("aäb".encode(), 2, {"text": "a"}),
            ("äb".encode(), 2, {"text": "ä"}),
            (b"\xffab", 2, {"base64": "/2E="}),
        ):
            self.assertEqual(
                as_json(Unanswered(0, request(data)), most)["request"],
                kept | {"size": len(data), "truncated": True},
            )

    def test_a_command_of_redis(self) -> None:
        """A RESP command is written as rules see it, and as it came if there is room."""
        raw = b"*1\r\n$4\r\nPING\r\n"
        came = Request(Command(b"PING", raw), PEER, 3, 7)
        exchange = Exchange(came, (Send(b"+PONG"),))
        entries: list[Entry] = [Answered(1.5, 2.5, exchange), Unanswered(1.5, came)]
        for entry in entries:
            line = as_json(entry)
            self.assertEqual((line["request"], line["received"]), ("PING", raw.decode()))
        line = as_json(Answered(1.5, 2.5, exchange), max_bytes=10)
        self.assertEqual((line["request"], line["steps"]), ("PING", [{"send": "+PONG"}]))
        self.assertEqual(line["received"], {"text": "*", "size": 14, "truncated": True})
        self.assertNotIn("received", as_json(answered()))

    def test_every_step(self) -> None:
        """A step without parameters is written as true."""
        steps = (Wait(0.5), HalfClose(), Abort(), Hang(), StopReading())
        self.assertEqual(
            as_json(answered(steps))["steps"],
            [
                *({"wait": 0.5}, {"half_close": True}, {"abort": True}, {"hang": True}),
                {"stop_reading": True},
            ],
        )

    @given(BYTES, STEPS, st.sampled_from([(), (Close(),), (HalfClose(),), (Abort(),), (Hang(),)]))
    def test_nothing_is_lost(self, data: bytes, steps: Steps, end: Steps) -> None:
        """A line contains all bytes of a request, and its steps work in a script."""
        steps = (Wait(0), *steps, *end)
        line = json.loads(json.dumps(as_json(answered(steps, data))))
        self.assertEqual(as_bytes(line["request"]), data)
        script = {"framing": "chunk", "rule": [{"do": line["steps"]}]}
        fields = compile_script(script, Reader("", lambda _path: None), ScriptFiles(Path()))
        [rule] = fields["rules"].rules
        self.assertEqual([reply.steps for reply in rule.replies], [steps])
