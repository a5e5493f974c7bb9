"""JSON Schemas of types, the same whatever Python makes them."""

import inspect
from collections.abc import Iterable
from typing import Any

import msgspec


def schemas(
    types: Iterable[Any], ref_template: str
) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """The schema of each type, and the definitions that they refer to.

    Descriptions are docstrings without indentation. Python itself removes it since version 3.13.
    """
    found, definitions = msgspec.json.schema_components(types, ref_template=ref_template)
    for definition in definitions.values():
        if "description" in definition:
            definition["description"] = inspect.cleandoc(definition["description"])
    return found, definitions
