"""Futures that asyncio can await, and calls that would block its event loop."""

import asyncio
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp.expectations.futures import AwaitableFuture
from reqresp.steps import Request
from reqresp.testing import Server, serve
from tests.support.live import PATIENCE
from tests.support.threaded import ask

WOULD_BLOCK = "would block the running event loop, and every client in it: "


async def talk(server: Server, line: bytes, replies: int = 1) -> asyncio.StreamWriter:
    """Send *line*, read the lines of the replies, and return the connection, which stays open."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(line)
    for _ in range(replies):
        await reader.readline()
    return writer


async def leave(connection: asyncio.StreamWriter) -> None:
    """Close *connection*."""
    connection.close()
    await connection.wait_closed()


class EventLoopCase(SynchronousTestCase):
    """A test case with a server that echoes lines, and clients in an event loop."""

    def setUp(self) -> None:
        self.server = Server(respond=lambda request: request.data)
        self.addCleanup(self.server.end)

    def error_of(self, call: Callable[..., object], *arguments: Any, **keywords: Any) -> str:
        """Return the text of the RuntimeError that *call* raises."""
        with self.assertRaises(RuntimeError) as raised:
            call(*arguments, **keywords)
        return str(raised.exception)


class BlockingCallTests(EventLoopCase):
    """Tests for calls that wait, made while an event loop runs in the same thread."""

    def test_calls_that_would_wait(self) -> None:
        """Each raises at once, names itself, and says what to await instead."""
        server = self.server
        server.expect("QUIT")
        requests = "await server.when(...), or asyncio.to_thread(server.{}, ...)"
        verify = "await asyncio.to_thread(server.verify), or use async with serve(...)"
        calls: list[tuple[Callable[..., object], str, str]] = [
            (server.wait_for, "wait_for", requests),
            (server.assert_received, "assert_received", requests),
            (lambda _, timeout: server.verify(timeout), "verify", verify),
            (lambda it, timeout: server.when(it).result(timeout), "result", "await the future"),
            (
                lambda it, timeout: server.when(it).exception(timeout),
                "exception",
                "await the future",
            ),
        ]

        async def client() -> None:
            for call, name, instead in calls:
                self.assertEqual(
                    self.error_of(call, "STAT", timeout=PATIENCE),
                    f"{name} {WOULD_BLOCK}{instead.format(name)}",
                )
            self.error_of(server.assert_received, "STAT")
            self.error_of(server.when("STAT").result)

        asyncio.run(client())

    def test_verify_with_a_client(self) -> None:
        """Without a timeout, ``verify`` raises if a client of the loop is still connected."""
        self.server.expect("QUIT")

        async def client() -> None:
            connection = await talk(self.server, b"STAT\n")
            self.assertIn(f"verify {WOULD_BLOCK}", self.error_of(self.server.verify))
            await leave(connection)
            with self.assertRaisesRegex(AssertionError, "1 unmet expectation"):
                self.server.verify()

        asyncio.run(client())

    def test_calls_that_need_not_wait(self) -> None:
        """They answer, with the verdict, as outside of an event loop."""
        server = self.server
        server.expect("STAT").reply("+OK")

        async def client() -> None:
            await leave(await talk(server, b"STAT\nLIST\n", 2))
            server.assert_received("STAT")
            server.assert_received("STAT", times=1)
            server.assert_received("QUIT", times=0)
            server.verify()
            server.verify(timeout=PATIENCE)
            [request] = server.when("LIST").result(PATIENCE)
            self.assertEqual(request.number, 2)
            self.assertIsNone(server.when("LIST").exception(PATIENCE))
            with self.assertRaisesRegex(AssertionError, "0 times, expected at least 1"):
                server.assert_received("QUIT", timeout=0)
            with self.assertRaisesRegex(AssertionError, "2 times, expected 1"):
                server.assert_received(times=1)
            self.assertRaises(TimeoutError, server.when("QUIT").result, 0)
            server.end()
            with self.assertRaisesRegex(AssertionError, "0 times, expected at least 1"):
                server.assert_received("QUIT", timeout=PATIENCE)

        asyncio.run(client())

    def test_no_wait_is_left(self) -> None:
        """A call that raises leaves no future that the server would check for each request."""

        async def client() -> None:
            self.error_of(self.server.assert_received, "STAT")
            self.error_of(self.server.verify, timeout=PATIENCE)

        self.server.expect("STAT")
        asyncio.run(client())
        self.assertEqual(len(self.server._waiters), 0)

    def test_in_a_thread(self) -> None:
        """What the messages recommend does not block the loop: clients of it are served."""
        server = self.server
        server.expect("STAT").reply("+OK")

        async def client() -> None:
            waiting = asyncio.gather(
                asyncio.to_thread(server.wait_for, "STAT", timeout=PATIENCE),
                asyncio.to_thread(server.assert_received, "STAT", timeout=PATIENCE),
                asyncio.to_thread(server.verify, PATIENCE),
            )
            connection = await talk(server, b"STAT\n")
            await waiting
            await leave(connection)

        asyncio.run(client())


class AwaitableFutureTests(EventLoopCase):
    """Tests for `AwaitableFuture` outside of an event loop."""

    def test_waiting_without_a_loop(self) -> None:
        """It is a future of ``concurrent.futures``: ``result`` waits."""
        future = self.server.when("STAT")
        self.assertRaises(TimeoutError, future.result, 0.001)
        ask(self.server, "STAT")
        self.assertIsNone(future.exception(PATIENCE))
        self.assertEqual([it.data for it in future.result(PATIENCE)], [b"STAT"])

    def test_after_a_loop(self) -> None:
        """An event loop that has ended does not matter, nor does one in another thread."""

        async def main() -> list[Request]:
            future = self.server.when("STAT")
            waiting = asyncio.create_task(asyncio.to_thread(future.result, PATIENCE))
            connection = await talk(self.server, b"STAT\n")
            found = await waiting
            await leave(connection)
            return found

        self.assertEqual(len(asyncio.run(main())), 1)
        future: AwaitableFuture[None] = AwaitableFuture()
        self.assertRaises(TimeoutError, future.result, 0.001)


class AsyncBlockTests(SynchronousTestCase):
    """Tests for ``async with serve(...)``."""

    def test_the_server_is_verified(self) -> None:
        """The end of the block waits for a client of the same loop, and ends the server."""

        async def main() -> None:
            async with serve() as server:
                server.expect("STAT").reply("+OK")
                connection = await talk(server, b"", 0)
                # The loop does so when it is awaited next: while the server is verified.
                asyncio.get_running_loop().call_soon(connection.write, b"STAT\n")
            connection.close()
            with self.assertRaises(ConnectionRefusedError):
                await talk(server, b"STAT\n")
            with self.assertRaisesRegex(AssertionError, "1 unmet expectation"):
                async with serve() as server:
                    server.expect("STAT")
            with self.assertRaises(ConnectionRefusedError):
                await talk(server, b"STAT\n")

        asyncio.run(main())

    def test_an_error_of_the_block(self) -> None:
        """It is raised, has the report as a note, and the server ends."""

        async def main() -> None:
            with self.assertRaises(KeyError) as caught:
                async with serve() as server:
                    server.expect("STAT")
                    raise KeyError
            self.assertIn("unmet: expect", "".join(caught.exception.__notes__))
            with self.assertRaises(ConnectionRefusedError):
                await talk(server, b"STAT\n")

        asyncio.run(main())

    def test_a_block_that_would_wait(self) -> None:
        """Where ``with`` would block the loop, the error says so and has the report."""

        async def main() -> None:
            with (
                self.assertRaisesRegex(RuntimeError, f"verify {WOULD_BLOCK}") as caught,
                serve() as server,
            ):
                server.expect("QUIT")
                server.on("STAT").reply("+OK")
                connection = await talk(server, b"STAT\n")
            self.assertIn("unmet: expect", "".join(caught.exception.__notes__))
            self.assertIn("ended", repr(server))
            connection.close()

        asyncio.run(main())

    def test_without_a_loop(self) -> None:
        """Elsewhere the error says what to use, before a server is started."""

        async def main() -> None:
            async with serve():
                pass

        with self.assertRaisesRegex(RuntimeError, "elsewhere use with"):
            main().send(None)
