"""Check I1 to I5 for every record of a drained system.

docs/internals/invariants.md defines them. invocation.py checks I6 and I8 on each invocation; a
history that does not drain breaks I7.
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet

import msgspec

from lockstep.simulation import quarantine_checks
from lockstep.simulation.fakes.dynamodb import Written
from lockstep.simulation.interpretation import Interpretation, Poison
from lockstep.simulation.oracle import FIRST_STAMP, Holding, Meaning, outrun
from lockstep.simulation.store_views import StoredVersion, held_by, holding_in
from lockstep.simulation.system import Consumer, System
from lockstep.simulation.uploader import Uploader
from lockstep.simulation.violation import ViolationError
from lockstep.simulation.written import check_written
from shared.quarantine import INDEX_CONSUMER

type Content = tuple[int, str | None]
"""The version and the digest of an event."""


def check(system: System, uploaders: Iterable[Uploader]) -> None:
    """Check a drained system.

    Args:
        system: a system without pending requests.
        uploaders: all programs that put events.

    Raises:
        ViolationError: the first violation found.
    """
    arrived = [
        (meaning.image_id, (meaning.version, meaning.digest))
        for accepted in system.stream.accepted
        if not isinstance(meaning := system.interpret(accepted), Poison)
    ]
    for uploader in uploaders:
        if uploader.made:
            _check_producer(uploader, arrived)
    for consumer in system.consumers.values():
        purged = system.purged[consumer.function]
        changes = system.changes if consumer.function == INDEX_CONSUMER else None
        given = system.given_index if consumer.function == INDEX_CONSUMER else set()
        replaced = {(image_id, held.version) for image_id, held in given}
        touched = system.touched[consumer.function]
        ended = {} if changes is None else changes.ended()
        _check_versions_rise(system, consumer, replaced, ended=ended)
        if changes is not None:  # its other checks: table_changes_check.py
            continue
        in_bucket = list(quarantine_checks.check(system, consumer))
        quarantined = {number: meaning for number, meaning, _ in in_bucket}
        indexed = {number for number, _, is_indexed in in_bucket if is_indexed}
        _check_outrun(system, consumer, quarantined.keys())
        expected = _fold(system, consumer, quarantined.keys() - indexed)
        check_written(system, consumer)
        found = consumer.store.versions(touched.keys())
        # A refused change is applied if it is read again after the cause of the refusal ended. A
        # discarded change may be stored, although the mapping does not know it.
        allowed: set[tuple[str, StoredVersion]] = set()
        if system.have_stores_accepted:
            allowed.update(_refused(quarantined.values(), consumer))
        allowed.update(map(_as_stored, quarantine_checks.discarded(system, consumer)))
        allowed.update(given)
        allowed.update(_stored_before_lost(system, consumer, expected))
        if consumer.function == INDEX_CONSUMER:
            allowed.update(_tried(system))
        for image_id in sorted((expected.keys() | found.keys()) - touched.keys()):
            must, held = expected.get(image_id), found.get(image_id)
            if held == must or (image_id, held) in allowed:
                continue
            if _was_purged(must, image_id, purged) and (
                held is None
                or (
                    must
                    and _may_follow(system, image_id, _held(consumer, image_id, held), (must, None))
                )
            ):
                continue
            raise ViolationError(
                "I3",
                f"{consumer.function}: {image_id} is {held}, but the events that are accepted and "
                f"not quarantined give {must}",
            )


def _held(
    consumer: Consumer, image_id: str, held: StoredVersion
) -> tuple[StoredVersion, str | None]:
    """What a store holds of an image, and when that occurred, by the last write of its version."""
    for written in reversed(consumer.store.journal):
        if (written.image_id, written.version) == (image_id, held.version):
            return held_by(written)
    return held, None


def _first_arrival(
    system: System, image_id: str, content: StoredVersion, occurred_at: str | None
) -> int:
    """When an event with this content arrived first, in milliseconds since 1970; 0 if none did.

    Two events that have a count and the content in common differ in `occurred_at`. None: of any.
    """
    return next(
        (
            accepted.arrived_ms
            for accepted in system.stream.accepted
            if (event := system.ledger.event_in(accepted)) is not None
            and _as_stored(event) == (image_id, content)
            and occurred_at in {None, event.time}
        ),
        0,
    )


def _was_purged(
    must: StoredVersion | None, image_id: str, purged: AbstractSet[tuple[str, int]]
) -> bool:
    """Whether an expired tombstone of this version or of a higher one was removed.

    That of a deletion which is in quarantine since may have the higher version.
    """
    return must is not None and any(
        image_id == one and version >= must.version for one, version in purged
    )


def _may_follow(
    system: System,
    image_id: str,
    held: tuple[StoredVersion, str | None],
    tombstone: tuple[StoredVersion, str | None],
) -> bool:
    """Whether this may come after the end of a tombstone of its version or above it.

    A count may, if it arrived after the deletion: it does not tell when it was set. So may another
    deletion of the same count.
    """
    version = held[0].version
    if (image_id, version) in system.may_return:
        return True
    if version >= FIRST_STAMP:
        return False
    arrived_at, deleted_at = (_first_arrival(system, image_id, *one) for one in (held, tombstone))
    return arrived_at > deleted_at


def _check_producer(uploader: Uploader, accepted: Iterable[tuple[str, Content]]) -> None:
    """I1, I5: each event is on the stream; the first arrivals of an image are in order."""
    made: dict[str, dict[Content, None]] = {}
    for event in uploader.made:
        made.setdefault(event.image_id, {})[event.version, event.digest] = None
    arrived: dict[str, dict[Content, None]] = {}
    for image_id, content in accepted:
        if content in made.get(image_id, ()):
            arrived.setdefault(image_id, {})[content] = None
    for image_id, contents in made.items():
        versions = [version for version, _ in contents]
        if uploader.stamps and versions != sorted(set(versions)):
            raise ViolationError("I5", f"producer: {image_id} was stamped {versions}")
        there = list(arrived.get(image_id, ()))
        if there != list(contents):
            invariant = "I5" if set(there) == contents.keys() else "I1"
            found = [version for version, _ in there]
            raise ViolationError(
                invariant, f"stream: {image_id} was put as {versions}, arrived as {found}"
            )


def _may_leave(
    system: System,
    consumer: Consumer,
    image_id: str,
    before: Written | None,
    ended: Mapping[str, int],
) -> bool:
    """Whether a store may have removed this: an expired tombstone, or below one."""
    purged = system.purged[consumer.function]
    if before is None:  # purged after it was changed by hand, or before it was written
        return image_id in ended or any(image_id == purged_id for purged_id, _ in purged)
    if before.deleted and (image_id, before.version) in purged:
        return True
    return before.version is not None and before.version <= ended.get(image_id, -1)


def _below_a_purge(removed: Written, purged: AbstractSet[tuple[str, int]]) -> Written:
    """The tombstone whose purge was told again and removed this, which came back after it."""
    version = removed.version or 0
    above = [one for image_id, one in purged if image_id == removed.image_id and one >= version]
    lowest = min(above, default=version)
    entry = removed.entry if lowest == version else None
    return msgspec.structs.replace(removed, version=lowest, deleted=True, entry=entry)


def _check_versions_rise(
    system: System,
    consumer: Consumer,
    replaced: AbstractSet[tuple[str, int]],
    *,
    ended: Mapping[str, int],
) -> None:
    """I2, I4: each write of an image has a higher version than all writes before it.

    Only an expired tombstone may be removed, and no lower version may follow it but one that may
    return, or that an operator gave the index (`replaced`). Only the latter may have the version
    that is stored. For a `touched` image, all begins again at that position of the journal. If the
    index reads the table's changes, `ended` has the images whose tombstones were purged, and the
    highest version of each. Each of these tombstones may come again, and is purged again.
    """
    function = consumer.function
    purged, touched = system.purged[function], system.touched[function]
    highest: dict[tuple[str, str], Written] = {}  # by the history of the shards, and the image
    for at, written in enumerate(consumer.store.journal):
        if at < touched.get(written.image_id, 0):
            continue
        before = highest.get((written.shards, written.image_id))
        if written.version is None:
            if _may_leave(system, consumer, written.image_id, before, ended):
                if before is not None and (before.image_id, before.version) not in purged:
                    highest[written.shards, written.image_id] = _below_a_purge(before, purged)
                continue
            raise ViolationError(
                "I4", f"{function}: {written.image_id} is deleted without a tombstone"
            )
        same = before is not None and written.version == before.version
        is_purged = (written.image_id, written.version) in purged
        if same and written.deleted and is_purged and written.image_id in ended:
            continue
        if same and (written.image_id, written.version) in replaced:
            continue
        if (
            before is not None
            and before.version is not None
            and (before.image_id, before.version) in purged
            and (
                (written.image_id, written.version) in replaced
                or _may_follow(system, written.image_id, held_by(written), held_by(before))
            )
        ):
            highest[written.shards, written.image_id] = written
            continue
        if before is not None and before.version is not None and written.version <= before.version:
            raise ViolationError(
                "I4" if before.deleted and not written.deleted else "I2",
                f"{function}: {written.image_id} went from {before.version} to {written.version}",
            )
        highest[written.shards, written.image_id] = written


def _as_stored(meaning: Meaning) -> tuple[str, StoredVersion]:
    return meaning.image_id, StoredVersion(meaning.version, meaning.digest)


def _tried(system: System) -> Iterator[tuple[str, StoredVersion]]:
    """What an operator has tried on the index: it may be there, and still in quarantine.

    Also a record that only its partition key makes invalid.
    """
    return map(_as_stored, quarantine_checks.tried_on_index(system))


def _refused(
    meanings: Iterable[Interpretation], consumer: Consumer
) -> Iterator[tuple[str, StoredVersion]]:
    for one in meanings:
        if not isinstance(one, Poison) and quarantine_checks.is_refused(one, consumer):
            yield _as_stored(one)


def _stored_before_lost(
    system: System, consumer: Consumer, expected: Mapping[str, StoredVersion]
) -> Iterator[tuple[str, StoredVersion]]:
    """What this consumer has lost, unless it is below what it has not lost.

    It may have been stored: an invocation had not ended yet, or an operator repaired the store.
    """
    for one in system.losses.lost:
        event = system.interpret(one.accepted)
        if one.consumer == consumer.function and not isinstance(event, Poison):
            must = expected.get(event.image_id)
            if must is None or must.version <= event.version:
                yield _as_stored(event)


def _check_outrun(system: System, consumer: Consumer, quarantined: AbstractSet[str]) -> None:
    """I1: a change that the stored one outran was applied before, or is in quarantine.

    Not if the stored one was quarantined, because it may be younger than its arrival says. Nor if
    the consumer had lost it: a replay or a repair gave it to the store later.

    A repetition is not outrun if the first record of its content is not: if both are in one batch,
    they are one candidate, with the arrival and the `occurred_at` of the first. A discarded change
    may arrive again when it is out of date.
    """
    attempted = system.discards[consumer.function].attempted
    first: dict[tuple[str, int, str | None], tuple[int, Meaning]] = {}
    for accepted in system.stream.accepted:
        meaning = system.interpret(accepted)
        if isinstance(meaning, Poison):
            continue
        content = (meaning.image_id, meaning.version, meaning.digest)
        arrived_at, judged = first.setdefault(content, (accepted.arrived_ms, meaning))
        its = consumer.store.holding(meaning.image_id)
        if (
            its is not None
            and arrived_at > its.arrived_at
            and outrun(judged, accepted.arrived_ms, its)
            and outrun(meaning, accepted.arrived_ms, its)
            and accepted.sequence_number not in quarantined
            and accepted.sequence_number not in attempted
            and meaning.image_id not in system.touched[consumer.function]
            and not _was_applied(consumer, meaning, arrived_at)
            and not system.losses.is_lost(consumer.function, accepted)
            and not _came_late(system, consumer, meaning.image_id, its, quarantined)
        ):
            raise ViolationError(
                "I1", f"{consumer.function}: {meaning} is outrun and not in quarantine"
            )


def _was_applied(consumer: Consumer, meaning: Meaning, arrived_at: int) -> bool:
    """Whether this version was ever in the store, or a higher one that did not arrive before it.

    If both are in one batch, only the higher one is written.
    """
    return any(
        written.version == meaning.version
        or (
            (held := holding_in(written.entry)) is not None
            and held.version > meaning.version
            and held.arrived_at >= arrived_at
        )
        for written in consumer.store.journal
        if written.image_id == meaning.image_id
    )


def _came_late(
    system: System,
    consumer: Consumer,
    image_id: str,
    held: Holding,
    quarantined: AbstractSet[str],
) -> bool:
    """Whether what the store holds is of a record that was quarantined, or that it lost before."""
    return any(
        (event.image_id, event.version, accepted.arrived_ms)
        == (image_id, held.version, held.arrived_at)
        for accepted in system.stream.accepted
        if accepted.sequence_number in quarantined
        or system.losses.is_lost(consumer.function, accepted)
        if (event := system.ledger.event_in(accepted)) is not None
    )


def _fold(
    system: System, consumer: Consumer, quarantined: AbstractSet[str]
) -> Mapping[str, StoredVersion]:
    """I1, I3: the highest version of each image, without the quarantined and the lost records."""
    highest: dict[str, StoredVersion] = {}
    for accepted in system.stream.accepted:
        meaning = system.interpret(accepted)
        if isinstance(meaning, Poison) or accepted.sequence_number in quarantined:
            continue
        if system.losses.is_lost(consumer.function, accepted):
            continue
        held = StoredVersion(meaning.version, meaning.digest)
        there = highest.get(meaning.image_id)
        if there is None or held.version > there.version:
            highest[meaning.image_id] = held
        elif (
            held.version == there.version
            and held.digest != there.digest
            and meaning.image_id not in system.touched[consumer.function]
            and _settled(consumer, meaning)
            and (meaning.image_id, meaning.version) not in system.purged[consumer.function]
            and not _is_chosen(system, consumer, meaning.image_id)
        ):
            raise ViolationError(
                "I1", f"{consumer.function}: one of two contents of {held} is lost"
            )
    return highest


def _is_chosen(system: System, consumer: Consumer, image_id: str) -> bool:
    """Whether an operator chose what the index holds: `--choose stored` replaces the same version.

    Then the other content had its effect before.
    """
    stored = consumer.store.stored_version(image_id)
    return consumer.function == INDEX_CONSUMER and (image_id, stored) in system.given_index


def _settled(consumer: Consumer, meaning: Meaning) -> bool:
    """Whether the store holds this version, so no higher version superseded it."""
    held = consumer.store.stored_version(meaning.image_id)
    return held is not None and held.version == meaning.version
