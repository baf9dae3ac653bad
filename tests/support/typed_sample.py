"""A user's test, as a type checker sees it: every public name of `reqresp.testing` at work."""

import asyncio
import ssl
from concurrent.futures import Future

from reqresp import Exchange, Request
from reqresp.testing import Expectation, Server, StartServer, Wait, serve
from tests.support.live import Client


def function(request: Request) -> bytes | tuple[bytes | Wait, ...]:
    """Answer later, and more than is usual."""
    return (Wait(0.001), request.data.upper(), b".")


def run_client(host: str, port: int) -> bytes:
    """Say all that the servers below expect, and give what they said."""
    with Client((host, port)) as client:
        greeting = client.ask(b"", len(b"+OK\r\n"))
        client.send(b"NOOP\r\nSTAT\r\nUSER a\r\nUSER b\r\nRETR 1\r\nTOP 7\r\nLIST\r\nLIST\r\nY\r\n")
        client.send(b"QUIT\r\nX\r\n")
        return greeting + client.rest()


def script(server: Server) -> None:
    """Tell *server* what will come."""
    stub: Expectation = server.on("NOOP").reply("+OK")
    stub.wait(0)
    server.expect("STAT").wait(0.01).reply("+OK 2 320")
    server.expect(starts_with="USER", times=2).reply("+OK")
    server.expect_next("RETR 1").reply("+OK", "body", ".")
    server.on(matches=r"TOP (?P<n>\d+)").reply(template="+OK {n}")
    server.on("LIST").cycle("+OK 1", "-ERR").fault("slicer", size=1)
    server.on("X").reply(hex="00ff", raw=True).close()
    server.on("Y").call(function)
    server.on("QUIT").reply(b"+BYE")
    server.on(size={"min": 100}, ignore_case=True, not_={"contains": ["a", b"b"]}).hang()


def check(server: Server) -> None:
    """Ask *server* what came."""
    server.assert_received("STAT", times=1)
    server.assert_received("RETR 2", times=0)
    users: list[Request] = server.wait_for(starts_with="USER", times=2, timeout=5)
    assert [it.data for it in users] == [b"USER a", b"USER b"]
    exchanges: list[Exchange] = server.exchanges
    assert len(exchanges) == 11
    conversation: str = server.conversation()
    assert "STAT" in conversation
    context: ssl.SSLContext | None = server.client_context
    assert context is None
    server.verify()


def test_with_the_fixture(reqresp_server: StartServer) -> None:
    """As the documents show it."""
    server = reqresp_server(framing="line", greeting="+OK")
    script(server)
    run_client(server.host, server.port)
    check(server)


def test_without(reqresp_server: StartServer) -> None:
    """With asyncio, and the context manager."""

    async def client(server: Server) -> list[Request]:
        quitted: Future[list[Request]] = server.when("QUIT")
        await asyncio.to_thread(run_client, server.host, server.port)
        return await asyncio.wrap_future(quitted)

    with serve(greeting=["+OK"], strict=False) as server:
        script(server)
        (request,) = asyncio.run(client(server))
        assert request.connection == 1
        check(server)
