"""`lockstep plan`: what it prints, and what it says about bad input."""

import re
import shlex
from pathlib import Path

import msgspec
import pytest

from lockstep.plan.sources import own_prices
from tests.unit.operator.command import assert_one_line, lockstep

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "guides" / "plan.md").read_text()
LOAD = ("--events", 1000, "--images", 10_000_000)


def test_the_example_of_the_guide_is_what_the_command_prints() -> None:
    example = re.search(r"```console\n\$ lockstep (plan .*)\n((?:.*\n)*?)```", GUIDE)
    assert example
    assert example[2] == lockstep(*shlex.split(example[1])).stdout


def test_every_figure_is_explained_with_its_formula_and_sources() -> None:
    planned = msgspec.json.decode(lockstep("plan", *LOAD, "--json").stdout)
    explained = lockstep("plan", *LOAD, "--explain").stdout
    for figure in planned["figures"]:
        assert f"  {figure['label']}: " in explained
        assert f"    {figure['name']} = {figure['formula']}\n" in explained
    for source in planned["sources"]:
        line = next(
            one for one in explained.splitlines() if one.startswith(f"  {source['name']} =")
        )
        assert source["source"] in line
        assert ("not compared" in line) == (not source["checked"])
    assert "shard_hour_dollars = 0.015: an hour of a shard; https://aws.amazon.com/" in explained


def test_a_figure_from_what_nobody_compared_has_a_star() -> None:
    shown = lockstep("plan", *LOAD).stdout
    assert re.search(r"^stream +[\d.,]+  dollars \*$", shown, re.MULTILINE)
    assert re.search(r"^alarms +5.40  dollars$", shown, re.MULTILINE)
    unchecked = len(own_prices().prices) + 2  # the reads of a shard, and the instance type
    assert f"{unchecked} of them were not compared with their sources (*)" in shown


def test_other_prices_change_the_costs(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    own = ROOT / "lockstep" / "plan" / "prices.toml"
    text = own.read_text().replace("hour_dollars = 0.128", "hour_dollars = 0.256")
    file.write_text(text.replace('"us-east-1"', '"eu-central-1"'))
    costs = {}
    for name in (own, file):
        found = msgspec.json.decode(
            lockstep("plan", "--events", 1, "--images", 1000, "--prices", name, "--json").stdout
        )
        costs[found["region"]] = next(
            one["value"] for one in found["figures"] if one["name"] == "nodes_dollars"
        )
    # Another type is now the cheapest.
    assert costs == {
        "us-east-1": pytest.approx(3 * 730 * 0.128),
        "eu-central-1": pytest.approx(3 * 730 * 0.167),
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--events", 0, "--images", 1), "--events"),
        (("--events", "nan", "--images", 1), "nan is not a number"),
        (("--events", "inf", "--images", 1), "--events"),
        (("--events", 1), "--images"),
        (("--events", 1, "--images", 0), "--images"),
        (("--events", 1, "--images", 1, "--event-bytes", 2_000_000), "--event-bytes"),
        (("--events", 1, "--images", 1, "--updates", 101), "--updates"),
        (("--events", 1, "--images", 1, "--retention", "5"), "--retention"),
        (("--events", 1, "--images", 1, "--searches", -1), "--searches"),
    ],
)
def test_bad_input_is_one_line(words: tuple[object, ...], said: str) -> None:
    assert_one_line(lockstep("plan", *words), said)


def test_a_contradiction_and_a_missing_file_are_one_line(tmp_path: Path) -> None:
    for words, said in (
        ((*LOAD, "--peak", 1), "give --peak at least the mean"),
        ((*LOAD, "--updates", 60, "--deletions", 50), "lower --updates or --deletions"),
        ((*LOAD, "--retention", 2, "--outage-hours", 25), "raise --retention"),
        ((*LOAD, "--prices", tmp_path / "none.toml"), "none.toml: No such file"),
    ):
        result = lockstep("plan", *words)
        assert_one_line(result, said)
        assert result.stdout == ""
