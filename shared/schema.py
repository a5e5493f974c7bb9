"""JSON Schemas of types, independent of the version of Python."""

import inspect
from collections.abc import Iterable
from typing import Any

import msgspec


def schemas(
    types: Iterable[Any], ref_template: str
) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """The schema of each type, and the definitions that they refer to.

    Descriptions are docstrings without indentation. Before version 3.13, Python keeps it.
    """
    found, definitions = msgspec.json.schema_components(types, ref_template=ref_template)
    for definition in definitions.values():
        if "description" in definition:
            definition["description"] = inspect.cleandoc(definition["description"])
    return found, definitions
