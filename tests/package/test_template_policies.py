"""Each statement of each policy has an effect: AWS ignores an ARN for an action without resources.

The list of actions is AWS's own (https://docs.aws.amazon.com/service-authorization/latest/reference/
reference_policies_actions-resources-contextkeys.html), in the copy that cfn-lint has of it.
"""

import importlib.resources
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from tests.gate.evaluator import listed

# These actions have resources in AWS's list, but a statement must name all.
NEED_ALL = {
    # Of composite alarms, they tell a caller whose policy names `*` only
    # (https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html).
    "cloudwatch:DescribeAlarmHistory",
    "cloudwatch:DescribeAlarms",
    # The resource `dataset` is not a metric: reading metrics has none
    # (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/permissions-reference-cw.html).
    "cloudwatch:GetMetricData",
    # Of an interface that does not exist before the request
    # (https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html).
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:UnassignPrivateIpAddresses",
}


class _Action(msgspec.Struct):
    resources: list[str] = msgspec.field(name="Resources", default_factory=list)


class _Service(msgspec.Struct):
    actions: Mapping[str, _Action] = msgspec.field(name="Actions", default_factory=dict)


@pytest.fixture(scope="module")
def services() -> Mapping[str, _Service]:
    found = importlib.resources.files("cfnlint") / "data" / "AdditionalSpecs" / "Policies.json"
    return msgspec.json.decode(found.read_bytes(), type=dict[str, _Service])


def _statements(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every statement with resources. That of a trust policy has none.

    A statement with a principal is of a resource's own policy, where `*` is this resource.
    """
    if isinstance(value, list):
        for one in value:
            yield from _statements(one)
    elif isinstance(value, dict):
        if "Effect" in value and "Resource" in value:
            if "Principal" not in value:
                yield value
        else:
            yield from _statements(list(value.values()))


def test_an_action_without_resources_is_allowed_for_all_and_any_other_for_some(
    template: Mapping[str, Any], services: Mapping[str, _Service]
) -> None:
    wrong = []
    for statement in _statements(template["Resources"]):
        for action in listed(statement["Action"]):
            service, _, name = action.partition(":")
            if name == "*":
                continue
            has_resources = bool(services[service].actions[name.lower()].resources)
            says_all = statement["Resource"] == "*"
            if says_all != (not has_resources or action in NEED_ALL):
                wrong.append((statement["Sid"], action))
    assert wrong == []
