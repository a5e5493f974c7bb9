"""docs/json/ has the schema of each command's `--json`, and no other; real outputs fit it."""

import re
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from tests.gate.commands import COMMANDS as GATED
from tests.json_answers import check, command_in
from tools.json_schemas import ANSWERS, FOLDER, commands_with_json, encoded, file_of, schema_of

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "json.md"
# No stack is behind these commands, so they do not run in tests/gate.
# Their outputs: tests/flow/test_demo.py, tests/simulation/test_command.py.
UNGATED = {"demo", "simulate"}
# The run of `quarantine show` there runs these, too.
WITH_SHOW = {"quarantine list", "quarantine stats"}


@pytest.mark.parametrize(("name", "command"), list(commands_with_json()))
def test_each_command_with_json_has_its_schema_as_the_types_say(
    name: str, command: click.Command
) -> None:
    assert name in ANSWERS, f"tools/json_schemas.py does not say what `lockstep {name}` prints"
    written = file_of(name).read_bytes()
    assert written == encoded(schema_of(name, command)), "run `make generated`"


def test_there_is_no_schema_of_anything_else() -> None:
    names = [name for name, _ in commands_with_json()]
    assert sorted(ANSWERS) == sorted(names)
    assert sorted(FOLDER.iterdir()) == sorted(map(file_of, names))


def test_the_guide_lists_each_schema_with_its_command() -> None:
    row = r"^\| `lockstep ([a-z ]+)` \| \[.*\]\(\.\./json/(.+)\) \|$"
    listed = re.findall(row, GUIDE.read_text(), re.MULTILINE)
    assert listed == [(name, file_of(name).name) for name in sorted(ANSWERS)]


def test_the_output_of_each_command_is_checked_where_it_runs() -> None:
    """tests/gate runs commands with `--json`, and checks what they print."""
    gated = {command_in(one.name.split()) for one in GATED}
    assert ANSWERS.keys() - gated == UNGATED | WITH_SHOW


@pytest.mark.parametrize(
    "printed",
    [
        '{"applied":false,"image_id":"a","seconds":{}}',
        '{"format":2,"image_id":"a","seconds":{}}',
        '{"format":1,"image_id":"a","seconds":{"put":"1"}}',
        '{"format":1,"image_id":"a"}',
        '{"format":1,"image_id":"a","seconds":{},"other":1}',
    ],
)
def test_an_output_that_does_not_fit_its_schema_is_found(printed: str) -> None:
    check(["smoke", "--json"], '{"format":1,"image_id":"a","seconds":{"put":1.5}}')
    with pytest.raises(AssertionError, match="lockstep smoke --json printed"):
        check(["smoke", "--json"], printed)


def test_times_are_texts_and_counts_are_numbers() -> None:
    for name in ANSWERS:
        schema = msgspec.json.decode(file_of(name).read_bytes())
        for title, definition in schema["$defs"].items():
            for field, its in definition.get("properties", {}).items():
                kinds = _kinds(its)
                if field.endswith("_at") or field in {"at", "since", "until", "oldest"}:
                    assert kinds <= {"string", "null"}, (name, title, field)
                if field in {"records", "images", "bytes", "version"}:
                    assert "string" not in kinds, (name, title, field)


def _kinds(schema: dict[str, Any]) -> set[str | None]:
    return {one.get("type") for one in schema.get("anyOf", [schema])}
