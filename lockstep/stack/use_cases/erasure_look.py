"""What a stack holds of some images: in each place that keeps content."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import batched

import msgspec

from lockstep.erasing.attributes import foreign_attributes
from lockstep.erasing.audits import AuditEraser, AuditSurvey
from lockstep.erasing.bucket import BucketEraser, BucketSurvey
from lockstep.erasing.content import BucketContent
from lockstep.erasing.documents import StrayDocument, StrayDocuments
from lockstep.erasing.erased import Judge
from lockstep.erasing.pictures import PictureEraser, PictureSurvey
from lockstep.images.held import HeldImage, held_in_document, held_in_item
from lockstep.rebuild.indices import Indices, StackIndices
from lockstep.stack.clients import CONNECT_SECONDS, READ_SECONDS, S3_CONNECTIONS, Clients
from lockstep.stack.use_cases.stores import index_reader, table_reader
from lockstep.stores.object_versions import ObjectVersions
from lockstep.stores.quick_objects import QuickObjects
from lockstep.stores.readers import LOOKUP

TOMBSTONES = ("tombstone", "expired_tombstone")


class StoredEverywhere(msgspec.Struct, frozen=True):
    """What the stack holds of the images.

    Attributes:
        table: their items.
        index: their documents.
        foreign: attributes of their items that somebody else wrote.
        strays: other documents that hold one of them.
        bucket: objects of the quarantine's bucket.
        audit: what the audit that is under way keeps.
        pictures: their pictures and thumbnails.
    """

    table: Mapping[str, HeldImage]
    index: Mapping[str, HeldImage]
    foreign: Mapping[str, Sequence[str]]
    strays: Sequence[StrayDocument]
    bucket: BucketSurvey
    audit: AuditSurvey
    pictures: PictureSurvey

    def places(self, image_id: str) -> Mapping[str, int]:
        """How much there is of an image, by place."""
        found = Counter[str]()
        for name, held in (("table", self.table), ("index", self.index)):
            one = held.get(image_id)
            found[name] += one is not None and one.state not in TOMBSTONES
        found["attributes of others in the table"] = len(self.foreign.get(image_id, ()))
        found["stray documents"] = sum(one.image_id == image_id for one in self.strays)
        for its in self.bucket.held:
            if any(mention.image_id == image_id for mention in its.erased):
                found[place_of(its.key)] += len(its.versions)
        found["audit under way"] = sum(one.image_id == image_id for one in self.audit.held)
        found["pictures"] = self.pictures.count(image_id)
        return {name: count for name, count in found.items() if count}


class ErasureLook:
    """Looks into each place of one stack that keeps content of images."""

    def __init__(self, clients: Clients) -> None:
        stack = clients.stack
        self._clients = clients
        self._objects = QuickObjects(
            clients.s3, stack.bucket, clients.session, timeout=(CONNECT_SECONDS, READ_SECONDS)
        )
        self._versions = ObjectVersions(clients.s3, stack.bucket)
        self._executor = ThreadPoolExecutor(S3_CONNECTIONS)

    @cached_property
    def indices(self) -> StackIndices:
        """The indices of the stack."""
        stack = self._clients.stack
        return Indices(self._clients.opensearch, stack.index, stack.index_settings).read()

    @cached_property
    def strays(self) -> StrayDocuments:
        """Documents beside those of the images themselves."""
        index = self._clients.stack.index
        others = [one for one in self.indices.numbered if one != self.indices.live]
        return StrayDocuments(self._clients.opensearch, index, others)

    @cached_property
    def pictures(self) -> PictureEraser | None:
        """The buckets of pictures; None if the stack has none."""
        stores, s3 = self._clients.stack.pictures, self._clients.s3
        if stores is None:
            return None
        thumbnails = ObjectVersions(s3, stores.thumbnails) if stores.thumbnails else None
        return PictureEraser(s3, ObjectVersions(s3, stores.bucket), thumbnails)

    def look(self, ids: Collection[str], judge: Judge) -> StoredEverywhere:
        """What there is of these images now.

        Args:
            ids: the images.
            judge: which content in the bucket must go.
        """
        pictures = PictureSurvey({}, {}, {})
        if self.pictures is not None:
            pictures = self.pictures.survey(ids.__contains__)
        return StoredEverywhere(
            self.in_table(ids),
            self.in_index(ids),
            self._foreign(ids),
            [stray for some in batched(ids, LOOKUP) for stray in self.strays.find(some)],
            self.bucket(judge).survey(),
            self.audits(judge).survey(),
            pictures,
        )

    def bucket(self, judge: Judge) -> BucketEraser:
        """The quarantine's bucket."""
        stack = self._clients.stack
        content = BucketContent(judge, stack.table_mapping, stack.changes_stream)
        return BucketEraser(self._versions, self._objects, content, self._executor)

    def audits(self, judge: Judge) -> AuditEraser:
        """What the audit that runs by itself keeps."""
        return AuditEraser(self._versions, self._objects, judge, self._clients.clock.now())

    def in_table(self, ids: Collection[str]) -> Mapping[str, HeldImage]:
        """What the table has."""
        now, reader = self._clients.clock.now(), table_reader(self._clients)
        return {
            image_id: held_in_item(item, now=now)
            for some in batched(ids, LOOKUP)
            for image_id, item in reader.lookup_raw(some).items()
        }

    def _foreign(self, ids: Collection[str]) -> Mapping[str, Sequence[str]]:
        """The attributes of items that somebody else wrote."""
        client, table = self._clients.dynamodb, self._clients.stack.table
        return {
            image_id: names
            for some in batched(ids, LOOKUP)
            for image_id, names in foreign_attributes(client, table, some).items()
        }

    def in_index(self, ids: Collection[str]) -> Mapping[str, HeldImage]:
        """What the index has."""
        now, reader = self._clients.clock.now(), index_reader(self._clients)
        return {
            image_id: held_in_document(document, now=now)
            for some in batched(ids, LOOKUP)
            for image_id, document in reader.lookup_raw(some).items()
        }


def place_of(key: str) -> str:
    """The part of the bucket that an object is in."""
    first = key.partition("/")[0]
    return "aws/lambda/" if first == "aws" else f"{first}/"
