"""Random histories of one key: uploads, deletions, and routines that look at it, in any order.

Each routine advances one step at a time, may be killed at each step, and may lose the answer to its
last one. A notification comes late and up to three times, in any order, and again after its routine
was killed.
"""

from collections.abc import Callable, Generator
from random import Random
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.json import decode

from lockstep.pictures.alignment import (
    Alignment,
    LookAtObject,
    ObjectIdentity,
    PictureRow,
    PutEvent,
    ReadImageVersion,
    ReadObject,
    ReadRow,
    Wanted,
    WriteRow,
)
from shared.event import Event, Image

type Routine = Generator[Wanted, Any, Alignment]
type Align = Callable[[str, float, str | None], Routine]

KEY = "a.jpg"
MOST_STEPS = 2_000


class _Job(msgspec.Struct, eq=False):
    """One notification or upload, and the routine that it runs now."""

    given: str | None
    routine: Routine | None = None
    wanted: Wanted | None = None


class BucketHistory:
    """One key, its row, the stream, and the image in both stores."""

    def __init__(self, seed: int, align: Align) -> None:
        self._random = Random(seed)
        self._align = align
        self._jobs: list[_Job] = []
        # A routine that is killed looks again, and so repairs what it missed: not in each history.
        kills = self._random.choice((0, 0, 2))
        self._weights = (self._random.choice((1, 3)), 2, 6, kills, self._random.choice((0, 1)))
        self._now = 1_800_000_000.0
        self._contents = 0
        self._pictures: set[str | UnsetType] = set()
        self.object: ObjectIdentity | None = None
        self.is_picture = True
        self.row: PictureRow | None = None
        self.stored: Event | None = None

    def difference_at_the_end(self) -> str | None:
        """Let things happen, then process all notifications; how the stores differ from the bucket.

        None if they are equal.
        """
        for _ in range(self._random.randint(1, 30)):
            self._happen()
        for _ in range(MOST_STEPS):
            if not self._jobs:
                break
            self._advance()
        else:
            return "the routines do not end"
        image = None if self.stored is None else self.stored.image
        shown = image.checksum if isinstance(image, Image) else None
        wanted = self.object.etag if self.object is not None and self.is_picture else None
        return None if shown == wanted else f"stored {shown}, the bucket has {wanted}"

    def _happen(self) -> None:
        self._now += self._random.choice((0.0, 0.1, 40.0))
        match self._random.choices(("upload", "remove", "step", "kill", "clock"), (3, 2, 12, 2, 1)):
            case ["upload"]:
                self._contents += self._random.choice((0, 1, 1))  # also the same content again
                self.is_picture = self._random.random() < 0.9
                kind = "" if self.is_picture else "text "
                self.object = ObjectIdentity(f"{kind}{self._contents}", int(self._now), 10)
                if self.is_picture:
                    self._pictures.add(self.object.etag)
                self._notify("tags" if self._random.random() < 0.3 else None)
            case ["remove"]:
                self.object = None
                self._notify(None)
            case ["step"] if self._jobs:
                self._advance()
            case ["kill"] if self._jobs:
                self._kill(self._random.choice(self._jobs))
            case ["clock"]:
                self._now -= 3600  # the clocks of the machines differ
            case _:
                pass

    def _notify(self, given: str | None) -> None:
        self._jobs += [_Job(given), *(_Job(None) for _ in range(self._random.randint(0, 2)))]

    def _kill(self, job: _Job) -> None:
        if job.wanted is not None and self._random.random() < 0.5:
            self._answer(job.wanted)  # it takes effect, and the answer is lost
        job.routine, job.wanted = None, None

    def _advance(self) -> None:
        """Some steps of one routine: often all that it needs, while others wait."""
        job = self._random.choice(self._jobs)
        for _ in range(self._random.choice((1, 2, 4, 9))):
            if job in self._jobs:
                self._step(job)

    def _step(self, job: _Job) -> None:
        try:
            if job.routine is None or job.wanted is None:
                job.routine = self._align(KEY, self._now, job.given)
                job.wanted = next(job.routine)
            else:
                job.wanted = job.routine.send(self._answer(job.wanted))
        except StopIteration:
            self._jobs.remove(job)

    def _answer(self, wanted: Wanted) -> object:
        match wanted:
            case ReadRow():
                return self.row
            case LookAtObject():
                return self.object
            case ReadImageVersion():
                # The consumers may be behind: then it is as if there were no image yet.
                behind = self._random.random() < 0.2
                return 0 if behind or self.stored is None else self.stored.version
            case ReadObject(identity):
                if self.object != identity:
                    return "changed"
                return Image(name="a", checksum=identity.etag) if self.is_picture else "no picture"
            case WriteRow(row, after):
                if after != (0 if self.row is None else self.row.counter):
                    return False
                self.row = row
                return True
            case PutEvent(data):
                event = decode(data, type=Event)
                # No event tells of a picture that is not there.
                assert event.image is UNSET or event.image.checksum in self._pictures
                if self.stored is None or event.version > self.stored.version:
                    self.stored = event
                return None
