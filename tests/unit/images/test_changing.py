"""A change of an image: what came between its reading and its delivery is never lost silently."""

import datetime as dt
from typing import Any

import pytest
from msgspec import UNSET

from lockstep.images.changing import ImageChangeError
from lockstep.images.held import HeldImage
from lockstep.stores.readers import StoreUnreadableError
from shared.event import Event, Image
from tests.builders import image
from tests.unit.images.way import SECONDS, Way
from tests.unit.replay.memory_stream import START

# What the stores have at first, and what is put.
READ, OURS = 1_795_000_000_000_000, 1_795_248_000_000_000


def named(name: str) -> dict[str, Any]:
    return {"event_type": "image.updated", "image": image(name)}


def renamed(_: str, held: HeldImage, version: int = OURS) -> Event:
    at = dt.datetime.fromtimestamp(START, dt.UTC)
    assert held.image is not None
    return Event("image.updated", "i-1", version, at, Image(name=f"{held.image['name']}!"))


def removed(image_id: str, _: HeldImage) -> Event:
    return Event("image.deleted", image_id, OURS, dt.datetime.fromtimestamp(START, dt.UTC), UNSET)


def ready(**said: Any) -> Way:
    """The image was put an hour ago."""
    way = Way(**said)
    way.stream.put("i-1", READ, ago=3_600, **named("as it was"))
    return way


def names(way: Way) -> set[object]:
    return {change.image.name for change in way.arrived().values()}  # type: ignore[union-attr]


def test_a_change_is_put_and_both_stores_have_exactly_it() -> None:
    way = ready()
    (found,) = way.run(renamed)
    assert (found.result, found.others) == ("delivered", [])
    assert found.read is not None
    assert found.read.version == READ
    for held in (found.table, found.index):
        assert held is not None
        assert (held.version, held.image) == (OURS, {"name": "as it was!"})
    assert found.put is not None
    assert found.put.arrived_at is not None


def test_an_event_between_reading_and_put_is_overwritten_and_shown() -> None:
    way = ready()
    way.before_put = lambda: way.rival(OURS - 5, **named("theirs"))
    (found,) = way.run(renamed)
    assert found.result == "overwrote"
    assert str(OURS - 5) in found.detail
    (other,) = found.others
    assert (other.fate, other.version, other.image) == (
        "overwritten",
        OURS - 5,
        {"name": "theirs"},
    )
    assert found.read is not None
    assert found.read.image == {"name": "as it was"}
    assert found.table is not None
    assert found.table.version == OURS


def test_a_late_event_between_put_and_delivery_is_overwritten_and_shown() -> None:
    way = ready()
    way.after_put = lambda: way.rival(OURS - 5, **named("theirs"))
    (found,) = way.run(renamed)
    assert (found.result, [one.fate for one in found.others]) == ("overwrote", ["overwritten"])


@pytest.mark.parametrize("moment", ["before_put", "after_put"])
def test_a_newer_event_that_replaces_the_change_is_shown(moment: str) -> None:
    way = ready()
    setattr(way, moment, lambda: way.rival(OURS + 5, **named("theirs")))
    (found,) = way.run(renamed)
    assert found.result == "overtaken"
    assert [(one.fate, one.version) for one in found.others] == [("newer", OURS + 5)]
    assert found.table is not None
    assert (found.table.version, found.table.image) == (OURS + 5, {"name": "theirs"})
    assert found.put is not None
    assert found.put.image == {"name": "as it was!"}


def test_a_deletion_that_comes_between_is_shown_as_one() -> None:
    way = ready()
    way.before_put = lambda: way.rival(OURS - 5, event_type="image.deleted")
    (found,) = way.run(renamed)
    assert (found.result, found.others[0].state) == ("overwrote", "tombstone")


@pytest.mark.parametrize("moment", ["before_put", "after_put"])
def test_another_event_with_the_same_version_is_a_conflict(moment: str) -> None:
    way = ready()
    setattr(way, moment, lambda: way.rival(OURS, **named("theirs")))
    (found,) = way.run(renamed)
    assert (found.result, [one.fate for one in found.others]) == ("conflict", ["same_version"])


def test_a_store_with_other_content_at_our_version_is_a_conflict_without_the_stream() -> None:
    way = ready()
    way.before_put = lambda: way.rival(OURS, **named("theirs"))
    way.unreadable_after_put = True
    (found,) = way.run(renamed)
    assert found.result == "conflict"


def test_what_waits_in_the_stream_is_read_before_the_change_is_made() -> None:
    way = ready(lag=10.0)
    way.rival(READ + 5, **named("theirs"))
    (found,) = way.run(renamed)
    assert found.result == "delivered"
    assert found.table is not None
    assert found.table.image == {"name": "theirs!"}


def test_nothing_is_put_while_the_table_lacks_an_event_of_the_image() -> None:
    way = ready(lag=SECONDS * 10)
    way.rival(READ + 5, **named("theirs"))
    with pytest.raises(ImageChangeError, match=f"version {READ + 5} of image i-1 is on the stream"):
        way.run(renamed)
    assert way.put == []


def test_what_the_consumer_has_quarantined_does_not_hold_a_change_back() -> None:
    way = ready()
    way.stream.put_raw(b"{", "i-1")
    way.rival(READ + 5, "i-2")
    (found,) = way.run(renamed)
    assert found.result == "delivered"


def test_a_record_that_a_retry_put_twice_is_not_somebody_elses() -> None:
    way = ready()

    def again() -> None:
        way.stream.put_raw(way.stream.kinesis.shards[shard].records[-1].data, "i-1")

    (shard,) = way.stream.kinesis.shards
    way.after_put = again
    (found,) = way.run(renamed)
    assert (found.result, found.others) == ("delivered", [])


def test_another_event_with_the_same_version_and_content_is_a_duplicate() -> None:
    way = ready()
    way.before_put = lambda: way.rival(OURS, event_type="image.deleted")
    (found,) = way.run(removed)
    assert (found.result, found.others) == ("delivered", [])


@pytest.mark.parametrize("broken", ["table", "index"])
def test_a_store_that_does_not_get_it_in_time_is_named(broken: str) -> None:
    way = ready(broken=broken)
    (found,) = way.run(renamed)
    assert found.result == "not_delivered"
    assert found.detail.endswith(f"not yet in the {broken}")


def test_what_came_between_is_shown_although_a_store_does_not_get_it_in_time() -> None:
    way = ready(broken="index")
    way.before_put = lambda: way.rival(OURS - 5, **named("theirs"))
    (found,) = way.run(renamed)
    assert found.result == "overwrote"
    assert found.detail.endswith("not yet in the index")


def test_an_event_that_a_consumer_has_quarantined_says_why() -> None:
    way = ready(broken="index")
    way.quarantine["i-1", OURS] = "refused_by_store: too large"
    (found,) = way.run(renamed)
    assert (found.result, found.detail) == (
        "quarantined",
        f"version {OURS} is in quarantine: refused_by_store: too large",
    )


def test_without_the_stream_it_says_that_it_does_not_know() -> None:
    way = ready()
    way.unreadable_after_put = True
    (found,) = way.run(renamed)
    assert (found.result, found.put is not None) == ("not_checked", True)


def test_a_stream_that_does_not_return_the_event_that_was_put_is_not_trusted() -> None:
    way = ready()
    way.loses_ours = True
    (found,) = way.run(renamed)
    assert (found.result, found.others) == ("not_checked", [])
    way = ready()
    way.loses_ours = True
    way.before_put = lambda: way.rival(OURS - 5, **named("theirs"))
    (found,) = way.run(renamed)
    assert (found.result, [one.fate for one in found.others]) == ("overwrote", ["overwritten"])


@pytest.mark.parametrize("store", ["table", "index"])
def test_a_store_that_does_not_answer_after_the_put_does_not_hide_what_came(store: str) -> None:
    way = ready()
    way.unreadable = store
    (found,) = way.run(renamed)
    assert found.result == "not_delivered"
    assert found.detail.endswith(
        f"not yet in the {store}; the {store} could not be read: the {store} does not answer"
    )
    way = ready()
    way.unreadable = store
    way.before_put = lambda: way.rival(OURS - 5, **named("theirs"))
    (found,) = way.run(renamed)
    assert (found.result, [one.fate for one in found.others]) == ("overwrote", ["overwritten"])


@pytest.mark.parametrize("store", ["table", "index"])
def test_nothing_is_put_if_a_store_does_not_answer(store: str) -> None:
    way = ready()
    way.unreadable, way.unreadable_from_the_start = store, True
    with pytest.raises(StoreUnreadableError, match=f"the {store} does not answer"):
        way.run(renamed)
    assert way.put == []


def test_nothing_is_put_if_the_stream_has_too_many_records_to_check() -> None:
    way = ready(page=1, most=1)
    for number in range(3):
        way.rival(1, f"other-{number}")
    with pytest.raises(ImageChangeError, match="too many records"):
        way.run(renamed)
    assert way.put == []


def test_an_absent_or_deleted_image_gets_no_event_and_the_others_do() -> None:
    way = ready()
    way.stream.put("gone", READ, ago=60, event_type="image.deleted")
    never, gone, ours = way.run(removed, "never", "gone", "i-1")
    assert (never.result, never.detail) == ("absent", "the table has no such image")
    assert (gone.result, gone.detail) == ("absent", f"it is deleted, at version {READ}")
    assert ours.result == "delivered"
    assert [event.image_id for event in way.put] == ["i-1"]
    assert ours.table is not None
    assert ours.table.state == "tombstone"


def test_an_image_that_already_is_so_gets_no_event() -> None:
    way = ready()
    (found,) = way.run(lambda *_: None)
    assert (found.result, way.put) == ("unchanged", [])


def test_a_dry_run_shows_the_event_and_puts_none() -> None:
    way = ready()
    (found,) = way.run(renamed, applies=False)
    assert (found.result, way.put) == ("not_put", [])
    assert found.put is not None
    assert found.put.image == {"name": "as it was!"}


def test_an_event_that_the_consumers_would_refuse_is_not_put() -> None:
    way = ready()
    ahead = OURS + 2 * 86_400 * 1_000_000
    with pytest.raises(ImageChangeError, match="more than a day after"):
        way.run(lambda image_id, held: renamed(image_id, held, ahead))
    assert way.put == []
