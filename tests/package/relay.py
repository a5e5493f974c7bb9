"""A relay: what comes in at one place goes out at another, and back.

`sam local invoke` runs a function in a container, where 127.0.0.1 is the container itself. The
engines listen on this machine's 127.0.0.1 only, and stay there: one relay brings each to a Unix
socket in a folder, a second, in a container beside the function's, from there to a port.

    python relay.py FROM=TO ...     a place is a Unix socket's path or HOST:PORT

Needs the standard library alone: the second one runs in the Lambda image.
"""

import asyncio
import sys


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    except ConnectionError:
        pass  # the other direction notices, too
    finally:
        target.close()


async def _serve(origin: str, goal: str) -> asyncio.Server:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await (
                asyncio.open_unix_connection(goal)
                if goal.startswith("/")
                else asyncio.open_connection(*goal.split(":"))
            )
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))

    if origin.startswith("/"):
        return await asyncio.start_unix_server(relay, origin)
    return await asyncio.start_server(relay, *origin.split(":"))


async def _main(pairs: list[str]) -> None:
    servers = [await _serve(*pair.split("=", 1)) for pair in pairs]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
