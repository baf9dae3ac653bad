"""
A thread for each connection, which looks up each line: ``REPLIES``.

It has the table that ``reqresp_table.py`` has, and sends the replies to a read together.
"""

import socket
import sys
import threading

from bench.clients import key, value

replies = {key(n): value(n) + b"\r\n" for n in range(int(sys.argv[1]))}
replies[b"PING"] = b"+PONG\r\n"


def serve(client: socket.socket) -> None:
    rest = b""
    with client:
        while data := client.recv(1024):
            *lines, rest = (rest + data).split(b"\n")
            client.sendall(b"".join(replies.get(line.rstrip(b"\r"), b"-ERR\r\n") for line in lines))


with socket.create_server(("127.0.0.1", 0), backlog=4096) as server:
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()
