"""A partition: the entries of the images whose IDs have one hash, of one store.

Nearly all entries are plain: images of which only version and digest are compared. They are kept as
rows, without an object for each, and compared as sets.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from lockstep.audit.comparison import DifferenceRule
from lockstep.audit.suspects import Suspect
from lockstep.stores.entry import Entry

type _Row = tuple[str, int, str]
"""Image ID, version, digest."""


class Chunk(msgspec.Struct):
    """A piece of a partition, as it is stored; `rows` are flattened into one list."""

    rows: list[str | int]
    others: list[Entry]

    def add(self, entry: Entry) -> None:
        """Add an entry."""
        version, digest = entry.version, entry.digest
        if digest is None or entry.checked_version != version or entry.rest is not None:
            self.others.append(entry)
        else:
            self.rows.extend((entry.image_id, version, digest))


class Partition(msgspec.Struct):
    """One store's entries of a partition."""

    rows: set[_Row]
    others: dict[str, Entry]


def encoded(chunk: Chunk) -> bytes:
    """A piece of a partition, to store."""
    return _encoder.encode(chunk)


def joined(pieces: Iterable[bytes]) -> Partition:
    """The partition of these pieces."""
    found = Partition(set(), {})
    for piece in pieces:
        decoded = _decoder.decode(piece)
        rows: Any = decoded.rows
        found.rows.update(zip(rows[0::3], rows[1::3], rows[2::3], strict=True))
        found.others.update((entry.image_id, entry) for entry in decoded.others)
    return found


def suspects_of(
    record: Partition, replica: Partition, now: float, comparison: DifferenceRule
) -> Iterator[Suspect]:
    """Every image whose entries differ, or of which one is malformed."""
    # If only one store has a row, the other store has another row of the image, or none. Or the
    # scan returned an item twice, before and after a change, because its DynamoDB partition split:
    # then the second lookup finds the stores equal.
    in_record = {image_id for image_id, _, _ in record.rows - replica.rows}
    in_replica = {image_id for image_id, _, _ in replica.rows - record.rows}
    differing = in_record | in_replica
    for image_id in differing | record.others.keys() | replica.others.keys():
        one, other = record.others.get(image_id), replica.others.get(image_id)
        if image_id in differing or comparison.difference(one, other, now=now) is not None:
            yield Suspect(
                image_id,
                in_record=image_id in in_record or one is not None,
                in_replica=image_id in in_replica or other is not None,
            )


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Chunk)
