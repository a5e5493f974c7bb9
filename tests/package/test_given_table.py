"""A table that the stack did not make (TableName): used everywhere, and only if it is prepared."""

from collections.abc import Mapping
from typing import Any

import pytest

from functions.write_to_dynamodb.table import PURGED_BY
from functions.write_to_dynamodb.table_settings import STACK_TAG
from shared.item import STREAM_VIEW
from tests.package.resources import NO_VALUE, permissions_of_role, properties_of, value_under
from tests.package.test_template_rules import refusals

type Template = Mapping[str, Any]

GIVEN = {"HasTable", "FromTableStream"}
ARN = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${TableName}"
FROM_ANSWER = {"Fn::GetAtt": ["PreparedTable", "TableName"]}


def _references(value: Any, conditions: set[str]) -> set[str]:
    """The resources that a value names where these conditions hold."""
    match value_under(value, conditions):
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), _]}:
            return {name}
        case {"Fn::Sub": [str(text), dict(names)]}:
            return _in_text(text) | _references(names, conditions)
        case {"Fn::Sub": str(text)}:
            return _in_text(text)
        case dict(named):
            return {name for one in named.values() for name in _references(one, conditions)}
        case list(listed):
            return {name for one in listed for name in _references(one, conditions)}
        case _:
            return set()


def _in_text(text: str) -> set[str]:
    return {part.partition("}")[0].partition(".")[0] for part in text.split("${")[1:]}


def test_with_a_given_table_nothing_names_the_table_of_the_template(template: Template) -> None:
    for source in ("FromKinesis", "FromTableStream", "FromChangesStream"):
        conditions = {"HasTable", "HasKey", "HasDashboards", source}
        for name, resource in template["Resources"].items():
            if resource.get("Condition") in {None, *conditions}:
                assert "ImageTable" not in _references(resource["Properties"], conditions), name
    outputs = {one: _references(its, GIVEN) for one, its in template["Outputs"].items()}
    assert not [one for one, names in outputs.items() if "ImageTable" in names]


def test_without_a_given_table_nothing_waits_for_one(template: Template) -> None:
    conditions = {"MakesTable", "HasKey", "HasDashboards", "FromTableStream"}
    for name, resource in template["Resources"].items():
        if resource.get("Condition") in {None, *conditions}:
            named = _references(resource["Properties"], conditions)
            assert not named & {"PreparedTable", "TableOnDeployment", "TableName"}, name


def test_what_uses_the_table_waits_until_it_is_accepted(template: Template) -> None:
    """A value of the answer is the order: the functions and the mapping change only then."""
    for function in ("WriteToDynamodb", "SearchImages"):
        variables = properties_of(template, function)["Environment"]["Variables"]
        assert value_under(variables["TABLE_NAME"], GIVEN) == FROM_ANSWER
    mapping = properties_of(template, "WriteToEsTableStream")
    stream = value_under(mapping["EventSourceArn"], GIVEN)
    assert stream == {"Fn::GetAtt": ["PreparedTable", "StreamArn"]}


def test_the_deployment_may_look_at_the_given_table_and_send_its_changes(
    template: Template,
) -> None:
    role = "TableOnDeploymentRole"
    looks = {
        (f"dynamodb:{action}", ARN)
        for action in (
            "DescribeContinuousBackups",
            "DescribeKinesisStreamingDestination",
            "DescribeTable",
            "DescribeTimeToLive",
            "ListTagsOfResource",
        )
    }

    def of_dynamodb(source: str) -> set[tuple[str, str]]:
        allowed = permissions_of_role(template, role, {"HasTable", source})
        return {one for one in allowed if not one[0].startswith(("logs:", "xray:"))}

    assert of_dynamodb("FromKinesis") == of_dynamodb("FromTableStream") == looks
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/kds_iam.html
    assert of_dynamodb("FromChangesStream") == looks | {
        ("dynamodb:EnableKinesisStreamingDestination", ARN),
        ("kinesis:DescribeStream", "TableChangesStream.Arn"),
        ("kinesis:DescribeStreamSummary", "TableChangesStream.Arn"),
        ("kinesis:ListStreams", "*"),
        ("kinesis:PutRecords", "TableChangesStream.Arn"),
    }


def test_the_deployment_is_told_all_that_it_checks(template: Template) -> None:
    told = properties_of(template, "PreparedTable")
    assert told["TableName"] == {"Ref": "TableName"}
    assert told["TableStreamArn"] == {"Ref": "TableStreamArn"}
    assert told["StackName"] == {"Ref": "AWS::StackName"}
    changes = told["ChangesStreamArn"]
    assert value_under(changes, {"FromChangesStream"}) == {
        "Fn::GetAtt": ["TableChangesStream", "Arn"]
    }
    assert value_under(changes, {"FromKinesis"}) == NO_VALUE


def test_a_table_of_the_template_has_what_a_given_one_must_have(template: Template) -> None:
    """Otherwise a redeployed stack would refuse the table that an earlier one kept."""
    table = properties_of(template, "ImageTable")
    assert table["StreamSpecification"]["StreamViewType"] == STREAM_VIEW
    assert table["TimeToLiveSpecification"] == {"AttributeName": PURGED_BY, "Enabled": True}
    home = table["Replicas"][0]
    assert home["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert {"Key": STACK_TAG, "Value": {"Ref": "AWS::StackName"}} in home["Tags"]


@pytest.mark.parametrize("missing", ["TableName", "TableStreamArn"])
def test_a_given_table_and_its_stream_go_together(template: Template, missing: str) -> None:
    stream = "arn:aws:dynamodb:eu-central-1:123456789012:table/t/stream/2026-11-29T00:00:00.000"
    given = {"TableName": "restored", "TableStreamArn": stream}
    assert refusals(template, **given) == []
    (refused,) = refusals(
        template, **{name: "" if name == missing else value for name, value in given.items()}
    )
    assert f"set {missing}" in refused
