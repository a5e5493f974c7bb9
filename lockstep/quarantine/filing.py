"""Moves what is settled from the quarantine to `redriven/`."""

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any

import msgspec

from lockstep.quarantine.bucket import redriven_key
from lockstep.stores.objects import Objects


def file_away(
    objects: Objects, executor: Executor, moving: Mapping[str, tuple[bytes, msgspec.Struct | None]]
) -> None:
    """Copy objects to `redriven/`; when all copies are durable, delete the objects.

    So each object always exists. After an interruption, some exist in both places.

    Args:
        objects: the quarantine's bucket.
        executor: writes objects, several at the same time.
        moving: of each key, the object, and what the copy tells of the redrive in `redriven`; None:
            the copy is the object.
    """

    def copy(one: tuple[str, tuple[bytes, msgspec.Struct | None]]) -> None:
        key, (body, trace) = one
        if trace is not None:
            whole: dict[str, Any] = msgspec.json.decode(body)
            body = msgspec.json.encode(whole | {"redriven": trace})
        objects.write(redriven_key(key), body)

    deque(executor.map(copy, moving.items()), maxlen=0)
    objects.delete_all(list(moving))
