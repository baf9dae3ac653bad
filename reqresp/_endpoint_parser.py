"""
The endpoint string ``eager:``.

It is not in `reqresp.transport`, because Twisted loads every plugin whenever it looks for one.
Until such a string is parsed, no reactor module is imported.
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
    """Parses ``eager:PORT[:interface=ADDRESS][:backlog=N]``, with the arguments of ``tcp:``."""

    prefix = "eager"

    def parseStreamServer(  # type: ignore[override]  # the interface has no named arguments
        self, reactor: IReactorTCP, port: str, backlog: str = "50", interface: str = ""
    ) -> EagerServerEndpoint:
        """
        Return the endpoint that the string describes.

        :raises ValueError: *port* or *backlog* is not a number.
        :raises TypeError: the string has an unknown argument, or no port.
        """
        from reqresp.transport.eager import EagerServerEndpoint

        return EagerServerEndpoint(reactor, int(port), int(backlog), interface)
