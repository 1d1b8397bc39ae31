"""Takes plain connections on loopback to a server that speaks TLS: the suite itself has none.

usage: python tunnel.py SERVER CERTIFICATE

Prints the address at which it listens, and ends with its standard input.
"""

import asyncio
import ssl
import sys

CHUNK_BYTES = 64 * 1024


async def pass_on(reader, writer):
    """Passes bytes on until there are no more."""
    try:
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        pass


async def tunnel(host, port, context, reader, writer):
    """One connection: it ends when the server or the suite has ended it, as a direct one would."""
    try:
        server = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    except OSError:
        writer.close()
        return
    there, here = pass_on(reader, server[1]), pass_on(server[0], writer)
    there, here = asyncio.ensure_future(there), asyncio.ensure_future(here)
    await asyncio.wait([there, here], return_when=asyncio.FIRST_COMPLETED)
    if here.done():
        # The server has closed: the suite hears it, and closes its own side.
        await asyncio.wait([there], timeout=10)
    there.cancel()
    here.cancel()
    for one in (server[1], writer):
        one.close()


async def main():
    host, port = sys.argv[1].rsplit(":", 1)
    context = ssl.create_default_context(cafile=sys.argv[2])
    context.set_alpn_protocols(["http/1.1"])
    listener = await asyncio.start_server(lambda reader, writer: tunnel(host, int(port), context, reader, writer), "127.0.0.1", 0)
    print("{}:{}".format(*listener.sockets[0].getsockname()[:2]), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
