"""
reqresp in a program that forwards what no rule answers: ``PORT``, the port of the service.

The framing is `Line`, and the requests of the load are all forwarded.
"""

import sys
from typing import cast

from reqresp.transport import lean_reactor

lean_reactor.install()

from twisted.internet import endpoints, reactor  # noqa: E402  # the reactor is installed
from twisted.internet.interfaces import IReactorCore  # noqa: E402

from reqresp import ReqRespFactory, Script  # noqa: E402
from reqresp.relay import Forwarding, tcp_upstream  # noqa: E402

SCRIPT = """
framing = "line"
unmatched = { forward = true }
rule = [{ equals = "STAT", reply = "+OK" }]
"""

factory = ReqRespFactory(
    Script.parse(SCRIPT),
    service=Forwarding(tcp_upstream(reactor, "127.0.0.1", int(sys.argv[1]))),
)
endpoints.serverFromString(reactor, "eager:0:interface=127.0.0.1:backlog=4096").listen(factory)
cast(IReactorCore, reactor).run()
