"""Endpoints that only Twisted from 26.4 on has."""

from twisted.internet.interfaces import IStreamServerEndpointStringParser
from twisted.plugin import getPlugins

#: Whether a description can begin with ``tls:``.
HAS_TLS_ENDPOINT = any(it.prefix == "tls" for it in getPlugins(IStreamServerEndpointStringParser))
