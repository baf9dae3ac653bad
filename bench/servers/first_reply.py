"""Run ``COMMAND...`` until its first reply: a server that listens where ``PORT`` stands."""

import socket
import subprocess
import sys
import time

_PAUSE = 0.005

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
words = [word.replace("PORT", str(port)) for word in sys.argv[1:]]
replied = False
with subprocess.Popen(words, stdout=subprocess.DEVNULL) as server:
    while not replied and server.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"PING\r\n")
                replied = bool(client.recv(1024))
        except OSError:
            time.sleep(_PAUSE)
    server.terminate()
sys.exit(0 if replied else "no reply")
