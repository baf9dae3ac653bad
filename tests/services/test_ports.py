"""The ports of one service, opened and closed together."""

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from reqresp.services.errors import ListenError
from reqresp.services.ports import Listener, Ports, open_port
from tests.support.listening import FakeEndpoint, FakePort, logged_events, text_of
from tests.support.wire import FakeReactor


class RunningReactor(FakeReactor):
    """A reactor that runs."""

    def callWhenRunning(self, callable: Any, *args: Any, **kw: Any) -> None:  # noqa: A002, Twisted's
        """Call it at once; that of Twisted before 26.4 does not."""
        callable(*args, **kw)


class PortsTests(SynchronousTestCase):
    """Several listeners."""

    def ports(self, *results: Any, name: str = "") -> Ports:
        """Return ports of endpoints with these *results*."""
        listeners = [Listener("it", FakeEndpoint(it)) for it in results]
        return Ports(listeners, Factory(), RunningReactor(), name)

    def test_open_and_close(self) -> None:
        """All are opened, each with a line in the log, and all are closed."""
        made = [FakePort(), FakePort(host="::1")]
        ports = self.ports(*made, name="smtp")
        events = logged_events(self, LogLevel.info)
        for _ in range(2):
            self.successResultOf(ports.open())
        self.assertEqual(ports.addresses, ("127.0.0.1:9999", "[::1]:9999"))
        self.assertEqual(
            [text_of(it) for it in events],
            ["Listening on 127.0.0.1:9999 for smtp", "Listening on [::1]:9999 for smtp"],
        )
        self.assertTrue(ports.is_open)
        self.successResultOf(ports.close())
        self.assertEqual((ports.addresses, ports.is_open), ((), False))
        self.assertEqual([it.open for it in made], [False, False])

    def test_a_port_that_the_system_chose(self) -> None:
        """It is that of the ports that follow, too; a number that was given is their own."""

        def made(name: str, port: FakePort) -> Ports:
            chosen = Listener(name, FakeEndpoint(port), on_port=lambda _: FakeEndpoint(port))
            return Ports([chosen, Listener(name, FakeEndpoint(port))], Factory(), FakeReactor())

        first, second = made("first", FakePort()), made("second", FakePort(host="::1"))
        self.successResultOf(first.open())
        second.follow(first)
        self.assertEqual([it.name for it in second.listeners], ["127.0.0.1:9999", "second"])

    def test_one_cannot_listen(self) -> None:
        """The others are closed, and the reason is one line."""
        port = FakePort()
        ports = self.ports(port, OSError(13, "Permission denied"))
        failure = self.failureResultOf(ports.open(), ListenError)
        self.assertEqual(str(failure.value), "cannot listen on it: Permission denied")
        self.assertFalse(port.open)

    def test_closed_while_it_opens(self) -> None:
        """An attempt that takes time is cancelled."""
        opening: Deferred[Any] = Deferred()
        ports = self.ports(opening)
        opened = ports.open()
        self.assertNoResult(opened)
        self.successResultOf(ports.open())
        self.successResultOf(ports.close())
        self.failureResultOf(opened, CancelledError)

    def test_opened_and_closed_while_it_closes(self) -> None:
        """The last call decides whether it listens, whatever the calls before it were."""
        for calls, is_open in (
            ("open", True),
            ("open open", True),
            ("open close", False),
            ("open close open", True),
            ("open close open close", False),
        ):
            closed: Deferred[None] = Deferred()
            endpoint = FakeEndpoint(FakePort(closed))
            ports = Ports([Listener("it", endpoint)], Factory(), FakeReactor())
            self.successResultOf(ports.open())
            closing = ports.close()
            results = [getattr(ports, call)() for call in calls.split()]
            for result, then in zip(results, calls.split()[1:], strict=False):
                if then == "close":
                    self.failureResultOf(result, CancelledError)
            self.assertNoResult(closing)
            endpoint.result.closed = None
            closed.callback(None)
            self.successResultOf(closing)
            for result in results:
                self.assertTrue(result.called, calls)
            self.assertEqual(ports.is_open, is_open, calls)
            # One listens at most, and only if it is known to.
            self.assertEqual(len(endpoint.factories), 1 + is_open, calls)
            self.successResultOf(ports.close())
            self.assertFalse(ports.is_open)

    def test_closed_while_one_of_two_has_opened(self) -> None:
        """That one is closed."""
        port = FakePort()
        ports = self.ports(port, Deferred())
        opened = ports.open()
        self.successResultOf(ports.close())
        self.failureResultOf(opened, CancelledError)
        self.assertEqual((port.open, ports.addresses), (False, ()))

    def test_close_waits(self) -> None:
        """It is done when the ports are closed."""
        closed: Deferred[None] = Deferred()
        ports = self.ports(FakePort(closed))
        self.successResultOf(ports.open())
        closing = ports.close()
        self.assertNoResult(closing)
        closed.callback(None)
        self.successResultOf(closing)

    def test_a_warning_about_all_interfaces(self) -> None:
        """Without TLS, who can connect is logged."""
        for is_private, count in ((False, 1), (True, 0)):
            events = logged_events(self, LogLevel.warn)
            listener = Listener(
                "it",
                FakeEndpoint(FakePort(host="0.0.0.0")),  # noqa: S104
                is_private=is_private,
            )
            self.successResultOf(open_port(listener, Factory()))
            self.assertEqual(len(events), count)
