"""
What the endpoint string ``eager:`` means.

Apart from the transport, because Twisted loads every plugin whenever it looks for one: until
such a string is parsed, no reactor module is imported for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTCP, IStreamServerEndpointStringParser
from twisted.plugin import IPlugin
from zope.interface import implementer

if TYPE_CHECKING:
    from reqresp.transport.eager import EagerServerEndpoint


@implementer(IPlugin, IStreamServerEndpointStringParser)
class EagerParser:
    """Parse ``eager:PORT[:interface=ADDRESS][:backlog=N]``, the arguments of ``tcp:``."""

    prefix = "eager"

    def parseStreamServer(  # type: ignore[override]  # the interface knows no names
        self, reactor: IReactorTCP, port: str, backlog: str = "50", interface: str = ""
    ) -> EagerServerEndpoint:
        """
        Make the endpoint that the string describes.

        :raises ValueError: *port* or *backlog* is no number.
        :raises TypeError: the string has another argument, or no port.
        """
        from reqresp.transport.eager import EagerServerEndpoint

        return EagerServerEndpoint(reactor, int(port), int(backlog), interface)
