"""A plain Twisted ``Protocol``: ``REPLY ENDPOINT``; the endpoint selects the transport."""

import sys
from typing import cast

from twisted.internet import endpoints, reactor
from twisted.internet.interfaces import IReactorCore, ITransport
from twisted.internet.protocol import Factory, Protocol

reply = sys.argv[1].encode()


class Answer(Protocol):
    transport: ITransport

    def dataReceived(self, _: bytes) -> None:
        self.transport.write(reply)


endpoints.serverFromString(reactor, sys.argv[2]).listen(Factory.forProtocol(Answer))
cast(IReactorCore, reactor).run()
