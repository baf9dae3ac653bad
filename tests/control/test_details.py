"""Details: an entry whole, with what explains it."""

from typing import Any

from reqresp.control.details import MAX_SCANNED, describe_details
from tests.support.controlled import Controlled
from tests.support.live import temporary


class StateTests(Controlled):
    """The state in which a request was answered."""

    def test_the_earlier_requests(self) -> None:
        """The state follows from the earlier requests of the same connection alone."""
        first, second = self.connect(), self.connect()
        for wire, data in ((first, b"DATA\n"), (second, b"nonsense\n"), (first, b"x\n")):
            wire.send(data)
        service = self.services["smtp"]
        first_number, entries = service.journal.since(1)
        states = {
            details["request"]: details["state"]
            for number, entry in enumerate(entries, first_number)
            if "request" in (details := describe_details(service, number, entry))
        }
        self.assertEqual(states, {"DATA": "start", "nonsense": "start", "x": "data"})

    def test_after_the_journal_was_cleared(self) -> None:
        """What follows an entry does not count among what was before it."""
        self.converse(b"hello\n", b"hello\n")
        service = self.services["smtp"]
        service.journal.clear()
        self.converse(b"nonsense\n", b"DATA\n", b"x\n")
        first_number, entries = service.journal.since(1)
        states = [
            details["state"]
            for number, entry in enumerate(entries, first_number)
            if "request" in (details := describe_details(service, number, entry))
        ]
        self.assertEqual(states, ["start", "start", "data"])

    def test_a_long_conversation(self) -> None:
        """Only so many entries are looked through."""
        self.converse(b"DATA\n", b"x\n" * (MAX_SCANNED + 10))
        service = self.services["smtp"]
        number = service.journal.position - 1
        [entry] = service.journal.since(number)[1]
        self.assertEqual(describe_details(service, number, entry)["state"], "start")

    def test_a_service_without_rules(self) -> None:
        """A fixed reply has no rule to explain it."""
        self.converse(b"hello", name="fixed")
        service = self.services["fixed"]
        number = service.journal.position - 1
        [entry] = service.journal.since(number)[1]
        details = describe_details(service, number, entry)
        self.assertEqual((details["rule"], details["explain"]), (None, ""))
        self.assertEqual(details["wire"], {"request": "hello", "reply": "yes"})


class WireTests(Controlled):
    """The bytes as they came and left."""

    services_text = r"""
[[service]]
name = "mail"
listen = "tcp:2525:interface=127.0.0.1"
framing = "line"

[service.state.data]
framing = 'delimiter:\r\n.\r\n'
reply_framing = "netstring"

[[service.rule]]
equals = "DATA"
reply = "354 go"
goto = "data"

[[service.rule]]
when = "data"
reply = "250 queued"

[[service]]
name = "slow"
listen = "tcp:2526:interface=127.0.0.1"
framing = "netstring"

[[service.rule]]
reply = "late"
delay = 60

[[service]]
name = "replay"
listen = "tcp:2527:interface=127.0.0.1"
replay = "{replay}"
"""

    def setUp(self) -> None:
        recording = temporary(self) / "it.rec"
        recording.write_text("# reqresp recording 1\n> a\\n\n< b\\n\n", encoding="utf-8")
        self.services_text = self.services_text.replace("{replay}", str(recording))
        super().setUp()

    def shown(self, name: str) -> list[tuple[Any, Any]]:
        """Return request and reply on the wire of each entry of a service that has a request."""
        service = self.services[name]
        first, entries = service.journal.since(1)
        details = [describe_details(service, *it) for it in enumerate(entries, first)]
        wires = [it["wire"] for it in details if "request" in it]
        return [(it["request"], it["reply"]) for it in wires]

    def test_the_framing_of_the_state(self) -> None:
        """Request and reply have the framing of the state in which the request came."""
        wire = self.connect("mail")
        wire.send(b"DATA\r\n", b"hi\r\n.\r\n")
        self.assertEqual(wire.received(), b"354 go\r\n10:250 queued,")
        expected = [("DATA\r\n", "354 go\r\n"), ("hi\r\n.\r\n", "10:250 queued,")]
        self.assertEqual(self.shown("mail"), expected)

    def test_a_request_without_a_reply(self) -> None:
        """An unanswered request is framed as others are."""
        self.converse(b"4:wait,", name="slow").reset()
        self.reactor.advance(0)
        self.assertEqual(self.shown("slow"), [("4:wait,", None)])

    def test_a_replay(self) -> None:
        """A replay needs no framing: what came and left is known."""
        wire = self.converse(b"a\n", name="replay")
        self.assertEqual(wire.received(), b"b\n")
        self.assertEqual(self.shown("replay"), [("a\n", "b\n")])
