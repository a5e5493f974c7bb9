"""The change: the three kinds, and what is wrong with one that was read from a store."""

import msgspec
import pytest

from shared.change import Purge, Put, Remove, digest_of, expiry_of, flaw_in
from shared.event import MAX_VERSION
from shared.horizon import end_of_tombstone
from tests.builders import change, image, purge_of


@pytest.mark.parametrize("version", [1, 2, MAX_VERSION - 1, MAX_VERSION])
def test_a_change_as_it_was_written_has_no_flaw(version: int) -> None:
    assert flaw_in(msgspec.structs.replace(change(), version=version)) is None
    assert (
        flaw_in(msgspec.structs.replace(change("T1", 1, "image.deleted"), version=version)) is None
    )


@pytest.mark.parametrize("version", [-1, 0, MAX_VERSION + 1])
def test_a_version_that_no_producer_may_set_is_a_flaw(version: int) -> None:
    changed = msgspec.structs.replace(change(), version=version)
    assert flaw_in(changed) == f"version {version} is not valid: expected 1 to {MAX_VERSION}"


def test_content_that_is_not_the_digests_is_a_flaw() -> None:
    other = change(image=image("another"))
    assert flaw_in(msgspec.structs.replace(change(), digest=digest_of(other))) == (
        "its digest does not match its content"
    )


def test_no_kind_of_change_is_another_kind() -> None:
    tombstone = change("T1", 4, "image.deleted")
    for one, kind in ((change(), Put), (tombstone, Remove), (purge_of(tombstone), Purge)):
        assert [other for other in (Put, Remove, Purge) if isinstance(one, other)] == [kind]


def test_a_deletion_and_its_purge_have_an_expiry_and_no_digest_an_image_the_reverse() -> None:
    tombstone = change("T1", 4, "image.deleted")
    for gone in (tombstone, purge_of(tombstone)):
        assert digest_of(gone) is None
        assert isinstance(expiry_of(gone), int)
    assert digest_of(change()) is not None
    assert expiry_of(change()) is None


@pytest.mark.parametrize("deletion", [Remove, Purge])
def test_a_tombstone_that_ends_before_the_horizon_is_a_flaw(deletion: type[Remove | Purge]) -> None:
    made = change("T1", 1, "image.deleted")
    ends = end_of_tombstone(made.arrived_at)
    assert expiry_of(made) == ends == made.arrived_at // 1000 + 121 * 24 * 60 * 60
    for expires_at, sound in ((ends + 1, True), (ends, True), (ends - 1, False), (0, False)):
        fields = msgspec.structs.asdict(made) | {"expires_at": expires_at}
        flaw = flaw_in(deletion(**fields))
        assert (flaw is None) is sound
        assert sound or f"must be kept until {ends}, 121 days after its arrival" in str(flaw)
