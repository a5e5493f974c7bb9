"""Tells readers that something was put onto a stream, so that they need not ask all the time.

Kinesis has nothing like it: only the local event source mappings use it. They read at once when it
rings, and seldom otherwise.
"""

import asyncio
import uuid

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

# A request is answered after this time at the latest.
LONGEST_SECONDS = 20.0
# The operations after which a reader may find something new: records, or the end of a shard.
RINGING = frozenset(
    {
        *("CreateStream", "DeleteStream", "MergeShards", "PutRecord", "PutRecords"),
        *("SplitShard", "UpdateShardCount"),
    }
)


class Arrivals:
    """How often something arrived since the endpoint started, for readers that wait for more.

    Its state is a text that readers repeat. It differs after a restart, so a reader that waits with
    a state from before is answered at once.
    """

    def __init__(self) -> None:
        self._start = uuid.uuid4().hex
        self._count = 0
        self._ringing = asyncio.Event()
        self._stopping = False

    @property
    def state(self) -> str:
        """The state of now."""
        return f"{self._start}-{self._count}"

    def ring(self) -> None:
        """Something arrived."""
        self._count += 1
        self._ringing.set()
        self._ringing = asyncio.Event()

    def stop(self) -> None:
        """Answer all readers now: the endpoint ends."""
        self._stopping = True
        self._ringing.set()

    async def answer(self, request: Request) -> Response:
        """GET /arrivals?after=STATE: the state, as soon as it is another one."""
        if request.query_params.get("after") == self.state and not self._stopping:
            try:
                async with asyncio.timeout(LONGEST_SECONDS):
                    await self._ringing.wait()
            except TimeoutError:
                pass
        return PlainTextResponse(self.state)
