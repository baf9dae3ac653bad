"""Details: an entry whole, with what explains it."""

from reqresp.control.details import MAX_SCANNED, describe_details
from tests.support.controlled import Controlled


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
