"""Faults of what clients send to a test server: TLS, STARTTLS and a cut upload."""

import socket
import ssl
import time
from typing import cast

import pytest

from reqresp.testing import Server, StartServer
from tests.support.live import PATIENCE


def connect(server: Server) -> socket.socket:
    """Return a client of *server*."""
    return socket.create_connection((server.host, server.port), PATIENCE)


def encrypt(server: Server, plain: socket.socket) -> ssl.SSLSocket:
    """Return *plain*, a client of *server*, after a TLS handshake."""
    context = cast(ssl.SSLContext, server.client_context)
    return context.wrap_socket(plain, server_hostname="localhost")


def test_a_slow_server_with_tls(reqresp_server: StartServer) -> None:
    """What is slowed down is what was decrypted."""
    server = reqresp_server(tls=True)
    server.on("STAT").reply("+OK")
    server.fault("bandwidth", stream="upstream", rate=20)
    with encrypt(server, connect(server)) as client:
        began = time.monotonic()
        client.sendall(b"STAT\r\n")
        assert client.recv(100) == b"+OK\r\n"
        assert time.monotonic() - began >= 0.25


def test_a_cut_with_tls(reqresp_server: StartServer) -> None:
    """Bytes count without those of TLS."""
    server = reqresp_server(tls=True, strict=False)
    server.on("STAT").reply("+OK")
    server.fault("limit_data", stream="upstream", bytes=8)
    with encrypt(server, connect(server)) as client:
        client.sendall(b"STAT\r\nSTAT\r\n")
        assert client.recv(100) == b"+OK\r\n"
        assert client.recv(100) == b""


def test_start_tls(reqresp_server: StartServer) -> None:
    """The faults go on after it, and no byte in the clear passes them."""
    server = reqresp_server(start_tls=True)
    server.on("STARTTLS").reply("go").start_tls()
    server.on("STAT").reply("+OK")
    server.fault("slicer", stream="upstream", size=5, delay=0.02)
    with connect(server) as plain:
        plain.sendall(b"STARTTLS\r\nSTAT\r\nSTAT\r\n")
        assert plain.recv(100) == b"go\r\n"
        with encrypt(server, plain) as client:
            client.sendall(b"STAT\r\n")
            assert client.recv(100) == b"+OK\r\n"
    assert [it.data for it in server.requests()] == [b"STARTTLS", b"STAT"]


def test_a_fault_that_is_removed_in_a_handshake(reqresp_server: StartServer) -> None:
    """It does not go on after the handshake."""
    server = reqresp_server(start_tls=True)
    server.on("STARTTLS").reply("go").start_tls()
    server.on("STAT").reply("+OK")
    fault = server.fault("limit_data", stream="upstream", bytes=20)
    with connect(server) as plain:
        plain.sendall(b"STARTTLS\r\n")
        assert plain.recv(100) == b"go\r\n"
        fault.remove()
        with encrypt(server, plain) as client:
            for _ in range(4):
                client.sendall(b"STAT\r\n")
                assert client.recv(100) == b"+OK\r\n"


def test_a_reset_within_an_upload(reqresp_server: StartServer) -> None:
    """The client's kernel reports it."""
    server = reqresp_server(strict=False)
    server.fault("reset_peer", stream="upstream", bytes=10_000)
    with connect(server) as client, pytest.raises((ConnectionResetError, BrokenPipeError)):
        client.sendall(bytes(64 * 1024 * 1024))
