"""reqresp's relay in a program: ``PORT [record]``, the port of the service."""

import sys
from typing import cast

from reqresp.transport import lean_reactor

lean_reactor.install()

from twisted.internet import endpoints, reactor  # noqa: E402  # the reactor is installed
from twisted.internet.interfaces import IReactorCore, IReactorTime  # noqa: E402

from reqresp.recording.recorder import Recorder  # noqa: E402
from reqresp.relay import RelayFactory  # noqa: E402
from reqresp.relay.upstream import tcp_upstream  # noqa: E402

clock = cast(IReactorTime, reactor)
factory = RelayFactory(
    tcp_upstream(reactor, "127.0.0.1", int(sys.argv[1])),
    observers=[Recorder("bench.rec", clock)] if sys.argv[2:] == ["record"] else [],
)
endpoints.serverFromString(reactor, "eager:0:interface=127.0.0.1:backlog=4096").listen(factory)
cast(IReactorCore, reactor).run()
