"""Events as their authors mean them: plain JSON, drawn at random."""

import random
from typing import Any

from lockstep.simulation.oracle import Meaning


def draw_image(chance: random.Random, name: str) -> dict[str, Any]:
    """An image with this name."""
    del chance
    return {"name": name}


def as_json(meant: Meaning) -> dict[str, Any]:
    """The event as a program may write it, before it is encoded."""
    event: dict[str, Any] = {
        "type": meant.event_type,
        "image_id": meant.image_id,
        "version": meant.version,
        "occurred_at": meant.occurred_at,
    }
    return event if meant.image is None else event | {"image": meant.image}
