"""What `lockstep rebuild` says that it would do."""

from typing import cast

import msgspec
import pytest

from lockstep.commands.options import APPLY_HINT
from lockstep.commands.rebuild import rebuilt, show_plan
from lockstep.rebuild.parts import RebuildOptions
from lockstep.rebuild.rebuild import Rebuild, RebuildPlan

PLAN = RebuildPlan(
    stage="begin",
    live="images-000001",
    index="images-000002",
    replaces="images-000001",
    problems=(),
    ignored=(),
    differences=(),
    table=3,
    documents=3,
)


def shown(plan: RebuildPlan, capsys: pytest.CaptureFixture[str], *, drops: bool = False) -> str:
    show_plan(plan, drops=drops)
    return capsys.readouterr().out


def test_an_old_index_is_kept_or_deleted_as_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for stage in ("begin", "go_on", "finish", "repeat"):
        plan = msgspec.structs.replace(PLAN, stage=stage)
        kept = shown(plan, capsys)
        assert "images-000001 would be kept" in kept
        assert "deleted" not in kept
        dropped = shown(plan, capsys, drops=True)
        assert "images-000001 and older ones would be deleted if both stores are equal" in dropped
        assert "would be kept" not in dropped


def test_who_is_at_a_rebuild_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    plan = msgspec.structs.replace(PLAN, stage="go_on", worker="process 7 on here")
    at_work = shown(msgspec.structs.replace(plan, worker_is="at_work"), capsys)
    assert "process 7 on here is rebuilding" in at_work
    assert APPLY_HINT not in at_work
    perhaps = shown(msgspec.structs.replace(plan, worker_is="unknown"), capsys)
    assert "process 7 on here may be rebuilding" in perhaps
    gone = shown(msgspec.structs.replace(plan, worker_is="gone"), capsys)
    assert gone.endswith(f"{APPLY_HINT}\n")


def test_a_long_difference_of_the_mapping_does_not_fill_the_screen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pattern = f"settings.analysis.char_filter.file is null, expected {'x' * 5_000}"
    said = shown(msgspec.structs.replace(PLAN, differences=(pattern,)), capsys)
    (line,) = [one for one in said.splitlines() if "differs" in one]
    assert line.startswith("index differs: settings.analysis.char_filter.file is null, ")
    assert len(line) < 200


def test_what_is_wrong_or_refused_is_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    plan = msgspec.structs.replace(
        PLAN, problems=("alias a is wrong",), refused="another release", replaces=None, live=None
    )
    said = shown(plan, capsys)
    assert "wrong: alias a is wrong\n" in said
    assert "refused: another release\n" in said
    assert "images-000002 would be filled from the table, and get both aliases" in said
    assert "kept" not in said


def test_an_index_that_is_not_copied_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    plan = msgspec.structs.replace(PLAN, replaces=None, live=None, ignored=("images-000001",))
    assert "images-000001 is behind no alias: nothing would be copied" in shown(plan, capsys)


def test_ctrl_c_says_that_the_same_command_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="130"):
        rebuilt(cast("Rebuild", Interrupted()), RebuildOptions(at_most=1, settle=0, patience=0))
    assert capsys.readouterr().err == "interrupted: run the same command again to continue\n"


class Interrupted:
    def run(self, _options: object, _tell: object) -> None:
        raise KeyboardInterrupt
