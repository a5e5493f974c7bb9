"""A table in Table Store and its sink, with the official SDK and the endpoint of this machine.

No request leaves the process: the SDK makes the bytes of each request, and the endpoint answers.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tablestore import TableOptions

from functions.write_to_tablestore.changes import changes_by, record_in
from functions.write_to_tablestore.connect import connect
from functions.write_to_tablestore.conversion import Conversion
from functions.write_to_tablestore.deliver_rows import deliver_rows
from functions.write_to_tablestore.rows import RowChange
from functions.write_to_tablestore.settings import Credentials, Deletions, settings_in
from functions.write_to_tablestore.sink import ReplicaTable
from lockstep.local.tablestore.errors import TableStoreError
from lockstep.local.tablestore.faults import Fault
from lockstep.local.tablestore.store import TableFile
from shared.batch import Delivery
from shared.clock import Clock
from shared.outcome import Outcome
from shared.quarantine import QuarantinedRecord
from shared.sink import outcomes_of
from tests.builders import ARRIVED_AT, clock
from tests.unit.tablestore.client import Direct, TableStore

LABEL = "2026-11-30T01:23:45.678"
ARN = f"arn:aws:dynamodb:eu-central-1:123456789012:table/orders/stream/{LABEL}"
BY_ID = Conversion(primary_key=("id",))


def row_record(
    position: int, key: str = "a", item: dict[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    """One entry of `Records`: the new item of this key; None: it was removed."""
    keys = {"id": {"S": key}}
    images = {} if item is None else {"NewImage": {**keys, **item}}
    return {
        "eventID": f"{position:032x}",
        "eventName": "REMOVE" if item is None else "MODIFY",
        "eventSource": "aws:dynamodb",
        "eventSourceARN": ARN,
        "dynamodb": {
            "ApproximateCreationDateTime": float(ARRIVED_AT // 1000 + position),
            "Keys": keys,
            "SequenceNumber": str(10**20 + position),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **images,
        },
    } | fields


@dataclass
class Shelf:
    """A quarantine in memory."""

    longest_put: float = 1.0
    entries: list[QuarantinedRecord] = field(default_factory=list)

    def put(self, record: QuarantinedRecord) -> None:
        self.entries.append(record)


class CountingConnection(Direct):
    """Keeps the names of the operations that the SDK sends."""

    def __init__(self, endpoint: Any) -> None:
        super().__init__(endpoint)
        self.sent: list[str] = []
        self.body = b""
        self.instead: Callable[[str], None] = lambda _: None

    def send_receive(self, url: str, headers: Any, body: bytes) -> Any:
        self.sent.append(url.removeprefix("/"))
        self.body = body
        self.instead(self.sent[-1])
        return super().send_receive(url, headers, body)


class Replica:
    """The table `orders`, its sink, and its rows as an official SDK reads them."""

    def __init__(
        self,
        store: TableFile,
        *,
        deletions: Deletions = "tombstone",
        key: Sequence[tuple[Any, ...]] = (("id", "STRING"),),
        options: TableOptions | None = None,
        conversion: Conversion = BY_ID,
    ) -> None:
        place = TableStore(store)
        place.table("orders", *key, options=options)
        self._open(place, conversion, deletions)

    @classmethod
    def beside(cls, other: "Replica") -> "Replica":
        """The sink of a second invocation, before the same table."""
        made = cls.__new__(cls)
        made._open(other.place, other.conversion, "tombstone")  # noqa: SLF001 - its own class
        return made

    def _open(self, place: TableStore, conversion: Conversion, deletions: Deletions) -> None:
        self.place = place
        self.conversion = conversion
        self.deletions = deletions
        self.shelf = Shelf()
        settings = settings_in(
            {
                "OTS_INSTANCE": self.place.endpoint.account.instance,
                "OTS_ENDPOINT": "http://localhost",
                "TABLE_NAME": "orders",
                "PRIMARY_KEY": "id",
            }
        )
        account = self.place.endpoint.account
        client = connect(settings, Credentials(account.key_id, account.secret), 5)
        self.client = client
        self.connection = client.connection = CountingConnection(self.place.endpoint)
        self.sink = ReplicaTable(
            client,
            "orders",
            conversion.key_columns,
            longest_request=0.01,
            deletions=deletions,
        )

    @property
    def sent(self) -> list[str]:
        """The operations that were sent since the last look."""
        found, self.connection.sent = self.connection.sent, []
        return found

    def change(self, record: dict[str, Any]) -> RowChange:
        return changes_by(self.conversion, None)(record_in(record))

    def write(self, *records: dict[str, Any]) -> list[Outcome]:
        """Write the changes of different rows; returns their outcomes."""
        changes = [self.change(one) for one in records]
        return [
            outcome
            for request in self.sink.requests(changes)
            for outcome in outcomes_of(request, self.sink.send)
        ]

    def deliver(self, *records: dict[str, Any], its_clock: Clock | None = None) -> Delivery:
        """Deliver a batch, as an invocation does."""
        return deliver_rows(
            records,
            to=self.sink,
            quarantine=self.shelf,
            function="write_to_tablestore",
            clock=its_clock or clock(now=lambda: ARRIVED_AT / 1000),
            remaining=lambda: 900.0,
            change_in=changes_by(self.conversion, None),
        )

    def row(self, key: Any = "a") -> dict[str, Any] | None:
        """All columns of a row; None if there is none."""
        primary = key if isinstance(key, list) else [("id", key)]
        _, row, _ = self.place.client.get_row("orders", primary, max_version=1)
        return None if row is None else {name: cell for name, cell, *_ in row.attribute_columns}

    @contextmanager
    def failing(self, operation: str, fault: Fault, row: str | None = None) -> Iterator[None]:
        """Let this operation fail, as a whole or for one row."""

        faults = self.place.faults
        self.connection.instead = lambda _: None
        faults.operation, faults.row, faults.fault = operation, row, fault
        try:
            yield
        finally:
            faults.fault = None

    def stop_failing_after(self, operation: str) -> None:
        """After the next request of this operation, nothing fails any more."""

        def stop(sent: str) -> None:
            if sent == operation:
                self.place.faults.fault = None

        self.connection.instead = stop

    @contextmanager
    def failing_with(self, code: str, row: str) -> Iterator[None]:
        """Refuse each BatchWriteRow that has this row, whole."""
        send = self.connection.send_receive

        def refusing(url: str, headers: Any, body: bytes) -> Any:
            whole = url == "/BatchWriteRow" and row.encode() in body
            self.place.faults.operation, self.place.faults.row = "BatchWriteRow", None
            self.place.faults.fault = Fault(TableStoreError(code, "no")) if whole else None
            return send(url, headers, body)

        self.connection.send_receive = refusing  # type: ignore[method-assign]
        try:
            yield
        finally:
            del self.connection.send_receive
