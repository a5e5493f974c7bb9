"""What `update` and `delete` print, and how they end."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence

import pytest
from msgspec import structs

from lockstep.commands.changes import exit_code, show_changed, waiting
from lockstep.commands.delete import summary
from lockstep.images.events import ShownEvent
from lockstep.images.held import HeldImage
from lockstep.images.outcomes import ChangedImage, ChangeResult, OtherEvent
from tests.unit.operator.command import assert_one_line, lockstep

AT = "2026-11-21T08:00:00Z"


def held(version: int, name: str) -> HeldImage:
    return HeldImage(
        version,
        deleted=False,
        arrived_at=AT,
        state="image",
        checked_version=version,
        image={"name": name, "tags": ["a"]},
    )


def other(version: int, name: str) -> OtherEvent:
    return OtherEvent(
        "image", version, "image.updated", AT, AT, image={"name": name}, fate="overwritten"
    )


OVERWROTE = ChangedImage(
    "i-1",
    "overwrote",
    "version 9 overwrites 8",
    held(7, "as it was"),
    ShownEvent("image", 9, "image.updated", AT, image={"name": "ours", "tags": ["a"]}),
    held(9, "ours"),
    held(9, "ours"),
    [other(5, "first"), other(6, "second"), other(8, "theirs")],
)


def shown(one: ChangedImage, capsys: pytest.CaptureFixture[str]) -> list[str]:
    show_changed(one, "updated")
    return capsys.readouterr().out.splitlines()


def test_what_came_between_is_shown_beside_what_was_read_put_and_stored(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, *between = shown(OVERWROTE, capsys)
    assert first == "i-1: overwrote: version 9 overwrites 8"
    assert between[:3] == [
        f"overwritten: version {version}, image.updated, arrived {AT}" for version in (5, 6, 8)
    ]
    assert between[3].split() == ["field", "read", "put", "theirs", "theirs", "(2)", "stored"]
    rows = [row.split() for row in between[4:]]
    assert rows == [
        ["state", *["image"] * 5],
        ["*", "version", "7", "9", "6", "8", "9"],
        ["*", "name", "as", "it", "was", "ours", "second", "theirs", "ours"],
        ["*", "tags", '["a"]', '["a"]', '["a"]'],
    ]


def test_stores_that_differ_are_shown_apart(capsys: pytest.CaptureFixture[str]) -> None:
    heading = shown(structs.replace(OVERWROTE, index=None), capsys)[4]
    assert heading.split()[-2:] == ["table", "index"]


def test_of_a_change_that_is_delivered_only_what_it_changes_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = structs.replace(OVERWROTE, result="delivered", detail="in both stores", others=[])
    first, heading, *rows = shown(done, capsys)
    assert first == "i-1: updated: in both stores"
    assert heading.split() == ["field", "before", "after"]
    assert [row.split() for row in rows] == [
        ["version", "7", "9"],
        ["name", "as", "it", "was", "ours"],
    ]


def test_a_dry_run_shows_what_would_be_changed_or_deleted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    planned = structs.replace(OVERWROTE, result="not_put", detail="a dry run", others=[])
    assert shown(planned, capsys)[0] == "i-1: would be updated: a dry run"
    gone = structs.replace(planned, put=ShownEvent("tombstone", 9, "image.deleted", AT))
    assert [row.split() for row in shown(gone, capsys)[1:]] == [
        ["field", "before"],
        ["state", "image"],
        ["version", "7"],
        ["name", "as", "it", "was"],
        ["tags", '["a"]'],
    ]
    assert len(shown(structs.replace(gone, result="delivered"), capsys)) == 1


def test_whoever_interrupts_the_waiting_is_told_what_is_unknown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended, waiting("waiting"):
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert "whether another event came between was not checked" in capsys.readouterr().err


def test_what_controls_a_terminal_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    foreign = structs.replace(OVERWROTE, read=held(7, "\x1b[2J"), image_id="\x1b]")
    assert "\x1b" not in "".join(shown(foreign, capsys))


@pytest.mark.parametrize(
    ("results", "code"),
    [
        (["delivered", "unchanged", "not_put"], 0),
        (["delivered", "absent"], 1),
        (["overwrote"], 1),
        (["overtaken"], 1),
        (["conflict"], 1),
        (["quarantined"], 1),
        (["delivered", "not_delivered"], 2),
        (["not_checked"], 2),
        (["not_checked", "overwrote", "delivered"], 1),
    ],
)
def test_a_change_that_is_lost_is_a_code_of_1_and_an_unknown_one_of_2(
    results: Sequence[ChangeResult], code: int
) -> None:
    assert exit_code([ChangedImage("i", one, "") for one in results]) == code


def side_by_side(contents: object, columns: int | None) -> list[str]:
    """The lines on a terminal of so many columns; None: in a pipe."""
    program = (
        "from lockstep.commands.side_by_side import show_side_by_side; "
        f"show_side_by_side({contents!r})"
    )
    terminal = {} if columns is None else {"FORCE_COLOR": "1", "COLUMNS": str(columns)}
    shown = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **terminal},
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout.splitlines()[1:]


def test_a_name_of_a_field_stays_whole_on_a_narrow_terminal() -> None:
    content = {"attributes.classification": "x " * 60, "digest": "0" * 64}
    lines = side_by_side({"table": content, "index": content}, 80)
    assert lines[0].lstrip().startswith("attributes.classification  x x")
    assert max(map(len, lines)) <= 80


def test_a_digest_takes_one_line_on_a_terminal_and_is_whole_in_a_pipe() -> None:
    ours, theirs = "ab" + "0" * 62, "0" * 62 + "ef"
    contents = {"table": {"digest": ours}, "index": {"digest": theirs}}
    (narrow,) = side_by_side(contents, 80)
    assert len(narrow) <= 80
    assert [re.sub("0+", "0", word) for word in narrow.split()] == ["*", "digest", "ab0…0", "0…0ef"]
    assert [one.split() for one in side_by_side(contents, 160)] == [["*", "digest", ours, theirs]]
    assert [one.split() for one in side_by_side(contents, None)] == [["*", "digest", ours, theirs]]


def test_a_dry_run_counts_what_would_be_deleted() -> None:
    planned = structs.replace(OVERWROTE, result="not_put", others=[])
    absent = ChangedImage("i-2", "absent", "the table has no such image")
    assert summary([planned, absent], dry_run=True) == "would be deleted: 1 of 2 images"
    done = structs.replace(planned, result="delivered")
    assert summary([done, done, absent], dry_run=False) == "deleted: 2 of 3 images"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["update", "i-1"], "give --set, --unset, --add-tag or --remove-tag"),
        (["update", "i-1", "--set", "name"], "'name': write FIELD=VALUE"),
        (["update", "i-1", "--set", "name=a", "--set", "name=b"], "name is given twice"),
        (["update", "i-1", "--set", "nam=a"], "an image has no field 'nam'"),
        (["update", "i-1", "--set", "name=a", "--version", "0"], "0 is not in the range"),
        (["delete", "a", "b", "--version", "8"], "--version is for one image"),
        (["delete"], "Missing argument 'ID...'"),
        (["delete", "a", ""], "the ID must not be empty"),
    ],
)
def test_a_wrong_call_is_one_line(words: list[str], says: str) -> None:
    assert_one_line(lockstep(*words), says)


@pytest.mark.parametrize("words", [[], ["--set", "nam=a"], ["--unset", "nam"]])
def test_a_wrong_edit_is_told_before_a_stack_is_named(words: list[str]) -> None:
    assert "stack" not in lockstep("update", "i-1", "--stack", "prod", *words).output
