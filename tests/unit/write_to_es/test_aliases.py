"""What a check of both aliases finds, from what OpenSearch returns for them."""

from typing import Any

import pytest

from functions.write_to_es.aliases import LIVE_FILTER, AliasesCheck, check_aliases

ONE, TWO = "images-000001", "images-000002"
LIVE = {"filter": LIVE_FILTER}


def aliased(**aliases_of: dict[str, Any]) -> dict[str, Any]:
    """The indices `one` and `two`, each with these aliases; `writing` and `reading` for short."""
    names = {"one": ONE, "two": TWO, "writing": "images", "reading": "images-live"}
    return {
        names.get(index, index): {
            "aliases": {names.get(alias, alias): its for alias, its in aliases.items()}
        }
        for index, aliases in aliases_of.items()
    }


@pytest.mark.parametrize(
    "found",
    [
        aliased(one={"writing": {"is_write_index": True}, "reading": LIVE}),
        aliased(one={"writing": {}, "reading": LIVE, "images-rebuild": {}}),
        aliased(one={"writing": {"is_hidden": True}, "reading": LIVE | {"is_write_index": False}}),
    ],
)
def test_both_aliases_of_one_index_are_right(found: dict[str, Any]) -> None:
    assert check_aliases("images", found) == AliasesCheck(ONE, (), ())


@pytest.mark.parametrize(
    ("found", "written", "problem"),
    [
        ({}, None, "there is no index behind images and images-live"),
        (
            aliased(one={"writing": {}}),
            ONE,
            "alias images-live does not exist, so searches find nothing",
        ),
        (
            aliased(one={"reading": LIVE}),
            ONE,
            "alias images does not exist, so the consumers cannot write",
        ),
        (
            aliased(one={"writing": {}}, two={"reading": {}}),
            ONE,
            "alias images-live names images-000002, but the consumers write to images-000001",
        ),
        (
            aliased(one={"writing": {}, "reading": LIVE}, two={"reading": LIVE}),
            ONE,
            (
                "alias images-live names images-000001, images-000002, but the consumers write to "
                "images-000001"
            ),
        ),
        (
            aliased(one={"writing": {}, "reading": {}}),
            ONE,
            "alias images-live does not hide deleted images of images-000001",
        ),
        (
            aliased(one={"writing": {}, "reading": {"filter": {"term": {"deleted": True}}}}),
            ONE,
            "alias images-live does not hide deleted images of images-000001",
        ),
        (
            aliased(one={"writing": {}, "reading": LIVE | {"search_routing": "1"}}),
            ONE,
            "alias images-live has search_routing for images-000001, expected none",
        ),
        (
            aliased(one={"writing": {"index_routing": "1"}, "reading": LIVE}),
            ONE,
            "alias images has index_routing, expected none",
        ),
        (
            aliased(one={"writing": {"filter": LIVE_FILTER}, "reading": LIVE}),
            ONE,
            "alias images has filter, expected none",
        ),
        (
            aliased(one={"writing": {"is_write_index": False}, "reading": LIVE}),
            ONE,
            "alias images forbids writing to images-000001",
        ),
        (
            aliased(
                one={"writing": {}}, two={"writing": {"is_write_index": True}, "reading": LIVE}
            ),
            TWO,
            "alias images names images-000001, images-000002, expected only images-000002",
        ),
    ],
)
def test_each_wrong_alias_is_one_line(
    found: dict[str, Any], written: str | None, problem: str
) -> None:
    assert check_aliases("images", found) == AliasesCheck(written, (problem,), ())


@pytest.mark.parametrize(
    ("found", "written", "problem"),
    [
        (
            aliased(images={}, one={"reading": LIVE}),
            ONE,
            "images is an index, not an alias: another program created it by a write. Delete it",
        ),
        (
            aliased(one={"writing": {}}, **{"images-live": {}}),
            ONE,
            (
                "images-live is an index, not an alias: another program created it by a write. "
                "Delete it"
            ),
        ),
        (
            aliased(one={"writing": {}, "reading": LIVE}, two={"writing": {}}),
            None,
            (
                "alias images names images-000001, images-000002, none of them for writing: remove "
                "from it all but the index that holds the images"
            ),
        ),
    ],
)
def test_what_only_an_operator_can_decide_is_told_apart(
    found: dict[str, Any], written: str | None, problem: str
) -> None:
    assert check_aliases("images", found) == AliasesCheck(written, (problem,), (problem,))
