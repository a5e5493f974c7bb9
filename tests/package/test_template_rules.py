"""The rules of the template: contradicting parameters are refused before anything is created.

CloudFormation evaluates them. Nothing here can, so a few lines do, for the functions that the rules
use: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference-rules.html
"""

from collections.abc import Mapping
from typing import Any

import pytest

from tools.template.required import usual_values

type Template = Mapping[str, Any]


def value_of(  # noqa: C901, PLR0912 - one case for each function
    said: Any, parameters: Mapping[str, str], conditions: Mapping[str, Any] | None = None
) -> Any:
    """What a rule or a condition says with these parameters."""

    def value(part: Any) -> Any:
        return value_of(part, parameters, conditions)

    match said:
        case {"Ref": str(name)}:
            return parameters[name]
        case {"Condition": str(name)} if conditions is not None:
            return value(conditions[name])
        case {"Fn::Equals": [first, second]}:
            return value(first) == value(second)
        case {"Fn::And": parts}:
            return all(value(one) for one in parts)
        case {"Fn::Or": parts}:
            return any(value(one) for one in parts)
        case {"Fn::Not": [part]}:
            return not value(part)
        case {"Fn::Contains": [values, one]}:
            return value(one) in values
        case {"Fn::Select": [index, parts]}:
            return value(parts)[int(index)]
        case {"Fn::Split": [str(between), text]}:
            return value(text).split(between)
        case {"Fn::Join": [str(between), parts]}:
            made = value(parts)
            return made if isinstance(made, str) else between.join(map(value, made))
        case bool():
            return said
        case int():
            return str(said)
        case str():
            return said
        case _:
            raise NotImplementedError(said)


def refusals(template: Template, **chosen: str) -> list[str]:
    """What CloudFormation answers to these parameters; the others have their usual values."""
    parameters = usual_values(template) | chosen
    return [
        assertion["AssertDescription"]
        for rule in template["Rules"].values()
        if value_of(rule.get("RuleCondition", True), parameters)
        for assertion in rule["Assertions"]
        if not value_of(assertion["Assert"], parameters)
    ]


def test_the_defaults_are_accepted(template: Template) -> None:
    assert refusals(template) == []


def test_tokens_need_an_issuer_and_an_audience(template: Template) -> None:
    issuer, audience = "https://issuer.example", "client-1,client-2"
    assert refusals(template, SearchAuth="JWT", SearchIssuer=issuer, SearchAudience=audience) == []
    (missing,) = refusals(template, SearchAuth="JWT", SearchIssuer=issuer)
    assert "SearchAudience" in missing
    (missing,) = refusals(template, SearchAuth="JWT", SearchAudience=audience)
    assert "SearchIssuer" in missing


@pytest.mark.parametrize(
    ("instance", "gib", "is_accepted"),
    [
        ("t3.small.search", "100", True),
        ("t3.small.search", "150", False),
        ("t3.small.search", "1000", False),
        ("t3.medium.search", "200", True),
        ("t3.medium.search", "300", False),
        ("r6g.large.search", "1000", True),
    ],
)
def test_a_disk_is_not_larger_than_its_instance_allows(
    template: Template, *, instance: str, gib: str, is_accepted: bool
) -> None:
    allowed = template["Parameters"]["OpenSearchVolumeGiB"]["AllowedValues"]
    assert gib in map(str, allowed)
    found = refusals(template, OpenSearchInstanceType=instance, OpenSearchVolumeGiB=gib)
    assert (found == []) == is_accepted


def test_dashboards_need_the_domain_of_the_stack(template: Template) -> None:
    assert refusals(template, Dashboards="yes") == []
    own = {"OpenSearchEndpoint": "https://d.example", "OpenSearchDomainName": "own"}
    (refused,) = refusals(template, Dashboards="yes", **own)
    assert "Dashboards" in refused


def test_only_an_engine_of_your_own_may_take_unsigned_requests(template: Template) -> None:
    (refused,) = refusals(template, OpenSearchSigning="no")
    assert "OpenSearchEndpoint" in refused
    own = {"OpenSearchEndpoint": "https://d.example", "OpenSearchDomainName": "own"}
    assert refusals(template, OpenSearchSigning="no", **own) == []


def test_a_network_is_whole(template: Template) -> None:
    """Of a new domain as of an existing one."""
    network = {"SubnetIds": "subnet-0a,subnet-0b", "SecurityGroupIds": "sg-0c"}
    own = {"OpenSearchEndpoint": "https://d.example", "OpenSearchDomainName": "own"}
    for domain in (own, {}):
        assert refusals(template, **network, **domain) == []
        for missing in network:
            given = {name: value for name, value in network.items() if name != missing}
            (refused,) = refusals(template, **given, **domain)
            assert refused.endswith(f"set {missing}.")


@pytest.mark.parametrize(
    ("nodes", "replicas", "is_accepted"),
    [
        ("1", "auto", True),
        ("1", "0", True),
        ("1", "1", False),
        ("1", "2", False),
        ("2", "1", True),
        ("2", "2", False),
        ("3", "2", True),
    ],
)
def test_each_copy_of_a_shard_has_a_node(
    template: Template, *, nodes: str, replicas: str, is_accepted: bool
) -> None:
    found = refusals(template, OpenSearchInstanceCount=nodes, IndexReplicas=replicas)
    assert (found == []) == is_accepted
    # Nobody knows how many nodes an existing domain has.
    own = {"OpenSearchEndpoint": "https://d.example", "OpenSearchDomainName": "own"}
    chosen = {"OpenSearchInstanceCount": nodes, "IndexReplicas": replicas}
    assert refusals(template, **chosen, **own) == []


def test_an_existing_domain_has_a_name(template: Template) -> None:
    """The policies name it: the name of a new domain would let nobody reach the existing one."""
    endpoint = "https://d.example"
    (refused,) = refusals(template, OpenSearchEndpoint=endpoint)
    assert "OpenSearchDomainName" in refused
    assert refusals(template, OpenSearchEndpoint=endpoint, OpenSearchDomainName="own") == []
