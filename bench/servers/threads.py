"""
A thread for each connection: ``REPLY``.

Accept, recv(1024), send, until EOF or the request ``close``.
"""

import socket
import sys
import threading

reply = sys.argv[1].encode()


def serve(client: socket.socket) -> None:
    with client:
        while request := client.recv(1024):
            client.sendall(reply)
            if request == b"close":
                return


with socket.create_server(("127.0.0.1", 0), backlog=4096) as server:
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()
