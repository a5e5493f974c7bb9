"""`lockstep import --from-s3-pictures` on the real engines."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from lockstep.stack.stack import LOCAL_REGION, Endpoints, PictureStores, Stack, write_local
from shared.picture_ids import id_of_key
from tests.contract.pictures.conftest import Place, picture
from tests.unit.operator.command import assert_one_line, lockstep

NO_ONE = "http://127.0.0.1:1"
NAMES = ("2024/a.jpg", "2024/été.jpg", "2025/b.jpg")


class Imports:
    """The command on one place."""

    def __init__(self, place: Place, state: Path) -> None:
        self.place, self.state = place, state

    def run(self, prefix: str, *words: object, code: int = 0) -> Any:
        source = f"s3://{self.place.name}/{prefix}"
        said = ["import", "--from-s3-pictures", source, *words, "--json", "--state", self.state]
        result = lockstep(*said)
        assert result.exit_code == code, result.output
        return msgspec.json.decode(result.stdout)

    def refusal(self, source: str, *words: object) -> Any:
        said = ["import", "--from-s3-pictures", source, *words, "--state", self.state]
        return lockstep(*said)


@pytest.fixture
def imports(
    place: Place, kinesis_endpoint: str, dynamodb_endpoint: str, s3_endpoint: str, tmp_path: Path
) -> Imports:
    stack = Stack(
        Endpoints(kinesis_endpoint, dynamodb_endpoint, NO_ONE, s3_endpoint),
        stream=place.name,
        table=place.images,
        index="none",
        bucket="none",
        region=LOCAL_REGION,
        functions={},
        state=str(tmp_path),
        pictures=PictureStores(place.name, place.rows),
    )
    write_local(stack, tmp_path)
    for name in NAMES:
        place.upload(name, picture())
    place.upload("2024/notes.txt", b"no picture")
    return Imports(place, tmp_path)


def counts(found: Any) -> Any:
    return {name: found[name] for name in ("pictures", "put", "unchanged", "no_picture", "failed")}


def test_pictures_that_were_there_before_get_their_events_once(imports: Imports) -> None:
    found = imports.run("pictures/", "--apply")
    expected = {"pictures": 4, "put": 3, "unchanged": 0, "no_picture": 1, "failed": []}
    assert counts(found) == expected
    assert {event.image_id for event in imports.place.events()} == {*map(id_of_key, NAMES)}
    again = imports.run("", "--apply")
    assert counts(again) == expected | {"put": 0, "unchanged": 3}
    assert len(imports.place.events()) == 3


def test_an_import_takes_the_keys_with_its_prefix_only(imports: Imports) -> None:
    assert counts(imports.run("pictures/2025", "--apply"))["put"] == 1
    assert [event.image_id for event in imports.place.events()] == [id_of_key(NAMES[2])]
    # What an import that was interrupted did not reach is put by the next one.
    found = imports.run("pictures/", "--apply")
    assert (found["put"], found["unchanged"]) == (2, 1)


def test_a_dry_run_shows_how_many_events_are_missing_and_changes_nothing(imports: Imports) -> None:
    found = imports.run("pictures/")
    assert (found["applied"], found["put"]) == (False, 4)
    assert imports.place.events() == []
    imports.run("pictures/", "--apply")
    imports.place.upload(NAMES[0], picture("blue"))
    found = imports.run("pictures/")
    assert (found["put"], found["unchanged"], found["no_picture"]) == (1, 2, 1)
    said = imports.refusal(f"s3://{imports.place.name}")
    assert said.stdout.startswith("1 events would be put, 2 unchanged, 1 no picture, 0 failed, ")


def test_another_bucket_or_prefix_is_refused_with_the_command_that_copies(
    imports: Imports,
) -> None:
    ours = imports.place.name
    for source in ("s3://other/2024", f"s3://{ours}/2024", f"s3://{ours}x/pictures/"):
        said = imports.refusal(source, "--apply")
        assert_one_line(said, f"`aws s3 sync {source} s3://{ours}/pictures/`")
    assert_one_line(imports.refusal("2024.ndjson"), f"give s3://{ours}/pictures/")
    assert imports.place.events() == []


def test_options_of_other_imports_are_refused(imports: Imports) -> None:
    for words in (["--replace"], ["--undelete"], ["--resume", "x"], ["--from", "tate"]):
        said = imports.refusal(f"s3://{imports.place.name}/pictures/", *words)
        assert_one_line(said, f"does not take {words[0]}: leave it out")
