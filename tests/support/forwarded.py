"""A server that forwards requests, on the network in memory, between a client and a service."""

from typing import Any, cast

from reqresp import ReqRespFactory
from reqresp.relay import Forwarding, Unreachable
from reqresp.script import Script
from reqresp.testing._memory_reactor import InMemoryReactor
from tests.support.conversation import Heard
from tests.support.relayed import RELAY_PORT, RelayedCase, Services


class ForwardedCase(RelayedCase):
    """A server before a service; `respond` answers, and forwards what it says."""

    #: Answers requests; text is a script.
    respond: Any = ""
    #: How clients end if the service cannot be reached.
    unreachable = Unreachable.RESET
    #: Arguments of the factory.
    arguments: dict[str, Any] = {}

    def setUp(self) -> None:
        self.reactor = InMemoryReactor()
        self.services = Services()
        self.serve()
        self.heard = Heard()
        self.start(self.respond)

    def start(self, respond: Any, **arguments: Any) -> None:
        """Have another server listen in place of the one before."""
        if isinstance(respond, str):
            respond = Script.parse(respond)
        given = {"observers": [self.heard], **self.arguments, **arguments}
        self.factory: Any = ReqRespFactory(
            respond,
            clock=cast(Any, self.reactor),
            service=Forwarding(self.upstream(), self.unreachable),
            **given,
        )
        self.reactor.listenTCP(RELAY_PORT, self.factory)
