"""Summary: how much a script has of what."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp.script import Script
from reqresp.script.summary import summarize, summarize_rules


class SummaryTests(SynchronousTestCase):
    """One line about a script."""

    def test_rules(self) -> None:
        """Rules, states, framings and faults are counted and named."""
        script = Script.parse(
            "reply_framing = 'netstring'\n[[rule]]\nequals = 'a'\nreply = 'b'\ngoto = 'c'\n"
            "[[rule]]\nwhen = 'c'\nreply = 'd'\nfaults = [{ kind = 'latency', delay = 1 }]\n"
        )
        self.assertEqual(
            summarize(script), "2 rules in 2 states, framing line, replies netstring, 1 fault"
        )
        self.assertEqual(summarize_rules(script), "2 rules in 2 states")

    def test_a_relay(self) -> None:
        """A relay has a service instead of rules."""
        script = Script.parse("[upstream]\naddress = '127.0.0.1:6379'")
        self.assertEqual(summarize(script), "relay to 127.0.0.1:6379, 0 faults")

    def test_how_clients_connect(self) -> None:
        """It is named unless clients are accepted at once."""
        for accept, expected in (
            ('"now"', ""),
            ('"hold"', ", accept hold"),
            ("{ after = 2.5 }", ", accept after 2.5 s"),
        ):
            script = Script.parse(f"accept = {accept}\nrule = [{{ reply = 'a' }}]")
            self.assertEqual(
                summarize(script), f"1 rule in 1 state, framing line, 0 faults{expected}"
            )
