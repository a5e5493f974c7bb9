"""What an audit says of an image once its record is discarded."""

import pytest

from lockstep.quarantine.forecast import (
    Forecast,
    IsRepaired,
    NeedsAnswer,
    NeedsEvent,
    StaysEqual,
    StaysExplained,
    forecast,
    in_words,
)
from lockstep.stores.entry import Entry
from shared.horizon import HORIZON
from tests.builders import ARRIVED_AT

NOW = ARRIVED_AT / 1000
OLD = ARRIVED_AT - round(HORIZON.total_seconds() * 1000)


def image(version: int = 5, *, arrived_at: int = ARRIVED_AT, digest: str = "d") -> Entry:
    return Entry("T1", version, digest=digest, checked_version=version, arrived_at=arrived_at)


TOMBSTONE = Entry("T1", 6, deleted=True, expires_at=int(NOW) + 9, checked_version=6)
MALFORMED = Entry("T1", 5, checked_version=5, malformed="no digest")


@pytest.mark.parametrize(
    ("table", "index", "explained", "then"),
    [
        (None, None, False, StaysEqual()),
        (image(), image(), True, StaysEqual()),
        (None, image(), False, NeedsAnswer("image")),
        (None, image(), True, StaysExplained()),
        (None, image(arrived_at=OLD), False, NeedsAnswer("outlived")),
        (image(), image(6), True, NeedsAnswer("image")),
        (image(), TOMBSTONE, False, NeedsAnswer("removal")),
        (MALFORMED, image(), False, NeedsAnswer("malformed")),
        (MALFORMED, None, False, NeedsEvent()),
        (MALFORMED, MALFORMED, False, NeedsEvent()),
        (image(), None, False, IsRepaired("missing_in_index")),
        (image(6), image(), True, IsRepaired("index_behind")),
        (image(), image(digest="other"), False, IsRepaired("conflict")),
        (image(), MALFORMED, False, IsRepaired("malformed")),
    ],
)
def test_an_audit_and_a_repair_do_what_the_forecast_says(
    table: Entry | None,
    index: Entry | None,
    explained: bool,  # noqa: FBT001 - a case of the table
    then: Forecast,
) -> None:
    assert forecast(table, index, now=NOW, explained=explained) == then


def test_each_forecast_is_said_in_words() -> None:
    said = [
        in_words(one)
        for one in (
            StaysEqual(),
            StaysExplained(),
            NeedsAnswer("removal"),
            IsRepaired("conflict"),
            NeedsEvent(),
        )
    ]
    assert len(set(said)) == len(said)
    assert "(removal)" in said[2]
    assert "(conflict)" in said[3]
