"""gevent's ``StreamServer``: a greenlet for each connection."""
# mypy: disable-error-code="import-not-found, import-untyped"
# gevent is optional: the benchmark reports it as missing.

import sys

from gevent.server import StreamServer
from gevent.socket import socket

reply = sys.argv[1].encode()


def serve(client: socket, _: object) -> None:
    while client.recv(1024):
        client.sendall(reply)


StreamServer(("127.0.0.1", 0), serve, backlog=4096).serve_forever()
