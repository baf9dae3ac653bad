"""
reqresp embedded: ``REPLIES [journal|function|counters]``, line framing and a table of so many exact
replies.

With ``journal``, the last 10,000 exchanges are kept.  With ``function``, a user's function looks
the reply up.  With ``meter``, all is counted that metrics show.
"""

import sys
from typing import cast

from twisted.internet import endpoints, reactor
from twisted.internet.interfaces import IReactorCore

from bench.clients import key, value
from reqresp import Counters, Journal, Line, ReqRespFactory, Request, Table

replies = {b"PING": b"+PONG", **{key(n): value(n) for n in range(int(sys.argv[1]))}}


def look_up(request: Request) -> bytes:
    return replies.get(request.data, b"-ERR")


factory = ReqRespFactory(
    look_up if sys.argv[2:] == ["function"] else Table(replies, otherwise=b"-ERR"),
    framing=Line(),
    observers=[Journal(most=10_000)] if sys.argv[2:] == ["journal"] else [],
    counters=Counters() if sys.argv[2:] == ["meter"] else None,
)
endpoint = endpoints.serverFromString(reactor, "eager:0:interface=127.0.0.1")
endpoint.listen(factory)
cast(IReactorCore, reactor).run()
