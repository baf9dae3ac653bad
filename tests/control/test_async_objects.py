"""What a test holds of a server in another process in an event loop."""

import asyncio
import contextlib
import gc
import sys
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

from reqresp import Close
from reqresp.control import AsyncControlClient
from tests.support.live import PATIENCE
from tests.support.steered import Steered


class AsyncObjectTests(Steered):
    """Expectations, connections and requests that wait."""

    def run_with(self, test: Callable[[AsyncControlClient], Coroutine[Any, Any, None]]) -> None:
        self.writers: list[asyncio.StreamWriter] = []

        async def whole() -> None:
            try:
                await test(AsyncControlClient(self.url))
            finally:
                for writer in self.writers:
                    writer.close()
                    with contextlib.suppress(ConnectionError):
                        await writer.wait_closed()

        asyncio.run(whole())

    async def asked(self, *requests: bytes) -> bytes:
        return await asyncio.to_thread(self.ask, *requests)

    async def connected(self, *requests: bytes) -> asyncio.StreamReader:
        """Return what a client receives that has sent *requests*, lines."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        self.writers.append(writer)
        writer.write(b"".join(it + b"\n" for it in requests))
        return reader

    def test_an_expectation(self) -> None:
        """It is awaited again when it has changed, counts its requests, and is removed alone."""

        async def test(client: AsyncControlClient) -> None:
            stat = await client.expect("STAT", times=2).reply("+OK")
            other = await client.on("x").reply("X")
            await stat.set(user="{0}").reply(template="{user}")
            self.assertEqual(await self.asked(b"STAT", b"x"), b"+OK\r\nSTAT\r\nX\r\n")
            self.assertEqual((await stat.count(), await stat.is_met()), (1, False))
            await client.clear(stat)
            await client.verify()
            self.assertEqual(await other.count(), 1)
            with self.assertRaisesRegex(ValueError, "expected an expectation of this service"):
                await client.clear(stat)

        self.run_with(test)

    def test_an_expectation_that_is_not_awaited(self) -> None:
        """The verdict names its line, until the expectations are cleared; so does a warning."""

        async def test(client: AsyncControlClient) -> None:
            forgotten = client.expect("STAT").reply("+OK")
            line = sys._getframe().f_lineno - 1
            text = rf'expect "STAT" \(test_async_objects\.py:{line}\)'
            with self.assertRaisesRegex(RuntimeError, f"were not awaited, .*: {text}$"):
                await client.verify()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                del forgotten
                gc.collect()
            [warning] = caught
            self.assertIs(warning.category, RuntimeWarning)
            self.assertEqual((warning.filename, warning.lineno), (__file__, line))
            self.assertRegex(str(warning.message), f"^{text} was never awaited: ")
            with self.assertRaisesRegex(RuntimeError, text):
                await client.verify()
            await client.clear()
            await client.verify()
            # Also one that has changed since.
            stat = await client.on("STAT")
            stat.reply("+OK")
            with self.assertRaisesRegex(RuntimeError, 'not have them: on "STAT"'):
                await client.verify()
            await stat
            await client.verify()
            self.assertEqual(await self.asked(b"STAT"), b"+OK\r\n")

        self.run_with(test)

    def test_requests_that_wait(self) -> None:
        """A coroutine answers them while their clients wait, and the event loop goes on."""

        async def test(client: AsyncControlClient) -> None:
            await client.on().hold()
            waiting = asyncio.create_task(client.when_held("b"))
            reader = await self.connected(b"a", b"b")
            a = await client.next_request(timeout=PATIENCE)
            self.assertEqual((a.data, a.connection, a.request.number), (b"a", 1, 1))
            [connection] = await client.connections()
            self.assertEqual(connection.peer, a.peer)
            await a.reply("A", hex="ff")
            b = await waiting
            self.assertEqual(repr(b), "<AsyncHeldRequest b'b', connection 1>")
            with self.assertRaisesRegex(AssertionError, "no request waits for the test"):
                await client.next_request(timeout=0.05)
            await b.answer(b"B", Close())
            self.assertEqual(await reader.read(), b"A\r\n\xff\r\nB\r\n")

        self.run_with(test)

    def test_a_request_that_nobody_waits_for_any_more(self) -> None:
        """What is cancelled takes no request from what waits later."""

        async def test(client: AsyncControlClient) -> None:
            for wait in (client.when_held(), client.next_request(timeout=0.5)):
                task = asyncio.create_task(wait)
                await asyncio.sleep(0.1)
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
            await self.connected(b"a")
            self.assertEqual((await client.next_request(timeout=PATIENCE)).data, b"a")

        self.run_with(test)

    def test_connections(self) -> None:
        """They are waited for, have states, and get frames, alone or with others."""

        async def test(client: AsyncControlClient) -> None:
            await client.on("in").goto("inside").reply("in")
            await client.on_event("connect").reply("hi")
            await client.every(60).reply("tick")
            reader = await self.connected(b"in")
            one = await client.wait_for_connection(timeout=PATIENCE)
            self.assertEqual(await reader.readline(), b"hi\r\n")
            self.assertEqual(await reader.readline(), b"in\r\n")
            self.assertEqual(await one.state(), "inside")
            await one.send("a")
            await client.push("b", connection=one.number, raw=True)
            self.assertEqual(await client.broadcast("c", to="state:inside"), 1)
            with self.assertRaisesRegex(AssertionError, "connection 1 is open"):
                await client.wait_for_close(one, timeout=0)
            await one.close()
            self.assertEqual(await reader.read(), b"a\r\nbc\r\n")
            await client.wait_for_close(one, timeout=PATIENCE)
            await client.assert_no_open_connections()

        self.run_with(test)
