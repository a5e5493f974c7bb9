"""The gate of the speed: which figures may rise, and by how much."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.speed.account import PARTS as ACCOUNTED
from benchmarks.speed.account import REST, Marks, account_table, place_of
from benchmarks.speed.gate import REFERENCES, Accepted, read_accepted, risen
from benchmarks.speed.growth import PARTS, exponent
from benchmarks.speed.page import merged
from benchmarks.speed.table import Goal, Row, quantity, table

ROOT = Path(__file__).parents[2]
FIGURES = {"writer: 100": 400_000.0, "fold: duplicates": 30_000.0}
FLOORS = {"writer, floor: 100": 200_000.0}
ACCEPTED = Accepted("measured first", "3.13.0", "valgrind-3.19.0", FIGURES, FLOORS)


def test_a_figure_may_rise_by_two_percent() -> None:
    assert [*risen(ACCEPTED, FIGURES | {"writer: 100": 407_900.0}, {})] == []


def test_a_figure_that_rises_by_more_is_named_with_both_figures() -> None:
    (line,) = risen(ACCEPTED, FIGURES | {"writer: 100": 412_000.0}, {})
    assert line == ("writer: 100: 4.12e+05 instructions, accepted are 4e+05: +3.0%, at most +2%")


def test_a_figure_that_is_not_measured_is_named() -> None:
    assert [*risen(ACCEPTED, {"writer: 100": 1.0}, {})] == ["fold: duplicates: not measured"]


def test_on_another_interpreter_the_ratio_to_the_reference_counts() -> None:
    twice = {name: 2 * one for name, one in FIGURES.items()}
    floors = {name: 2 * one for name, one in FLOORS.items()}
    assert [*risen(ACCEPTED, twice, floors)] == []
    (line,) = risen(ACCEPTED, twice | {"writer: 100": 900_000.0}, floors)
    assert "times writer, floor" in line
    assert "+12.5%, at most +10%" in line


def test_each_accepted_figure_has_a_reason_and_a_reference() -> None:
    entries = read_accepted()
    assert entries
    for entry in entries:
        assert len(entry.reason) >= len("measured first")
        assert entry.python.count(".") == 2
        assert entry.valgrind.startswith("valgrind-")
        for name in entry.figures:
            program, _, size = name.partition(": ")
            if program in REFERENCES:
                assert f"{REFERENCES[program]}: {size}" in entry.references


def test_a_missing_valgrind_is_said_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.speed.gate"]
    environment = {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT)}
    said = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout == (
        "speed is not checked: install valgrind (Debian: apt-get install valgrind)\n"
    )
    refused = subprocess.run(
        [*command, "--required"], cwd=ROOT, env=environment, capture_output=True, check=False
    )
    assert refused.returncode == 1


def test_a_missed_goal_is_marked() -> None:
    goals = (Goal("cheaper", 15, "documented"), Goal("at most", 1.9, "floor"), Goal("at most", 300))
    row = Row("writer", "instructions", 400.0, {"documented": 6_400.0, "floor": 200.0}, goals)
    assert table([row]).splitlines()[-1] == (
        "| writer | instructions | 400 | documented 6.40 k; floor 200 | 15x cheaper than "
        "documented: 16.00x; at most 1.9x floor: 2.00x (**missed**); at most 300 (**missed**) |"
    )


@pytest.mark.parametrize(
    ("number", "shown"),
    [(391_234, "391 k"), (4_156_000, "4.16 M"), (34_100, "34.1 k"), (1.922e9, "1.92 G"), (9, "9")],
)
def test_quantities_have_three_digits(number: float, shown: str) -> None:
    assert quantity(number) == shown


def test_the_exponent_tells_linear_from_quadratic() -> None:
    sizes = (100, 1_000, 10_000)
    assert exponent([(size, 7 * size) for size in sizes]) == pytest.approx(1)
    assert exponent([(size, 7 * size**2) for size in sizes]) == pytest.approx(2)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_whose_growth_is_measured_runs(part: str) -> None:
    PARTS[part](100)()


def outer() -> str:
    return inner() + again()


def inner() -> str:
    return "in"


def again() -> str:
    return "again"


def test_an_account_gives_what_a_part_calls_to_the_innermost_part() -> None:
    marks = Marks()
    for part, function in (("whole", "outer"), ("piece", "inner"), ("whole", "again")):
        marks.add(part, f"{__name__}:{function}")
    assert outer() == "inagain"  # warms up
    assert marks.ended == []
    marks.on = True
    marks.mark()
    outer()
    marks.mark()
    assert marks.ended == [REST, REST, "whole", "piece", "whole", REST]


def test_the_functions_that_begin_a_part_exist() -> None:
    for parts in ACCOUNTED.values():
        for functions in parts.values():
            for function in functions:
                assert callable(getattr(*place_of(function)))


def test_an_account_adds_up() -> None:
    assert account_table("writer", [("signature", 3_000_000.0), ("metrics", 1_000_000.0)]) == (
        "| writer | instructions | share |\n"
        "| --- | ---: | ---: |\n"
        "| signature | 3,000 k | 75% |\n"
        "| metrics | 1,000 k | 25% |\n"
        "| all, with the marks | 4,000 k | 100% |"
    )


EARLIER = """# Speed

Measured at commit a with Python.

Measured again at commit b: tool.

| figure | unit |
| --- | --- |
| writer | 1 k |
| indexer | 2 k |

## Where it goes

| part | k |
| --- | --- |
| digest | 7 |

## Growth

| part | 100 |
| --- | --- |
| producer | 1 k |
| fold | 2 k |
"""
NOW = """# Speed

Measured at commit c with Python.

| figure | unit |
| --- | --- |
| writer | 5 k |
| search | 6 k |

## Where it goes

| part | k |
| --- | --- |
| fold | 8 |

## Growth

| part | 100 |
| --- | --- |
| fold | 3 k |
| mapping | 4 k |
"""


def test_parts_that_are_measured_again_take_the_place_of_the_earlier_ones() -> None:
    assert merged(EARLIER, NOW, "c", "consumers, search") == (
        """# Speed

Measured at commit a with Python.

Measured again at commit c: consumers, search.

| figure | unit |
| --- | --- |
| writer | 5 k |
| indexer | 2 k |
| search | 6 k |

## Where it goes

| part | k |
| --- | --- |
| fold | 8 |

## Growth

| part | 100 |
| --- | --- |
| producer | 1 k |
| fold | 3 k |
| mapping | 4 k |
"""
    )


def test_the_same_page_twice_is_the_page() -> None:
    once = merged(EARLIER, NOW, "c", "consumers")
    assert merged(once, NOW, "c", "consumers") == once
