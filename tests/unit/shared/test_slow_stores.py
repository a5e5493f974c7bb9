"""Stores whose answers take longer, the more a request writes: each invocation gets further.

The real sinks and `deliver`, on fakes that take their time. The worst store is assumed: a request
that ran into its timeout has written nothing.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ReadTimeoutError
from opensearchpy.exceptions import ConnectionTimeout

from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_es.connect import REQUEST_SECONDS
from functions.write_to_es.sink import ImageIndex
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.fakes.opensearch import OpenSearch
from lockstep.stores.corrections import Corrections
from shared.batch import REPORTING_SECONDS
from shared.deliver import deliver
from shared.outcome import Applied, Failed
from shared.sink import PATIENCE_SECONDS, Sink, write_all
from tests.builders import change, clock, kinesis_records, largest
from tests.unit.shared.test_deliver import Box

# As in template.yaml, and in the handler of the table.
INVOCATION_SECONDS, TABLE_SECONDS = 60.0, 5.0
# What a change alone has for one request, if the first request of an invocation ran into its
# timeout (docs/internals/invariants.md).
INDEX_LIMIT, TABLE_LIMIT = 37.0, 18.0


class Watch:
    """The time that is left; requests take it."""

    def __init__(self) -> None:
        self.left = INVOCATION_SECONDS

    def wait(self, seconds: float, at_most: float) -> bool:
        """Wait for a request; false if it ran into its timeout."""
        self.left -= min(seconds, at_most)
        return seconds <= at_most

    def pause(self, seconds: float) -> None:
        self.left -= seconds


class SlowIndex(OpenSearch):
    """A `_bulk` takes so many seconds for each operation, and an `_mget` for each document."""

    def __init__(self, watch: Watch, seconds_each: float, seconds_to_read: float = 0.0) -> None:
        super().__init__("images")
        self.sizes: list[int] = []
        self.watch = watch
        self.seconds_each = seconds_each
        self.seconds_to_read = seconds_to_read

    def bulk(self, *, body: bytes, index: str, params: Any = None) -> dict[str, Any]:
        size = body.count(b"\n") // 2
        self.sizes.append(size)
        self._take(size * self.seconds_each, params)
        return super().bulk(body=body, index=index, params=params)

    def mget(self, *, body: Any, index: str, params: Any = None) -> dict[str, Any]:
        self._take(len(body["docs"]) * self.seconds_to_read, params)
        return super().mget(body=body, index=index, params=params)

    def _take(self, seconds: float, params: Any) -> None:
        given = (params or {}).get("request_timeout")
        longest = REQUEST_SECONDS if given is None else given.total
        if not self.watch.wait(seconds, longest):
            raise ConnectionTimeout("TIMEOUT", "late", OSError("late"))


class SlowTable:
    """A client whose requests take so many seconds for each statement."""

    def __init__(
        self, table: DynamoDB, watch: Watch, seconds_each: float, longest: float = TABLE_SECONDS
    ) -> None:
        self.sizes: list[int] = []
        self._table = table
        self._watch = watch
        self._seconds_each = seconds_each
        self._longest = longest

    def batch_execute_statement(self, **request: Any) -> dict[str, Any]:
        size = len(request["Statements"])
        self.sizes.append(size)
        if not self._watch.wait(size * self._seconds_each, self._longest):
            raise ReadTimeoutError(endpoint_url="http://table")
        return self._table.batch_execute_statement(**request)

    def with_timeout(self, seconds: float) -> Any:
        return SlowTable(self._table, self._watch, self._seconds_each, seconds)


def index_sink(client: SlowIndex) -> ImageIndex:
    return ImageIndex(
        client,  # type: ignore[arg-type]
        "images",
        longest_request=REQUEST_SECONDS,
        elapsed=lambda: INVOCATION_SECONDS - client.watch.left,
    )


def table_sink(client: Any) -> ImageTable:
    return ImageTable(client, "images", longest_request=TABLE_SECONDS, patient=client.with_timeout)


EVENTS = [msgspec.json.decode(largest(f"T{number:02}")) for number in range(24)]
RECORDS = kinesis_records(*EVENTS)
CHANGES = [change(one["image_id"], image=one["image"]) for one in EVENTS]


def batch_for(seconds_each: float) -> list[dict[str, Any]]:
    """Few records for a slow store: one request of them all ends in a timeout, too."""
    return RECORDS if seconds_each < 5.0 else RECORDS[:6]


def settled_by_each(
    watch: Watch, sink: Callable[[], Sink], batch: list[dict[str, Any]] = RECORDS
) -> list[int]:
    """How many records each invocation settled, up to the first that settled none."""
    left, settled = batch, list[int]()
    while left and 0 not in settled:
        watch.left = INVOCATION_SECONDS
        checkpoint = deliver(
            left,
            to=sink(),
            quarantine=Box(),
            function="write_to_es",
            clock=clock(sleep=watch.pause, chance=lambda: 0.5),
            remaining=lambda: watch.left,
        ).checkpoint
        assert watch.left >= REPORTING_SECONDS - 1e-9
        numbers = [one["kinesis"]["sequenceNumber"] for one in left]
        settled.append(numbers.index(checkpoint) if checkpoint else len(left))
        left = left[settled[-1] :]
    return settled


@pytest.mark.parametrize("seconds_each", [0.1, 0.5, 0.9, 2.0, 5.6, 11.0, 11.5, 20.0, INDEX_LIMIT])
def test_each_cold_invocation_gets_further_if_the_index_takes_one_document_in_time(
    seconds_each: float,
) -> None:
    watch = Watch()
    slow, batch = SlowIndex(watch, seconds_each), batch_for(seconds_each)
    settled = settled_by_each(watch, lambda: index_sink(slow), batch)
    assert 0 not in settled
    assert sum(settled) == len(batch) == len(slow.documents)


@pytest.mark.parametrize("seconds_each", [0.5, 0.9, 5.6, 11.5, INDEX_LIMIT])
def test_each_warm_invocation_gets_further_as_well(seconds_each: float) -> None:
    watch = Watch()
    slow, batch = SlowIndex(watch, seconds_each), batch_for(seconds_each)
    sink = index_sink(slow)
    sink._room = 1  # noqa: SLF001 - it has met timeouts before
    settled = settled_by_each(watch, lambda: sink, batch)
    assert 0 not in settled
    assert sum(settled) == len(batch) == len(slow.documents)


@pytest.mark.parametrize(("to_write", "to_read"), [(12.0, 36.0), (20.0, 28.0), (INDEX_LIMIT, 11.0)])
def test_the_look_at_what_a_timeout_left_written_has_all_the_time_that_is_left(
    to_write: float, to_read: float
) -> None:
    watch = Watch()
    slow, batch = SlowIndex(watch, seconds_each=0.0), batch_for(to_write)
    assert settled_by_each(watch, lambda: index_sink(slow), batch) == [len(batch)]
    slow.seconds_each, slow.seconds_to_read = to_write, to_read
    settled = settled_by_each(watch, lambda: index_sink(slow), batch)
    assert 0 not in settled
    assert sum(settled) == len(batch)


def test_an_index_that_takes_longer_for_one_document_gets_no_further() -> None:
    watch = Watch()
    slow = SlowIndex(watch, INDEX_LIMIT + 0.1)
    assert settled_by_each(watch, lambda: index_sink(slow)) == [0]
    assert slow.sizes == [19, 1]
    assert slow.documents == {}


def test_a_warm_invocation_that_takes_even_longer_gets_no_further() -> None:
    watch = Watch()
    slow = SlowIndex(watch, INDEX_LIMIT + 0.1)
    sink = index_sink(slow)
    sink._room = 1  # noqa: SLF001 - it has met timeouts before
    assert settled_by_each(watch, lambda: sink) == [0]
    assert slow.sizes == [1, 1]
    assert slow.documents == {}


@pytest.mark.parametrize("seconds_each", [0.1, 0.3, 1.0, 5.0, 5.5, TABLE_LIMIT])
def test_each_invocation_gets_further_if_the_table_takes_one_item_in_time(
    seconds_each: float,
) -> None:
    watch, table, batch = Watch(), DynamoDB("images"), batch_for(seconds_each)
    slow = SlowTable(table, watch, seconds_each)
    settled = settled_by_each(watch, lambda: table_sink(slow), batch)
    assert 0 not in settled
    assert sum(settled) == len(batch) == len(table.items)


def test_a_table_that_takes_longer_for_one_item_gets_no_further() -> None:
    watch, table = Watch(), DynamoDB("images")
    slow = SlowTable(table, watch, TABLE_LIMIT + 0.1)
    assert settled_by_each(watch, lambda: table_sink(slow)) == [0]
    assert table.items == {}


def test_a_warm_function_does_not_begin_with_what_was_too_large() -> None:
    watch = Watch()
    slow = SlowIndex(watch, 2.0)
    sink = index_sink(slow)
    settled_by_each(watch, lambda: sink)
    first_of_the_next = len(next(iter(sink.requests(CHANGES))))
    assert first_of_the_next <= 5


def test_a_program_without_a_deadline_writes_what_takes_long() -> None:
    watch = Watch()
    slow = SlowIndex(watch, PATIENCE_SECONDS)
    sink = ImageIndex(slow, "images", longest_request=0)  # type: ignore[arg-type]
    write_all([change("T1"), change("T2"), change("T3")], sink)
    assert slow.sizes == [3, 1, 1, 1, 1, 1, 1]
    assert slow.documents.keys() == {"T1", "T2", "T3"}


def test_corrections_of_the_index_are_sent_in_halves_as_well() -> None:
    slow = SlowIndex(Watch(), PATIENCE_SECONDS)
    corrections = Corrections(slow, "images")  # type: ignore[arg-type]
    outcomes = corrections.overwrite([change("T1"), change("T2"), change("T3")])
    assert outcomes == [Applied()] * 3
    assert slow.sizes == [3, 1, 1, 1, 1, 1, 1]


def test_a_program_does_not_wait_for_each_change_while_the_store_hangs() -> None:
    slow = SlowIndex(Watch(), PATIENCE_SECONDS + 1)
    sink = ImageIndex(slow, "images", longest_request=0)  # type: ignore[arg-type]
    outcomes = write_all([change(f"T{number}") for number in range(8)], sink)
    assert [type(one) for one in outcomes] == [Failed] * 8
    assert slow.sizes == [8, 1, 1]
