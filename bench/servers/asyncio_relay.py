"""A relay with ``asyncio.Protocol``: ``PORT``, the port of the service."""

import asyncio
import sys
from typing import cast

port = int(sys.argv[1])


class Side(asyncio.Protocol):
    """One of two connections; it pauses the other while its transport is full."""

    other: "Side"
    transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        if self.other.transport is not None and self.other.transport.can_write_eof():
            self.other.transport.write_eof()
        return True

    def connection_lost(self, _: Exception | None) -> None:
        if self.other.transport is not None:
            self.other.transport.close()


class Client(Side):
    """The side of a client, which is not read before the service is connected."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        cast(asyncio.Transport, transport).pause_reading()
        self.other = Side()
        self.other.other = self
        self.connecting = asyncio.ensure_future(self.connect())

    async def connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self.other, "127.0.0.1", port)
        if self.transport is not None:
            self.transport.resume_reading()


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Client, "127.0.0.1", 0, backlog=4096)
    await server.serve_forever()


asyncio.run(main())
