"""The event's JSON Schema, made from the code: `python -m shared.schema` prints it.

What JSON Schema cannot say stands in the descriptions and is checked by the validator alone:
lengths in bytes (`x-max-bytes`), the event's size, that 1.0 is no integer, and what depends on
the record around it.
"""

import sys
from typing import Any

import msgspec

from shared.event import MAX_EVENT_BYTES, Event


def event_schema() -> dict[str, Any]:
    """The schema, JSON Schema 2020-12, of what `event.decode` accepts."""
    (_,), definitions = msgspec.json.schema_components([Event], ref_template="#/$defs/{name}")
    root = definitions.pop("Event")
    carries_image = {"required": ["image"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **root,
        "description": (
            f"{root['description']} One event a record, UTF-8 without a byte order mark, at most "
            f"{MAX_EVENT_BYTES} bytes, under the image id as partition key."
        ),
        "if": {"properties": {"type": {"const": "image.deleted"}}, "required": ["type"]},
        "then": {"not": carries_image},
        "else": carries_image,
        "$defs": definitions,
    }


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(event_schema())).decode() + "\n")
