"""What the template says of its resources: their properties, and what a role may do."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from tests.gate.evaluator import listed

type Template = Mapping[str, Any]

_ARN = "arn:${AWS::Partition}:es:${AWS::Region}:${AWS::AccountId}:domain/"
DOMAIN = {
    "Domain": {
        "Fn::If": [
            "HasDomainName",
            {"Fn::Sub": _ARN + "${OpenSearchDomainName}"},
            {"Fn::Sub": _ARN + "${AWS::StackName}-images"},
        ]
    }
}
NO_VALUE = {"Ref": "AWS::NoValue"}
# A stack with a key of its own, Dashboards and tracing, whose index is fed in the first way.
USUAL = frozenset({"HasKey", "HasDashboards", "FromKinesis", "MakesTable", "Traces"})


def properties_of(template: Template, logical_id: str) -> Any:
    return template["Resources"][logical_id]["Properties"]


def resources_of(template: Template, kind: str) -> dict[str, Any]:
    return {
        logical_id: resource["Properties"]
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


def plain(resource: Any) -> str:
    """A policy's Resource, short: `ImageTable.Arn`, `${QuarantineBucket.Arn}/x`, `es:images/x`."""
    match resource:
        case {"Fn::GetAtt": [str(name), str(attribute)]}:
            return f"{name}.{attribute}"
        case {"Fn::Sub": str(text)}:
            return text
        case {"Fn::Sub": [str(text), names]}:
            assert names == DOMAIN
            return text.replace("${Domain}/", "domain:")
        case {"Ref": str(name)}:
            return name
        case _:
            return str(resource)


def arn_of(logical_id: str) -> Any:
    return {"Fn::GetAtt": [logical_id, "Arn"]}


def _allowed(
    document: Mapping[str, Any], conditions: AbstractSet[str]
) -> Iterator[tuple[str, str]]:
    for statement in document["Statement"]:
        said = value_under(statement, conditions)
        if said == NO_VALUE:
            continue
        assert said["Effect"] == "Allow"
        for action in listed(said["Action"]):
            for resource in listed(value_under(said["Resource"], conditions)):
                yield action, plain(resource)


def value_under(value: Any, conditions: AbstractSet[str]) -> Any:
    """What a value is where these conditions hold."""
    while isinstance(value, dict) and "Fn::If" in value:
        condition, then, otherwise = value["Fn::If"]
        value = then if condition in conditions else otherwise
    return value


def resolved_under(
    value: Any, conditions: AbstractSet[str], parameters: Mapping[str, str] | None = None
) -> Any:
    """A value with these parameters where these conditions hold, without what is not there."""
    value = value_under(value, conditions)
    match value:
        case {"Ref": str(name)} if parameters and name in parameters:
            return parameters[name]
        case dict():
            found = {key: resolved_under(one, conditions, parameters) for key, one in value.items()}
            return {key: one for key, one in found.items() if one != NO_VALUE}
        case list():
            made = [resolved_under(one, conditions, parameters) for one in value]
            return [one for one in made if one != NO_VALUE]
        case _:
            return value


def permissions_of(
    template: Template, function: str, conditions: AbstractSet[str] = USUAL
) -> set[tuple[str, str]]:
    """Action and resource of all that a function may do."""
    role = plain(properties_of(template, function)["Role"])[: -len(".Arn")]
    return permissions_of_role(template, role, conditions)


def attached_to(role: Mapping[str, Any], conditions: AbstractSet[str]) -> list[Any]:
    """The managed policies of a role."""
    listed = value_under(role.get("ManagedPolicyArns", []), conditions)
    chosen = [] if listed == NO_VALUE else [value_under(one, conditions) for one in listed]
    return [one for one in chosen if one != NO_VALUE]


def permissions_of_role(
    template: Template, role_name: str, conditions: AbstractSet[str] = USUAL
) -> set[tuple[str, str]]:
    """Action and resource of all that a role may do."""
    role = properties_of(template, role_name)
    documents = [policy["PolicyDocument"] for policy in role["Policies"]]
    documents += [
        properties_of(template, managed["Ref"])["PolicyDocument"]
        for managed in attached_to(role, conditions)
    ]
    return {permission for document in documents for permission in _allowed(document, conditions)}
