"""
The server: one connection's life, and what all connections of a server have in common.

A `ReqRespFactory` makes a `Connection` for each client, as its `ServerConfig` says; `Connections`
is the front of all of them.  Import from its modules, or from `reqresp`: this one loads none of
them, so that a script can be checked without a server.
"""
