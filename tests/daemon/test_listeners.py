"""Listeners: opening endpoints, and one clear line if that fails."""

from errno import EADDRINUSE, ENOENT
from typing import Any

from twisted.internet.protocol import Factory
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.listeners import CannotStart, Listener, listen
from tests.support.listening import FakeEndpoint, FakePort, logged_events, text_of
from tests.support.process_state import standard_error


class ListenTests(SynchronousTestCase):
    """Opening one endpoint."""

    def refusal(self, result: Any) -> str:
        """Return the line, on standard error and in the log, with which listening fails."""
        events = logged_events(self)
        listener = Listener("it", FakeEndpoint(result))
        # twistd has replaced sys.stderr by its log at that time.
        with standard_error() as printed:
            error = self.assertRaises(CannotStart, listen, listener, Factory(), self.fail)
            # Before a program begins to log, Twisted prints critical events, too.
            [line] = {*printed().splitlines()}
        self.assertEqual(error.code, 1)
        self.assertEqual([text_of(event) for event in events], [line])
        return line

    def test_system_error(self) -> None:
        """An error of the operating system is shown without its number."""
        self.assertEqual(
            self.refusal(OSError(ENOENT, "No such file or directory", "/no/such")),
            "reqresp: cannot listen on it: No such file or directory",
        )

    def test_other_error(self) -> None:
        """Any other error is shown as it is."""
        self.assertEqual(
            self.refusal(OverflowError("port must be 0-65535.")),
            "reqresp: cannot listen on it: port must be 0-65535.",
        )

    def test_error_without_words(self) -> None:
        """An error without a text is named by its type."""
        self.assertEqual(
            self.refusal(OverflowError()), "reqresp: cannot listen on it: OverflowError"
        )

    def test_error_raised_at_once(self) -> None:
        """An endpoint that raises instead of returning a Deferred is reported, too."""
        self.assertEqual(self.refusal(lambda: ValueError("no")), "reqresp: cannot listen on it: no")

    def test_end_without_traceback(self) -> None:
        """Python exits without a traceback, and twistd cleans up as after any exception."""
        self.assertTrue(issubclass(CannotStart, SystemExit))
        self.assertTrue(issubclass(CannotStart, Exception))

    def test_the_option(self) -> None:
        """A port that an option alone asks for is named with it; one line is enough."""
        events = logged_events(self, LogLevel.critical)
        broken = FakeEndpoint(OSError(EADDRINUSE, "Address already in use"))
        listener = Listener("127.0.0.1:8474", broken, serves="control")
        expected = "reqresp: --control: cannot listen on 127.0.0.1:8474: Address already in use"
        for is_log_seen, logged in ((True, []), (False, [expected])):
            with standard_error() as printed:
                with self.assertRaises(CannotStart):
                    listen(listener, Factory(), self.fail, is_log_seen=is_log_seen)
                self.assertIn(expected, printed())
            self.assertEqual([text_of(it) for it in events], logged)

    def test_its_own_factory(self) -> None:
        """An endpoint with a factory of its own is served by that factory."""
        own, general = Factory(), Factory()
        for factory, expected in ((None, general), (own, own)):
            endpoint = FakeEndpoint(FakePort())
            listen(Listener("it", endpoint, factory), general, self.fail)
            self.assertEqual(endpoint.factories, [expected])

    def test_listening_everywhere(self) -> None:
        """Listening on all interfaces without TLS is warned of; one interface, or TLS, is not."""
        everywhere = "0.0.0.0"  # noqa: S104
        for host, is_private, warns in (
            (everywhere, False, True),
            ("::", False, True),
            ("127.0.0.1", False, False),
            ("::1", False, False),
            (everywhere, True, False),
        ):
            events = logged_events(self, LogLevel.warn)
            listener = Listener("it", FakeEndpoint(FakePort(host=host)), is_private=is_private)
            listen(listener, Factory(), self.fail)
            warnings = [text_of(event).partition(":")[0] for event in events]
            self.assertEqual(warnings, ["listening on it"] if warns else [], host)
