"""What `lockstep import` reads, what it keeps, and what it says when it cannot go on."""

import gzip
import os
import random
import signal
import threading
from pathlib import Path

import msgspec
import pytest

from lockstep.stack.stack import read_local
from tests.unit.operator.command import assert_one_line, lockstep

BAD = b"no image\n"


def imported(state: Path, *words: object) -> list[object]:
    """The words of an import that asks no store: `--replace` needs no horizon."""
    return ["import", *words, "--replace", "--state", state]


@pytest.mark.parametrize("apply", [[], ["--apply"]])
def test_the_refused_lines_never_go_over_what_is_read(state: Path, apply: list[str]) -> None:
    source, link, point = state / "images.ndjson", state / "link", state / "point"
    source.write_bytes(BAD)
    link.hardlink_to(source)
    for written in (source, state / "." / "images.ndjson", link):
        result = lockstep(*imported(state, source, "--refused", written, *apply))
        assert_one_line(result, "--refused", "choose another one")
    result = lockstep(*imported(state, source, "--refused", point, "--resume", point, *apply))
    assert_one_line(result, "--refused", "choose another one")
    assert source.read_bytes() == BAD


def test_an_import_that_goes_on_keeps_the_lines_that_were_refused_before(state: Path) -> None:
    source, refused, point = state / "images.ndjson", state / "refused", state / "point"
    source.write_bytes(b"first\nsecond\n")
    refused.write_bytes(b"first\n")
    point.write_bytes(msgspec.json.encode({"source": str(source), "line": 1}))
    words = imported(state, source, "--refused", refused, "--resume", point, "--apply")
    assert lockstep(*words).exit_code == 1
    assert refused.read_bytes() == b"first\nsecond\n"
    assert lockstep(*words).exit_code == 1  # from its beginning: the point is gone
    assert refused.read_bytes() == b"first\nsecond\n"


def test_a_file_for_refused_lines_that_cannot_be_written_is_told_before_anything_is_read(
    state: Path,
) -> None:
    for file in (state / "nowhere" / "x", state):
        result = lockstep(*imported(state, state / "no-source", "--refused", file))
        assert_one_line(result, str(file))


def test_a_source_that_breaks_off_is_told_with_all_that_came_before_it(state: Path) -> None:
    source = state / "images.ndjson.gz"
    lines = [random.Random(n).randbytes(1000).hex().encode() + b"\n" for n in range(50)]
    packed = gzip.compress(b"".join(lines))
    source.write_bytes(packed[: len(packed) // 2])
    words = imported(state, source, "--apply")
    result = lockstep(*words)
    assert_one_line(result, "damaged or incomplete")
    told = msgspec.json.decode(lockstep(*words, "--json").stdout)
    count = len(told["rejected"])
    assert f"not finished: 0 new and 0 replaced put, {count} rejected; some" in result.stderr
    assert (told["new"], 0 < count < 50) == (0, True)
    assert "damaged or incomplete" in told["error"]


def test_of_very_many_refused_lines_a_person_reads_the_first_ones_and_a_program_all(
    state: Path,
) -> None:
    source = state / "picture.jpg"
    source.write_bytes(b"\xff\n" * 642)
    result = lockstep(*imported(state, source))
    assert_one_line(result, "and 622 more lines (`--json` lists all)", code=1)
    assert result.stderr.count(f"{source}:") == 20
    assert "642 rejected" in result.stdout
    told = msgspec.json.decode(lockstep(*imported(state, source), "--json").stdout)
    assert len(told["rejected"]) == 642


def test_ctrl_c_says_how_far_it_came_and_how_to_go_on(state: Path) -> None:
    pipe = state / "pipe"
    os.mkfifo(pipe)

    def feed() -> None:
        with pipe.open("wb") as file:
            file.write(b"\n" * 300_000)  # more than a pipe holds: it is being read
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            told.wait()

    told = threading.Event()
    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    result = lockstep(*imported(state, pipe, "--apply"))
    told.set()
    feeder.join(5)
    assert_one_line(result, "interrupted", code=130)
    assert "not finished: 0 new and 0 replaced put, 0 rejected" in result.stderr
    assert "Run it again" in result.stderr


def test_a_folder_and_a_file_without_records_are_told(state: Path) -> None:
    result = lockstep(*imported(state, state))
    assert_one_line(result, f"{state} is a folder: give the files in it, one after the other")
    file = state / "works.csv"
    file.write_bytes(b"image_id,name\n")
    result = lockstep(*imported(state, file))
    assert (result.exit_code, result.stderr) == (0, f"{file} has no records\n")
    file.write_bytes(b"image_id,name\nx,y\n")
    point = state / "point"
    point.write_bytes(msgspec.json.encode({"source": str(file), "line": 1}))
    assert lockstep(*imported(state, file, "--resume", point)).stderr == ""


def test_a_source_that_is_not_there_is_one_line(state: Path) -> None:
    result = lockstep(*imported(state, state / "nowhere.ndjson"))
    assert_one_line(result, "nowhere.ndjson")
    assert result.stderr.count("\n") == 1


def test_a_copy_of_the_table_is_read_as_it_is(state: Path) -> None:
    source = "dynamodb://images-restored"
    result = lockstep("import", source, "--undelete", "--from", "tate", "--state", state)
    assert_one_line(result, source, "leave out --from")


def test_replace_and_undelete_are_not_given_together(state: Path) -> None:
    result = lockstep("import", "-", "--replace", "--undelete", "--state", state)
    assert_one_line(result, "--replace includes --undelete")


def test_the_table_of_the_stack_is_no_source(state: Path) -> None:
    table = read_local(state).table
    result = lockstep("import", f"dynamodb://{table}", "--replace", "--state", state)
    assert_one_line(result, table, "restored copy")
