"""How a test server treats clients that connect, switched while it runs."""

import socket
from contextlib import closing

import pytest

from reqresp.testing import Server, StartServer
from tests.support.live import PATIENCE

#: Seconds after which a client of these tests gives up.
SHORT = 0.3


def connect(server: Server, timeout: float = PATIENCE) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout)


def ask(client: socket.socket) -> bytes:
    client.sendall(b"a\n")
    return client.recv(100)


def test_late(reqresp_server: StartServer) -> None:
    """A client connects and can send, and is answered once it is accepted."""
    server = reqresp_server()
    server.on("a").reply("A")
    with closing(connect(server)) as before:
        server.accepting("late")
        with closing(connect(server)) as late:
            late.settimeout(SHORT)
            with pytest.raises(TimeoutError):
                ask(late)
            assert ask(before) == b"A\r\n"
            late.settimeout(PATIENCE)
            server.accepting("now")
            assert late.recv(100) == b"A\r\n"


def test_hold(reqresp_server: StartServer) -> None:
    """``connect()`` times out; afterwards clients connect as before, and ours is not seen."""
    server = reqresp_server()
    server.on("a").reply("A")
    with closing(connect(server)) as before:
        assert ask(before) == b"A\r\n"
        server.accepting("hold")
        for _ in range(2):
            with pytest.raises(TimeoutError):
                connect(server, SHORT)
        assert ask(before) == b"A\r\n"
        server.accepting("now")
        with closing(connect(server)) as after:
            assert ask(after) == b"A\r\n"
        assert server.factory.accepted == 2


def test_hold_while_clients_wait(reqresp_server: StartServer) -> None:
    """Who waits already is accepted afterwards."""
    server = reqresp_server()
    server.on("a").reply("A")
    server.accepting("late")
    with closing(connect(server)) as late:
        server.accepting("hold")
        with pytest.raises(TimeoutError):
            connect(server, SHORT)
        server.accepting("now")
        assert ask(late) == b"A\r\n"


def test_refuse(reqresp_server: StartServer) -> None:
    """``connect()`` is refused, also after clients were held; a server that ends is no problem."""
    server = reqresp_server()
    server.accepting("hold")
    server.accepting("refuse")
    with pytest.raises(ConnectionRefusedError):
        connect(server)
    server.accepting("hold")
    with pytest.raises(TimeoutError):
        connect(server, SHORT)


def test_a_wrong_value(reqresp_server: StartServer) -> None:
    """The error has those that there are."""
    with pytest.raises(
        ValueError, match=r"^accepting: expected one of now, late, hold, refuse, found"
    ):
        reqresp_server().accepting("never")
