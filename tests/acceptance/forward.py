"""`python forward.py LISTEN:PORT=TARGET:PORT …`: passes TCP on, as the switch between two hosts and their servers would.

A connection whose bytes nobody acknowledges for half a minute is dropped with them, as `connectors.sockets` does."""

import asyncio
import socket
import sys

UNANSWERED_MS = 30_000


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


def impatient(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def serve(rule: str) -> None:
    (host, port), (to_host, to_port) = (side.rsplit(":", 1) for side in rule.split("="))

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(to_host, int(to_port))
        except OSError:
            writer.close()
            return
        impatient(writer)
        impatient(far_writer)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    server = await asyncio.start_server(accept, host, int(port))
    await server.serve_forever()


async def main() -> None:
    await asyncio.gather(*map(serve, sys.argv[1:]))


if __name__ == "__main__":
    asyncio.run(main())
