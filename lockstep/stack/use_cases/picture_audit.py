"""Compare the picture bucket of a stack with its table, and put what is missing."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from itertools import batched
from typing import Literal

import msgspec

from lockstep.pictures.alignment import Alignment, ObjectIdentity
from lockstep.pictures.bucket.comparison import (
    REPAIRED,
    KeyFacts,
    PictureProblem,
    PictureState,
    TableImage,
    state_of,
)
from lockstep.pictures.bucket.rows import PictureRows, known_salt
from lockstep.pictures.reading import PictureSettings
from lockstep.pictures.within_limits.readers import Readers
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.pictures import (
    bucket_pictures,
    each_key,
    key_aligner,
    picture_rows,
    picture_stores,
    pictures_below,
)
from lockstep.stack.use_cases.stores import table_reader
from shared.picture_ids import PREFIX, id_of_key, key_after

# Requests at the same time: as many as a client has connections.
_THREADS = 10
_PAGE = 100
_MOST_EXAMPLES = 20


class PictureDifference(msgspec.Struct, frozen=True):
    """A key about which bucket and table do not agree."""

    key: str
    image_id: str
    problem: PictureProblem


class PicturesAudited(msgspec.Struct, frozen=True):
    """What an audit of the pictures found, and what a repair did.

    Attributes:
        pictures: the objects below the prefix of the pictures.
        images: the images of the table whose pictures are in this bucket.
        verdict: `different`: there is a difference, also one that was repaired.
        states: how many keys are in each state.
        examples: some of the differences.
        repairable: how many differences a repair puts right.
        repaired: what became of those that were repaired.
        not_repaired: why the others were not, each with its key.
    """

    pictures: int
    images: int
    verdict: Literal["equal", "different"]
    states: Mapping[PictureState, int]
    examples: Sequence[PictureDifference]
    repairable: int
    repaired: Mapping[Alignment, int]
    not_repaired: Sequence[str]

    @property
    def is_left(self) -> bool:
        """Whether there are differences that were not repaired."""
        return self.verdict == "different" and sum(self.repaired.values()) < sum(
            count for state, count in self.states.items() if state not in _AGREE
        )


_AGREE = frozenset({"equal", "no_picture", "recent", "behind"})


class _Bucket:
    def __init__(
        self, clients: Clients, rows: PictureRows | None, grace: float, *, reads: bool
    ) -> None:
        self._clients = clients
        self._rows = rows
        self._grace = grace
        self._pictures = bucket_pictures(clients, PictureSettings(zone=UTC)) if reads else None
        self.bucket = picture_stores(clients).bucket

    def objects(self) -> Iterator[tuple[str, ObjectIdentity]]:
        """Each object below the prefix, with its identity as HEAD says it."""
        return pictures_below(self._clients, PREFIX)

    def images(self) -> Iterator[tuple[str, TableImage]]:
        """Each image of the table whose picture is in this bucket, with the key of the picture."""
        start = f"s3://{self.bucket}/"
        pages = self._clients.dynamodb.get_paginator("scan").paginate(
            TableName=self._clients.stack.table,
            ConsistentRead=True,
            ProjectionExpression="image_id, version, image.#url, image.checksum",
            FilterExpression="begins_with(image.#url, :start)",
            ExpressionAttributeNames={"#url": "url"},
            ExpressionAttributeValues={":start": {"S": start + PREFIX}},
        )
        for page in pages:
            for item in page["Items"]:
                image = item["image"]["M"]
                checksum = image.get("checksum", {}).get("S")
                found = TableImage(int(item["version"]["N"]), shown=True, checksum=checksum)
                key = image["url"]["S"].removeprefix(start)
                if _id_of(key) == item["image_id"]["S"]:
                    yield key, found

    def state(self, key: str, there: ObjectIdentity | None, image: TableImage) -> PictureState:
        """Whether bucket, row and table agree about a key."""
        row = None if self._rows is None else self._rows.read(_id_of(key))
        read = there is not None and self._pictures is not None
        checksum = self._pictures.checksum(key) if read and self._pictures else None
        facts = KeyFacts(there, row, image, checksum)
        return state_of(facts, now=self._clients.clock.now(), grace=self._grace)


def _id_of(key: str) -> str:
    rest = key_after(PREFIX, key)
    return id_of_key(key if rest is None else rest)


def audit_pictures(
    clients: Clients,
    *,
    grace: float,
    repair: bool = False,
    read_all: bool = False,
    on_progress: Callable[[int], object] = lambda _: None,
) -> PicturesAudited:
    """Compare each picture with its row and its image, and each image with its picture.

    Args:
        clients: the stack's.
        grace: what changed within so many seconds is left alone: it may be on its way.
        repair: whether to put what is missing.
        read_all: whether to read each picture, and compare its checksum.
        on_progress: is told the number of keys that are compared.

    Raises:
        NoPictureBucketError: the stack has no picture bucket.
        CutAnswerError: an answer was cut off.
    """
    table = picture_stores(clients).rows
    salt = known_salt(clients.dynamodb, table)
    rows = None if salt is None else PictureRows(clients.dynamodb, table, salt)
    bucket = _Bucket(clients, rows, grace, reads=read_all)
    images = dict(bucket.images())
    states: Counter[PictureState] = Counter()
    found: list[PictureDifference] = []
    listed: set[str] = set()

    def note(keys: Iterable[str], answers: Iterable[PictureState]) -> None:
        for key, state in zip(keys, answers, strict=True):
            states[state] += 1
            if state not in _AGREE:
                found.append(PictureDifference(key, _id_of(key), state))  # type: ignore[arg-type]  # the rest are problems
        on_progress(states.total())

    _ = clients.s3  # made now, as threads share it
    with ThreadPoolExecutor(_THREADS) as threads:
        for page in batched(bucket.objects(), _PAGE):
            keys = [key for key, _ in page]
            listed.update(keys)
            known = _images_of(clients, images, keys)
            identities, its = [there for _, there in page], [known[key] for key in keys]
            note(keys, threads.map(bucket.state, keys, identities, its))
        for gone in batched(sorted(images.keys() - listed), _PAGE):
            its = [images[key] for key in gone]
            note(gone, threads.map(bucket.state, gone, [None] * len(gone), its))
    repairs = [one for one in found if one.problem in REPAIRED]
    repaired, failed = _repair(clients, repairs) if repair else (Counter[Alignment](), [])
    return PicturesAudited(
        pictures=len(listed),
        images=len(images),
        verdict="different" if found else "equal",
        states=dict(states),
        examples=found[:_MOST_EXAMPLES],
        repairable=len(repairs),
        repaired=dict(repaired),
        not_repaired=failed,
    )


def _images_of(
    clients: Clients, images: Mapping[str, TableImage], keys: Sequence[str]
) -> Mapping[str, TableImage]:
    """What the table has of each key, also if its image has another address or is deleted."""
    known = {key: images[key] for key in keys if key in images}
    others = {_id_of(key): key for key in keys if key not in known}
    entries = table_reader(clients).lookup([*others]) if others else {}
    for image_id, key in others.items():
        entry = entries.get(image_id)
        known[key] = (
            TableImage() if entry is None else TableImage(entry.version, shown=not entry.deleted)
        )
    return known


def _repair(
    clients: Clients, repairs: Sequence[PictureDifference]
) -> tuple[Counter[Alignment], list[str]]:
    shown = {one.key: one.problem in {"gone", "unknown"} for one in repairs}
    with Readers(os.cpu_count() or 1, zone="UTC", gps=False) as readers:
        pictures = bucket_pictures(clients, PictureSettings(zone=UTC), read=readers.picture)
        aligner = key_aligner(clients, pictures, picture_rows(clients))
        ends = [*each_key(lambda key: aligner.align(key, is_shown=shown[key]), shown)]
    done = Counter(end.outcome for end in ends if end.outcome is not None)
    return done, [f"{end.key}: {end.failure}" for end in ends if end.failure is not None]
