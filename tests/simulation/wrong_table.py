"""Seeded bugs of the table's sink."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgspec

from functions.write_to_dynamodb.sink import ImageTable
from lockstep.simulation.components import TABLE, TABLE_SECONDS, Components
from shared.change import Change, Remove
from shared.item import IMAGE_ATTRIBUTES
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Refused, Stale
from shared.sink import Sink

GUARD = '("version" < ? OR "version" IS MISSING)'


def table(made: Callable[..., Sink]) -> Components:
    return Components(table=lambda client: made(client, TABLE, longest_request=TABLE_SECONDS))


class OtherUpdate(ImageTable):
    """The update's text, changed."""

    @staticmethod
    def changed(text: str) -> str:
        raise NotImplementedError

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._image, self._tombstone = (
            msgspec.structs.replace(one, update=self.changed(one.update))
            for one in (self._image, self._tombstone)
        )


class Unguarded(OtherUpdate):
    @staticmethod
    def changed(text: str) -> str:
        return text.replace(GUARD, GUARD.replace("<", "<>"))


class GuardLetsEqualIn(OtherUpdate):
    @staticmethod
    def changed(text: str) -> str:
        return text.replace(GUARD, GUARD.replace("<", "<="))


class GuardTurnedRound(OtherUpdate):
    @staticmethod
    def changed(text: str) -> str:
        return text.replace(GUARD, GUARD.replace("<", ">"))


class NothingIsRemoved(OtherUpdate):
    @staticmethod
    def changed(text: str) -> str:
        return re.sub(r'REMOVE "\w+"', "", text)


class _Positions:
    """A client that guards by the sequence number, which a producer's retry makes higher."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def batch_execute_statement(self, Statements: Sequence[Mapping[str, Any]]) -> Any:  # noqa: N803 - boto3's own name
        return self._client.batch_execute_statement(
            Statements=list(map(self._by_number, Statements))
        )

    @staticmethod
    def _by_number(request: Mapping[str, Any]) -> Mapping[str, Any]:
        if request["Statement"].startswith("INSERT"):
            return request
        *values, _ = request["Parameters"]
        text = request["Statement"].replace('"version" <', '"sequence_number" <')
        number = values[IMAGE_ATTRIBUTES.index("sequence_number")]
        return {**request, "Statement": text, "Parameters": [*values, number]}


class GuardedByPosition(ImageTable):
    def __init__(self, client: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(cast("Any", _Positions(client)), *args, **kwargs)


class DeletesItems(ImageTable):
    def send(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        outcomes = super().send(changes)
        for change, outcome in zip(changes, outcomes, strict=True):
            if isinstance(change, Remove) and outcome == Applied():
                statement = f'DELETE FROM "{TABLE}" WHERE "image_id"=?'  # noqa: S608 - PartiQL for the fake
                parameters: list[Any] = [{"S": change.image_id}]
                self._client.batch_execute_statement(
                    Statements=[{"Statement": statement, "Parameters": parameters}]
                )
        return outcomes


class StatementErrorsAreOverlooked(ImageTable):
    def _read(self, answer: Any, change: Change) -> Any:
        outcome = super()._read(answer, change)
        return Applied() if isinstance(outcome, Failed) else outcome


class AnItemThatIsThereIsEnough(ImageTable):
    """`DuplicateItem` is about the key, not about the version."""

    def _read(self, answer: Any, change: Change) -> Any:
        verdict = super()._read(answer, change)
        return Duplicate() if verdict == "UPDATE" else verdict


class AnItemThatIsGoneIsNewer(ImageTable):
    """A failed condition without an item means that there is none."""

    def _read(self, answer: Any, change: Change) -> Any:
        verdict = super()._read(answer, change)
        return Stale() if verdict == "INSERT" else verdict


class SecondRoundsAreNotRead(ImageTable):
    def _execute(self, statements: Any) -> Any:
        answers = super()._execute(statements)
        expected = [
            "INSERT" if change.event_type == "image.uploaded" else "UPDATE"
            for _, change in statements
        ]
        first = [verb for verb, _ in statements] == expected
        return answers if first else [{}] * len(answers)


class RefusalsAreTriedForEver(ImageTable):
    def send(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        return [
            Failed(one.detail) if isinstance(one, Refused) else one for one in super().send(changes)
        ]


class ConflictsAreDuplicates(ImageTable):
    def send(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        return [Duplicate() if isinstance(one, Conflict) else one for one in super().send(changes)]


WRONG: Mapping[str, Components] = {
    "table: no version check": table(Unguarded),
    "table: <= for <": table(GuardLetsEqualIn),
    "table: > for <": table(GuardTurnedRound),
    "table: version check on the sequence number": table(GuardedByPosition),
    "table: an image that comes back keeps expires_at": table(NothingIsRemoved),
    "table: hard delete": table(DeletesItems),
    "table: errors in a 200 overlooked": table(StatementErrorsAreOverlooked),
    "table: an item that is there is enough": table(AnItemThatIsThereIsEnough),
    "table: an item that is not there is newer": table(AnItemThatIsGoneIsNewer),
    "table: answers of the second round not read": table(SecondRoundsAreNotRead),
    "table: refusals tried for ever": table(RefusalsAreTriedForEver),
    "table: conflicts are duplicates": table(ConflictsAreDuplicates),
}
