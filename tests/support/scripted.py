"""Scripted: a client of a server that a script describes, in memory."""

from typing import Any

from reqresp import ReqRespFactory, Script
from tests.support.conversation import Conversation
from tests.support.wire import Wire


class Scripted(Conversation):
    """Makes servers from scripts."""

    def script(self, text: str, **options: Any) -> Wire:
        return self.join(self.server(text, **options))

    def server(self, text: str, **options: Any) -> ReqRespFactory:
        return self.factory(Script.parse(text), **options)

    def ask(self, wire: Wire, *requests: str) -> list[str]:
        """Send lines one at a time; return what was received for each."""
        replies = []
        for request in requests:
            wire.send(request.encode() + b"\n")
            replies.append(wire.received().decode().replace("\r\n", "|"))
        return replies
