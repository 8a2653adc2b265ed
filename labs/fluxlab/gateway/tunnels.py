"""A tunnel to a host that is allowed: bytes both ways, never more than a chunk held, half-closes passed on."""

import asyncio
import socket
from dataclasses import dataclass

from .heads import Target

CHUNK_BYTES = 64 * 1024
CONNECT_SECONDS = 15.0

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(kw_only=True)
class Tally:
    """What went through a tunnel, and how it ended if an end broke off."""

    bytes_to_client: int = 0
    note: str = ""


async def connect(target: Target) -> Ends:
    """Connect to the real host. Raises OSError (TimeoutError too) when it cannot be reached."""
    async with asyncio.timeout(CONNECT_SECONDS):
        return await asyncio.open_connection(target.host, target.port, limit=CHUNK_BYTES)


async def run_tunnel(client: socket.socket, server: Ends, *, greeting: bytes) -> Tally:
    """Greet the client, then carry bytes until both directions are at their end; both ends are closed then."""
    tally = Tally()
    from_server, to_server = server
    from_client, to_client = await asyncio.open_connection(sock=client, limit=CHUNK_BYTES)
    try:
        to_client.write(greeting)
        async with asyncio.TaskGroup() as both:
            both.create_task(_carry(from_client, to_server, Tally()))
            both.create_task(_carry(from_server, to_client, tally))
        for writer in (to_server, to_client):
            writer.close()
            await writer.wait_closed()  # what is still on its way arrives
    except* OSError as errors:
        tally.note = f"broken off: {errors.exceptions[0]}"
    finally:
        for writer in (to_client, to_server):
            writer.transport.abort()
    return tally


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, tally: Tally) -> None:
    while chunk := await source.read(CHUNK_BYTES):
        tally.bytes_to_client += len(chunk)
        sink.write(chunk)
        await sink.drain()
    if not sink.is_closing():
        sink.write_eof()
