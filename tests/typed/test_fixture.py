"""Tests of a client, as users write them: with the fixture, and steered from another process."""

import poplib

from reqresp import Request
from reqresp.control import ControlClient
from reqresp.testing import Expectation, HeldRequest, Server, StartServer, serve


def stat(server: Server) -> tuple[int, int]:
    """Return what a client is told: the number of mails, and their size."""
    client = poplib.POP3(server.host, server.port)
    try:
        return client.stat()
    finally:
        client.quit()


def test_fixture(reqresp_server: StartServer) -> None:
    """The client understands the reply."""
    server: Server = reqresp_server(framing="line", greeting="+OK")
    expected: Expectation = server.expect("STAT").reply("+OK 2 320")
    expected.fault("slicer", size=1)
    server.on("QUIT").reply("+OK").close()
    assert stat(server) == (2, 320)
    received: list[Request] = server.wait_for("STAT")
    assert [it.data for it in received] == [b"STAT"]


def test_without_fixture() -> None:
    """The same in a ``with``."""
    with serve(framing="line", greeting="+OK") as server:
        server.on(starts_with="STAT").reply("+OK 2 320")
        server.on("QUIT").reply("+OK").close()
        with server.fault("latency", delay=0.001):
            assert stat(server) == (2, 320)


def steer(client: ControlClient) -> list[str]:
    """Program a service of another process, and return where it listens."""
    client.reset()
    client.expect("STAT", times=2).reply("+OK 2 320")
    client.on(matches="RETR .*").reply("+OK", "body", ".")
    with client.fault("latency", delay=0.2):
        client.assert_received("STAT", times=0)
    for connection in client.connections:
        connection.send("+OK\r\n", raw=True)
        connection.close()
    client.verify()
    return client.addresses


def let_go(held: HeldRequest) -> None:
    """Answer a request that was held."""
    held.reply("+OK")
