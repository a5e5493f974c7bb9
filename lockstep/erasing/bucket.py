"""Erases content of images in the quarantine's bucket: in objects, and in their versions."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from itertools import batched, groupby

import msgspec

from lockstep.audit.pieces.state import STATE, WORK
from lockstep.erasing.content import BucketContent, Mention, ObjectContent, UnknownObjectError
from lockstep.quarantine.notes import NOTES, note_key
from lockstep.quarantine.reading import DOCUMENTS_AT_ONCE
from lockstep.stores.object_versions import ObjectVersion, ObjectVersions
from lockstep.stores.objects import TaggedObjects

# Of the audit that runs by itself: see `lockstep.erasing.audits`.
_OF_AUDITS = (STATE, WORK)


class HeldContent(msgspec.Struct, frozen=True):
    """Versions of one key that hold content that must go.

    Attributes:
        key: the key.
        versions: those that hold such content.
        others: all other versions of the key, also delete markers.
        erased: the content, once for each image.
    """

    key: str
    versions: Sequence[ObjectVersion]
    others: Sequence[ObjectVersion]
    erased: Sequence[Mention]


class BucketSurvey(msgspec.Struct, frozen=True):
    """What the bucket holds.

    Attributes:
        held: what must go.
        new: content of images that were uploaded again.
        unknown: objects of which nobody knows, and why.
    """

    held: Sequence[HeldContent]
    new: Sequence[Mention]
    unknown: Sequence[str]


class BucketEraser:
    """Finds content in the bucket, and erases it."""

    def __init__(
        self,
        versions: ObjectVersions,
        objects: TaggedObjects,
        content: BucketContent,
        executor: Executor,
    ) -> None:
        """Set it up.

        Args:
            versions: the bucket.
            objects: the same bucket, as it is without its earlier versions.
            content: reads objects.
            executor: reads several at the same time.
        """
        self._versions = versions
        self._objects = objects
        self._content = content
        self._executor = executor

    def survey(self) -> BucketSurvey:
        """Read every version of every object.

        Raises what boto3 raises.
        """
        held: list[HeldContent] = []
        new: list[Mention] = []
        unknown: list[str] = []
        for key, versions in self._keys():
            found: list[tuple[ObjectVersion, ObjectContent]] = []
            for version, content in versions:
                match content:
                    case UnknownObjectError():
                        unknown.append(str(content))
                    case ObjectContent():
                        found.append((version, content))
            gone = [(version, content) for version, content in found if content.erased]
            if gone:
                doomed = [version for version, _ in gone]
                erased = {one.image_id: one for _, content in gone for one in content.erased}
                others = [version for version, _ in versions if version not in doomed]
                held.append(HeldContent(key, doomed, others, [*erased.values()]))
            new += [one for _, content in found for one in content.new]
        return BucketSurvey(held, new, unknown)

    def erase(self, held: Sequence[HeldContent]) -> None:
        """Erase what a survey has found. What has changed since stays: survey again.

        Raises what boto3 raises; then some is erased.
        """
        for one in held:
            self._erase(one)

    def _erase(self, one: HeldContent) -> None:
        doomed, others = [*one.versions], [*one.others]
        if any(version.is_latest for version in doomed):
            there = self._objects.read_tagged(one.key)
            content = ObjectContent() if there is None else self._content.read(one.key, there[0])
            if there is not None and not content.erased:
                return  # somebody has written it again
            if (
                there is not None
                and content.rest is not None
                and not self._write(one.key, content.rest, there[1])
            ):
                return  # it has changed: survey again
            if content.rest is None or one.key.startswith(NOTES):
                self._versions.hide(one.key)
                listed = self._versions.listed(one.key)
                others += [each for each in listed if each.is_marker and each.key == one.key]
            else:
                # Without versioning, what was just written has the same version.
                old = {version.version for version in doomed}
                listed = self._versions.listed(one.key)
                doomed = [
                    each
                    for each in listed
                    if each.key == one.key and each.version in old and not each.is_latest
                ]
        if all(version.is_marker for version in others):
            doomed += others
        self._versions.delete(doomed)

    def _write(self, key: str, rest: bytes, tag: str) -> bool:
        """Write what stays of an object; false if it has changed meanwhile."""
        if key.startswith(NOTES):
            self._objects.write(note_key(rest), rest)
            return True
        return self._objects.replace(key, rest, tag) is not None

    def _keys(
        self,
    ) -> Iterator[
        tuple[str, list[tuple[ObjectVersion, ObjectContent | UnknownObjectError | None]]]
    ]:
        """Each key with its versions, and what each holds; None: nothing is there any more."""
        listed = (one for one in self._versions.listed("") if not one.key.startswith(_OF_AUDITS))
        read = (
            pair
            for some in batched(listed, DOCUMENTS_AT_ONCE)
            for pair in zip(some, self._executor.map(self._read, some), strict=True)
        )
        for key, group in groupby(read, key=lambda pair: pair[0].key):
            yield key, [*group]

    def _read(self, one: ObjectVersion) -> ObjectContent | UnknownObjectError | None:
        body = None if one.is_marker else self._versions.read(one)
        if body is None:
            return None
        try:
            content = self._content.read(one.key, body)
        except UnknownObjectError as unknown:
            return unknown.with_traceback(None)
        # What stays is written from what is there then.
        return msgspec.structs.replace(content, rest=None)
