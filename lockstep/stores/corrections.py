"""Corrections that only a repair, an answer or a purge makes.

In the index, they overwrite and remove documents. Both use OpenSearch's version check
`external_gte`: a document with a higher version stays. In the table, they overwrite a malformed
item, if its version is still the one that was read.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import UNSET, UnsetType
from opensearchpy import OpenSearch

from functions.write_to_dynamodb.sink import CHANGES_PER_REQUEST
from functions.write_to_es import bulk
from functions.write_to_es.bulk import BulkItem, Operation
from functions.write_to_es.document import document_from
from shared.change import Change
from shared.item import KEY, OUR_ATTRIBUTES, item_from
from shared.outcome import Applied, Failed, Outcome, Refused, Stale
from shared.sink import MisconfiguredError, RequestFailedError, outcomes_of, patient

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodb.type_defs import (
        BatchStatementRequestTypeDef,
        BatchStatementResponseTypeDef,
    )

_AT_ONCE = 500
_MISCONFIGURED = frozenset({"AccessDeniedException", "ResourceNotFoundException"})


class Removal(msgspec.Struct, frozen=True):
    """A document to remove from the index, unless its `_version` is above `checked_version`.

    `routing`: the one with which somebody wrote the document; unset if there is none.
    """

    image_id: str
    checked_version: int
    routing: str | UnsetType = UNSET


class Corrections:
    """Corrects the index behind its write alias."""

    def __init__(self, client: OpenSearch, alias: str) -> None:
        self._client = client
        self._alias = alias

    def overwrite(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write these changes, also over documents of the same version.

        Raises:
            MisconfiguredError: no right to write, or no alias.
        """
        return self._outcomes(
            bulk.write(one.image_id, one.version, document_from(one), "external_gte")
            for one in changes
        )

    def remove(self, removals: Sequence[Removal]) -> Sequence[Outcome]:
        """Remove documents; a document that does not exist is `Applied` as well.

        Raises:
            MisconfiguredError: no right to write, or no alias.
        """
        return self._outcomes(
            bulk.removal(one.image_id, one.checked_version, one.routing) for one in removals
        )

    def _outcomes(self, operations: Iterable[Operation]) -> Sequence[Outcome]:
        send = patient(self._send)
        return [
            outcome
            for some in batched(operations, _AT_ONCE)
            for request in bulk.split(some)
            for outcome in outcomes_of(request, send)
        ]

    def _send(
        self, operations: Sequence[Operation], within: float | None = None
    ) -> Sequence[Outcome]:
        items = bulk.send_bulk(self._client, self._alias, operations, seconds=within)
        return [self._read(item) for item in items]

    def _read(self, item: BulkItem) -> Outcome:
        if item.is_version_conflict:
            return Stale()
        return Applied() if item.found_nothing else bulk.outcome(item, self._alias)


class ItemCorrection(msgspec.Struct, frozen=True):
    """A change to write over a malformed item, whose attribute `version` is still `version`.

    `version` is in DynamoDB's typed form; None if the item has no such attribute.
    """

    change: Change
    version: Mapping[str, Any] | None


class TableCorrections:
    """Corrects items of the table that no sink of ours wrote."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def overwrite(self, items: Sequence[ItemCorrection]) -> Sequence[Outcome]:
        """Write over items, also at the same version; one that changed meanwhile is `Stale`.

        Attributes that are not ours stay, as with the sink.

        Raises:
            MisconfiguredError: no right to write, or no table.
        """
        return [
            outcome
            for some in batched(items, CHANGES_PER_REQUEST)
            for outcome in outcomes_of([self._statement(one) for one in some], self._send)
        ]

    def _statement(self, one: ItemCorrection) -> "BatchStatementRequestTypeDef":
        item = item_from(one.change)
        names = [name for name in sorted(item) if name != KEY]
        sets = " ".join(f'SET "{name}"=?' for name in names)
        removes = " ".join(f'REMOVE "{name}"' for name in sorted(OUR_ATTRIBUTES - item.keys()))
        is_there = "= ?" if one.version is not None else "IS MISSING"
        return {
            "Statement": f'UPDATE "{self._table}" {sets} {removes} '
            f'WHERE "{KEY}"=? AND "version" {is_there}',
            "Parameters": [
                *(item[name] for name in names),
                item[KEY],
                *([] if one.version is None else [one.version]),
            ],
        }

    def _send(self, statements: "Sequence[BatchStatementRequestTypeDef]") -> Sequence[Outcome]:
        try:
            answer = self._client.batch_execute_statement(Statements=statements)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISCONFIGURED:
                raise MisconfiguredError(f"table {self._table}: {error}") from error
            raise RequestFailedError(f"table {self._table}: {error}") from error
        except BotoCoreError as error:
            raise RequestFailedError(f"table {self._table}: {error}") from error
        answers = answer.get("Responses", [])
        if len(answers) != len(statements):  # botocore parses a truncated answer as a success
            raise RequestFailedError(f"table {self._table}: the answer was truncated")
        return [self._outcome(answer) for answer in answers]

    def _outcome(self, answer: "BatchStatementResponseTypeDef") -> Outcome:
        error = answer.get("Error")
        if error is None:
            return Applied()
        code = error.get("Code")
        detail = f"table {self._table}: {code}: {error.get('Message', 'no message')}"
        match code:
            case "ConditionalCheckFailed":
                return Stale()
            case "AccessDenied" | "ResourceNotFound":
                raise MisconfiguredError(detail)
            case "ValidationError":
                return Refused(detail)
            case _:
                return Failed(detail)
