"""The functions and event source mappings of template.yaml, resolved for a local stack.

`translation.py` turns the template into CloudFormation, as a deployment does. Only the properties
of a function and of its event source mapping are then resolved.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from lockstep.local.mapping.intrinsics import Resolver, TemplateError, function_of, text
from lockstep.local.mapping.invocation import ACCOUNT, Function
from lockstep.local.mapping.settings import Settings, SettingsError, settings_from
from lockstep.local.mapping.translation import translated
from lockstep.stack.stack import Stack

_FUNCTION = "AWS::Lambda::Function"
_MAPPING = "AWS::Lambda::EventSourceMapping"
_STREAMS = re.compile(":(kinesis|dynamodb):")
# Lambda's own defaults.
_TIMEOUT_SECONDS, _MEMORY_MB = 3, 128


class FunctionMapping(msgspec.Struct, frozen=True):
    """A function and its event source mapping."""

    function: Function
    settings: Settings
    stream_arn: str


def function_mapping(
    template: Path,
    name: str,
    stack: Stack,
    *,
    cache: Path | None = None,
    parameters: Mapping[str, str] = {},
) -> FunctionMapping:
    """The function with this name (see `function_named`) and its event source mapping.

    `parameters` are values of parameters of the template.

    Raises:
        TemplateError: the template cannot be read or translated, has no such function, the function
            does not have exactly one stream, or a property of the mapping is invalid.
    """
    resolver, logical_id, function = _found(template, name, stack, cache, parameters)
    mappings = [
        (f"{template}: {mapping_id}", mapping)
        for mapping_id, raw in resolver.resources_of(_MAPPING)
        if (mapping := resolver.value(raw, mapping_id))
        and _names(mapping.get("FunctionName"), function)
        and _STREAMS.search(str(mapping.get("EventSourceArn")))
    ]
    if len(mappings) != 1:
        raise TemplateError(f"{template}: {logical_id} has {len(mappings)} streams, must have one")
    ((where, mapping),) = mappings
    try:
        settings = settings_from(mapping)
    except SettingsError as error:
        raise TemplateError(f"{where}: {error}") from None
    return FunctionMapping(function, settings, str(mapping["EventSourceArn"]))


def function_named(
    template: Path, name: str, stack: Stack, *, cache: Path | None = None
) -> Function:
    """The function with the handler `functions.NAME.handler.handle`, resolved for this stack.

    `cache` is a folder for translated templates (see `translated`).

    Raises:
        TemplateError: the template cannot be read or translated, or has no such function.
    """
    return _found(template, name, stack, cache, {})[2]


def _found(
    template: Path, name: str, stack: Stack, cache: Path | None, parameters: Mapping[str, str]
) -> tuple[Resolver, str, Function]:
    resolver = Resolver(translated(template, stack.region, cache), stack, parameters)
    for logical_id, properties in resolver.resources_of(_FUNCTION):
        handler = resolver.value(properties.get("Handler", ""), f"{logical_id}.Handler")
        if function_of(handler) == name:
            return resolver, logical_id, _function(resolver, logical_id, properties, name)
    raise TemplateError(f"{template}: no function has the Handler functions.{name}.handler.handle")


def _function(
    resolver: Resolver, logical_id: str, properties: Mapping[str, Any], name: str
) -> Function:
    resolve = partial(resolver.property, properties, logical_id)
    variables = resolve("Environment", {}).get("Variables", {})
    reserved = resolve("ReservedConcurrentExecutions", None)
    return Function(
        name=name,
        deployed_name=resolver.name_of(logical_id),
        handler=str(resolve("Handler", "")),
        role_arn=str(resolve("Role", f"arn:aws:iam::{ACCOUNT}:role/{name}")),
        timeout=int(resolve("Timeout", _TIMEOUT_SECONDS)),
        memory=int(resolve("MemorySize", _MEMORY_MB)),
        environment={key: text(value) for key, value in variables.items()},
        reserved_concurrency=None if reserved is None else int(reserved),
    )


def _names(function_name: object, function: Function) -> bool:
    """Whether a mapping's FunctionName is this function's name or ARN, or that of an alias."""
    return function.deployed_name in str(function_name).split(":")
