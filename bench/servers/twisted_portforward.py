"""Twisted's own relay, ``twisted.protocols.portforward``: ``PORT``, the port of the service."""

import sys
from typing import Any, cast

from twisted.internet import reactor
from twisted.protocols.portforward import ProxyFactory

its = cast(Any, reactor)
its.listenTCP(0, ProxyFactory("127.0.0.1", int(sys.argv[1])), 4096, "127.0.0.1")
its.run()
