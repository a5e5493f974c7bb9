"""The policies of template.yaml as a deployment resolves them, for one stack."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from lockstep.local.mapping.intrinsics import Resolver
from lockstep.stack.stack import LOCAL_REGION, Endpoints, PictureStores, Stack
from tests.gate.evaluator import listed

# A stack of which only the names matter.
EXAMPLE = Stack(
    Endpoints(None, None, "https://domain", None),
    stream="stream",
    table="table",
    index="images",
    bucket="bucket",
    region=LOCAL_REGION,
    functions={},
    changes_stream="changes",
    pictures=PictureStores("pictures", "rows", "thumbnails"),
)
# The customer's key of the stream and the bucket.
KEY = "arn:aws:kms:us-east-1:000000000000:key/customers"
# The secret with the AccessKey of Table Store.
ACCESS_KEY = "arn:aws:secretsmanager:us-east-1:000000000000:secret:ots-0a1b2c"
# The secret with which the logs hash the ids of images.
HASHES = "arn:aws:secretsmanager:us-east-1:000000000000:secret:log-hash-0a1b2c"


def log_group(name: str, region: str) -> str:
    """The ARN of a log group, as `Fn::GetAtt` returns it."""
    return f"arn:aws:logs:{region}:000000000000:log-group:{name}:*"


def rendered(template: Mapping[str, Any], stack: Stack, **parameters: str) -> "Policies":
    """The policies of a stack.

    Args:
        template: template.yaml as CloudFormation.
        stack: the stack.
        parameters: those without their default.
    """
    whole = copy.deepcopy(dict(template))
    if parameters.get("Pictures") == "no":
        stack = msgspec.structs.replace(stack, pictures=None)
    for name, value in parameters.items():
        whole["Parameters"][name]["Default"] = value
    _name_logs(whole["Resources"], stack)
    return Policies(whole, Resolver(whole, stack))


def _name_logs(value: Any, stack: Stack) -> None:
    """Replace the ARN of each log group, which the resolver of a local stack does not know."""
    for key, one in value.items() if isinstance(value, dict) else enumerate(value):
        match one:
            case {"Fn::GetAtt": [str(name), "Arn"]} if name.endswith("Log"):
                value[key] = log_group(name, stack.region)
            case dict() | list():
                _name_logs(one, stack)


class Policies:
    """The resolved policies of one template."""

    def __init__(self, template: Mapping[str, Any], resolver: Resolver) -> None:
        self._resources = template["Resources"]
        self._resolver = resolver

    def managed(self, name: str) -> Mapping[str, Any]:
        """A managed policy."""
        return self._document(self._resources[name]["Properties"]["PolicyDocument"], name)

    def of_role(self, name: str) -> list[Mapping[str, Any]]:
        """The policies of a role: its own, the managed ones, and those that name it."""
        properties = self._resolver.value(self._resources[name]["Properties"], name)
        own = [one["PolicyDocument"] for one in properties["Policies"]]
        managed = [self.managed(one) for one in listed(properties.get("ManagedPolicyArns", []))]
        return own + managed + list(self._naming(name))

    def _naming(self, role: str) -> Iterator[Mapping[str, Any]]:
        for name, its in self._resources.items():
            properties = its.get("Properties", {})
            if its["Type"] == "AWS::IAM::Policy" and {"Ref": role} in properties["Roles"]:
                yield self._document(properties["PolicyDocument"], name)

    def _document(self, document: Any, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._resolver.value(document, name)
        return found
