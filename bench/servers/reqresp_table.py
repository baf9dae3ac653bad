"""
reqresp in a program: ``REPLIES [journal|function|counters]``, with line framing and a table.

It runs on the lean reactor, as ``twistd reqresp`` does.  The table has REPLIES exact replies.  With
``journal``, the last 10,000 exchanges are kept.  With ``function``, a user's function looks up the
reply.  With ``counters``, it counts for metrics.
"""

import sys
from typing import cast

from reqresp.transport import lean_reactor

lean_reactor.install()

from twisted.internet import endpoints, reactor  # noqa: E402  # the reactor is installed
from twisted.internet.interfaces import IReactorCore  # noqa: E402

from bench.clients import key, value  # noqa: E402
from reqresp import Counters, Journal, Line, ReqRespFactory, Request, Table  # noqa: E402

replies = {b"PING": b"+PONG", **{key(n): value(n) for n in range(int(sys.argv[1]))}}


def look_up(request: Request) -> bytes:
    return replies.get(request.data, b"-ERR")


factory = ReqRespFactory(
    look_up if sys.argv[2:] == ["function"] else Table(replies, otherwise=b"-ERR"),
    framing=Line(),
    observers=[Journal(most=10_000)] if sys.argv[2:] == ["journal"] else [],
    counters=Counters() if sys.argv[2:] == ["counters"] else None,
)
endpoint = endpoints.serverFromString(reactor, "eager:0:interface=127.0.0.1")
endpoint.listen(factory)
cast(IReactorCore, reactor).run()
