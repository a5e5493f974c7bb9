"""The template: template.yaml's functions and event source mappings, as they are on one machine.

SAM's translator turns the template into CloudFormation, as a deployment does; of that only what a
function sees and what its mapping says is resolved.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import yaml
from boto3.session import Session
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

from lockstep.local.mapping.intrinsics import Resolver, TemplateError, function_of, text
from lockstep.local.mapping.invocation import ACCOUNT, Function
from lockstep.local.mapping.settings import Settings, SettingsError, settings_from
from lockstep.stack.stack import Stack

# The code runs where it lies; the translator only wants to see where a deployment would put it.
_ELSEWHERE = "s3://local/code"
_FUNCTION = "AWS::Lambda::Function"
_MAPPING = "AWS::Lambda::EventSourceMapping"
_STREAMS = re.compile(":(kinesis|dynamodb):")
# Lambda's own defaults.
_TIMEOUT_SECONDS, _MEMORY_MB = 3, 128


class FunctionMapping(msgspec.Struct, frozen=True):
    """A function, and the mapping that feeds it from a stream."""

    function: Function
    settings: Settings
    stream_arn: str


def function_mapping(template: Path, name: str, stack: Stack) -> FunctionMapping:
    """That function of this template (see `function_named`), and its mapping.

    Raises:
        TemplateError: it cannot be read or translated, has no such function, or the function has
            not exactly one stream; or a mapping's property is wrong.
    """
    resolver, logical_id, function = _found(template, name, stack)
    mappings = [
        (f"{template}: {mapping_id}", mapping)
        for mapping_id, raw in resolver.resources_of(_MAPPING)
        if (mapping := resolver.value(raw, mapping_id))
        and _names(mapping.get("FunctionName"), function)
        and _STREAMS.search(str(mapping.get("EventSourceArn")))
    ]
    if len(mappings) != 1:
        raise TemplateError(f"{template}: {logical_id} has {len(mappings)} streams, not one")
    ((where, mapping),) = mappings
    try:
        settings = settings_from(mapping)
    except SettingsError as error:
        raise TemplateError(f"{where}: {error}") from None
    return FunctionMapping(function, settings, str(mapping["EventSourceArn"]))


def function_named(template: Path, name: str, stack: Stack) -> Function:
    """The function `functions.NAME.handler.handle` of this template, as it is in this stack.

    Raises:
        TemplateError: it cannot be read or translated, or has no such function.
    """
    return _found(template, name, stack)[2]


def translated(template: Path, region: str) -> Mapping[str, Any]:
    """The template as CloudFormation; asks no service.

    Raises:
        TemplateError: what is wrong with it, as YAML or as a SAM template.
    """
    try:
        document = yaml_parse(template.read_text())
    except OSError as error:
        message = f"{template}: cannot be read: {error.strerror}: name another with --template"
        raise TemplateError(message) from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        # A YAML error tells where it is on lines of their own.
        raise TemplateError(f"{template}: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
        raise TemplateError(f"{template}: no template: it has no Resources")
    _leave_code(document)
    session = Session(region_name=region)
    translator = Translator(None, Parser(), boto_session=session)
    try:
        result: Mapping[str, Any] = translator.translate(
            document, parameter_values={}, get_managed_policy_map=dict
        )
    except InvalidDocumentException as error:
        causes = "; ".join(str(cause.message) for cause in error.causes)
        raise TemplateError(f"{template}: {causes or error}") from None
    return result


def _found(template: Path, name: str, stack: Stack) -> tuple[Resolver, str, Function]:
    resolver = Resolver(translated(template, stack.region), stack)
    for logical_id, properties in resolver.resources_of(_FUNCTION):
        handler = resolver.value(properties.get("Handler", ""), f"{logical_id}.Handler")
        if function_of(handler) == name:
            return resolver, logical_id, _function(resolver, logical_id, properties, name)
    raise TemplateError(f"{template}: no function has Handler functions.{name}.handler.handle")


def _leave_code(document: dict[str, Any]) -> None:
    """Local code stays out of the translation, which knows packaged code only."""
    sections = [document.get("Globals", {}).get("Function", {})]
    sections += [
        resource.get("Properties", {})
        for resource in document["Resources"].values()
        if isinstance(resource, dict)
    ]
    for section in sections:
        for where in ("CodeUri", "ContentUri"):
            if isinstance(section.get(where), str):
                section[where] = _ELSEWHERE


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


def _names(said: object, function: Function) -> bool:
    """Whether a mapping's FunctionName is this function, by name, ARN, or an alias of it."""
    return function.deployed_name in str(said).split(":")
