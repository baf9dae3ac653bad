"""Twisted's ``LineReceiver``: one ``sendLine`` for each line."""

import sys
from typing import cast

from twisted.internet import endpoints, reactor
from twisted.internet.interfaces import IReactorCore
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver

reply = sys.argv[1].encode().rstrip()


class Answer(LineReceiver):
    def lineReceived(self, _: bytes) -> None:
        self.sendLine(reply)


endpoint = endpoints.serverFromString(reactor, "tcp:0:interface=127.0.0.1:backlog=4096")
endpoint.listen(Factory.forProtocol(Answer))
cast(IReactorCore, reactor).run()
