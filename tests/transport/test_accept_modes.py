"""What happens to clients that connect, as a script, a service and a test write it."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from reqresp import Accept, AcceptAfter, Script
from reqresp._errors import FieldError, ProblemsError
from reqresp.services.answers import accept_mode_of, load
from reqresp.services.reading import parse_services
from reqresp.transport.accept_modes import AcceptMode, accept_mode
from tests.support import live

SERVICE = '[[service]]\nname = "it"\nlisten = 1\n'


class WrittenTests(SynchronousTestCase):
    """A mode by its name or its seconds."""

    def test_modes(self) -> None:
        """A mode is found by its name, or is returned as it is."""
        self.assertIs(accept_mode("hold"), Accept.HOLD)
        self.assertIs(accept_mode(Accept.LATE), Accept.LATE)
        self.assertEqual(accept_mode(after=2), AcceptAfter(2))

    def test_seconds_out_of_range(self) -> None:
        """The error has the range."""
        for seconds in (-1, 3601, float("nan")):
            with self.assertRaisesRegex(FieldError, "^after: expected seconds from 0 to 3600"):
                AcceptAfter(seconds)

    def test_scripts(self) -> None:
        """A script says the mode, with rules and as a relay; the default is to accept."""
        expected: dict[str, AcceptMode] = {
            'accept = "refuse"': Accept.REFUSE,
            "accept = { after = 1.5 }": AcceptAfter(1.5),
            'accept = "late"\nupstream = { address = "127.0.0.1:1" }': Accept.LATE,
            "": Accept.NOW,
        }
        for text, mode in expected.items():
            self.assertEqual(Script.parse(text).accept, mode, text)

    def test_wrong_scripts(self) -> None:
        """The error names the key and its line."""
        for text, message in (
            ('accept = "never"', 'script:1: accept: expected "now" or "late"'),
            ("accept = { after = -1 }", "script:1: accept.after: expected seconds from 0 to 3600"),
            ("accept = { for = 1 }", "script:1: accept.for: unknown key"),
        ):
            with self.assertRaises(ProblemsError) as caught:
                Script.parse(text)
            self.assertIn(message, str(caught.exception))

    def test_services(self) -> None:
        """A service says it with whatever answers, and replaces what its script says."""
        directory = live.temporary(self)
        (directory / "it.toml").write_text('accept = "late"\nrule = [{ reply = "a" }]')
        expected: dict[str, AcceptMode] = {
            'script = "it.toml"': Accept.LATE,
            'script = "it.toml"\naccept = "hold"': Accept.HOLD,
            'response = "a"\naccept = { after = 1 }': AcceptAfter(1),
            'accept = "refuse"\nrule = [{ reply = "a" }]': Accept.REFUSE,
            "": Accept.NOW,
        }
        for keys, mode in expected.items():
            definition = parse_services(SERVICE + keys, "it", Path(directory))[0]
            found = accept_mode_of(definition, load(definition).script)
            self.assertEqual(found, mode, keys)
