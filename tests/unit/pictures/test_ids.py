"""The id follows from the key alone: it is valid, and no two keys have the same one."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lockstep.pictures.ids import (
    MAX_KEY_BYTES,
    ClaimedIds,
    IdRule,
    KeyRefusedError,
    SameIdError,
    key_by,
)
from shared.event import IMAGE_ID_PATTERN
from shared.picture_ids import PREFIX, id_of_key, key_after

DIGEST = "0123456789abcdef" * 4
# Any text, and texts that look like ids or like derived ids.
IN_IDS = st.text("aZ09._:-", max_size=255)
IDS = st.builds("{}{}".format, st.sampled_from("aZ0"), IN_IDS)
DERIVED = st.builds("{:.140}:sha256-{}".format, IDS, st.text("0f", min_size=63, max_size=65))
KEYS = st.one_of(st.text(max_size=300), IDS, DERIVED, st.text(min_size=257, max_size=1024))


@settings(max_examples=500)
@given(KEYS)
@example("")
@example("a\n")
@example("\ud800")
@example("x" * 256)
@example("x" * 257)
@example("/")
def test_the_id_of_any_key_is_valid(key: str) -> None:
    assert re.match(IMAGE_ID_PATTERN, id_of_key(key))


@settings(max_examples=1000)
@given(KEYS, KEYS)
def test_two_keys_never_have_the_same_id(one: str, other: str) -> None:
    assert (id_of_key(one) == id_of_key(other)) == (one == other)


@settings(max_examples=500)
@given(KEYS)
def test_a_key_that_is_the_derived_id_of_another_has_another_id(key: str) -> None:
    derived = id_of_key(key)
    again = id_of_key(derived)
    # A key that is its own id stays so; any other id is taken, and the key of that name gets one.
    assert (again == derived) == (derived == key)


@pytest.mark.parametrize("key", ["T02680", "IMG_0001.JPG", "2024-05-01_10:11.jpg", f"{DIGEST}.jpg"])
def test_a_key_that_is_a_valid_id_is_the_id(key: str) -> None:
    assert id_of_key(key) == key


@pytest.mark.parametrize(
    ("key", "start"),
    [
        ("2024/Été à la mer/plage.jpg", "2024-Ete-a-la-mer-plage.jpg"),
        ("海辺.jpg", "jpg"),
        ("海辺", "key"),
        ("_hidden.png", "hidden.png"),
        ("x" * 300, "x" * 120),
        (f"a:sha256-{DIGEST}", f"a-sha256-{DIGEST}"),
    ],
)
def test_any_other_id_has_a_readable_start_and_a_hash(key: str, start: str) -> None:
    found = re.fullmatch(r"(.*):sha256-[0-9a-f]{64}", id_of_key(key))
    assert found is not None
    assert found[1] == start


def test_the_derived_id_stays_as_it_was_released() -> None:
    assert id_of_key("2024/a b.jpg") == (
        "2024-a-b.jpg:sha256-a7fed22efc26146ea4f96eac210aa51f1abe6f43db421cf28a2de8b562a01ebb"
    )


@pytest.mark.parametrize(
    ("prefix", "key", "after"),
    [
        ("", "a.jpg", "a.jpg"),
        ("pictures/", "pictures/2024/a.jpg", "2024/a.jpg"),
        ("pictures/", "pictures/", None),
        ("pictures/", "thumbnails/a.jpg", None),
    ],
)
def test_only_keys_below_the_prefix_have_an_image(prefix: str, key: str, after: str | None) -> None:
    assert key_after(prefix, key) == after


@pytest.mark.parametrize(
    ("rule", "key"), [("name", "a b.JPG"), ("path", "2024/a b.JPG"), ("checksum", f"{DIGEST}.jpg")]
)
def test_an_upload_chooses_the_key_by_its_rule(rule: IdRule, key: str) -> None:
    chosen = key_by(rule, path="2024/a b.JPG", checksum=f"sha256:{DIGEST}", suffix=".jpg")
    assert chosen == key


@pytest.mark.parametrize(
    "path", ["a/../b.jpg", "./a.jpg", "a//b.jpg", "/a.jpg", "a/", "", "é" * 600, "a\udcff.jpg"]
)
def test_a_key_that_s3_or_a_program_would_change_is_refused_and_the_file_named(path: str) -> None:
    with pytest.raises(KeyRefusedError, match=r"rename it|shorten it") as refused:
        key_by("path", path=path, checksum=f"sha256:{DIGEST}", suffix=".jpg")
    assert path.encode(errors="backslashreplace").decode()[:9] in str(refused.value)


def test_a_key_may_be_as_long_as_s3_takes() -> None:
    path = "é" * (MAX_KEY_BYTES // 2) + "a"
    assert key_by("path", path=path, checksum="sha256:00", suffix=".jpg") == path
    assert len((PREFIX + path).encode()) == 1024


def test_a_second_picture_with_the_id_of_another_is_refused_and_both_are_named() -> None:
    claimed = ClaimedIds()
    claimed.claim("a.jpg", "2023/a.jpg")
    claimed.claim("a.jpg", "2023/a.jpg")
    claimed.claim("b.jpg", "2024/b.jpg")
    message = "^2024/a.jpg and 2023/a.jpg would both be the image a.jpg$"
    with pytest.raises(SameIdError, match=message):
        claimed.claim("a.jpg", "2024/a.jpg")
