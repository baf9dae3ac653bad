"""
Values of the library that the help of the command line shows, or that its commands share.

Only those whose own modules load a server: importing this module loads nothing.
"""

#: Seconds that a client has for its TLS handshake.
HANDSHAKE_TIMEOUT = 10.0
#: Bytes of request and reply that an entry of a journal file holds.
MAX_ENTRY_BYTES = 64 * 1024
#: How the request log can write a line; the first one unless another is given.
LOG_FORMATS = ("plain", "json")
#: Seconds until a relay must have connected to its service.
CONNECT_TIMEOUT = 10.0
#: How a relay ends the connections of clients whose service cannot be reached; the default first.
UNREACHABLE = ("reset", "close")
#: The command that serves in the foreground: the name of the process in messages about options.
SERVE = "reqresp serve"
