"""Seeded bugs of audit, repair, answers and purge."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, override

import msgspec

from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_es import bulk
from functions.write_to_es.document import document_from
from functions.write_to_es.sink import ImageIndex, _compare_with_document
from lockstep.audit.ahead import AheadKind
from lockstep.audit.audit import Audit, audit
from lockstep.audit.report import ReportLine
from lockstep.repair.answers import Answers
from lockstep.repair.decide import Ahead, Decision, RecreateDocument, decide
from lockstep.repair.decide_answer import Answer, BothEntries, RemoveDocument, WriteItem
from lockstep.repair.purge import Verdict, purge, verdict
from lockstep.repair.repair import DifferingImage, Repair, RepairPlan
from lockstep.repair.replaced import Replaced
from lockstep.simulation.components import INDEX, INDEX_SECONDS, TABLE, Components
from lockstep.stores.corrections import Corrections, Removal
from lockstep.stores.entry import Entry
from lockstep.stores.image_state import Intact
from lockstep.stores.index import IndexReader
from lockstep.stores.table import TableReader
from shared.change import Change
from shared.clock import Clock
from shared.item import item_from
from shared.outcome import Applied, Outcome, Stale, held
from shared.sink import write_all
from tests.simulation.rewired import rewired


def compares_versions_only(change: Change, stored: Any) -> Outcome:
    """A document whose `_version` was moved is taken for a newer one, whatever it holds."""
    if stored.found and stored.version is not None and stored.version > change.version:
        return Stale(held(stored.version, stored.source.arrived_at, stored.source.occurred_at))
    return _compare_with_document(change, stored)


class TrustsTheMovedVersion(ImageIndex):
    _compared = rewired(
        ImageIndex._compared,  # noqa: SLF001 - the same
        _compare_with_document=compares_versions_only,
    )


class MissesTheLastItem(TableReader):
    @override
    def scan(self) -> Iterator[Entry]:
        yield from list(super().scan())[:-1]


class MissesTheLastDocument(IndexReader):
    @override
    def scan(self) -> Iterator[Entry]:
        yield from list(super().scan())[:-1]


class KeepsTombstones(TableReader):
    """An expired tombstone counts as present: as if it had no end."""

    @override
    def scan(self) -> Iterator[Entry]:
        return map(_endless, super().scan())

    @override
    def lookup(self, image_ids: Any) -> Mapping[str, Entry]:
        return {one: _endless(entry) for one, entry in super().lookup(image_ids).items()}


def _endless(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, expires_at=None)


class TrustsTheStatedVersion(IndexReader):
    """`_version` counts as what the document states."""

    @override
    def scan(self) -> Iterator[Entry]:
        return map(_as_stated, super().scan())

    @override
    def lookup(self, image_ids: Any) -> Mapping[str, Entry]:
        return {one: _as_stated(entry) for one, entry in super().lookup(image_ids).items()}


def _as_stated(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, checked_version=entry.version)


def audits_without_waiting(*args: Any, settled: Any, **kwargs: Any) -> Audit:
    """What is in progress is a difference."""
    del settled
    return audit(*args, **kwargs)


def audits_what_changed(table: Any, index: Any, **kwargs: Any) -> Audit:
    """Compares only the images that the index has: what only the table has is never read."""
    return audit(table, index, **kwargs, only=sorted(one.image_id for one in index.scan()))


def audits_without_progress(*args: Any, **kwargs: Any) -> Audit:
    """Stores that differ only by what is in progress count as equal."""
    found = audit(*args, **kwargs)
    if found.result == "unknown" and found.under_way:
        return msgspec.structs.replace(found, result="equal", reason=None)
    return found


def _ahead(clock: Clock) -> Clock:
    """A clock that is two hours ahead: what is near its limit has passed it."""
    return msgspec.structs.replace(clock, now=lambda: clock.now() + 7_200.0)


def audits_by_a_clock_ahead(*args: Any, clock: Clock, **kwargs: Any) -> Audit:
    return audit(*args, clock=_ahead(clock), **kwargs)


class RepairsByAClockAhead(Repair):
    def __init__(self, *args: Any, clock: Clock, **kwargs: Any) -> None:
        super().__init__(*args, clock=_ahead(clock), **kwargs)


class RemovesWhateverIsThere(Corrections):
    """A removal takes what is there by then, also a newer document."""

    @override
    def remove(self, removals: Sequence[Removal]) -> Sequence[Outcome]:
        now = self._there([one.image_id for one in removals])
        return super().remove(
            [Removal(one.image_id, now.get(one.image_id, one.checked_version)) for one in removals]
        )

    def _there(self, image_ids: Sequence[str]) -> Mapping[str, int]:
        found = IndexReader(self._client, self._alias).lookup(image_ids) if image_ids else {}
        return {image_id: entry.checked_version for image_id, entry in found.items()}


class OverwritesAnyVersion(RemovesWhateverIsThere):
    """Overwrites whatever version is there by then."""

    @override
    def remove(self, removals: Sequence[Removal]) -> Sequence[Outcome]:
        return Corrections.remove(self, removals)

    @override
    def overwrite(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        now = self._there([one.image_id for one in changes])
        return self._outcomes(
            bulk.write(
                one.image_id,
                max(one.version, now.get(one.image_id, 0)),
                document_from(one),
                "external_gte",
            )
            for one in changes
        )


class ForgetsToWriteAgain(Repair):
    """What was removed to be written again is done."""

    @override
    def _repair(self, some: Sequence[DifferingImage], done: Any) -> None:
        super()._repair(some, done)
        done.left = [one for one in done.left if one.kind != "index_version_moved"]


class CountsNoRemovals(Repair):
    """The brake does not count what leaves the index."""

    @override
    def plan(self, differing: Iterable[DifferingImage], images: int) -> RepairPlan:
        plan = super().plan(differing, images)
        return msgspec.structs.replace(plan, changes=plan.changes - plan.moved)


def ignores_the_limit(*_: object) -> None:
    """Any plan is allowed."""


class RemovesWhatIsAhead(Repair):
    """What only the index has is removed, so that both stores are equal."""

    kind: AheadKind = "image"

    @override
    def _decided(
        self, differing: Iterable[DifferingImage]
    ) -> Iterator[tuple[DifferingImage, Decision]]:
        for one, found in super()._decided(differing):
            decision = found
            if isinstance(found, Ahead) and found.kind == self.kind:
                its = self._index.lookup_whole([one.image_id]).get(one.image_id)
                if isinstance(its, Intact):
                    decision = RecreateDocument(one.image_id, its.checked_version)
            yield one, decision


class RemovesWhatIsExplained(RemovesWhatIsAhead):
    kind = "explained"


class RemovesWhatOutlived(RemovesWhatIsAhead):
    kind = "outlived"


class IgnoresExpiry(Repair):
    """An expired tombstone of the table is written to the index."""

    _decided = rewired(  # the same code, but nothing has expired
        Repair._decided,  # noqa: SLF001 - the same
        decide=lambda table, index, *, now, explained: decide(
            table, index, now=now - 400 * 86_400, explained=explained
        ),
    )


def _client_of(reader: Any) -> Any:
    return reader._client  # noqa: SLF001 - a bug may do so


class GoesToTheTable(Repair):
    """The old behaviour: what only the index has goes to the table."""

    @override
    def _repair(self, some: Sequence[DifferingImage], done: Any) -> None:
        super()._repair(some, done)
        sink = ImageTable(_client_of(self._table), TABLE, longest_request=1.0)
        held = self._index.lookup_whole([one.image_id for one in some])
        write_all(
            [
                its.change
                for one in some
                if one.ahead == "image" and isinstance(its := held.get(one.image_id), Intact)
            ],
            sink,
        )


class KeepsNothing(Replaced):
    """A replaced document is not kept."""

    @override
    def keep(self, documents: Iterable[Mapping[str, Any]]) -> None:
        list(documents)


class KeepsOnlyEvents(Replaced):
    """A document that is no valid event is not kept."""

    @override
    def keep(self, documents: Iterable[Mapping[str, Any]]) -> None:
        super().keep(one for one in documents if one["_source"].get("digest", "") != "0" * 64)


class KeepsAfterwards(Answers):
    """Keeps the documents once they are removed: a failure in between loses them."""

    @override
    def _keep_documents(self, answers: Sequence[Answer], done: Any) -> None:
        pass

    @override
    def _written(self, answered: Sequence[tuple[ReportLine, Answer]]) -> Mapping[str, Outcome]:
        written = super()._written(answered)
        documents = [one.document for _, one in answered if isinstance(one, RemoveDocument)]
        if documents:
            self._replaced.keep(documents)
        return written


class AnswersAllKinds(Answers):
    @override
    def _selected(self, lines: Iterable[Any], others: Any) -> Iterator[Any]:
        self._kinds = frozenset(("image", "removal", "outlived", "malformed", "explained"))
        return (line for line in lines if line.ahead is not None)


class WritesWithoutVersionCheck(Answers):
    """`--index-wins` writes over whatever the table has by then."""

    @override
    def _written(self, answered: Sequence[tuple[ReportLine, Answer]]) -> Mapping[str, Outcome]:
        write = [one.change for _, one in answered if isinstance(one, WriteItem)]
        for change in write:
            _client_of(self._table).items[change.image_id] = item_from(change)
        others = [one for one in answered if not isinstance(one[1], WriteItem)]
        return {**super()._written(others), **{one.image_id: Applied() for one in write}}


class AsReported(BothEntries, frozen=True):
    @override
    def is_as(self, _: Any) -> bool:
        return True


class ActsOnWhatChanged(Answers):
    """An answer acts on what changed meanwhile."""

    _answered = rewired(Answers._answered, BothEntries=AsReported)  # noqa: SLF001 - the same


class RemovesWithoutReplacing(Answers):
    """`--table-wins` removes the document and does not write what the table has."""

    @override
    def _answered(self, some: Iterable[Any]) -> Iterator[tuple[Any, Answer]]:
        for line, found in super()._answered(some):
            if isinstance(found, RemoveDocument):
                yield line, RemoveDocument(found.document, replaced=False)
            else:
                yield line, found


def purging_also(other: Verdict) -> Components:
    """What the purge should leave for this reason is purged."""

    def wrong(index: Any, table: Any, *, now: float) -> Verdict:
        found = verdict(index, table, now=now)
        return "purge" if found == other else found

    return Components(purge_all=rewired(purge, verdict=wrong))


def purges_early(*args: Any, now: float, **kwargs: Any) -> Any:
    """Tombstones are purged two hours before their end."""
    return purge(*args, now=now + 7_200.0, **kwargs)


WRONG: Mapping[str, Components] = {
    "index: a moved `_version` is taken for a newer document": Components(
        index=lambda client: TrustsTheMovedVersion(client, INDEX, longest_request=INDEX_SECONDS)
    ),
    "audit: the last item of a scan is missed": Components(table_reader=MissesTheLastItem),
    "audit: the last document of a scan is missed": Components(index_reader=MissesTheLastDocument),
    "audit: an expired tombstone counts as present": Components(table_reader=KeepsTombstones),
    "audit: a moved `_version` is not seen": Components(index_reader=TrustsTheStatedVersion),
    "audit: a record in progress is a difference": Components(audit=audits_without_waiting),
    "audit: what is in progress counts as equal": Components(audit=audits_without_progress),
    "audit: reads only what the index has": Components(audit=audits_what_changed),
    "audit: tombstones expire two hours early": Components(audit=audits_by_a_clock_ahead),
    "repair: tombstones expire two hours early": Components(repair=RepairsByAClockAhead),
    "repair: a removal takes whatever is there by then": Components(
        corrections=RemovesWhateverIsThere
    ),
    "repair: overwrites a higher version": Components(corrections=OverwritesAnyVersion),
    "repair: a removed document is not written again": Components(repair=ForgetsToWriteAgain),
    "repair: the limit does not count what leaves the index": Components(repair=CountsNoRemovals),
    "repair: the limit is ignored": Components(check_limit=ignores_the_limit),
    "repair: removes what only the index has": Components(repair=RemovesWhatIsAhead),
    "repair: removes what quarantine explains": Components(repair=RemovesWhatIsExplained),
    "repair: removes what outlived the horizon": Components(repair=RemovesWhatOutlived),
    "repair: an expired tombstone is not absent": Components(repair=IgnoresExpiry),
    "repair: goes from the index to the table": Components(repair=GoesToTheTable),
    "answer: a replaced document is not kept": Components(replaced=KeepsNothing),
    "answer: a malformed document is not kept": Components(replaced=KeepsOnlyEvents),
    "answer: a document is kept after its removal": Components(answers=KeepsAfterwards),
    "answer: acts on kinds that nobody named": Components(answers=AnswersAllKinds),
    "answer: the index wins without version check": Components(answers=WritesWithoutVersionCheck),
    "answer: acts on what changed meanwhile": Components(answers=ActsOnWhatChanged),
    "answer: what the table has is not written": Components(answers=RemovesWithoutReplacing),
    "purge: a deletion that only the index has": purging_also("removal_missing_in_table"),
    "purge: two hours too early": Components(purge_all=purges_early),
    "purge: a malformed tombstone": purging_also("malformed"),
}
