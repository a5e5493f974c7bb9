"""A load by the hour: what a file may have, and what it changes in a plan."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.operator.command import assert_one_line, lockstep

IMAGES = ("--images", 1_000_000)
# A museum: nothing at night, most of it from 14:00 to 15:00.
A_DAY = [0.0] * 7 + [12.0, 20.0, 30.0, 30.0, 40.0, 50.0, 60.0, 120.0] + [20.0] * 9


def written(folder: Path, text: str) -> Path:
    file = folder / "day.txt"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    return file


def figures(*words: object) -> dict[str, Any]:
    planned = msgspec.json.decode(lockstep("plan", *IMAGES, *words, "--json").stdout)
    found = {one["name"]: one["value"] for one in planned["figures"]}
    return {**found, **planned["load"]}


def test_the_mean_and_the_peak_are_those_of_the_day(tmp_path: Path) -> None:
    text = "\ufeff# events a second, UTC\n\n" + "\r\n".join(map(str, A_DAY)) + "\n"
    found = figures("--hourly", written(tmp_path, text))
    assert found["mean_events_per_second"] == pytest.approx(sum(A_DAY) / 24)
    assert found["peak_events_per_second"] == 120
    assert found["events_by_hour"] == A_DAY


def test_an_outage_is_at_the_worst_time_of_the_day(tmp_path: Path) -> None:
    file = written(tmp_path, "\n".join(map(str, A_DAY)))
    by_hour = figures("--hourly", file, "--outage-hours", 2)
    # From 13:00 to 15:00.
    assert by_hour["backlog_events"] == (60 + 120) * 3600
    drain = by_hour["index_drain_events_per_second"]
    # One that ends at 14:00 takes longest: in the next hour, most events arrive.
    left = (50 + 60) * 3600 - (drain - 120) * 3600
    assert by_hour["index_catch_up_s"] == pytest.approx(3600 + left / (drain - 20))
    flat = figures("--events", sum(A_DAY) / 24, "--peak", 120, "--outage-hours", 2)
    assert flat["backlog_events"] == pytest.approx(sum(A_DAY) / 24 * 7200)


def test_a_peak_within_the_busiest_hour_is_said_beside_the_day(tmp_path: Path) -> None:
    file = written(tmp_path, "\n".join(map(str, A_DAY)))
    assert figures("--hourly", file, "--peak", 300)["peak_events_per_second"] == 300
    refused = lockstep("plan", *IMAGES, "--hourly", file, "--peak", 100)
    assert_one_line(refused, "below the busiest hour (120)", "leave it out")


def test_a_day_without_events_is_the_smallest_load(tmp_path: Path) -> None:
    found = figures("--hourly", written(tmp_path, "0\n" * 24))
    assert found["mean_events_per_second"] == 0.001


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\n" * 23, "it has 23 numbers: write 24"),
        ("1\n" * 25, "it has 25 numbers: write 24"),
        ("", "it has 0 numbers"),
        ("1\n\n# comment\nmany\n", "line 4: 'many' is not a number from 0 to 1e+09"),
        ("-1\n" * 24, "line 1: '-1' is not a number"),
        ("nan\n" * 24, "line 1: 'nan' is not a number"),
        ("1e10\n" * 24, "line 1: '1e10' is not a number"),
        ("1,5\n" * 24, "line 1: '1,5' is not a number"),
        ("\x1b[31m\n" * 24, "line 1: "),
        ("\udcff", "it is not UTF-8"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    result = lockstep("plan", *IMAGES, "--hourly", written(tmp_path, text))
    assert_one_line(result, "day.txt: ", said)
    assert "\x1b" not in result.stderr


def test_what_contradicts_itself_is_one_line(tmp_path: Path) -> None:
    file = written(tmp_path, "1\n" * 24)
    for words, said in (
        ((*IMAGES, "--hourly", tmp_path / "none.txt"), "none.txt: No such file"),
        ((*IMAGES, "--hourly", file, "--events", 1), "--events or --hourly, not both"),
        (("--hourly", file), "give --images"),
        (IMAGES, "give --events, --hourly or --stack"),
    ):
        assert_one_line(lockstep("plan", *words), said)
