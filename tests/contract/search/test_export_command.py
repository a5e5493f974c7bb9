"""`lockstep search --csv` and `--ndjson` on the real index: what a user gets in a pipe."""

import csv
import io
import json
from pathlib import Path

import pytest

from lockstep.stack.stack import LOCAL_REGION, Endpoints, Stack, write_local
from tests.builders import change, image
from tests.contract.search.museum import Images
from tests.unit.operator.command import lockstep


@pytest.fixture
def stack(images: Images, opensearch_endpoint: str, tmp_path: Path) -> Path:
    """The folder of a local stack with these images."""
    endpoints = Endpoints("http://unused", "http://unused", opensearch_endpoint, "http://unused")
    write_local(
        Stack(endpoints, "", "", images.alias, "", LOCAL_REGION, {}, state=str(tmp_path)), tmp_path
    )
    return tmp_path


def test_all_images_are_written_and_the_number_goes_to_standard_error(stack: Path) -> None:
    result = lockstep("search", "--ndjson", "--state", stack)
    assert result.exit_code == 0, result.output
    ids = [json.loads(line)["image_id"] for line in result.stdout.splitlines()]
    assert len(ids) > 2000
    assert ids == sorted(set(ids))
    assert result.stderr == f"{len(ids):,} images written\n"


def test_a_table_has_one_header_however_many_images_it_has(stack: Path) -> None:
    result = lockstep("search", "river", "--csv", "--state", stack)
    text = result.stdout_bytes.decode()
    assert text.startswith("\ufeffimage_id,version,name,")
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert len(rows) > 1 + 200
    assert [row for row in rows if row[1] == "version"] == rows[:1]


def test_a_limit_writes_the_first_images_only(stack: Path) -> None:
    words = ("search", "river", "--ndjson", "--state", stack)
    every = lockstep(*words).stdout.splitlines()
    assert lockstep(*words, "--limit", 3).stdout.splitlines() == every[:3]


def test_a_formula_in_a_name_is_harmless_in_a_table(images: Images, stack: Path) -> None:
    images.put(change("own-formula", 1, image=image('=HYPERLINK("http://x","Zzyzx")')))
    result = lockstep("search", "zzyzx", "--csv", "--state", stack)
    (_, row) = csv.reader(io.StringIO(result.stdout, newline=""))
    assert row[2] == '\'=HYPERLINK("http://x","Zzyzx")'
