"""Seeded bugs of the table's sink."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast, override

import msgspec

from functions.write_to_dynamodb.sink import ImageTable
from lockstep.simulation.components import TABLE, TABLE_SECONDS, Components
from shared.change import Change, Remove
from shared.item import IMAGE_ATTRIBUTES
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Refused, Stale
from shared.sink import Sink
from tests.simulation.rewired import BlindBugError

VERSION_CHECK = '("version" < ? OR "version" IS MISSING)'


def table(sink: Callable[..., Sink]) -> Components:
    return Components(table=lambda client: sink(client, TABLE, longest_request=TABLE_SECONDS))


class OtherUpdate(ImageTable):
    """A table whose UPDATE statement is changed."""

    @staticmethod
    def changed(text: str) -> str:
        raise NotImplementedError

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._image, self._tombstone = (
            msgspec.structs.replace(one, update=self._changed(one.update))
            for one in (self._image, self._tombstone)
        )

    def _changed(self, text: str) -> str:
        changed = self.changed(text)
        if changed == text:
            raise BlindBugError(f"nothing to change in {text}")
        return changed


class WithoutVersionCheck(OtherUpdate):
    @staticmethod
    @override
    def changed(text: str) -> str:
        return text.replace(VERSION_CHECK, VERSION_CHECK.replace("<", "<>"))


class EqualVersionsPass(OtherUpdate):
    @staticmethod
    @override
    def changed(text: str) -> str:
        return text.replace(VERSION_CHECK, VERSION_CHECK.replace("<", "<="))


class LowerVersionsPass(OtherUpdate):
    @staticmethod
    @override
    def changed(text: str) -> str:
        return text.replace(VERSION_CHECK, VERSION_CHECK.replace("<", ">"))


class AttributesStay(OtherUpdate):
    @staticmethod
    @override
    def changed(text: str) -> str:
        return re.sub(r'REMOVE "\w+"', "", text)


class _SequenceNumberClient:
    """A client that compares sequence numbers, which a retry of the producer makes higher."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def batch_execute_statement(self, Statements: Sequence[Mapping[str, Any]]) -> Any:  # noqa: N803 - boto3's own name
        return self._client.batch_execute_statement(
            Statements=list(map(self._by_number, Statements))
        )

    @staticmethod
    def _by_number(request: Mapping[str, Any]) -> Mapping[str, Any]:
        if request["Statement"].startswith("INSERT"):
            return request
        *values, _ = request["Parameters"]
        before, checks, after = request["Statement"].partition('"version" <')
        if not checks:
            raise BlindBugError(f"no check of the version in {before}")
        text = f'{before}"sequence_number" <{after}'
        number = values[IMAGE_ATTRIBUTES.index("sequence_number")]
        return {**request, "Statement": text, "Parameters": [*values, number]}


class ChecksTheSequenceNumber(ImageTable):
    def __init__(self, client: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(cast("Any", _SequenceNumberClient(client)), *args, **kwargs)


class DeletesItems(ImageTable):
    @override
    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        outcomes = super().send(changes, within)
        for change, outcome in zip(changes, outcomes, strict=True):
            if isinstance(change, Remove) and outcome == Applied():
                statement = f'DELETE FROM "{TABLE}" WHERE "image_id"=?'  # noqa: S608 - PartiQL for the fake
                parameters: list[Any] = [{"S": change.image_id}]
                self._client.batch_execute_statement(
                    Statements=[{"Statement": statement, "Parameters": parameters}]
                )
        return outcomes


class StatementErrorsAreIgnored(ImageTable):
    @override
    def _read(self, answer: Any, change: Change) -> Any:
        outcome = super()._read(answer, change)
        return Applied() if isinstance(outcome, Failed) else outcome


class DuplicateItemIsADuplicate(ImageTable):
    """`DuplicateItem` is about the key, not about the version."""

    @override
    def _read(self, answer: Any, change: Change) -> Any:
        verdict = super()._read(answer, change)
        return Duplicate() if verdict == "UPDATE" else verdict


class AMissingItemIsNewer(ImageTable):
    """A failed condition without an item means that there is no item."""

    @override
    def _read(self, answer: Any, change: Change) -> Any:
        verdict = super()._read(answer, change)
        return Stale() if verdict == "INSERT" else verdict


class SecondRoundIsIgnored(ImageTable):
    @override
    def _execute(self, client: Any, statements: Any) -> Any:
        answers = super()._execute(client, statements)
        expected = [
            "INSERT" if change.event_type == "image.uploaded" else "UPDATE"
            for _, change in statements
        ]
        first = [verb for verb, _ in statements] == expected
        return answers if first else [{}] * len(answers)


class RefusalsAreRetriedForever(ImageTable):
    @override
    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        return [
            Failed(one.detail) if isinstance(one, Refused) else one
            for one in super().send(changes, within)
        ]


class ConflictsAreDuplicates(ImageTable):
    @override
    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        return [
            Duplicate() if isinstance(one, Conflict) else one
            for one in super().send(changes, within)
        ]


WRONG: Mapping[str, Components] = {
    "table: no version check": table(WithoutVersionCheck),
    "table: version check with <= instead of <": table(EqualVersionsPass),
    "table: version check with > instead of <": table(LowerVersionsPass),
    "table: version check on the sequence number": table(ChecksTheSequenceNumber),
    "table: a restored image keeps expires_at": table(AttributesStay),
    "table: a deletion leaves no tombstone": table(DeletesItems),
    "table: errors in a 200 are ignored": table(StatementErrorsAreIgnored),
    "table: DuplicateItem counts as a duplicate": table(DuplicateItemIsADuplicate),
    "table: a missing item counts as newer": table(AMissingItemIsNewer),
    "table: answers of the second round are ignored": table(SecondRoundIsIgnored),
    "table: refused items are retried forever": table(RefusalsAreRetriedForever),
    "table: conflicts count as duplicates": table(ConflictsAreDuplicates),
}
