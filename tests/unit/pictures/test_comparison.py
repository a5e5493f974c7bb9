"""Whether bucket, row and table agree about a key."""

import pytest

from lockstep.pictures.alignment import ObjectIdentity, PictureRow
from lockstep.pictures.bucket.comparison import KeyFacts, PictureState, TableImage, state_of

NOW, GRACE = 1_800_000_000.0, 600.0
STAMP = 1_799_990_000_000_000
OLD = ObjectIdentity('"old"', 1_799_990_000, 5)
NEW = ObjectIdentity('"new"', 1_799_995_000, 6)
JUST_NOW = ObjectIdentity('"now"', 1_799_999_900, 6)
PUT = PictureRow(counter=2, version=STAMP, object=OLD, shown=True)
WAITS = PictureRow(counter=1, version=STAMP, object=OLD, shown=True, event=b"{}")
IMAGE = TableImage(STAMP, shown=True, checksum="sha256:1")
TOMBSTONE = TableImage(STAMP + 9)


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (KeyFacts(OLD, PUT, IMAGE), "equal"),
        (KeyFacts(OLD, PUT, IMAGE, "sha256:1"), "equal"),
        (KeyFacts(OLD, None, TableImage()), "missing"),
        (KeyFacts(OLD, None, IMAGE), "changed"),
        (KeyFacts(NEW, PUT, IMAGE), "changed"),
        (KeyFacts(JUST_NOW, PUT, IMAGE), "recent"),
        (KeyFacts(JUST_NOW, None, TableImage()), "recent"),
        (KeyFacts(None, PUT, IMAGE), "gone"),
        (KeyFacts(None, PUT, TableImage()), "gone"),
        (KeyFacts(OLD, WAITS, TableImage()), "not_put"),
        (KeyFacts(OLD, PUT, TableImage()), "behind"),
        (KeyFacts(OLD, PUT, TableImage(STAMP - 1, shown=True)), "behind"),
        (KeyFacts(OLD, PUT, TOMBSTONE), "other_event"),
        (KeyFacts(OLD, PUT, IMAGE, "sha256:2"), "other_event"),
        (KeyFacts(None, None, IMAGE), "unknown"),
        (KeyFacts(None, None, TableImage()), "equal"),
        (KeyFacts(None, PictureRow(counter=3, version=STAMP + 1), IMAGE), "behind"),
        (KeyFacts(None, PictureRow(counter=3, version=STAMP), IMAGE), "unknown"),
        (KeyFacts(OLD, PictureRow(counter=1, object=OLD), TableImage()), "no_picture"),
    ],
)
def test_each_state_follows_from_object_row_and_image(facts: KeyFacts, state: PictureState) -> None:
    assert state_of(facts, now=NOW, grace=GRACE) == state


def test_an_event_that_was_written_a_short_time_ago_may_still_be_put() -> None:
    row = PictureRow(counter=1, version=int((NOW - 5) * 1e6), object=OLD, shown=True, event=b"{}")
    facts = KeyFacts(OLD, row, TableImage())
    assert state_of(facts, now=NOW, grace=GRACE) == "recent"
    assert state_of(facts, now=NOW, grace=1.0) == "not_put"
