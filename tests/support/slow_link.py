"""A way to a server on this machine that is as slow as one through a network."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def slow_link(port: int, delay_s: float) -> AsyncIterator[int]:
    """A port that leads to another one; each piece for the server comes there so much later."""

    async def carry(
        source: asyncio.StreamReader, sink: asyncio.StreamWriter, after_s: float
    ) -> None:
        try:
            while piece := await source.read(1 << 16):
                await asyncio.sleep(after_s)
                sink.write(piece)
                await sink.drain()
        except ConnectionError:
            pass  # one of the two is gone: so is the other
        finally:
            sink.close()

    async def serve(client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        answers, server = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(client, server, delay_s), carry(answers, back, 0))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield int(listening.sockets[0].getsockname()[1])
