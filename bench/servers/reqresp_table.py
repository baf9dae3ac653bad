"""
reqresp embedded: ``REPLIES [journal|function]``, line framing and a table of so many exact replies.

With ``journal``, an observer keeps the last 10,000 exchanges, as the journal would.  With
``function``, a user's function looks the reply up.
"""

import sys
from collections import deque
from typing import cast

from twisted.internet import endpoints, reactor
from twisted.internet.interfaces import IReactorCore

from bench.clients import key, value
from reqresp import Exchanges, Line, Observer, ReqRespFactory, Request, Table

KEPT = 10_000


class Last(Observer):
    """Keeps whole batches: as few as hold the last 10,000 exchanges."""

    def __init__(self) -> None:
        self.batches: deque[Exchanges] = deque()
        self.kept = 0

    def answered(self, exchanges: Exchanges) -> None:
        self.batches.append(exchanges)
        self.kept += len(exchanges)
        while self.kept - len(self.batches[0]) >= KEPT:
            self.kept -= len(self.batches.popleft())


replies = {b"PING": b"+PONG", **{key(n): value(n) for n in range(int(sys.argv[1]))}}


def look_up(request: Request) -> bytes:
    return replies.get(request.data, b"-ERR")


factory = ReqRespFactory(
    look_up if sys.argv[2:] == ["function"] else Table(replies, otherwise=b"-ERR"),
    framing=Line(),
    observers=[Last()] if sys.argv[2:] == ["journal"] else [],
)
endpoint = endpoints.serverFromString(reactor, "eager:0:interface=127.0.0.1")
endpoint.listen(factory)
cast(IReactorCore, reactor).run()
