"""A user's test for type checkers, which uses every public name of `reqresp.testing`."""

import asyncio
import ssl
from concurrent.futures import Future

from reqresp import Exchange, Request
from reqresp.testing import Expectation, Server, StartServer, Wait, serve
from tests.support.live import Client


def function(request: Request) -> bytes | tuple[bytes | Wait, ...]:
    """Answer after a while, with several steps."""
    return (Wait(0.001), request.data.upper(), b".")


def run_client(host: str, port: int) -> bytes:
    """Send all requests that the servers below expect; return what is received."""
    with Client((host, port)) as client:
        greeting = client.ask(b"", len(b"+OK\r\n"))
        client.send(b"NOOP\r\nSTAT\r\nUSER a\r\nUSER b\r\nRETR 1\r\nTOP 7\r\nLIST\r\nLIST\r\nY\r\n")
        client.send(b"QUIT\r\nX\r\n")
        return greeting + client.rest()


def script(server: Server) -> None:
    """Add expectations of every kind to *server*."""
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
    """Check what *server* has received."""
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
    """The fixture starts servers."""
    server = reqresp_server(framing="line", greeting="+OK")
    script(server)
    run_client(server.host, server.port)
    check(server)


def test_without(reqresp_server: StartServer) -> None:
    """`serve` works with asyncio."""

    async def client(server: Server) -> list[Request]:
        quit_received: Future[list[Request]] = server.when("QUIT")
        await asyncio.to_thread(run_client, server.host, server.port)
        return await asyncio.wrap_future(quit_received)

    with serve(greeting=["+OK"], strict=False) as server:
        script(server)
        (request,) = asyncio.run(client(server))
        assert request.connection == 1
        check(server)
