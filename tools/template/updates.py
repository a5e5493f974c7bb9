"""Print what an update does for each change of a parameter: `python -m tools.template.updates`.

`make generated` writes the output to docs/guides/updates.md. What replaces a resource comes from
the schemas of CloudFormation, in the copy that cfn-lint has of them.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from lockstep.local.mapping.translation import translated
from lockstep.stack.stack import LOCAL_REGION
from tools.template.choices import Choice, choices_of
from tools.template.rendering import Resources, Template, render

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
REPLICA_TEMPLATE = TEMPLATE.with_name("template-tablestore.yaml")
TEMPLATES = (TEMPLATE, REPLICA_TEMPLATE)
DOCUMENT = TEMPLATE.parent / "docs" / "guides" / "updates.md"

# What AWS neither gives to an existing resource nor takes from it, which the schema does not say:
# https://docs.aws.amazon.com/opensearch-service/latest/developerguide/vpc.html#vpc-limitations
_FROM_THE_START = {"AWS::OpenSearchService::Domain": ("VPCOptions",)}
_REFERENCE = re.compile(r'\{"Ref": "(\w+)"|\{"Fn::GetAtt": \["(\w+)"|\$\{(\w+)[.}]')
_LONGEST_VALUE = 32
_INTRODUCTION = """\
# What an update does

For each change of a parameter, what CloudFormation does with the resources of a running stack.
`make generated` writes this page: it renders the template before and after the change, and compares
both by the schemas of CloudFormation (`createOnlyProperties`, `conditionalCreateOnlyProperties`).
AWS decides in the end: look at the change set of your stack before you confirm it. The second table
is that of [a replica in Table Store](tablestore.md), `template-tablestore.yaml`.

- All other parameters have their defaults, except those after *with*.
- The way back creates what is listed as removed, and removes what is listed as created.
- A resource that names a replaced one counts as updated, or as replaced, too.
- *Called* are the custom resources `ImageIndex` and `PreparedTable`: functions of the stack that
  CloudFormation calls if a property of theirs changes. One prepares the index, one checks a given
  table.
- *Kept*: the old resource stays in the account, outside the stack.
- *Conditional*: the schema says that AWS replaces the resource in some cases only. Another key
  replaces the domain. Dashboards are turned on in place, and are never turned off.
- *Refused*: AWS never moves a domain into a VPC or out of it, and the update fails. Change
  `OpenSearchDomainName` in the same deployment, so that there is a new domain.
- *Same name*: if the resource is replaced, CloudFormation makes the new one first, and refuses
  because of the name. Change the name in the same deployment.

[Changing what is fixed](migrating.md) says what to do where a resource is replaced."""
_HEAD = """\

| change | replaced | created | removed | called | updated |
| --- | --- | --- | --- | --- | --- |"""
_OF_REPLICA = """\

## The stack of a replica

Another `SourceStreamArn` replaces the event source mapping: the new one reads its stream from the
oldest record. Another `TableName` or `PrimaryKey` needs [a load](tablestore.md#load-what-is-there):
the new table has only what changes from now on."""


class Effect(NamedTuple):
    """What CloudFormation does with the resources of the stack."""

    created: AbstractSet[str]
    replaced: AbstractSet[str]
    updated: AbstractSet[str]
    removed: AbstractSet[str]
    kept: AbstractSet[str]
    """Of the replaced and removed ones: their old resource stays in the account."""
    called: AbstractSet[str]
    """The custom resources whose function is called."""
    same_name: AbstractSet[str]
    """Of the replaced ones: the new one has the same name, which CloudFormation refuses."""
    conditional: AbstractSet[str]
    """Of the replaced ones: AWS replaces them in some cases only."""
    refused: AbstractSet[str]
    """Of the updated ones: AWS refuses the change, though the schema does not say so."""


def effect(before: Resources, after: Resources) -> Effect:
    """What changes from one rendered template to another."""
    common = before.keys() & after.keys()
    replaced: set[str] = set()
    # A new resource has another name and ARN: what names it changes, too.
    while more := {
        name for name in common - replaced if _is_forced(before[name], after[name], replaced)
    }:
        replaced |= more
    changed = {
        name
        for name in common - replaced
        if _differs(before[name].get("Properties"), after[name].get("Properties"), replaced)
    }
    always = {
        name
        for name in replaced
        if _is_forced(before[name], after[name], replaced, ("createOnlyProperties",))
    }
    created, removed = after.keys() - before.keys(), before.keys() - after.keys()
    custom = {
        name
        for name, its in {**before, **after}.items()
        if its["Type"].startswith(("Custom::", "AWS::CloudFormation::CustomResource"))
    }
    kept = {name for name in removed if _keeps(before[name], "DeletionPolicy")}
    kept |= {name for name in replaced if _keeps(before[name], "UpdateReplacePolicy")}
    return Effect(
        created=created - custom,
        replaced=replaced,
        updated=changed - custom,
        removed=removed - custom,
        kept=kept,
        called=(created | changed | removed) & custom,
        same_name={one for one in replaced if _has_same_name(before[one], after[one], replaced)},
        conditional=replaced - always,
        refused={
            name
            for name in changed
            for path in _FROM_THE_START.get(after[name]["Type"], ())
            if (_at(before[name], (path,)) is None) != (_at(after[name], (path,)) is None)
        },
    )


def _keeps(resource: Mapping[str, Any], policy: str) -> bool:
    return str(resource.get(policy, "Delete")).startswith("Retain")


def _is_forced(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    replaced: Collection[str],
    lists: tuple[str, ...] = ("createOnlyProperties", "conditionalCreateOnlyProperties"),
) -> bool:
    """Whether a property changed that AWS cannot change."""
    return any(
        _differs(_at(before, path), _at(after, path), replaced)
        for path in _paths(after["Type"], lists)
    )


def _has_same_name(
    before: Mapping[str, Any], after: Mapping[str, Any], replaced: Collection[str]
) -> bool:
    paths = _paths(after["Type"], ("primaryIdentifier",))
    return all(
        _at(after, path) is not None and not _differs(_at(before, path), _at(after, path), replaced)
        for path in paths
    )


@cache
def _paths(kind: str, lists: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The properties in these lists of the schema, each as the names on the way to it."""
    if kind.startswith("Custom::"):
        return ()
    schema = _schema(kind)
    return tuple(tuple(path.split("/")[2:]) for name in lists for path in schema.get(name) or ())


def fixed_names(kind: str) -> AbstractSet[str]:
    """The properties that identify a resource of this type."""
    return {path[-1] for path in _paths(kind, ("primaryIdentifier",))}


@cache
def _schema(kind: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    return found


def _at(resource: Mapping[str, Any], path: Collection[str]) -> Any:
    value: Any = resource.get("Properties", {})
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _differs(before: Any, after: Any, replaced: Collection[str]) -> bool:
    return bool(before != after or references(after) & set(replaced))


def references(value: Any) -> AbstractSet[str]:
    """The resources and pseudo parameters that a value names."""
    return {name for found in _REFERENCE.findall(json.dumps(value)) for name in found if name}


def effect_of(template: Template, choice: Choice) -> Effect:
    """What the update does that makes this choice."""
    return effect(render(template, choice.beside), render(template, choice.after))


def document(template: Template, replica: Template) -> str:
    """The text of docs/guides/updates.md.

    Args:
        template: template.yaml as CloudFormation.
        replica: template-tablestore.yaml as CloudFormation.
    """
    first, second = (
        [_row(one, choice) for choice in choices_of(one)] for one in (template, replica)
    )
    return "\n".join([_INTRODUCTION, _HEAD, *first, _OF_REPLICA, _HEAD, *second, ""])


def _row(template: Template, choice: Choice) -> str:
    found = effect_of(template, choice)
    change = ", ".join(_said(choice.changed))
    if choice.beside:
        change += " *with* " + ", ".join(_said(choice.beside))
    cells = [
        change,
        _names(
            found.replaced,
            {"kept": found.kept, "conditional": found.conditional, "same name": found.same_name},
        ),
        _names(found.created),
        _names(found.removed, {"kept": found.kept}),
        _names(found.called),
        _names(found.updated, {"refused": found.refused}),
    ]
    return f"| {' | '.join(cells)} |"


def _said(parameters: Mapping[str, str]) -> Iterator[str]:
    for name, value in parameters.items():
        # A long value is one of many, such as an ARN.
        yield f"`{name}`" if len(value) > _LONGEST_VALUE else f"`{name}={value}`"


def _names(names: AbstractSet[str], marks: Mapping[str, AbstractSet[str]] | None = None) -> str:
    cells = []
    for name in sorted(names):
        said = [mark for mark, marked in (marks or {}).items() if name in marked]
        cells.append(f"{name} (*{', '.join(said)}*)" if said else name)
    return ", ".join(cells)


if __name__ == "__main__":
    print(document(*(translated(file, LOCAL_REGION) for file in TEMPLATES)), end="")
