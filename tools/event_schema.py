"""Print the JSON Schema of an event: `python -m tools.event_schema`.

`make generated` writes it to docs/event.schema.json. JSON Schema cannot express some rules: lengths
in bytes (`x-max-bytes`), the size of the event, that 1.0 is not an integer, and rules about the
record that contains the event. The descriptions state these rules. Only the validator checks them.
"""

import sys
from typing import Any

import msgspec

from shared.event import MAX_EVENT_BYTES, Event
from shared.schema import schemas


def event_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the events that `shared.event.decode` accepts."""
    (_,), definitions = schemas([Event], "#/$defs/{name}")
    root = definitions.pop("Event")
    carries_image = {"required": ["image"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **root,
        "description": (
            f"{root['description']} One event per record, in UTF-8 without a byte order mark, at "
            f"most {MAX_EVENT_BYTES} bytes, with the image id as partition key."
        ),
        "if": {"properties": {"type": {"const": "image.deleted"}}, "required": ["type"]},
        "then": {"not": carries_image},
        "else": carries_image,
        "$defs": definitions,
    }


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(event_schema())).decode() + "\n")
