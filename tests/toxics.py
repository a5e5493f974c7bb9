"""A proxy that spoils a connection at a chosen byte: the usual toxics, between client and server.

Words as in Toxiproxy: `up` is what the client sends, `down` what the server answers. Bytes count
from the moment a toxic is given, over all connections, so that a whole exchange can be cut at any
of its bytes.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Literal
from urllib.parse import urlsplit

import msgspec

type Direction = Literal["up", "down"]

HOST = "127.0.0.1"
CHUNK = 65_536
CONTROL_SECONDS = 10
# SO_LINGER on, for no time: closing forgets what was not sent, and the other side gets an RST.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Reset(msgspec.Struct, frozen=True):
    """Once so many bytes have come through, both sides get an RST in place of the next one.

    So do later connections, at their first byte in that direction, unless it happens `once`.
    """

    after: int
    once: bool = False


class Truncate(msgspec.Struct, frozen=True):
    """As `Reset`, but the receiver gets an orderly end, as if that were all, and may answer it."""

    after: int
    once: bool = False


class Latency(msgspec.Struct, frozen=True):
    """Everything comes so many seconds late."""

    seconds: float

    def pause(self, _: bytes) -> float:
        """The seconds before these bytes go on."""
        return self.seconds


class Slow(msgspec.Struct, frozen=True):
    """One byte after the other, so many a second."""

    bytes_per_second: float


class Bandwidth(msgspec.Struct, frozen=True):
    """So many bytes a second, in large pieces: what is twice as large takes twice as long."""

    bytes_per_second: float

    def pause(self, data: bytes) -> float:
        """The seconds before these bytes go on."""
        return len(data) / self.bytes_per_second


type Toxic = Reset | Truncate | Latency | Slow | Bandwidth
type End = Literal["orderly", "reset"]


class _Lane:
    """One direction: its toxic, and what came through since it was given."""

    def __init__(self, toxic: Toxic | None = None) -> None:
        self.toxic = toxic
        self.carried = bytearray()
        self.cuts = 0


class Proxy:
    """Stands before one server, in a thread of its own; its methods are for any other thread."""

    def __init__(self, server: str) -> None:
        """Args: `server` is a URL of host and port."""
        parts = urlsplit(server)
        self._server = (parts.hostname, parts.port)
        self._port = 0
        self._lanes: dict[Direction, _Lane] = {"up": _Lane(), "down": _Lane()}
        self._connections: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="toxics")
        self._thread.start()
        self.come_up()

    @property
    def url(self) -> str:
        """Where the server seems to be."""
        return f"http://{HOST}:{self._port}"

    def give(self, direction: Direction, toxic: Toxic) -> None:
        """This direction has this toxic from now on, and the other has none."""
        self._lanes = {"up": _Lane(), "down": _Lane(), direction: _Lane(toxic)}

    def heal(self) -> None:
        """Everything comes through."""
        self._lanes = {"up": _Lane(), "down": _Lane()}

    def carried(self, direction: Direction) -> bytes:
        """What came through since the last `give` or `heal`."""
        return bytes(self._lanes[direction].carried)

    @property
    def cuts(self) -> int:
        """Connections that were cut since the last `give` or `heal`."""
        return sum(lane.cuts for lane in self._lanes.values())

    def come_up(self) -> None:
        """Listen, on the same port as before."""
        self._run(self._listen())

    def go_down(self) -> None:
        """Refuse connections, and reset those that there are."""
        self._run(self._end())

    def close(self) -> None:
        """End it all."""
        self.go_down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, what: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(timeout=CONTROL_SECONDS)

    async def _listen(self) -> None:
        listener = socket.create_server((HOST, self._port))
        self._port = listener.getsockname()[1]
        self._listening = await asyncio.start_server(self._connected, sock=listener)

    async def _end(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(
        self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        writers, lanes = [to_client], list[asyncio.Task[End]]()
        end: End = "reset"
        try:
            from_server, to_server = await asyncio.open_connection(*self._server)
            writers.append(to_server)
            lanes += [
                asyncio.create_task(self._carry("up", from_client, to_server)),
                asyncio.create_task(self._carry("down", from_server, to_client)),
            ]
            for ended in asyncio.as_completed(lanes):
                if await ended == "reset":
                    break
            else:
                end = "orderly"
        except OSError:  # the server is not there
            pass
        finally:
            for lane in lanes:
                lane.cancel()
            for writer in writers:
                _close(writer, end)
            self._connections.discard(task)

    async def _carry(
        self, direction: Direction, source: asyncio.StreamReader, to: asyncio.StreamWriter
    ) -> End:
        """Until one side ends, or a toxic ends it."""
        to.transport.set_write_buffer_limits(0)  # drained means that the kernel has it
        try:
            while data := await source.read(CHUNK):
                # Of the exchange that sent this, even if it is given up meanwhile.
                lane = self._lanes[direction]
                match lane.toxic:
                    case Reset(after, once) | Truncate(after, once) as toxic:
                        room = max(0, after - len(lane.carried))
                        await _send(to, data[:room], lane)
                        if len(data) > room:
                            lane.cuts += 1
                            lane.toxic = None if once else toxic
                            if isinstance(toxic, Reset):
                                return "reset"
                            break
                    case Latency() | Bandwidth() as toxic:
                        await asyncio.sleep(toxic.pause(data))
                        await _send(to, data, lane)
                    case Slow(bytes_per_second):
                        for byte in data:
                            await asyncio.sleep(1 / bytes_per_second)
                            await _send(to, bytes([byte]), lane)
                    case None:
                        await _send(to, data, lane)
            to.write_eof()
        except OSError:
            return "reset"
        return "orderly"


async def _send(to: asyncio.StreamWriter, data: bytes, lane: _Lane) -> None:
    lane.carried += data
    to.write(data)
    await to.drain()


def _close(writer: asyncio.StreamWriter, end: End) -> None:
    if end == "reset":
        with suppress(OSError):  # it is closed already
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE
            )
        writer.transport.abort()
    writer.close()


@contextmanager
def before(server: str) -> Iterator[Proxy]:
    """A proxy before this server, a URL, as long as the block lasts."""
    proxy = Proxy(server)
    try:
        yield proxy
    finally:
        proxy.close()
