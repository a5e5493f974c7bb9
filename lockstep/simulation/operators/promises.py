"""The promises O1, O2, O4 and O5 of an operator's step, checked around it.

A step runs inside one context, and says which promises hold for it:

    with promises.kept("O1", "O2"):
        ...the command of the product, also with invocations in the middle...

A command that raises has broken off: then a repair may have removed what it has not written yet.
The promises are checked all the same, before the exception goes on.

- O1: the highest accepted event of each image that was held anywhere (stream, table, index, bucket)
  is held somewhere after.
- O2: the command itself leaves the raw table unchanged. No document's version falls, and none
  leaves but by a due purge, or by a removal after which it is written again.
- others: what others write to the index meanwhile stays; a part of O2.
- O4: `promises.wrote()` counts the writes of operators. A command that is repeated at once, with
  nobody writing in between, must not change it.
- O5: `promises.touch(image_id)`, for what was changed by hand, by a restore or an answer:
  the rules of versions (I2 to I4) begin again for that image.

O3 is checked by the step of the audit (audits.py), O6 at the end of a history (guide.py).
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import msgspec

from lockstep.quarantine.bucket import discarded_key, redriven_key
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.faulty_network import CrashedError
from lockstep.simulation.interpretation import Poison
from lockstep.simulation.operators.clients import OwnJournal
from lockstep.simulation.operators.comparison import said_by_document
from lockstep.simulation.operators.tools import Tools
from lockstep.simulation.violation import ViolationError

type Promise = Literal["O1", "O2", "others"]

_REPLACED = "replaced/"


class AcceptedEvent(msgspec.Struct, frozen=True):
    """An accepted event: its image, version and content."""

    image_id: str
    version: int
    digest: str | None


class Raw(msgspec.Struct, frozen=True):
    """Both stores at one moment, and how long their journals were. Nothing is copied deeply.

    `stream_since`: the stream held what had arrived since then, by its retention at that moment.
    """

    now: float
    stream_since: float
    items: Mapping[str, Any]
    documents: Mapping[str, Any]
    table_journal: int
    table_by_hand: int
    index_journal: int


class Promises:
    """Checks the promises of the steps of one system."""

    def __init__(self, tools: Tools) -> None:
        """Check what is done with these tools."""
        self._tools = tools
        self._system = tools.system

    def raw(self) -> Raw:
        """Both stores now."""
        system = self._system
        return Raw(
            system.time.now,
            system.stream.since,
            system.table.items.copy(),
            system.index.documents.copy(),
            len(system.table.journal),
            len(system.table.by_hand),
            len(system.index.journal),
        )

    @contextmanager
    def kept(self, *promises: Promise, of_intact: bool = False) -> Iterator[None]:
        """Check these promises around the code inside.

        Args:
            promises: what the command promises.
            of_intact: O2 holds for intact documents only. A rebuild leaves a malformed document in
                the old index, and reports it.

        Raises:
            ViolationError: a promise is broken.
        """
        before = self.raw()
        held = self._held(before.stream_since) if "O1" in promises else {}
        table_writes = len(self._tools.own_in_table)
        self._tools.is_running = True
        self._tools.commands += 1
        error: BaseException | None = None
        try:
            yield
        except (Exception, CrashedError) as raised:  # noqa: BLE001 - goes on below
            error = raised
        finally:
            self._tools.end()
        if "O1" in promises:
            self._check_held(held, before)
        if "O2" in promises:
            if len(self._tools.own_in_table) > table_writes:
                written = self._tools.own_in_table[table_writes]
                raise ViolationError("O2", f"the command wrote the table: {written}")
            self._check_table(before)
            self._check_documents(before, is_broken_off=error is not None, of_intact=of_intact)
        elif "others" in promises:
            self._check_others(before)
        if error is not None:
            raise error

    def wrote(self) -> int:
        """How many writes operators have made so far."""
        return len(self._tools.own_in_table) + len(self._tools.own_in_index)

    def others_wrote(self) -> int:
        """How many writes all others have made so far."""
        system = self._system
        return len(system.table.journal) + len(system.index.journal) - self.wrote()

    def touch(self, image_id: str, since: Raw | None = None) -> None:
        """The entries of this image were changed outside the rules, now or since then."""
        system = self._system
        for function, consumer in system.consumers.items():
            now = len(consumer.store.journal)
            first = now
            if since is not None:
                of_table = function == "write_to_dynamodb"
                first = since.table_journal if of_table else since.index_journal
            system.touched[function][image_id] = now
            system.first_touched[function].setdefault(image_id, first)

    def event(self, accepted: AcceptedRecord) -> AcceptedEvent | None:
        """The event in a record; None if it is poison."""
        meaning = self._system.interpret(accepted)
        if isinstance(meaning, Poison):
            return None
        return AcceptedEvent(meaning.image_id, meaning.version, meaning.digest)

    def is_held(self, accepted: AcceptedRecord, event: AcceptedEvent, since: float) -> bool:
        """Whether this event is in a store, in the bucket, or on the stream since that time."""
        system = self._system
        if accepted.arrived_at >= since:
            return True
        item, document = (
            system.table.items.get(event.image_id),
            system.index.held(event.image_id),
        )
        if (
            item is not None
            and version_in_item(item) == event.version
            and item.get("digest", {}).get("S") == event.digest
        ):
            return True
        if (
            document is not None
            and version_in_document(document) == event.version
            and (document.source or {}).get("digest") == event.digest
        ):
            return True
        objects = system.bucket.objects
        for consumer in system.consumers.values():
            key = system.quarantine_key(consumer, accepted)
            if not {key, redriven_key(key), discarded_key(key)}.isdisjoint(objects):
                return True
            if accepted.sequence_number in system.discards[consumer.function].confirmed:
                return True
        return (event.image_id, event.version) in self.replaced()

    def replaced(self) -> set[tuple[str, int]]:
        """The image and version of each event or document that an answer keeps in the bucket.

        0 is the version of a document that states none.
        """
        found = set()
        for key, body in self._system.bucket.objects.items():
            if key.startswith(_REPLACED):
                for kept in map(json.loads, body.splitlines()):
                    # An event, or a document as OpenSearch returned it.
                    source = kept.get("_source", kept)
                    found.add((kept.get("_id", source.get("image_id")), source.get("version", 0)))
        return found

    def _held(self, since: float) -> dict[str, AcceptedEvent]:
        """O1: the highest event of each image that is held somewhere.

        `since`: what arrived since then counts as held by the stream. After a command, that is what
        the stream held before it: what expires meanwhile is not the command's doing.
        """
        by_image: dict[str, list[tuple[AcceptedRecord, AcceptedEvent]]] = {}
        for accepted in self._system.stream.accepted:
            event = self.event(accepted)
            if event is not None:
                by_image.setdefault(event.image_id, []).append((accepted, event))
        highest: dict[str, AcceptedEvent] = {}
        for image_id, events in by_image.items():
            events.sort(key=lambda one: -one[1].version)
            for accepted, event in events:
                if self.is_held(accepted, event, since):
                    highest[image_id] = event
                    break
        return highest

    def _check_held(self, before: Mapping[str, AcceptedEvent], then: Raw) -> None:
        after = self._held(then.stream_since)
        for image_id, event in before.items():
            held = after.get(image_id)
            if held is not None and held.version >= event.version:
                continue
            if self._is_superseded(event) or self._is_over(event, then):
                continue
            raise ViolationError("O1", f"{event} was held, and {held} is all that is held now")

    def _is_superseded(self, event: AcceptedEvent) -> bool:
        """Whether a store has a higher version, of whoever wrote it, or the table this version.

        Where both stores have other contents of one version, a plain repair takes the table's
        (docs/guides/audit.md, Repair), also if somebody wrote it by hand. So does an index that
        reads the table's changes: if the table had a tombstone of it, its purge removes what the
        index has of this version.
        """
        changes = self._system.changes
        if changes is not None and changes.is_over(event.image_id, event.version):
            return True
        item = self._system.table.items.get(event.image_id)
        document = self._system.index.documents.get(event.image_id)
        return (item is not None and version_in_item(item) >= event.version) or (
            document is not None and version_in_document(document) > event.version
        )

    def _is_over(self, event: AcceptedEvent, then: Raw) -> bool:
        """Whether this was an expired tombstone wherever a store held it."""
        if event.digest is not None:
            return False
        now = self._system.time.now
        item, document = then.items.get(event.image_id), then.documents.get(event.image_id)
        ends = []
        if item is not None and version_in_item(item) == event.version:
            ends.append(int(item["expires_at"]["N"]) if "expires_at" in item else now + 1)
        if document is not None and version_in_document(document) == event.version:
            ends.append(document.source.get("expires_at", now + 1))
        return all(end <= now for end in ends)

    def _check_table(self, before: Raw) -> None:
        """O2: items differ only where others wrote them."""
        system = self._system
        others = {one.image_id for one in system.table.journal[before.table_journal :]}
        others.update(system.table.by_hand[before.table_by_hand :])
        for image_id in before.items.keys() | system.table.items.keys():
            was, found = before.items.get(image_id), system.table.items.get(image_id)
            if was is not found and image_id not in others and not _is_due(was, found, system):
                raise ViolationError("O2", f"the command changed the item {image_id}: {found}")

    def _check_documents(self, before: Raw, *, is_broken_off: bool, of_intact: bool) -> None:
        """O2: no document's version falls, and none leaves."""
        system, now = self._system, self._system.time.now
        lowest: dict[str, int] = {}
        for image_id, document in before.documents.items():
            said = said_by_document(document, whole=True) if of_intact else None
            if document.source is None or (said is not None and said.is_malformed):
                continue
            end = document.source.get("expires_at")
            if not (isinstance(end, int) and document.source.get("deleted") and end <= now):
                lowest[image_id] = version_in_document(document)
        for image_id, version in self._by_others(before).items():
            lowest[image_id] = max(lowest.get(image_id, 0), version)
        for image_id, version in lowest.items():
            if self._is_removed_late(image_id, before):
                continue
            document = system.index.held(image_id)
            gone = document is None or document.source is None
            if gone and is_broken_off and self._may_be_out(image_id, before, version):
                continue
            if gone and system.changes is not None and system.changes.is_over(image_id, version):
                continue
            if gone or version_in_document(document) < version:
                raise ViolationError(
                    "O2", f"document {image_id} had version {version}, and is {document} now"
                )

    def _by_others(self, before: Raw) -> dict[str, int]:
        """The highest version of each document that others wrote since then."""
        highest: dict[str, int] = {}
        for written in others_in(self._system.index.journal, self._tools.own_in_index, before):
            # A rebuild may fill an index that nobody reads yet.
            seen = self._system.index.is_read(written.shards)
            if seen and written.version is not None and not written.deleted:
                known = highest.get(written.image_id, 0)
                highest[written.image_id] = max(known, written.version)
        return highest

    def _check_others(self, before: Raw) -> None:
        for image_id, version in self._by_others(before).items():
            if self._is_removed_late(image_id, before):
                continue
            document = self._system.index.held(image_id)
            if document is None or version_in_document(document) < version:
                raise ViolationError(
                    "O2", f"others wrote version {version} of {image_id}, and it is {document} now"
                )

    def _is_removed_late(self, image_id: str, before: Raw) -> bool:
        """Whether a request of an earlier command removed this document meanwhile."""
        return self._system.removed_late.get(image_id, -1) >= before.index_journal

    def _may_be_out(self, image_id: str, before: Raw, version: int) -> bool:
        """Whether a repair that broke off may have removed this document to write it again."""
        was = before.documents.get(image_id)
        item = self._system.table.items.get(image_id)
        return (
            was is not None
            and was.version != version_in_document(was)
            and item is not None
            and version_in_item(item) >= version
        )


def others_in(journal: Any, own: OwnJournal, before: Raw) -> Iterator[Any]:
    """The writes in the index since then that no operator made."""
    mine = set(own.positions)
    for at in range(before.index_journal, len(journal)):
        if at not in mine:
            yield journal[at]


def _is_due(was: Any, found: Any, system: Any) -> bool:
    """Whether the time to live removed this item."""
    return (
        found is None
        and was is not None
        and "expires_at" in was
        and int(was["expires_at"]["N"]) < system.time.now
    )


def version_in_item(item: Mapping[str, Any]) -> int:
    """The version that an item states; 0 if it states none."""
    number = item.get("version", {}).get("N", "")
    return int(number) if number.isdigit() else 0


def version_in_document(document: Any) -> int:
    """The version that a document states; 0 if it states none, or was removed."""
    version = (document.source or {}).get("version")
    return version if type(version) is int else 0
