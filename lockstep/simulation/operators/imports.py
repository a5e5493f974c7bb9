"""The import as a step: images with versions of their own, and without."""

import io
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lockstep.producing.backfill import Source
from lockstep.producing.producer import PutError
from lockstep.simulation.components import STREAM
from lockstep.simulation.events import draw_image
from lockstep.simulation.interpretation import Poison
from lockstep.simulation.operators.promises import Promises
from lockstep.simulation.operators.tools import Surroundings, Tools
from lockstep.simulation.oracle import FIRST_STAMP, Meaning, time_of
from lockstep.simulation.violation import ViolationError
from lockstep.stores.readers import StoreUnreadableError

_NAME = "imported"
_MOST_LINES = 4
_AGAIN_SHARE = 0.3
_IMAGES = 3
_HORIZON_US = 121 * 86_400 * 1_000_000
# The stamps of a host may be ahead of the clock of another one.
_HOUR_US = 3_600_000_000


class Imports:
    """Imports images, and checks that they give way to every event of the image itself."""

    def __init__(self, tools: Tools, around: Surroundings) -> None:
        """Import with own tools, so that no write counts as another command's."""
        self._system = tools.system
        self._around = around
        self._count = 0

    @cached_property
    def _tools(self) -> Tools:
        return Tools(self._system)

    @cached_property
    def _promises(self) -> Promises:
        return Promises(self._tools)

    def step(self) -> None:
        """Import some images, over a connection with or without faults; mostly read them after."""
        system, chance = self._system, self._system.conditions.chance
        self._tools.begin()
        lines = [self._line() for _ in range(chance.randint(1, _MOST_LINES))]
        before = len(system.stream.accepted)
        self._run(lines)
        self._check(before)
        if chance.random() < 0.5:  # noqa: PLR2004 - a coin
            self._around.meanwhile()
        if chance.random() < _AGAIN_SHARE:
            self._check_again(lines)

    def _check_again(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """O4: when the table has the images, the same import again puts none of them."""
        system = self._system
        self._around.drain()
        self._tools.begin(faulty=False)
        now, before = system.time.now, len(system.stream.accepted)
        there = {
            image_id
            for image_id, item in system.table.items.items()
            if "expires_at" not in item or int(item["expires_at"]["N"]) > now
        }
        self._run(lines)
        again = [one for one in system.stream.accepted[before:] if one.partition_key in there]
        if again:
            raise ViolationError("O4", f"the same import again puts {again}")
        self._around.resume()

    def _run(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Import these lines: O1 and O2 hold, because it writes the stream only."""
        with self._promises.kept("O1", "O2"):
            self._put(b"".join(json.dumps(line).encode() + b"\n" for line in lines))

    def _put(self, body: bytes) -> None:
        system = self._system
        clock = self._tools.clock
        backfill = system.components.backfill(
            self._tools.table_reader(),
            lambda events: system.components.producer(system.stream, STREAM, clock=clock).put(
                events
            ),
            stamp=system.components.past_stamp(clock.now),
            now=clock.now,
        )
        try:
            backfill.run([Source("images", lambda: io.BufferedReader(io.BytesIO(body)))])
        except (PutError, StoreUnreadableError, BotoCoreError, ClientError):
            system.conditions.tally["import broken off"] += 1

    def _line(self) -> dict[str, Any]:
        """A line of an import, and what its event means."""
        system, chance = self._system, self._system.conditions.chance
        self._count += 1
        now_us = int(system.time.now * 1_000_000)
        image_id = chance.choice((f"T{chance.randrange(_IMAGES)}", f"I{chance.randrange(_IMAGES)}"))
        image = draw_image(chance, f"{_NAME} {self._count}")
        at = time_of(now_us)
        meant = Meaning(image_id, 0, "image.uploaded", at, image)
        line: dict[str, Any] = {
            "type": "image.uploaded",
            "image_id": image_id,
            "occurred_at": at,
            "image": image,
        }
        if chance.random() < 0.3:  # noqa: PLR2004 - most sources have no versions
            line["version"] = now_us - _HORIZON_US + self._count
        system.conditions.tally[
            "imported with a version" if "version" in line else "imported without a version"
        ] += 1
        system.ledger.note_settled(meant)
        return line

    def _check(self, before: int) -> None:
        """O5: the version of an import is lower than each stamp of the image itself.

        Only stamps of the last days count: an older event cannot arrive any more.
        """
        system = self._system
        earlier = _meanings(system, range(before))
        limit = int(system.time.now * 1_000_000) - _HORIZON_US + _HOUR_US
        for one in _meanings(system, range(before, len(system.stream.accepted))):
            if one.image is None or not one.image["name"].startswith(_NAME):
                continue  # somebody else's, in the middle of the import
            for other in earlier:
                if (
                    other.image_id == one.image_id
                    and other.version >= max(FIRST_STAMP, limit)
                    and other.version <= one.version
                ):
                    raise ViolationError("O5", f"the import of {one} beats {other}")


def _meanings(system: Any, positions: range) -> Sequence[Meaning]:
    found = (system.interpret(system.stream.accepted[at]) for at in positions)
    return [one for one in found if not isinstance(one, Poison)]
