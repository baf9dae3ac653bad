"""
Transports: how bytes travel, and how a connection ends.

Knows Twisted's transports and sockets; it must not know requests.  Import from its modules, or from
`reqresp`: this one loads none of them, so that options can be parsed without a reactor.
"""
