"""Clients of an operator: the same stores as those of the consumers, over connections of its own.

Its writes are in the journals of the stores, as all are, and each client knows which are its own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import opensearchpy

from lockstep.simulation.components import INDEX, TABLE
from lockstep.simulation.fakes.dynamodb import UNPROCESSED, DynamoDB, Written
from lockstep.simulation.fakes.network import PERFECT, Connection, PartFailure
from lockstep.simulation.fakes.opensearch import OpenSearch
from lockstep.simulation.fakes.opensearch_cluster import FakeIndex, StoredDocument
from lockstep.simulation.faulty_network import LONGEST_ANSWER_SECONDS, StoreName
from lockstep.simulation.system import System

# The share of an operator's reads of several items that the table answers in part.
UNPROCESSED_SHARE = 0.3


class OperatorsConnection:
    """A connection that is perfect unless `faulty`: then it has the faults of the consumers' one.

    Time passes during a request in any case, so invocations can begin between two requests.
    """

    def __init__(self, store: StoreName, system: System, on_request: Callable[..., None]) -> None:
        """Connect to this store; `on_request` is told before each request if it writes."""
        self.faulty = False
        self._conditions = system.conditions
        self._connection = system.connections[store]
        self._on_request = on_request

    def send[T](self, apply: Callable[[], T]) -> T:
        """See `Connection.send`."""
        self._on_request(writes=False)
        if self.faulty:
            return self._connection.send(apply)
        if self._conditions.kill_in is not None:
            self._conditions.kill_if_due(apply)
        answer = apply()
        time = self._conditions.time
        time.advance(self._conditions.chance.random() * LONGEST_ANSWER_SECONDS)
        return answer

    def part_failures(self, parts: int, codes: Sequence[str]) -> Mapping[int, PartFailure]:
        """See `Connection.part_failures`: asked before each write.

        A read may leave keys at any time: it is no fault.
        """
        if codes is UNPROCESSED:
            return self._connection.unprocessed(parts, UNPROCESSED_SHARE)
        self._on_request(writes=True)
        if self.faulty:
            return self._connection.part_failures(parts, codes)
        return PERFECT.part_failures(parts, codes)


class OwnJournal(list[Written]):
    """The writes of an operator in one store, which are also in the journal of the store.

    `positions`: where they are there. `watch`: called with each write, at that moment.
    """

    def __init__(self, whole: list[Written]) -> None:
        super().__init__()
        self.positions: list[int] = []
        self.watch: Callable[[Written], None] | None = None
        self._whole = whole

    def append(self, one: Written) -> None:
        """Add a write to both journals."""
        super().append(one)
        self.positions.append(len(self._whole))
        self._whole.append(one)
        if self.watch is not None:
            self.watch(one)


class OperatorsIndex(OpenSearch):
    """The fake of the index, as the product's client shows it: an empty answer is an error.

    See `doors.opensearch`; the fake itself answers as opensearch-py does. `own` has the writes of
    this client, which are also in the journal of all.
    """

    def __init__(self, system: System, connection: Connection, *, may_refuse: bool = False) -> None:
        """Connect to the index of this system; `may_refuse`: as it refuses a consumer."""
        self._system = system
        self._touched = system.touched["write_to_es"]
        super().__init__(
            INDEX,
            connection=connection,
            now=lambda: system.time.now,
            refuses=system.index_refuses if may_refuse else _takes_all,
            cluster=system.index.nodes,
        )
        self.own = OwnJournal(system.index.journal)

    def send[T](self, apply: Callable[[], T]) -> Any:
        """See `OpenSearch.send`."""
        answer = super().send(apply)
        if answer == "":
            raise opensearchpy.exceptions.ConnectionError("N/A", "an empty answer", None)
        return answer

    def _keep(
        self, index: FakeIndex, image_id: str, version: int, source: Mapping[str, Any] | None
    ) -> None:
        was = index.documents.get(image_id)
        self.own.append(index.keep(image_id, version, source, self._now()))
        if source is None and was is not None and was.source and self._may_be_back(was, version):
            # It is written again, or the table wins. The removal may come late, and take what was
            # written again since.
            self._touched[image_id] = len(self.nodes.journal)

    def _may_be_back(self, was: StoredDocument, version: int) -> bool:
        """Whether this removes what may be written again in a lower version.

        A repair removes what has a moved `_version`, and an answer anything. If that is in time,
        the answer says what it wrote. A purge removes an expired tombstone.
        """
        moved = version > _stated(was)
        return moved or (self._system.is_late and not _is_over(was, self._now()))


def _stated(document: StoredDocument) -> int:
    """The version that a document states; 0 if it states none."""
    version = (document.source or {}).get("version")
    return version if type(version) is int else 0


def _is_over(document: StoredDocument, now: float) -> bool:
    """Whether this is an expired tombstone."""
    source = document.source or {}
    end = source.get("expires_at")
    return source.get("deleted") is True and isinstance(end, int) and end <= now


def table_client(
    system: System, connection: OperatorsConnection, *, may_refuse: bool
) -> tuple[DynamoDB, OwnJournal]:
    """A client of the table, and its own writes; `may_refuse`: as it refuses a consumer."""
    client = DynamoDB(
        TABLE,
        connection=connection,
        refuses=system.table_refuses if may_refuse else _takes_all,
        condemns=system.table_condemns if may_refuse else _takes_all,
    )
    client.items, client.observer = system.table.items, system.table.observer
    journal = OwnJournal(system.table.journal)
    client.journal = journal
    return client, journal


def index_client(
    system: System, connection: Connection, *, may_refuse: bool
) -> tuple[OperatorsIndex, OwnJournal]:
    """A client of the index, and its own writes; `may_refuse`: as it refuses a consumer."""
    client = OperatorsIndex(system, connection, may_refuse=may_refuse)
    return client, client.own


def _takes_all(_: object) -> bool:
    return False
