"""What answers the clients of a service, in a few words; `test_service` has all kinds."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp.services.answers import Loaded
from reqresp.services.definition import Definition, FixedReply, Forwarded
from reqresp.services.summary import MAX_SHOWN, summary_of


class SummaryTests(SynchronousTestCase):
    """A summary is one short line."""

    def test_a_long_reply(self) -> None:
        """Of a reply, the beginning is shown, with escapes."""
        found = summary_of(Definition(answering=FixedReply(b"\n" * 1000)), Loaded())
        self.assertEqual(found, "answers " + r"\n" * (MAX_SHOWN // 2))

    def test_an_upstream_of_options(self) -> None:
        """Nothing but an address is needed."""
        definition = Definition(answering=Forwarded(), upstream={"address": ("::1", 5)})
        self.assertEqual(summary_of(definition, Loaded()), "forwards to [::1]:5")
