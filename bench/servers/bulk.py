"""A service that sends a megabyte for each read: a thread for each connection."""

import socket
import threading

MEGABYTE = bytes(1_000_000)


def serve(client: socket.socket) -> None:
    with client:
        while client.recv(1024):
            client.sendall(MEGABYTE)


with socket.create_server(("127.0.0.1", 0), backlog=4096) as server:
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()
