"""Seeded bugs of the delivery: fold, settlement and checkpoint."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, override

import msgspec

from lockstep.simulation.components import Components
from shared.batch import Delivery
from shared.change import Change
from shared.deliver import _Batch, deliver
from shared.fold import Candidate, fold
from shared.outcome import Failed, Outcome, Refused
from shared.record import Record
from shared.sink import MisconfiguredError, RequestFailedError, RequestRefusedError
from tests.simulation.rewired import rewired


def ledger(batch: type[_Batch]) -> Components:
    return Components(deliver=rewired(deliver, _Batch=batch))


def folding(other: Callable[[Iterable[tuple[Change, Record]]], Any]) -> Components:
    return Components(deliver=rewired(deliver, fold=other))


def _number(record: Mapping[str, Any]) -> str:
    number: str = record["kinesis"]["sequenceNumber"]
    return number


def checkpoint_one_too_high(records: Sequence[Mapping[str, Any]], **kwargs: Any) -> Delivery:
    delivery = deliver(records, **kwargs)
    numbers = [*map(_number, records), None]
    if delivery.checkpoint is None:
        return delivery
    after = numbers[numbers.index(delivery.checkpoint) + 1]
    return msgspec.structs.replace(delivery, checkpoint=after)


def checkpoint_one_too_low(records: Sequence[Mapping[str, Any]], **kwargs: Any) -> Delivery:
    delivery = deliver(records, **kwargs)
    last = _number(records[-1])
    return delivery if delivery.checkpoint else msgspec.structs.replace(delivery, checkpoint=last)


def one_failure_holds_back_the_batch(
    records: Sequence[Mapping[str, Any]], **kwargs: Any
) -> Delivery:
    delivery = deliver(records, **kwargs)
    first = _number(records[0])
    return msgspec.structs.replace(delivery, checkpoint=first) if delivery.checkpoint else delivery


def misconfiguration_is_success(records: Sequence[Mapping[str, Any]], **kwargs: Any) -> Delivery:
    try:
        return deliver(records, **kwargs)
    except MisconfiguredError:
        return Delivery(counts={}, lag_ms=None, checkpoint=None, quarantined=[], failures={})


def poison_stops_the_batch(records: Sequence[Mapping[str, Any]], **kwargs: Any) -> Delivery:
    delivery = deliver(records, **kwargs)
    bad = [one.sequence_number for one in delivery.quarantined]
    return msgspec.structs.replace(delivery, checkpoint=bad[0]) if bad else delivery


class CheckpointAtTheHighest(_Batch):
    @override
    def report(self) -> Delivery:
        delivery = super().report()
        unsettled = [one for one in self._records if one.sequence_number not in self._fates]
        highest = unsettled[-1].sequence_number if unsettled else None
        return msgspec.structs.replace(delivery, checkpoint=highest)


class OnlyTheFirstOfEqualsIsSettled(_Batch):
    @override
    def _settle_all(self, candidates: list[Candidate], stored: Any, its: Any) -> None:
        winner = candidates[0]
        candidates[0] = Candidate(winner.change, winner.records[:1])
        self._hold_back(winner.records[1:], "ignored")
        super()._settle_all(candidates, stored, its)


class OtherContentIsSuperseded(_Batch):
    """Other content of the stored version counts as superseded."""

    @override
    def _settle_all(self, candidates: list[Candidate], stored: Any, its: Any) -> None:
        winner, *others = candidates
        candidates[:] = [winner]
        super()._settle_all(candidates, stored, its)
        self._supersede(others, its)


class OneConflictSettlesTheVersion(_Batch):
    @override
    def _fall_back(self, candidates: list[Candidate], reason: Any, *said: Any) -> None:
        super()._fall_back(candidates, reason, *said)
        if reason == "conflict":
            self._supersede(candidates, None)


class ARefusedWinnerSettlesItsImage(_Batch):
    @override
    def _fall_back(self, candidates: list[Candidate], reason: Any, *said: Any) -> None:
        super()._fall_back(candidates, reason, *said)
        if reason == "refused_by_store":
            self._supersede(candidates, None)


class AFailedWinnerSupersedes(_Batch):
    """Reports only the failed record, not the lower versions that it would replace."""

    @override
    def write(self, images: Mapping[str, list[Candidate]]) -> dict[str, list[Candidate]]:
        fell_back = super().write(images)
        for image_id, candidates in images.items():
            if image_id not in fell_back:
                self._supersede(candidates[1:], None)
        return fell_back


class RefusedTogether(_Batch):
    @override
    def _send(self, request: Sequence[Change]) -> Sequence[Outcome]:
        try:
            return self._sink.send(request)
        except RequestFailedError as error:
            return [Failed(str(error))] * len(request)
        except RequestRefusedError as error:
            return [Refused(str(error))] * len(request)


class LosesTheOtherHalf(_Batch):
    @override
    def _send(self, request: Sequence[Change]) -> Sequence[Outcome]:
        try:
            return self._sink.send(request)
        except RequestFailedError as error:
            return [Failed(str(error))] * len(request)
        except RequestRefusedError as error:
            if len(request) == 1:
                return [Refused(str(error))]
            half = self._send(request[: len(request) // 2])
            return [*half, *half, *half][: len(request)]


class QuarantinesFailures(_Batch):
    """Quarantines what still fails at the end."""

    @override
    def report(self) -> Delivery:
        for record in self._records:
            why = self._causes.get(record.sequence_number)
            if why is not None and record.sequence_number not in self._fates:
                self._quarantine_record(record, None, "refused_by_store", why)
        return super().report()


class OneFailedQuarantineOfAnImageCounts(_Batch):
    """Reports a failed quarantine of the first record of an image, and not of its others."""

    @override
    def _quarantine_record(self, record: Record, *args: Any) -> None:
        known = {one.partition_key for one in self._quarantined}
        super()._quarantine_record(record, *args)
        if record.partition_key in known:
            self._fates.setdefault(record.sequence_number, "Quarantined")


class OneFailedQuarantineOfEqualsCounts(_Batch):
    """The first record of equal ones is in quarantine, so the others count as settled."""

    @override
    def _quarantine_candidate(self, candidate: Candidate, *args: Any) -> None:
        super()._quarantine_candidate(candidate, *args)
        first, *again = candidate.records
        if first.sequence_number in self._fates:
            for record in again:
                self._fates.setdefault(record.sequence_number, "Quarantined")


class OneFailedQuarantineOfVersionsCounts(_Batch):
    """A version of the image is in quarantine, so its other versions count as settled."""

    @override
    def _quarantine_candidate(self, candidate: Candidate, *args: Any) -> None:
        image_id = candidate.change.image_id
        known = {one.image_id for one in self._quarantined}
        super()._quarantine_candidate(candidate, *args)
        if image_id in known:
            for record in candidate.records:
                self._fates.setdefault(record.sequence_number, "Quarantined")


class PoisonIsDropped(_Batch):
    @override
    def quarantine_poison(self) -> None:
        for record, _ in self._poison:
            self._fates[record.sequence_number] = "Quarantined"


class IgnoresTheRemainingTime(_Batch):
    @override
    def time_for(self, seconds: float) -> bool:
        return True


def fold_keeps_the_last_position(records: Sequence[Mapping[str, Any]], **kwargs: Any) -> Delivery:
    last = {record["kinesis"]["partitionKey"]: record for record in records}
    return deliver(list(last.values()), **kwargs)


def fold_lowest_first(changes: Iterable[tuple[Change, Record]]) -> dict[str, list[Candidate]]:
    return {image_id: candidates[::-1] for image_id, candidates in fold(changes).items()}


def fold_later_of_equals_first(
    changes: Iterable[tuple[Change, Record]],
) -> dict[str, list[Candidate]]:
    return {
        image_id: sorted(candidates, key=lambda one: one.change.version)[::-1]
        for image_id, candidates in fold(changes).items()
    }


def fold_by_version_alone(changes: Iterable[tuple[Change, Record]]) -> dict[str, list[Candidate]]:
    folded: dict[str, list[Candidate]] = {}
    for image_id, candidates in fold(changes).items():
        versions: dict[int, Candidate] = {}
        for one in candidates:
            seen = versions.setdefault(one.change.version, Candidate(one.change, ()))
            together = Candidate(seen.change, (*seen.records, *one.records))
            versions[one.change.version] = together
        folded[image_id] = list(versions.values())
    return folded


WRONG: Mapping[str, Components] = {
    "delivery: checkpoint one too high": Components(deliver=checkpoint_one_too_high),
    "delivery: checkpoint one too low": Components(deliver=checkpoint_one_too_low),
    "delivery: checkpoint at the highest unsettled record": ledger(CheckpointAtTheHighest),
    "delivery: one failure holds back the batch": Components(
        deliver=one_failure_holds_back_the_batch
    ),
    "delivery: a failed version supersedes lower ones": ledger(AFailedWinnerSupersedes),
    "delivery: a refused version settles its image": ledger(ARefusedWinnerSettlesItsImage),
    "delivery: one conflict settles the version": ledger(OneConflictSettlesTheVersion),
    "delivery: other content of a version counts as superseded": ledger(OtherContentIsSuperseded),
    "delivery: only the first of equal records is settled": ledger(OnlyTheFirstOfEqualsIsSettled),
    "delivery: a refused request is quarantined as a whole": ledger(RefusedTogether),
    "delivery: the other half of a refused request is lost": ledger(LosesTheOtherHalf),
    "delivery: transient failures are quarantined": ledger(QuarantinesFailures),
    "delivery: misconfiguration counts as success": Components(deliver=misconfiguration_is_success),
    "delivery: a poison record stops the batch": Components(deliver=poison_stops_the_batch),
    "delivery: a failed quarantine of the second record of an image is acknowledged": ledger(
        OneFailedQuarantineOfAnImageCounts
    ),
    "delivery: a failed quarantine of an equal record is acknowledged": ledger(
        OneFailedQuarantineOfEqualsCounts
    ),
    "delivery: a failed quarantine of another version is acknowledged": ledger(
        OneFailedQuarantineOfVersionsCounts
    ),
    "delivery: poison records are dropped": ledger(PoisonIsDropped),
    "delivery: ignores the remaining time": ledger(IgnoresTheRemainingTime),
    "delivery: fold keeps the last record": Components(deliver=fold_keeps_the_last_position),
    "delivery: fold takes the lowest version": folding(fold_lowest_first),
    "delivery: fold takes the last of equal versions": folding(fold_later_of_equals_first),
    "delivery: fold ignores the content": folding(fold_by_version_alone),
}
