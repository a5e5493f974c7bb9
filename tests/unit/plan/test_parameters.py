"""The parameters of a plan are parameters of template.yaml, with values that it takes."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from lockstep.plan.expected import ExpectedLoad
from lockstep.plan.parameters import ParameterChange, parameter_file, planned_stack
from lockstep.plan.planning import plan
from lockstep.plan.sources import measured, own_prices
from tests.unit.operator.command import assert_one_line, lockstep
from tests.unit.plan.test_figures import A_HUGE_ONE, A_LARGE_ONE, A_SMALL_ONE, LOADS

TEMPLATE: Any = yaml_parse((Path(__file__).parents[3] / "template.yaml").read_text())
DECLARED: dict[str, Any] = TEMPLATE["Parameters"]


def accepted(name: str, value: str) -> bool:
    """Whether the template takes the value of a parameter."""
    of = DECLARED[name]
    if "AllowedValues" in of and value not in map(str, of["AllowedValues"]):
        return False
    number = float(value) if of["Type"] == "Number" else 0
    return number == round(number) and (
        of["Type"] != "Number" or of.get("MinValue", number) <= number <= of.get("MaxValue", number)
    )


@pytest.mark.parametrize("load", LOADS)
def test_the_template_takes_each_parameter(load: ExpectedLoad) -> None:
    planned = planned_stack(plan(load, measured(), own_prices()))
    assert [one for one in planned.parameters.items() if not accepted(*one)] == []
    assert float(planned.parameters["RetentionDays"]) == load.retention_days


def test_each_figure_with_the_name_of_a_parameter_is_in_the_file() -> None:
    planned = planned_stack(plan(A_SMALL_ONE, measured(), own_prices()))
    named = {
        name
        for one in planned.figures
        for name in DECLARED
        if name in one.label
        and one.section != "limits"
        # Of the capacity that the plan does not choose.
        and name not in {"TableReadUnits", "TableWriteUnits"}
    }
    assert named <= planned.parameters.keys()
    assert len(named) > 10
    assert planned.left_out == []


def test_what_the_template_cannot_have_is_said_and_left_out() -> None:
    planned = planned_stack(plan(A_HUGE_ONE, measured(), own_prices()))
    # The template refuses a replica on one node, which is its default.
    unset = {"OpenSearchInstanceCount", "IndexShards", "IndexReplicas"}
    assert not unset & planned.parameters.keys()
    shards, domain = planned.left_out
    assert "IndexShards: the plan needs" in shards
    assert "create it yourself, and set OpenSearchEndpoint" in domain
    for line in planned.left_out:
        assert f"# Not in this file: {line}." in parameter_file(planned)
    assert "IndexShards of the template" in planned.limits_below_the_peak


def test_a_stack_that_takes_its_peak_has_no_limit_below_it() -> None:
    for load in (A_SMALL_ONE, A_LARGE_ONE):
        planned = planned_stack(plan(load, measured(), own_prices()))
        assert planned.limits_below_the_peak == []


def test_what_a_stack_has_already_is_no_change() -> None:
    bare = plan(A_SMALL_ONE, measured(), own_prices())
    planned = planned_stack(bare)
    has = {**planned.parameters, "IndexReplicas": "auto"}
    assert planned_stack(bare, has).changes == []
    del has["TableBatchSize"]
    has["OpenSearchInstanceCount"] = "1"
    assert planned_stack(bare, has).changes == [
        ParameterChange("OpenSearchInstanceCount", "1", "3"),
        ParameterChange("TableBatchSize", None, "100"),
    ]


def test_a_table_and_a_domain_of_somebody_else_get_no_parameters() -> None:
    planned = planned_stack(
        plan(A_SMALL_ONE, measured(), own_prices()),
        {"TableName": "restored", "OpenSearchEndpoint": "https://search.example"},
    )
    assert not [
        name
        for name in planned.parameters
        if name.startswith(("OpenSearch", "TableCapacity", "TableRead", "TableWrite", "TableMax"))
    ]
    domain, table = planned.left_out
    assert "3 nodes of type m6g.large.search with 10 GiB each" in domain
    assert "on-demand capacity" in table


def test_the_command_writes_a_file_and_replaces_none(tmp_path: Path) -> None:
    file = tmp_path / "planned.toml"
    words = ("plan", "--events", 5, "--images", 1000, "--write-parameters", file)
    written = lockstep(*words)
    assert written.exit_code == 0
    assert f"wrote the parameters into {file}" in written.stderr
    stage = tomllib.loads(file.read_text())["planned"]["deploy"]["parameters"]
    assert "ShardCount=1" in stage["parameter_overrides"]
    before = file.read_bytes()
    assert_one_line(lockstep(*words), "planned.toml exists already")
    assert file.read_bytes() == before
    elsewhere = tmp_path / "none" / "planned.toml"
    assert_one_line(lockstep(*words[:-1], elsewhere), "none/planned.toml: No such file")
