"""Expecting: a test case with a server in memory that can have expectations at run time."""

from typing import Any

from twisted.internet.defer import Deferred

from reqresp import Journal, Line, ReqRespFactory, Responder, Script, Table
from reqresp.expectations.live import Expectations
from reqresp.server.config import Source, resolve
from tests.support.scripted import Scripted
from tests.support.wire import Wire


class Expecting(Scripted):
    """Has a server of *source*, a client, and the server's expectations."""

    def serve(self, source: Source | str | None = None, **options: Any) -> Wire:
        """Return a client of a new server; *source* can be the text of a script."""
        if isinstance(source, str):
            source = Script.parse(source)
        if source is None:
            source = Table({b"NOOP": b"+OK"}, otherwise=b"-ERR")
        parts = {name: options.pop(name) for name in ("framing", "faults") if name in options}
        if isinstance(source, Responder):
            parts.setdefault("framing", Line())
        self.journal = journal = Journal()
        self.expectations = Expectations("service", journal, **options)
        config = self.expectations.around(resolve(source, **parts))
        self.server_factory = ReqRespFactory(
            config, observers=[journal, self.expectations.observer], clock=self.reactor
        )
        self.expectations.attach(self.server_factory)
        return self.another()

    def another(self) -> Wire:
        """Return another client of the server."""
        return self.join(self.server_factory)

    def verdict(self, *arguments: Any, **options: Any) -> str | None:
        """Return the verdict that is given at once."""
        text: str | None = self.result_of(self.expectations.verify(*arguments, **options))
        return text

    def result_of(self, fired: Deferred[Any]) -> Any:
        """Return what *fired* fires with after some turns of the reactor, without time passing."""
        for _ in range(10):
            self.reactor.advance(0)
        return self.successResultOf(fired)
