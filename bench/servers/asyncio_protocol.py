"""A plain ``asyncio.Protocol``: ``REPLY [uvloop]``; the second argument selects uvloop."""
# mypy: disable-error-code="import-not-found, import-untyped"
# uvloop is optional: the benchmark reports it as missing.

import asyncio
import sys
from typing import cast

reply = sys.argv[1].encode()


class Answer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, _: bytes) -> None:
        self.transport.write(reply)


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answer, "127.0.0.1", 0, backlog=4096)
    await server.serve_forever()


if sys.argv[2:] == ["uvloop"]:
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
