"""The bare plugin: one protocol on any free port."""

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import IService
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Factory, Protocol
from twisted.python import usage


class Options(usage.Options):
    """No options."""


class Answer(Protocol):
    transport: ITransport

    def dataReceived(self, _: bytes) -> None:
        self.transport.write(b"response")


def makeService(_: Options) -> IService:
    from twisted.internet import endpoints, reactor

    endpoint = endpoints.serverFromString(reactor, "tcp:0:interface=127.0.0.1")
    return StreamServerEndpointService(endpoint, Factory.forProtocol(Answer))
