"""The standard library's ``socketserver.ThreadingTCPServer``."""

import socketserver
import sys

reply = sys.argv[1].encode()


class Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while self.request.recv(1024):
            self.request.sendall(reply)


class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 4096
    daemon_threads = True


with Server(("127.0.0.1", 0), Handler) as server:
    server.serve_forever()
