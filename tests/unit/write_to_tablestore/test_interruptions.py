"""Invocations that die, answers that are lost, and two invocations at once: the end is the same."""

from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lockstep.local.tablestore.store import TableFile
from tests.unit.write_to_tablestore.replica import CountingConnection, Replica, row_record

# What happens to one request of the sink.
WORKS, LOST_BEFORE, LOST_AFTER = "works", "lost before", "lost after"


class KilledError(BaseException):
    """The process ends here. No code of the product catches it."""


class KillingConnection(CountingConnection):
    """The process dies before a request is sent, or after it was applied."""

    def __init__(self, endpoint: Any, happens: Iterator[str]) -> None:
        super().__init__(endpoint)
        self.happens = happens

    def send_receive(self, url: str, headers: Any, body: bytes) -> Any:
        what = next(self.happens, WORKS)
        if what == LOST_BEFORE:
            raise KilledError
        answer = super().send_receive(url, headers, body)
        if what == LOST_AFTER:
            raise KilledError
        return answer


CHANGES = st.lists(
    st.tuples(st.sampled_from("abc"), st.one_of(st.none(), st.integers(0, 9))),
    min_size=1,
    max_size=10,
)


def records_of(changes: Sequence[tuple[str, int | None]]) -> list[dict[str, Any]]:
    return [
        row_record(at, key, None if number is None else {"n": {"N": str(number)}})
        for at, (key, number) in enumerate(changes, 1)
    ]


def expected(changes: Sequence[tuple[str, int | None]]) -> dict[str, int | None]:
    """By key: the number of the last change; None: removed."""
    return dict(changes)


def check(replica: Replica, changes: Sequence[tuple[str, int | None]]) -> None:
    for key, number in expected(changes).items():
        row = replica.row(key)
        assert row is not None
        assert (row.get("n"), row["lockstep_deleted"]) == (number, number is None)


@given(
    CHANGES,
    st.lists(st.sampled_from([WORKS, LOST_BEFORE, LOST_AFTER]), max_size=12),
    st.integers(1, 4),
)
def test_an_invocation_that_dies_at_any_request_is_delivered_again(
    changes: list[tuple[str, int | None]], happens: list[str], size: int
) -> None:
    records = records_of(changes)
    with TableFile.open(None) as store:
        replica = Replica(store)
        killing = KillingConnection(replica.place.endpoint, iter(happens))
        replica.connection = replica.sink._client.connection = killing  # noqa: SLF001
        at = 0
        while at < len(records):
            try:
                delivery = replica.deliver(*records[at : at + size])
            except KilledError:
                continue  # the event source mapping delivers the batch again
            assert delivery.checkpoint is None
            at += size
        check(replica, changes)
        # Each once more, the oldest one last.
        killing.happens = iter(())
        for record in reversed(records):
            replica.deliver(record)
        check(replica, changes)


@given(CHANGES, st.data())
def test_two_invocations_at_once_end_as_one(
    changes: list[tuple[str, int | None]], data: st.DataObject
) -> None:
    """One writes between the requests of the other, as a redrive does while the stream goes on."""
    records = records_of(changes)
    again = data.draw(st.lists(st.sampled_from(records), max_size=6))
    moment = data.draw(st.integers(0, 4))
    with TableFile.open(None) as store:
        replica = Replica(store)
        other = Replica.beside(replica)
        seen = 0

        def meanwhile(_: str) -> None:
            nonlocal seen
            seen += 1
            if seen == moment + 1:
                other.deliver(*again)

        replica.connection.instead = meanwhile
        assert replica.deliver(*records).checkpoint is None
        other.deliver(*again)
        check(replica, changes)
