"""Print the JSON Schema of an event: `python -m tools.event_schema`.

`make generated` writes it to docs/event.schema.json. JSON Schema cannot express some rules: the
schema lists them under `x-exceptions`, and only the validator checks them. In all else, both accept
the same documents.
"""

import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from shared.event import MAX_EVENT_BYTES, Event
from shared.schema import schemas

EXCEPTIONS = (
    "An integer has no decimal point and no exponent: 1024.0 and 1e3 are refused.",
    "x-max-bytes limits a text in bytes of UTF-8; maxLength counts characters.",
    f"An event has at most {MAX_EVENT_BYTES} bytes.",
    "An event is UTF-8 without a byte order mark, and its texts have no lone surrogates.",
    "If a name is there twice, each value must be valid. The last one counts.",
    "The partition key of the record is the image_id.",
    "The version is at most a day ahead of the arrival of the record, in microseconds since 1970.",
)
"""What the validator refuses although the schema accepts it. A test has an example of each."""


def event_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the events that `shared.event.decode` accepts."""
    (_,), definitions = schemas([Event], "#/$defs/{name}")
    # `pattern` says which times are valid: more than the format `date-time` has.
    for field in _fields(definitions):
        if field.get("format") == "date-time":
            del field["format"]
    root = definitions.pop("Event")
    carries_image = {"required": ["image"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **root,
        "description": f"{root['description']} One event per record.",
        "x-exceptions": list(EXCEPTIONS),
        "if": {"properties": {"type": {"const": "image.deleted"}}, "required": ["type"]},
        "then": {"not": carries_image},
        "else": carries_image,
        "$defs": definitions,
    }


def _fields(definitions: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for definition in definitions.values():
        yield from definition["properties"].values()


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(event_schema())).decode() + "\n")
