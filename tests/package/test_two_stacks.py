"""Two stacks of one account and region, resolved side by side: they share no name and no metric."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.package.test_template import NAMED_INSIDE_ANOTHER, PHYSICAL_NAMES
from tools.template.choices import together
from tools.template.rendering import Resources, render
from tools.template.updates import fixed_names, references

type Template = Mapping[str, Any]

ACCOUNT, REGION = "123456789012", "eu-central-1"
# Parameters that name a resource outside the stack: who gives two stacks the same one means it.
GIVEN = {"OpenSearchDomainName", "OpenSearchEndpoint", "TableName", "TableStreamArn"}
# They have their names inside a function, an API or a stream, or are a part of one.
INSIDE_ANOTHER = NAMED_INSIDE_ANOTHER | {
    "AWS::ApiGatewayV2::Stage",
    "AWS::Kinesis::StreamConsumer",
}


def _stack(template: Template, name: str, chosen: Mapping[str, str]) -> Resources:
    stack_id = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}/{name}-0a1b-2c3d"
    pseudo = {
        "AWS::AccountId": ACCOUNT,
        "AWS::Partition": "aws",
        "AWS::Region": REGION,
        "AWS::StackId": stack_id,
        "AWS::StackName": name,
    }
    return render(template, chosen, pseudo)


def _names(resources: Resources) -> Iterator[tuple[str, str, str]]:
    """Type, property and value of each name that the template itself gives.

    A property that refers to another resource of the stack differs with that resource.
    """
    for resource in resources.values():
        kind = resource["Type"]
        if kind in INSIDE_ANOTHER:
            continue
        for name in PHYSICAL_NAMES | fixed_names(kind):
            value = resource.get("Properties", {}).get(name)
            if value is not None and not references(value):
                yield kind, name, str(value)


def _namespaces(resources: Resources) -> set[str]:
    return {
        str(value)
        for resource in resources.values()
        for name, value in _variables(resource).items()
        if name.endswith("_NAMESPACE")
    }


def _variables(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    environment: Mapping[str, Any] = resource.get("Properties", {}).get("Environment", {})
    found: Mapping[str, Any] = environment.get("Variables", {})
    return found


def _shared(template: Template, chosen: Mapping[str, str]) -> set[tuple[str, str, str]]:
    """What two stacks with these parameters have both: type, property and value."""
    one, other = (_stack(template, name, chosen) for name in ("first", "second"))
    namespaces = _namespaces(one) & _namespaces(other)
    names = set(_names(one)) & set(_names(other))
    return names | {("metrics", "namespace", value) for value in namespaces}


def test_two_stacks_share_no_name_and_no_metric(template: Template) -> None:
    for combination in together(template):
        chosen = {name: value for name, value in combination.items() if name not in GIVEN}
        assert _shared(template, chosen) == set(), chosen
    every = _stack(template, "first", {"Dashboards": "yes", "OpenSearchLogs": "yes"})
    assert {kind for kind, _, _ in _names(every)} >= {
        "AWS::ApiGatewayV2::Api",
        "AWS::Cognito::UserPoolDomain",
        "AWS::Logs::ResourcePolicy",
        "AWS::OpenSearchService::Domain",
    }
    assert _namespaces(every) == {"Lockstep/first"}


def test_metrics_that_both_would_have_are_found(template: Template) -> None:
    resources = {**template["Resources"]}
    variables = {"Variables": {"POWERTOOLS_METRICS_NAMESPACE": "Lockstep"}}
    properties = {**resources["WriteToEs"]["Properties"], "Environment": variables}
    resources["WriteToEs"] = {**resources["WriteToEs"], "Properties": properties}
    shared = _shared({**template, "Resources": resources}, {})
    assert shared == {("metrics", "namespace", "Lockstep")}


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        ("BackupVault", "BackupVaultName"),
        ("DashboardsSignIn", "Domain"),
        ("DomainMayLog", "PolicyName"),
        ("ImageDomain", "DomainName"),
        ("ImageStream", "Name"),
        ("SearchApi", "Name"),
        ("WriteToEsLog", "LogGroupName"),
    ],
)
def test_a_name_that_both_would_have_is_found(template: Template, resource: str, name: str) -> None:
    resources = dict(template["Resources"])
    changed = resources[resource]
    resources[resource] = {**changed, "Properties": {**changed["Properties"], name: "images"}}
    chosen = {"BackupSchedule": "cron(0 5 * * ? *)", "Dashboards": "yes", "OpenSearchLogs": "yes"}
    assert {
        (key, value) for _, key, value in _shared({**template, "Resources": resources}, chosen)
    } == {(name, "images")}
