"""reqresp's relay in a program: ``PORT``, the port of the service."""

import sys
from typing import cast

from reqresp.transport import lean_reactor

lean_reactor.install()

from twisted.internet import endpoints, reactor  # noqa: E402  # the reactor is installed
from twisted.internet.interfaces import IReactorCore  # noqa: E402

from reqresp.relay import RelayFactory  # noqa: E402
from reqresp.relay.upstream import tcp_upstream  # noqa: E402

factory = RelayFactory(tcp_upstream(reactor, "127.0.0.1", int(sys.argv[1])))
endpoints.serverFromString(reactor, "eager:0:interface=127.0.0.1:backlog=4096").listen(factory)
cast(IReactorCore, reactor).run()
