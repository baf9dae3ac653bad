"""Controlled: a test case with services in memory, and the site that controls them."""

from pathlib import Path
from typing import Any

from reqresp.control.control_site import make_control_site
from reqresp.services.environment import Environment
from reqresp.services.reading import parse_services
from reqresp.services.registry import Services
from tests.support.asked import Answer, Asked, parse_answer
from tests.support.wire import FakeReactor, Wire

#: A service with rules in two states, and one with a fixed reply.
SERVICES = """\
[[service]]
name = "smtp"
listen = "tcp:2525:interface=127.0.0.1"
framing = "line"
greeting = "220 ready"
unmatched = "500 what?"

[[service.rule]]
name = "hello"
starts_with = "EHLO "
reply = "250 hello"

[[service.rule]]
equals = "DATA"
reply = "354 go"
goto = "data"

[[service.rule]]
when = "data"
equals = "."
reply = "250 queued"
goto = "start"

[[service]]
name = "fixed"
listen = "tcp:2526:interface=127.0.0.1"
enabled = false
response = "yes"
"""


class Controlled(Asked):
    """A site that controls services in memory, which are those of *services*."""

    services_text = SERVICES
    token: str | None = None

    def make_site(self) -> Any:
        definitions = parse_services(self.services_text, "services.toml", Path())
        environment = Environment(reactor=self.reactor, keeps_journal=True, has_counters=True)
        self.services = Services(environment)
        for definition in definitions:
            self.successResultOf(self.services.create(definition))
        return make_control_site(
            self.services,
            clock=self.reactor,
            pages={"/healthz": lambda _request: (200, b"ok\n", "text/plain")},
            token=self.token,
            now=lambda: 1000.0,
        )

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.services.close_ports)

    def connect(self, name: str = "smtp") -> Wire:
        """Return a client of a service."""
        return Wire(self.services[name].factory, self.reactor)

    def converse(self, *requests: bytes, name: str = "smtp") -> Wire:
        """Send *requests* on a new connection, each in a read of its own; return its client."""
        wire = self.connect(name)
        wire.send(*requests)
        return wire

    def get(self, path: str) -> Any:
        """Return the JSON of a path that exists."""
        found = self.ask("GET", path)
        self.assertEqual(found.status, 200, found.data)
        return found.json

    def assert_refused(self, found: Answer, status: int, error: str) -> None:
        """Assert that a request was refused with this status and one line."""
        self.assertEqual((found.status, found.error), (status, error))


__all__ = ["SERVICES", "Controlled", "FakeReactor", "parse_answer"]
