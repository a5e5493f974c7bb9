"""Seeded bugs of redrives by failure documents that hold no records."""

from collections.abc import Iterable, Mapping
from typing import Any, override

import msgspec

from lockstep.quarantine.cases import Case
from lockstep.quarantine.failure_documents import Fetched, fetch
from lockstep.quarantine.finding import _Gathering, find
from lockstep.quarantine.own_objects import OwnObjects
from lockstep.simulation.components import Components
from lockstep.stream.stream import AtTimestamp
from shared.quarantine import QuarantinedRecord
from tests.simulation.redrive_with import redrive_with
from tests.simulation.rewired import rewired


def without_the_last_record(*args: Any) -> Fetched:
    """The last record of a batch is left out."""
    fetched = fetch(*args)
    return msgspec.structs.replace(fetched, records=fetched.records[:-1])


def without_what_is_gone(*args: Any) -> Fetched:
    """Nobody is told which records the stream has removed."""
    return msgspec.structs.replace(fetch(*args), gone=None)


# The times of a document may be rounded: a record may have arrived before the time of its batch.
from_a_second_later = rewired(fetch, AtTimestamp=lambda since: AtTimestamp(since + 2))


class KeepsNothing(OwnObjects):
    """The records are not written to the bucket first."""

    @override
    def save(self, cases: Iterable[Case], fetched: Mapping[str, QuarantinedRecord]) -> None:
        super().save(cases, {})


class ForgetsWhatWentBack(_Gathering):
    """A record that was redriven before is found again."""

    @override
    def _was_settled(self, key: str) -> bool:
        return False


class SavesWhatWentBack(OwnObjects):
    """A record that was redriven before is written to the bucket again, and redriven again."""

    @override
    def _not_settled(self, some: Iterable[QuarantinedRecord]) -> list[QuarantinedRecord]:
        return list(some)


def using(fetched: Any) -> Components:
    return Components(fetch=fetched)


WRONG: Mapping[str, Components] = {
    "pointers: the last record of a batch is left out": using(without_the_last_record),
    "pointers: what is gone is not named": using(without_what_is_gone),
    "pointers: the first records of a batch are left out": using(from_a_second_later),
    "pointers: records are not in the bucket before they go back": Components(
        redrive=redrive_with(KeepsNothing)
    ),
    "pointers: a record that went back is found again": Components(
        find=rewired(find, _Gathering=ForgetsWhatWentBack)
    ),
    "pointers: a record that went back goes back again": Components(
        redrive=redrive_with(SavesWhatWentBack)
    ),
}
