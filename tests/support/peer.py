"""Peer: a server in a thread, on a real socket, that follows a list of acts."""

import contextlib
import socket
import threading

from twisted.trial.unittest import SynchronousTestCase

from reqresp.cli.client import Address
from tests.support.live import PATIENCE

#: An act of a server: receive so many bytes, or send these bytes.
Act = int | bytes


class Peer:
    """
    A server for one client: performs *acts*, then closes, or with *stays* waits for the client.

    It ends when *test* ends.
    """

    def __init__(
        self, test: SynchronousTestCase, *acts: Act, stays: bool = False, path: str = ""
    ) -> None:
        self.received: list[bytes] = []
        self._acts = acts
        self._stays = stays
        self._listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self._listener.settimeout(PATIENCE)
        self._listener.bind(path or ("127.0.0.1", 0))
        self._listener.listen()
        self.address = Address(path) if path else Address(*self._listener.getsockname())
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        test.addCleanup(self.end)

    def _serve(self) -> None:
        with self._listener:
            connection, _address = self._listener.accept()
        with connection:
            connection.settimeout(PATIENCE)
            for act in self._acts:
                self._perform(connection, act)
            with contextlib.suppress(ConnectionError):  # a client may leave before it has read all
                if self._stays:
                    connection.recv(1)

    def _perform(self, connection: socket.socket, act: Act) -> None:
        if isinstance(act, bytes):
            connection.sendall(act)
            return
        data = b""  # not MSG_WAITALL, which does not wait on a socket with a timeout
        while len(data) < act and (more := connection.recv(act - len(data))):
            data += more
        self.received.append(data)

    def end(self) -> bytes:
        """Wait until it has ended; return all that it received."""
        self._thread.join(PATIENCE)
        return b"".join(self.received)
