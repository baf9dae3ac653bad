"""A test that steers a server in another process with asyncio."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from reqresp import LimitData
from reqresp.control import AsyncControlClient
from reqresp.script import ScriptError
from tests.support.steered import Steered


class AsyncTests(Steered):
    """What a client says of the service ``default`` in an event loop."""

    def run_with(self, test: Callable[[AsyncControlClient], Coroutine[Any, Any, None]]) -> None:
        asyncio.run(test(AsyncControlClient(self.url)))

    async def asked(self, *requests: bytes) -> bytes:
        return await asyncio.to_thread(self.ask, *requests)

    def test_expectations(self) -> None:
        """An expectation is added when it is awaited, with its whole answer."""

        async def test(client: AsyncControlClient) -> None:
            await client.expect("STAT").reply("+OK").wait(0.01).close()
            await client.expect_next("a")
            await client.on("b").reply("B")
            self.assertEqual(await self.asked(b"b", b"a", b"STAT"), b"B\r\n+OK\r\n")
            await client.verify()
            found = await client.wait_for("STAT")
            self.assertEqual(found, await client.requests(starts_with="ST"))
            await client.assert_received("STAT", times=1)
            self.assertEqual(await client.when("STAT"), found)
            self.assertEqual(len(await client.entries(event="answered")), 3)
            await client.clear()
            self.assertEqual(await client.requests(), [])
            await client.reset()
            self.assertEqual(await client.addresses(), [f"127.0.0.1:{self.server.port}"])

        self.run_with(test)

    def test_a_verdict(self) -> None:
        """It names the line that made the expectation, and does not block the event loop."""

        async def test(client: AsyncControlClient) -> None:
            await client.expect("STAT").reply("+OK")
            line = sys._getframe().f_lineno - 1
            with self.assertRaisesRegex(AssertionError, rf"test_async_client\.py:{line}"):
                await client.verify(timeout=0)
            waiting = asyncio.create_task(client.verify(timeout=30))
            await self.asked(b"STAT")
            await waiting

        self.run_with(test)

    def test_connections(self) -> None:
        """A test sends bytes on an open connection and ends it, and the event loop goes on."""

        async def test(client: AsyncControlClient) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
            writer.write(b"NOOP\n")
            self.assertEqual(await reader.readline(), b"+OK\r\n")
            [connection] = await client.connections()
            self.assertTrue(await connection.is_open())
            self.assertEqual([it.data for it in await connection.requests()], [b"NOOP"])
            await connection.send("bye", raw=True)
            await connection.close()
            self.assertEqual(await reader.read(), b"bye")
            writer.close()
            await writer.wait_closed()
            await connection.abort()

        self.run_with(test)

    def test_faults(self) -> None:
        """A fault holds within its block, and can be changed there."""

        async def test(client: AsyncControlClient) -> None:
            async with await client.fault("limit_data", bytes=1) as fault:
                self.assertEqual(await self.asked(b"NOOP"), b"+")
                await fault.change(bytes=2)
                self.assertEqual(await self.asked(b"NOOP"), b"+O")
                [same] = await client.faults()
                self.assertEqual((same.name, await same.fault()), (fault.name, LimitData(bytes=2)))
            self.assertEqual(await self.asked(b"NOOP"), b"+OK\r\n")

        self.run_with(test)

    def test_what_has_come(self) -> None:
        """Exchanges and texts are those of the blocking client."""

        async def test(client: AsyncControlClient) -> None:
            await self.asked(b"NOOP")
            [exchange] = await client.exchanges()
            self.assertEqual(exchange.request.data, b"NOOP")
            self.assertIn("NOOP", await client.conversation())
            self.assertEqual(await client.problems(), "")
            self.assertEqual(await client.report(), await client.conversation())

        self.run_with(test)

    def test_how_clients_connect(self) -> None:
        """A service stops and starts, and refuses clients."""

        async def test(client: AsyncControlClient) -> None:
            await client.accepting("refuse")
            with self.assertRaises(ConnectionError):
                await self.asked(b"NOOP")
            await client.reset()
            self.assertEqual(await self.asked(b"NOOP"), b"+OK\r\n")
            await client.stop()
            await client.start()
            await client.disconnect_all()
            self.assertEqual(await self.asked(b"NOOP"), b"+OK\r\n")

        self.run_with(test)

    def test_mistakes(self) -> None:
        """An argument that is not usable raises when it is awaited, and names the line."""

        async def test(client: AsyncControlClient) -> None:
            with self.assertRaises(ScriptError) as raised:
                await client.on("a").reply(template="{nobody}")
            line = sys._getframe().f_lineno - 1
            self.assertIn(f"test_async_client.py:{line}: on.do[0].send: ", str(raised.exception))
            with self.assertRaisesRegex(ScriptError, r"test_async_client\.py:\d+: .*bytes"):
                await client.fault("limit_data", bytes=-1)

        self.run_with(test)
