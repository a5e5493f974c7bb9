"""The import as a step: images with versions of their own, and without; killed and resumed."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lockstep.producing.backfill import Backfill, Backfilled, Point, Source
from lockstep.producing.checked import CheckedEvent
from lockstep.producing.producer import PutError
from lockstep.simulation.components import STREAM
from lockstep.simulation.events import draw_image
from lockstep.simulation.faulty_network import CrashedError
from lockstep.simulation.interpretation import Poison
from lockstep.simulation.operators.promises import Promises
from lockstep.simulation.operators.tools import Surroundings, Tools
from lockstep.simulation.oracle import FIRST_STAMP, Meaning, time_of
from lockstep.simulation.violation import ViolationError
from lockstep.stores.readers import StoreUnreadableError
from shared.event import Image

_NAME = "imported"
_MOST_LINES = 4
_AGAIN_SHARE = 0.3
_IMAGES = 3
# An interrupted import: its files, and the requests of its process before it is killed.
_FILES, _LINES_OF_A_FILE = (2, 3), (1, 2)
_KILLED_SHARE, _MOST_REQUESTS, _MOST_RUNS = 0.7, 5, 6
_MEANWHILE_SHARE, _MEANWHILE_SECONDS = 0.3, 0.5
_BREAKS_OFF = (PutError, StoreUnreadableError, BotoCoreError, ClientError)
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
            self._put(_in_lines(lines))

    def _put(self, body: bytes) -> None:
        try:
            self._backfill().run([_source("images", body)])
        except _BREAKS_OFF:
            self._system.conditions.tally["import broken off"] += 1

    def _backfill(self, progress: "_Progress | None" = None) -> Backfill:
        """An import, as a new process."""
        system, clock = self._system, self._tools.clock
        told = _Progress() if progress is None else progress

        def put(events: Iterable[CheckedEvent]) -> object:
            producer = system.components.producer(system.stream, STREAM, clock=clock)
            return producer.put(told.put(events))

        return system.components.backfill(
            self._tools.table_reader(),
            put,
            stamp=system.components.past_stamp(clock.now),
            now=clock.now,
            on_step=told.step,
        )

    def interrupted(self) -> None:
        """Import several files; the process is killed, and an operator resumes it.

        Raises:
            ViolationError: O6: the import has ended, and an image is neither on the stream nor in
                the table. O4: it puts again what it had put before the point to resume from.
        """
        system, chance = self._system, self._system.conditions.chance
        self._tools.begin()
        files = {
            f"file {at}": [self._line() for _ in range(chance.randint(*_LINES_OF_A_FILE))]
            for at in range(chance.randint(*_FILES))
        }
        before, there = len(system.stream.accepted), set(system.table.items)
        written = len(system.table.journal)
        if chance.random() < _MEANWHILE_SHARE:
            self._tools.interleave(self._around.meanwhile, _MEANWHILE_SECONDS)
        with self._promises.kept("O1", "O2"):
            ended = self._run_and_resume(files)
        self._check(before)
        if ended:
            there.update(one.image_id for one in system.table.journal[written:])
            self._check_whole(files, before, there)

    def _run_and_resume(self, files: Mapping[str, Sequence[Mapping[str, Any]]]) -> bool:
        """Run the import to its end; return whether it could."""
        conditions = self._system.conditions
        progress = _Progress()
        for _ in range(_MOST_RUNS):
            if conditions.chance.random() < _KILLED_SHARE:
                conditions.kill_in = conditions.chance.randint(1, _MOST_REQUESTS)
            after = progress.point
            conditions.tally["import resumed"] += after is not None
            progress.given.clear()
            sources = [_source(name, _in_lines(lines)) for name, lines in files.items()]
            try:
                self._backfill(progress).run(sources, after)
            except CrashedError:
                conditions.tally["import killed"] += 1
            except _BREAKS_OFF:
                conditions.tally["import broken off"] += 1
            else:
                return True
            finally:
                conditions.kill_in = None
                self._check_resumed(files, after, progress.given)
        return False

    @staticmethod
    def _check_resumed(
        files: Mapping[str, Sequence[Mapping[str, Any]]], after: Point | None, given: Sequence[str]
    ) -> None:
        """O4: what was put up to the point to resume from is not put again."""
        if after is None:
            return
        names = list(files)
        done = [line for name in names[: names.index(after.source)] for line in files[name]]
        done += files[after.source][: after.line]
        again = {line["image"]["name"] for line in done} & set(given)
        if again:
            raise ViolationError(
                "O4", f"an import that goes on after {after} puts {sorted(again)} again"
            )

    def _check_whole(
        self,
        files: Mapping[str, Sequence[Mapping[str, Any]]],
        before: int,
        there: AbstractSet[str],
    ) -> None:
        """O6: each image is on the stream, or was in the table at some moment of the import."""
        system = self._system
        events = _meanings(system, range(before, len(system.stream.accepted)))
        put = {one.image["name"] for one in events if one.image is not None}
        for line in (one for lines in files.values() for one in lines):
            if line["image"]["name"] not in put and line["image_id"] not in there:
                raise ViolationError("O6", f"the import has ended, and did not put {line}")

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

        Only stamps of the last days count: an older event cannot arrive any more. What is imported
        may follow the end of a tombstone, because its version is so old, and it names the image.
        """
        system = self._system
        earlier = _meanings(system, range(before))
        limit = int(system.time.now * 1_000_000) - _HORIZON_US + _HOUR_US
        for one in _meanings(system, range(before, len(system.stream.accepted))):
            if one.image is None or not one.image["name"].startswith(_NAME):
                continue  # somebody else's, in the middle of the import
            system.may_return.add((one.image_id, one.version))
            for other in earlier:
                if (
                    other.image_id == one.image_id
                    and other.version >= max(FIRST_STAMP, limit)
                    and other.version <= one.version
                ):
                    raise ViolationError("O5", f"the import of {one} beats {other}")


class _Progress:
    """The progress of an import: `point` to resume from; `given` names what a run puts."""

    def __init__(self) -> None:
        self.point: Point | None = None
        self.given: list[str] = []

    def step(self, point: Point, _: Backfilled) -> None:
        """Save this point."""
        self.point = point

    def put(self, events: Iterable[CheckedEvent]) -> Iterator[CheckedEvent]:
        """Note the names of the images."""
        for one in events:
            image = one.event.image
            self.given.append(image.name if isinstance(image, Image) else "")
            yield one


def _source(name: str, body: bytes) -> Source:
    return Source(name, lambda: io.BufferedReader(io.BytesIO(body)))


def _in_lines(lines: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _meanings(system: Any, positions: range) -> Sequence[Meaning]:
    found = (system.interpret(system.stream.accepted[at]) for at in positions)
    return [one for one in found if not isinstance(one, Poison)]
