"""Erases images from a stack: all content of them, in each place that keeps some.

The order: the picture with all its versions, until none is listed; its key brought in line; the
deletion through the stream, and both tombstones; everything else; then a last look. What appears
after that is a new image, and stays.
"""

import datetime as dt
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from lockstep.console.errors import UserError
from lockstep.console.times import moment
from lockstep.erasing.attributes import remove_attributes
from lockstep.erasing.audits import AuditSurvey
from lockstep.erasing.erased import Judge, Limit, judge_by
from lockstep.erasing.outcomes import ErasedImage, EraseResult, Erasure
from lockstep.erasing.pictures import PictureSurvey, keys_of
from lockstep.erasing.selecting import in_index, in_table
from lockstep.images.outcomes import ChangedImage, version_of
from lockstep.pictures.alignment import CountedVersionError
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.changes import bury
from lockstep.stack.use_cases.erasure_look import TOMBSTONES, ErasureLook, StoredEverywhere
from lockstep.stack.use_cases.remains import remains
from shared.event import IMAGE_ID_PATTERN, MAX_VERSION
from shared.stamps import acceptable_from

if TYPE_CHECKING:
    from lockstep.pictures.bucket.aligner import KeyAligner

# Somebody may write while it is erased. So often everything is looked at again.
MOST_ROUNDS = 5
_IS_ID = re.compile(IMAGE_ID_PATTERN).match
_ALL = Limit(MAX_VERSION, 2**63 - 1)


class EraseError(UserError):
    """Nothing can be erased now; the message says why."""


class StackErasure:
    """Erases images of one stack."""

    def __init__(
        self,
        clients: Clients,
        name: str | None,
        on_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Set it up.

        Args:
            clients: the stack's.
            name: the name of a deployed stack; None for a local one.
            on_step: called with what is done or waited for next.
        """
        self._clients = clients
        self._name = name
        self._on_step = on_step
        self._places = ErasureLook(clients)

    def erase(
        self,
        image_ids: Sequence[str],
        *,
        version: int | None,
        seconds: float,
        applies: bool,
        on_begin: Callable[[], None] = lambda: None,
    ) -> Erasure:
        """Erase these images, or only look what there is of them.

        Args:
            image_ids: the images.
            version: the version of the tombstone; None: from the clock.
            seconds: how long to wait until both stores have the tombstones.
            applies: whether anything is changed.
            on_begin: called before anything is changed.

        Raises:
            EraseError: a rebuild is under way.
            VersionError: the source of an image counts versions, and none is given.
            ImageChangeError: see `ImageChanges.change`.
            PutError: the stream does not take the deletions.
            StoreUnreadableError: a store could not be read.
        """
        if not image_ids:
            return Erasure([], [], [])
        self._on_step("looking what there is")
        self._check_rebuild()
        ids = frozenset(image_ids)
        before = self._places.look(ids, judge_by(lambda one: _ALL if one in ids else None))
        known = {one: self._known(one, before) for one in image_ids}
        # It refuses what it must before anything is deleted.
        planned = bury(
            self._clients, image_ids, known, version=version, seconds=seconds, applies=False
        )
        found = {one: before.places(one) for one in image_ids}
        if not applies:
            images = [_planned(one, found[one.image_id]) for one in planned]
            return self._erasure(images, before.bucket.unknown)
        if self._places.pictures is not None:
            _ = self._aligner  # before anything is deleted: a library may be missing
        on_begin()
        again = self._erase_pictures(ids, before.pictures)
        ends = self._clients.clock.elapsed() + seconds
        at = round(self._clients.clock.now() * 1000)
        dying = [one for one in image_ids if one not in again]
        self._on_step("waiting until both stores have the tombstones")
        changed = bury(self._clients, dying, known, version=version, seconds=seconds)
        buried = {one.image_id: one for one in changed}
        self._wait(dying, ends)
        limits = {
            one: self._limit(buried[one]) if one in buried else Limit(known[one], at)
            for one in image_ids
        }
        self._on_step("erasing everything else")
        after = self._erase_rest(ids, judge_by(limits.get))
        images = [self._judged(one, limits[one], found[one], after) for one in image_ids]
        return self._erasure(images, after.bucket.unknown)

    def _erasure(self, images: Sequence[ErasedImage], unreadable: Sequence[str]) -> Erasure:
        return Erasure(images, unreadable, [*remains(self._clients, self._name)])

    def _check_rebuild(self) -> None:
        for index in self._places.indices.unfinished:
            raise EraseError(
                f"a rebuild into {index} has not ended, and copies images: end it with "
                "`lockstep rebuild --apply`, then erase"
            )

    def _known(self, image_id: str, before: StoredEverywhere) -> int:
        """The highest version that the tombstone must exceed; see `bury`.

        What only the quarantine has may have an id that no event can have: it needs no tombstone.
        """
        if not _IS_ID(image_id):
            return 0
        ahead = self._clients.clock.now() * 1000
        versions = [
            one.version
            for held in before.bucket.held
            for one in held.erased
            if one.image_id == image_id and one.version is not None
        ]
        # No consumer takes a version that is ahead, and so none as the next one.
        highest = max((one for one in versions if acceptable_from(one) <= ahead), default=0)
        table, index = before.table.get(image_id), before.index.get(image_id)
        if index is not None:
            highest = max(highest, version_of(index))
            if index.state not in TOMBSTONES and table is not None and table.state in TOMBSTONES:
                # The tombstone that the table has may never reach the index.
                highest = max(highest, version_of(table) + 1)
        return highest

    def _erase_pictures(self, ids: Collection[str], before: PictureSurvey) -> Collection[str]:
        """Delete the pictures until none is listed, then bring their keys in line.

        Returns:
            The images that have a picture again: somebody has uploaded it since.
        """
        if self._places.pictures is None:
            return ()
        self._on_step("deleting the pictures")
        keys = [key for one in ids for key in keys_of(one, before)]
        found = before
        for _ in range(MOST_ROUNDS):
            if found.is_empty:
                break
            self._places.pictures.erase(found)
            found = self._places.pictures.survey(ids.__contains__)
        self._align(keys)
        there = self._places.pictures.survey(ids.__contains__).pictures
        return {one for one, some in there.items() if not all(each.is_marker for each in some)}

    @cached_property
    def _aligner(self) -> "KeyAligner":
        # They load the libraries that read pictures.
        from lockstep.pictures.reading import PictureSettings  # noqa: PLC0415
        from lockstep.stack.use_cases.pictures import (  # noqa: PLC0415
            bucket_pictures,
            key_aligner,
            picture_rows,
        )

        # It reads no picture, unless somebody has uploaded one again.
        pictures = bucket_pictures(self._clients, PictureSettings(zone=dt.UTC))
        return key_aligner(self._clients, pictures, picture_rows(self._clients))

    def _align(self, keys: Sequence[str]) -> None:
        for key in keys:
            try:
                self._aligner.align(key)
            except CountedVersionError:
                continue  # the deletion gets the version that is given

    def _wait(self, ids: Collection[str], ends: float) -> None:
        """Wait until neither store has an image; at most until then."""
        clock = self._clients.clock
        while clock.elapsed() < ends:
            held = [
                *self._places.in_table(ids).values(),
                *self._places.in_index(ids).values(),
            ]
            if all(one.state in TOMBSTONES for one in held):
                return
            clock.sleep(1.0 if self._name is not None else 0.2)

    def _limit(self, one: ChangedImage) -> Limit:
        """The tombstone of an image: what was put, or what was there."""
        now = round(self._clients.clock.now() * 1000)
        if one.put is not None:
            return Limit(one.put.version, _milliseconds(one.put.arrived_at) or now)
        if one.read is not None:
            return Limit(version_of(one.read), _milliseconds(one.read.arrived_at) or now)
        return Limit(0, now)

    def _erase_rest(self, ids: Collection[str], judge: Judge) -> StoredEverywhere:
        """Erase what is neither in the stores nor a picture, until nothing is left; the last look.

        Each round begins with a look at everything, as the last one ends.
        """
        for _ in range(MOST_ROUNDS):
            found = self._places.look(ids, judge)
            thumbnails = {
                image_id: some
                for image_id, some in found.pictures.thumbnails.items()
                if image_id not in found.pictures.pictures
            }
            foreign = {
                image_id: held.version
                for image_id, held in found.table.items()
                if image_id in found.foreign and held.state in TOMBSTONES and held.version
            }
            left = found.strays, found.bucket.held, found.audit.held, thumbnails, foreign
            if not any(left):
                break
            for image_id, version in foreign.items():
                remove_attributes(
                    self._clients.dynamodb,
                    self._clients.stack.table,
                    image_id,
                    found.foreign[image_id],
                    version,
                )
            self._places.strays.delete(found.strays)
            self._places.bucket(judge).erase(found.bucket.held)
            self._places.audits(judge).erase(found.audit)
            if self._places.pictures is not None:
                self._places.pictures.erase_thumbnails(PictureSurvey({}, thumbnails, {}))
        else:
            found = self._places.look(ids, judge)
        self._places.audits(judge).erase(AuditSurvey([], found.audit.left))
        return found

    def _judged(
        self,
        image_id: str,
        limit: Limit,
        found: Mapping[str, int],
        after: StoredEverywhere,
    ) -> ErasedImage:
        """What became of an image, by the last look."""

        def result(what: EraseResult, detail: str, again: float | None = None) -> ErasedImage:
            return ErasedImage(
                image_id,
                what,
                detail,
                found,
                limit.version or None,
                moment(limit.arrived_at) if limit.version else None,
                None if again is None else dt.datetime.fromtimestamp(int(again), dt.UTC),
            )

        again = self._uploaded_again(image_id, limit, after)
        if again is not None:
            at = dt.datetime.fromtimestamp(int(again), dt.UTC)
            return result(
                "uploaded_again",
                f"erased, and uploaded again at {at:%Y-%m-%dT%H:%M:%SZ}: the new image stays",
                again,
            )
        left = after.places(image_id)
        lacking = [name for name in ("table", "index") if name in left]
        if lacking:
            return result(
                "unknown",
                f"no tombstone in the {' and the '.join(lacking)} yet: see `lockstep status`, then "
                "erase again",
            )
        if left:
            said = ", ".join(f"{name} ({count})" for name, count in left.items())
            return result("not_erased", f"still there: {said}: erase again")
        if not found and not limit.version:
            return result("absent", "there is nothing of it")
        return result("erased", f"nothing is left{' but its tombstone' if limit.version else ''}")

    def _uploaded_again(self, image_id: str, limit: Limit, after: StoredEverywhere) -> float | None:
        """When a new image with this id came, in seconds since 1970; None if none did."""
        arrivals = [
            arrived_at / 1000
            for held in (after.table.get(image_id), after.index.get(image_id))
            if held is not None and held.state == "image" and version_of(held) > limit.version
            if (arrived_at := _milliseconds(held.arrived_at)) is not None
        ]
        arrivals += [
            one.arrived_at / 1000
            for one in after.bucket.new
            if one.image_id == image_id and one.arrived_at is not None
        ]
        pictures = after.pictures.pictures.get(image_id, ())
        arrivals += [one.written.timestamp() for one in pictures if not one.is_marker]
        return min(arrivals, default=None)


def with_attribute(clients: Clients, name: str, value: str) -> list[str]:
    """The ids of the images that have this attribute with exactly this value, in any store.

    Raises:
        StoreUnreadableError: a store could not be read.
    """
    stack = clients.stack
    found = {
        *in_table(clients.dynamodb, stack.table, name, value),
        *in_index(clients.opensearch, stack.index, name, value),
    }
    return sorted(found)


def _planned(one: ChangedImage, found: Mapping[str, int]) -> ErasedImage:
    if not found and one.result != "not_put":
        if one.read is None:
            return ErasedImage(one.image_id, "absent", "there is nothing of it", found)
        return ErasedImage(
            one.image_id,
            "not_applied",
            "nothing is left but its tombstone",
            found,
            one.read.version,
            dt.datetime.fromisoformat(one.read.arrived_at),
        )
    return ErasedImage(one.image_id, "not_applied", "would be erased", found)


def _milliseconds(at: str | None) -> int | None:
    return None if at is None else round(dt.datetime.fromisoformat(at).timestamp() * 1000)
