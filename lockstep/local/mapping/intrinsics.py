"""CloudFormation's intrinsic functions and references, resolved for a local stack."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from lockstep.local.mapping import invocation
from lockstep.local.mapping.invocation import ACCOUNT
from lockstep.stack.stack import LOCAL_NAME, Stack
from shared.shortened import BriefError

_PLACEHOLDER = re.compile(r"\$\{([^}]+)\}")
_CHANGES_STREAM = "TableChangesStream"
_REPLICA_BUCKET = "ReplicaQuarantineBucket"
_PICTURE_ROWS = "PictureRows"
# Of what a local stack has by name only.
_ARNS = {
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{name}}",
    "AWS::KMS::Key": f"arn:aws:kms:{{region}}:{ACCOUNT}:key/{{name}}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{{region}}:{ACCOUNT}:{{name}}",
}
# Stands for the label of the table's stream, which only the table knows.
LATEST = "latest"
_HANDLER = re.compile(r"functions\.(\w+)\.handler\.handle")


class TemplateError(BriefError):
    """The template cannot be used here; the message says where and why."""


class _NoValue:
    """`AWS::NoValue`: removes the property."""


def function_of(handler: object) -> str | None:
    """The NAME in `functions.NAME.handler.handle`; None for another handler."""
    match = _HANDLER.fullmatch(str(handler))
    return match[1] if match else None


def text(value: object) -> str:
    """A value as CloudFormation inserts it into text: booleans in lowercase."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class Resolver:
    """Resolves a template's values for a local stack.

    Resources are identified by their types: every Kinesis stream is the stack's stream, except
    `TableChangesStream`, which carries the table's changes, and every bucket is the stack's, except
    those of the replica and of the pictures. So is every table, except that of the pictures' rows.
    The parameters `OpenSearchEndpoint`, `OpenSearchSigning`, `IndexAlias`,
    `IndexFrom`, `SearchFacets`, `Pictures` and those of the search page are the stack's, others
    have the given values; all others have their defaults.
    """

    def __init__(
        self, template: Mapping[str, Any], stack: Stack, parameters: Mapping[str, str] = {}
    ) -> None:
        self._resources: Mapping[str, Any] = template["Resources"]
        self._conditions: Mapping[str, Any] = template.get("Conditions", {})
        self._mappings: Mapping[str, Any] = template.get("Mappings", {})
        self._stack = stack
        overrides = {
            "OpenSearchEndpoint": stack.endpoints.opensearch,
            "OpenSearchSigning": stack.opensearch_signing,
            "IndexAlias": stack.index,
            "IndexFrom": stack.index_from,
            "SearchFacets": ",".join(stack.search_facets),
            "Pictures": "no" if stack.pictures is None else "yes",
            "PageTitle": stack.page.get("title", ""),
            "PageAccent": stack.page.get("accent", ""),
            "PageLogo": stack.page.get("logo", ""),
            "PictureHosts": stack.page.get("picture_hosts", ""),
            **parameters,
        }
        self._parameters = {
            name: overrides.get(name, declared.get("Default"))
            for name, declared in template.get("Parameters", {}).items()
        }
        self._lists = {
            name
            for name, declared in template.get("Parameters", {}).items()
            if declared.get("Type") == "CommaDelimitedList"
        }
        self._pseudo = {
            "AWS::AccountId": ACCOUNT,
            "AWS::NoValue": _NoValue(),
            "AWS::Partition": "aws",
            "AWS::Region": stack.region,
            "AWS::StackId": (
                f"arn:aws:cloudformation:{stack.region}:{ACCOUNT}:stack/{LOCAL_NAME}/local"
            ),
            "AWS::StackName": LOCAL_NAME,
            "AWS::URLSuffix": "amazonaws.com",
        }

    def resources_of(self, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The resources of this type whose condition is true: logical ID and properties."""
        for logical_id, resource in self._resources.items():
            condition = resource.get("Condition")
            if resource["Type"] == kind and (condition is None or self._holds(condition)):
                yield logical_id, resource.get("Properties", {})

    def property(
        self, properties: Mapping[str, Any], logical_id: str, name: str, default: Any
    ) -> Any:
        """A property's value, or the default if the template does not set it."""
        value = self.value(properties.get(name, default), f"{logical_id}.{name}")
        return default if isinstance(value, _NoValue) else value

    def value(self, node: Any, where: str) -> Any:
        """The node with all intrinsic functions resolved.

        Raises:
            TemplateError: `where` uses something that is not supported here.
        """
        if isinstance(node, list):
            values = [self.value(item, where) for item in node]
            return [value for value in values if not isinstance(value, _NoValue)]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, argument),) = node.items()
            if name in {"Ref", "Condition"} or name.startswith("Fn::"):
                return self._intrinsic(name, argument, where)
        found = {key: self.value(item, f"{where}.{key}") for key, item in node.items()}
        return {key: value for key, value in found.items() if not isinstance(value, _NoValue)}

    def name_of(self, logical_id: str) -> str:
        """A function's name: its FunctionName, else the name in its handler."""
        properties = self._resources[logical_id].get("Properties", {})
        name = self.property(properties, logical_id, "FunctionName", None)
        return str(name or function_of(properties.get("Handler")) or logical_id)

    def _intrinsic(self, name: str, argument: Any, where: str) -> Any:
        match name, argument:
            case "Ref", str(target):
                return self._ref(target, where)
            case "Fn::GetAtt", [str(target), *attribute]:
                return self._attribute(target, ".".join(attribute), where)
            case "Fn::GetAtt", str(both):
                target, _, dotted = both.partition(".")
                return self._attribute(target, dotted, where)
            case "Fn::Sub", str(pattern):
                return self._substitute(pattern, {}, where)
            case "Fn::Sub", [str(pattern), dict(known)]:
                return self._substitute(pattern, self.value(known, where), where)
            case "Fn::FindInMap", [table, row, column]:
                return self._find(*(text(self.value(key, where)) for key in (table, row, column)))
            case _:
                return self._listing(name, argument, where)

    def _listing(self, name: str, argument: Any, where: str) -> Any:
        match name, argument:
            case "Fn::Join", [str(separator), items]:
                return separator.join(text(item) for item in self.value(items, where))
            case "Fn::Split", [str(separator), whole]:
                return text(self.value(whole, where)).split(separator)
            case "Fn::Select", [index, items]:
                return self.value(items, where)[int(self.value(index, where))]
            case "Fn::Split", [str(between), joined]:
                return text(self.value(joined, where)).split(between)
            case _:
                return self._logic(name, argument, where)

    def _logic(self, name: str, argument: Any, where: str) -> Any:
        resolve = partial(self.value, where=where)
        match name, argument:
            case "Condition", str(condition):
                return self._holds(condition)
            case "Fn::If", [str(condition), then, otherwise]:
                return resolve(then if self._holds(condition) else otherwise)
            case "Fn::Equals", [one, other]:
                return text(resolve(one)) == text(resolve(other))
            case "Fn::Not", [condition]:
                return not resolve(condition)
            case "Fn::And", [*conditions]:
                return all(resolve(condition) for condition in conditions)
            case "Fn::Or", [*conditions]:
                return any(resolve(condition) for condition in conditions)
            case _:
                raise TemplateError(f"{where}: {name} of {argument!r} cannot be resolved here")

    def _find(self, table: str, row: str, column: str) -> Any:
        rows = {text(key): found for key, found in self._mappings.get(table, {}).items()}
        columns = {text(key): found for key, found in rows.get(row, {}).items()}
        if column not in columns:
            raise TemplateError(f"Mappings: there is no {table}.{row}.{column}")
        return columns[column]

    def _holds(self, condition: str) -> bool:
        if condition not in self._conditions:
            raise TemplateError(f"Conditions: there is no {condition}")
        return bool(self.value(self._conditions[condition], f"Conditions.{condition}"))

    def _substitute(self, pattern: str, known: Mapping[str, Any], where: str) -> str:
        def replaced(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in known:
                return text(known[name])
            target, dot, attribute = name.partition(".")
            value = self._attribute(target, attribute, where) if dot else self._ref(target, where)
            return text(value)

        return _PLACEHOLDER.sub(replaced, pattern)

    def _ref(self, target: str, where: str) -> Any:
        if target in self._pseudo:
            return self._pseudo[target]
        if target in self._parameters:
            value = self._parameters[target]
            if value is None:
                raise TemplateError(f"{where}: parameter {target} has no default")
            return str(value).split(",") if target in self._lists else value
        return self._local(target, where)["Ref"]

    def _attribute(self, target: str, attribute: str, where: str) -> str:
        found = self._local(target, where)
        if attribute not in found:
            raise TemplateError(f"{where}: {target}.{attribute} is not supported in a local stack")
        return found[attribute]

    def _local(self, target: str, where: str) -> Mapping[str, str]:
        """The Ref and the attributes of a resource in a local stack, by its type."""
        if target not in self._resources:
            raise TemplateError(f"{where}: there is no {target} in the template")
        stack, region = self._stack, self._stack.region
        match self._resources[target]["Type"]:
            case "AWS::Kinesis::Stream":
                name = stack.changes_stream if target == _CHANGES_STREAM else stack.stream
                return {"Ref": name, "Arn": invocation.stream_arn(name, region)}
            case "AWS::DynamoDB::GlobalTable" | "AWS::DynamoDB::Table":
                table = _table(target, stack)
                arn = f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/{table}"
                return {"Ref": table, "Arn": arn, "StreamArn": f"{arn}/stream/{LATEST}"}
            case "AWS::S3::Bucket":
                bucket = _bucket(target, stack)
                address = f"{stack.endpoints.s3}/{bucket}"
                arn = f"arn:aws:s3:::{bucket}"
                return {"Ref": bucket, "Arn": arn, "RegionalDomainName": address}
            case "AWS::OpenSearchService::Domain":
                arn = f"arn:aws:es:{region}:{ACCOUNT}:domain/{target.lower()}"
                return {
                    "Ref": target.lower(),
                    "Arn": arn,
                    "DomainArn": arn,
                    "DomainEndpoint": stack.endpoints.opensearch,
                }
            case "AWS::Lambda::Function":
                name = self.name_of(target)
                return {"Ref": name, "Arn": invocation.function_arn(name, region)}
            case "AWS::Lambda::Alias":
                alias = self._resources[target]["Properties"]
                name = str(self.value(alias["FunctionName"], f"{target}.FunctionName"))
                return {"Ref": f"{invocation.function_arn(name, region)}:{alias['Name']}"}
            case kind:
                pattern = _ARNS.get(kind)
                known = pattern.format(region=region, name=target) if pattern else None
                return {"Ref": target, "Arn": known} if known else {"Ref": target}


def _table(target: str, stack: Stack) -> str:
    """The table of a local stack that stands for one of the template."""
    return stack.pictures.rows if target == _PICTURE_ROWS and stack.pictures else stack.table


def _bucket(target: str, stack: Stack) -> str:
    """The bucket of a local stack that stands for one of the template."""
    if target == _REPLICA_BUCKET and stack.replica:
        return stack.replica.bucket
    pictures = stack.pictures
    if pictures is None:
        return stack.bucket
    of_pictures = {"PictureBucket": pictures.bucket, "ThumbnailBucket": pictures.thumbnails}
    return of_pictures.get(target, stack.bucket)
