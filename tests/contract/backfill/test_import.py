"""`lockstep import` on the real engines: images in, and nothing overruled."""

import bz2
import gzip
from pathlib import Path

import msgspec
import pytest

from lockstep.commands.options import APPLY_HINT
from lockstep.producing.producer import Producer, Stamp
from tests.builders import decoded, image, image_event
from tests.contract.redrive.conftest import Stage
from tests.troubled_collection import MAPPING, QUERIES, TABLE_MAPPING, records, table, titled


def line(image_id: str, name: str) -> bytes:
    return msgspec.json.encode({"image_id": image_id, "image": image(name)}) + b"\n"


def put(stage: Stage, *events: tuple[str, str]) -> None:
    stamp = Stamp()
    producer = Producer(stage.clients.kinesis, stage.stack.stream)
    producer.put(decoded(image_event(image_id, stamp(), kind)) for image_id, kind in events)


def test_what_is_imported_overrules_neither_what_is_there_nor_what_is_on_its_way(
    stage: Stage, tmp_path: Path
) -> None:
    put(stage, ("there", "image.uploaded"), ("gone", "image.uploaded"))
    put(stage, ("gone", "image.deleted"))
    stage.drain()
    put(stage, ("coming", "image.uploaded"))  # on the stream, in no store yet
    ids = ("there", "gone", "coming", *(f"new-{n}" for n in range(250)))
    lines = [line(image_id, "imported") for image_id in ids]
    client, bucket = stage.clients.s3, stage.stack.bucket
    client.put_object(Bucket=bucket, Key="old/1.ndjson", Body=b"".join(lines[:100]))
    packed = gzip.compress(b"".join([*lines[100:], b"no image\n"]))
    client.put_object(Bucket=bucket, Key="old/2.ndjson.gz", Body=packed)
    folder = f"s3://{bucket}/old/"
    refused, point = tmp_path / "refused", tmp_path / "point"

    shown = stage.lockstep("import", folder)
    assert shown.exit_code == 1
    assert f"251 new and 0 replaced would be put, 1 rejected\n{APPLY_HINT}" in shown.stdout
    assert f"{folder}2.ndjson.gz:154: not_json" in shown.stderr
    stage.drain()
    assert stage.names("new-1") == {None}

    done = stage.lockstep(
        "import", folder, "--apply", "--refused", refused, "--resume", point, "--json"
    )
    assert done.exit_code == 1, done.output
    told = msgspec.json.decode(done.stdout)
    assert (told["new"], told["replaced"], told["skipped"]) == (250, 0, {"there": 2, "deleted": 1})
    assert [one["line"] for one in told["rejected"]] == [154]
    assert refused.read_bytes() == b"no image\n"
    assert not point.exists()
    stage.drain()
    assert stage.names("new-249") == {"imported"}
    for image_id in ("there", "coming"):
        (name,) = stage.names(image_id)
        assert str(name).startswith(f"{image_id} at version")
    assert stage.names("gone") == {None}
    assert stage.lockstep("audit", "--values", "--watermark", "1").exit_code == 0

    again = stage.answer("import", f"s3://{bucket}/old/1.ndjson", "--apply")
    assert (again["new"], again["skipped"]) == (0, {"there": 99, "deleted": 1})
    put(stage, ("replaced", "image.uploaded"))
    stage.drain()
    file = tmp_path / "one.ndjson"
    file.write_bytes(line("replaced", "imported") + line("gone", "imported"))
    assert stage.answer("import", file, "--apply", "--replace")["replaced"] == 2
    stage.drain()
    assert stage.names("replaced") == stage.names("gone") == {"imported"}


def test_an_event_that_was_on_its_way_wins_against_the_imported_image(
    stage: Stage, tmp_path: Path
) -> None:
    put(stage, ("coming", "image.uploaded"))
    file = tmp_path / "images.ndjson"
    file.write_bytes(line("coming", "imported"))
    assert stage.answer("import", file, "--apply")["new"] == 1
    stage.drain()
    (name,) = stage.names("coming")
    assert str(name).startswith("coming at version")


def test_it_goes_on_from_the_line_that_it_kept(stage: Stage, tmp_path: Path) -> None:
    file, point = tmp_path / "images.ndjson", tmp_path / "point"
    file.write_bytes(b"".join(line(f"i{n}", "imported") for n in range(10)))
    point.write_bytes(msgspec.json.encode({"source": str(file), "line": 7}))
    assert stage.answer("import", file, "--resume", point, "--apply")["new"] == 3
    point.write_bytes(b"[]")
    result = stage.lockstep("import", file, "--resume", point)
    assert result.exit_code == 2
    assert "was not written by an import" in result.stderr


def test_a_packed_file_that_is_cut_off_is_told_with_how_much_of_it_is_put(
    stage: Stage, tmp_path: Path
) -> None:
    packed = gzip.compress(b"".join(line(f"cut-{n}", "imported") for n in range(2000)))
    file = tmp_path / "images.ndjson.gz"
    file.write_bytes(packed[:-100])
    cut = stage.lockstep("import", file, "--apply", "--json")
    told = msgspec.json.decode(cut.stdout)
    assert (cut.exit_code, told["new"], told["skipped"]) == (2, 1000, {})
    assert "incomplete" in told["error"]
    stage.drain()
    file.write_bytes(packed)
    again = stage.answer("import", file, "--apply")
    assert (again["new"], again["skipped"]) == (1000, {"there": 1000})


# More than one block of 1,000.
TROUBLED = 1_200


@pytest.mark.parametrize("form", ["NDJSON", "CSV, as a spreadsheet saves it"])
def test_a_collection_with_the_troubles_of_real_ones_goes_in_by_a_mapping_file(
    stage: Stage, tmp_path: Path, form: str
) -> None:
    mapping, file = tmp_path / "museum.toml", tmp_path / "records"
    if form == "NDJSON":
        mapping.write_bytes(MAPPING)
        file.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in records(TROUBLED)))
    else:
        mapping.write_bytes(TABLE_MAPPING)
        file.write_bytes(bz2.compress(table(TROUBLED)))
    done = stage.answer("import", "--from", mapping, file, "--apply")
    assert (done["new"], done["rejected"]) == (TROUBLED, [])
    stage.drain()
    assert stage.keys("quarantine/") == []
    assert stage.names("1982:2F0") == {"Low tide, \u201cNorth Sea\u201d 0"}
    audit = stage.lockstep("audit", "--values", "--watermark", "1", "--json")
    assert audit.exit_code == 0, audit.output
    told = msgspec.json.decode(audit.stdout)
    assert (told["result"], told["table"]) == ("equal", TROUBLED)
    found = {query: stage.answer("search", query)["total"] for query in QUERIES}
    assert found == {query: titled(TROUBLED, place) for query, place in QUERIES.items()}
