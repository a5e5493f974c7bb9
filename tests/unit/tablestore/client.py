"""The SDK for Python without a network: its requests and the endpoint's answers as bytes."""

import asyncio
import time
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp
from tablestore import (
    CapacityUnit,
    Condition,
    OTSClient,
    OTSServiceError,
    ReservedThroughput,
    Row,
    TableMeta,
    TableOptions,
)
from tablestore.auth import RequestContext
from tablestore.retry import NoRetryPolicy

from lockstep.local.tablestore.endpoint import TableStoreEndpoint
from lockstep.local.tablestore.faults import Attempt, Fault
from lockstep.local.tablestore.server import SignedReply, reply
from lockstep.local.tablestore.signatures import Account
from lockstep.local.tablestore.store import TableFile

IGNORE = Condition("IGNORE")


@dataclass
class Clock:
    """Near the real time: the SDK refuses answers from another."""

    now: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def __call__(self) -> int:
        return self.now


def signed(endpoint: TableStoreEndpoint, path: str, body: bytes) -> dict[str, str]:
    """The headers of a request with any body, signed as it must be."""
    client = sdk(endpoint)
    context = RequestContext(client.credentials_provider.get_credentials())
    made = client.protocol._make_request_headers  # noqa: SLF001 - the SDK signs only its own bodies
    headers: dict[str, str] = made(body, path, client._signer, context)  # noqa: SLF001
    return headers


def called(
    app: ASGIApp,
    method: str,
    path: str,
    headers: list[tuple[bytes, bytes]],
    body: Sequence[bytes] = (b"",),
    *,
    query: bytes = b"",
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of what an application answers to a request, sent in parts."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "root_path": "",
        "query_string": query,
        "headers": headers,
    }
    rest = list(body)
    answers: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        part = rest.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(rest)}

    async def send(message: MutableMapping[str, Any]) -> None:
        answers.append(message)

    async def answer() -> None:
        await app(scope, receive, send)

    asyncio.run(answer())
    start, *parts = answers
    return (
        start["status"],
        dict(start["headers"]),
        b"".join(part.get("body", b"") for part in parts),
    )


class Direct:
    """A connection of the SDK that calls the endpoint. It keeps the last answer."""

    def __init__(self, endpoint: TableStoreEndpoint) -> None:
        self.endpoint = endpoint
        self.last: SignedReply | None = None

    def send_receive(
        self, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, str, dict[str, str], bytes]:
        answer = reply(
            self.endpoint, url, {name.lower(): one for name, one in headers.items()}, bytes(body)
        )
        self.last = answer
        return answer.status, "", dict(answer.headers), answer.body


def sdk(endpoint: TableStoreEndpoint, **given: Any) -> Any:
    """A client that retries nothing."""
    account = endpoint.account
    words = (account.key_id, account.secret, account.instance)
    client = OTSClient("http://localhost", *words, retry_policy=NoRetryPolicy(), **given)
    client.connection = Direct(endpoint)
    return client


@dataclass
class Faulty:
    """Lets an operation fail: the whole request, or what it does with one row."""

    operation: str = ""
    row: str | None = None
    fault: Fault | None = None

    def __call__(self, attempt: Attempt) -> Fault | None:
        of = None if attempt.key is None else attempt.key[0].value
        return self.fault if (attempt.operation, of) == (self.operation, self.row) else None


@dataclass
class TableStore:
    """An endpoint in memory with the table `rows`, whose key is `id` (String)."""

    store: TableFile
    clock: Clock = field(default_factory=Clock)
    faults: Faulty = field(default_factory=Faulty)

    def __post_init__(self) -> None:
        self.endpoint = TableStoreEndpoint(self.store, self.clock, Account(), self.faults)
        self.client = sdk(self.endpoint)
        self.table()

    def table(
        self, name: str = "rows", *key: tuple[str, ...], options: TableOptions | None = None
    ) -> str:
        meta = TableMeta(name, list(key or [("id", "STRING")]))
        self.client.create_table(
            meta, options or TableOptions(), ReservedThroughput(CapacityUnit(0, 0))
        )
        return name

    def put(self, key: Any, condition: Condition = IGNORE, **columns: Any) -> None:
        row = Row(self.key(key), list(columns.items()))
        self.client.put_row("rows", row, condition)

    def get(self, key: Any, columns: Any = (), **given: Any) -> dict[str, Any] | None:
        """The columns of a row; None if there is no row."""
        given = {"max_version": 1} | given
        _, row, _ = self.client.get_row("rows", self.key(key), list(columns), **given)
        return None if row is None else {one[0]: one[1] for one in row.attribute_columns}

    @staticmethod
    def key(value: Any) -> list[tuple[str, Any]]:
        return [("id", value)]


def refusal(call: Any, *given: Any, **named: Any) -> tuple[int, str, str]:
    """Status, code and message of what the endpoint refuses."""
    try:
        call(*given, **named)
    except OTSServiceError as error:
        return error.http_status, error.code, error.message
    raise AssertionError("nothing was refused")
