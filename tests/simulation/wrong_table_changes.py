"""Seeded bugs of the index's consumer when it reads the table's changes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, override

import msgspec

from functions.write_to_es.sink import ImageIndex
from functions.write_to_es.table_changes import _change_in, change_of, envelope_of
from lockstep.quarantine.cases import FoundCases
from lockstep.quarantine.finding import find
from lockstep.quarantine.redrive import Redrive
from lockstep.simulation.components import INDEX, INDEX_SECONDS, Components
from shared.change import Change, Purge, Put, Remove
from shared.deliver import _Batch, deliver
from shared.envelope import IMAGE_EVENTS, Envelope
from shared.fold import Candidate, fold
from shared.record import Record
from tests.simulation.rewired import rewired

type ChangeOf = Callable[[Record], Change]


def reads(change: ChangeOf) -> Components:
    """Each change of the table is read by this function."""

    def envelope(records: Sequence[Mapping[str, Any]], changes_stream: str | None) -> Envelope:
        right = envelope_of(records, changes_stream)
        return right if right is IMAGE_EVENTS else Envelope(right.record, change)

    return Components(envelope_of=envelope)


def rewrites(rewrite: Callable[[dict[str, Any]], None]) -> Components:
    """Each change of the table is read after its record has been rewritten."""

    def change(record: Record) -> Change:
        told = msgspec.json.decode(record.data)
        rewrite(told)
        return change_of(msgspec.structs.replace(record, data=msgspec.json.encode(told)))

    return reads(change)


def take_the_old_image(told: dict[str, Any]) -> None:
    images = told["dynamodb"]
    if "NewImage" in images and "OldImage" in images:
        images["NewImage"] = images["OldImage"]


def forget_who(told: dict[str, Any]) -> None:
    told.pop("userIdentity", None)


def blame_time_to_live(told: dict[str, Any]) -> None:
    if told["eventName"] == "REMOVE":
        told["userIdentity"] = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


def removal_under_the_same_version(record: Record) -> Change:
    change = change_of(record)
    if isinstance(change, Remove) and msgspec.json.decode(record.data)["eventName"] == "REMOVE":
        return msgspec.structs.replace(change, version=change.version - 1)
    return change


def arrival_of_the_change(record: Record) -> Change:
    change = change_of(record)
    if isinstance(change, Put):
        return msgspec.structs.replace(change, arrived_at=record.arrived_at)
    return change


def by_content(records: Sequence[Mapping[str, Any]], changes_stream: str | None) -> Envelope:
    right = envelope_of(records, changes_stream)
    if right is not IMAGE_EVENTS:
        return right

    def change(record: Record) -> Change:
        if b'"dynamodb":' in record.data:
            return change_of(record)
        return IMAGE_EVENTS.change(record)

    return Envelope(right.record, change)


def without_the_name(records: Sequence[Mapping[str, Any]], _: str | None) -> Envelope:
    return envelope_of(records, None)


class PurgesAnything(ImageIndex):
    """A purge removes whatever the index holds of the image."""

    @override
    def requests(self, changes: Sequence[Change]) -> Iterable[Sequence[Change]]:
        return super().requests(
            [
                msgspec.structs.replace(one, version=2**62) if isinstance(one, Purge) else one
                for one in changes
            ]
        )


def folds(wrong: Callable[..., dict[str, list[Candidate]]]) -> Components:
    """The changes of the table in a batch are folded by this function."""

    def folded(changes: Iterable[tuple[Change, Record]]) -> dict[str, list[Candidate]]:
        read = list(changes)
        if any(record.holds == "table_change" for _, record in read):
            return wrong(read)
        return fold(read)

    return Components(deliver=rewired(deliver, fold=folded))


def by_image(changes: Iterable[tuple[Change, Record]]) -> dict[str, list[tuple[Change, Record]]]:
    images: dict[str, list[tuple[Change, Record]]] = {}
    for change, record in changes:
        images.setdefault(change.image_id, []).append((change, record))
    return images


def twice_is_two(changes: Iterable[tuple[Change, Record]]) -> dict[str, list[Candidate]]:
    return {
        image_id: sorted(
            (Candidate(change, (record,)) for change, record in told),
            key=lambda one: (-one.change.version, not isinstance(one.change, Purge)),
        )
        for image_id, told in by_image(changes).items()
    }


def last_wins(changes: Iterable[tuple[Change, Record]]) -> dict[str, list[Candidate]]:
    return {
        image_id: [Candidate(told[-1][0], tuple(record for _, record in told))]
        for image_id, told in by_image(changes).items()
    }


def first_wins(changes: Iterable[tuple[Change, Record]]) -> dict[str, list[Candidate]]:
    return {
        image_id: [Candidate(told[0][0], tuple(record for _, record in told))]
        for image_id, told in by_image(changes).items()
    }


def tombstone_before_its_purge(candidate: Candidate) -> tuple[int, int]:
    return -candidate.change.version, isinstance(candidate.change, Purge)


def as_they_are(candidates: list[Candidate]) -> list[Candidate]:
    return candidates


class PurgeHidesWhatFollows(_Batch):
    """A lower version that the table took after the purge counts as superseded."""

    _settle_rest: Any = rewired(_Batch._settle_rest, outlives=lambda *_: False)  # noqa: SLF001


def finds_no_changes(*args: Any, **kwargs: Any) -> FoundCases:
    return find(*args, **kwargs | {"changes_stream": ""})


def redrives_no_changes(*args: Any, **kwargs: Any) -> Redrive:
    return Redrive(*args, **kwargs | {"changes_stream": ""})


WRONG: Mapping[str, Components] = {
    "table changes: a removal by hand leaves a tombstone that is over at once": reads(
        rewired(change_of, end_of_tombstone=lambda arrived_at: arrived_at // 1000)
    ),
    "table changes: a removal by hand keeps the version": reads(removal_under_the_same_version),
    "table changes: a removal by hand counts as a purge": rewrites(blame_time_to_live),
    "table changes: a purge counts as a removal by hand": rewrites(forget_who),
    "table changes: a purge removes a newer image, too": Components(
        index=lambda client: PurgesAnything(client, INDEX, longest_request=INDEX_SECONDS)
    ),
    "table changes: a purge comes after its tombstone": folds(
        rewired(fold, _first_to_write=tombstone_before_its_purge)
    ),
    "table changes: a purge hides the lower version that came back after it": Components(
        deliver=rewired(
            deliver,
            _Batch=PurgeHidesWhatFollows,
            fold=rewired(fold, _before_their_purge=as_they_are),
        )
    ),
    "table changes: the old image is taken for the new one": rewrites(take_the_old_image),
    "table changes: the arrival is that of the change": reads(arrival_of_the_change),
    "table changes: the digest of an item is not checked": reads(
        rewired(change_of, _change_in=rewired(_change_in, flaw_in=lambda _: None))
    ),
    "table changes: a change that comes twice is a conflict": folds(twice_is_two),
    "table changes: of one image in a batch, the last one counts": folds(last_wins),
    "table changes: of one image in a batch, the first one counts": folds(first_wins),
    "table changes: recognized by their content": Components(envelope_of=by_content),
    "table changes: the stream of changes is not known": Components(envelope_of=without_the_name),
    "table changes: a redrive does not know the stream of changes": Components(
        find=finds_no_changes, redrive=redrives_no_changes
    ),
}
