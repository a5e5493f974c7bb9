"""The table as a sink: conditional PartiQL, 25 changes a request (docs/internals/invariants.md)."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import batched
from typing import TYPE_CHECKING, Literal

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from shared.change import Change, Purge, Put, Remove, describe_change, describe_content
from shared.item import (
    ATTRIBUTE_TYPES,
    IMAGE_ATTRIBUTES,
    KEY,
    OUR_ATTRIBUTES,
    TOMBSTONE_ATTRIBUTES,
    AttributeValue,
    item_from,
)
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Refused, Stale
from shared.sink import MisconfiguredError, RequestFailedError, RequestRefusedError, SinkError

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodb.type_defs import (
        BatchStatementRequestTypeDef,
        BatchStatementResponseTypeDef,
    )

CHANGES_PER_REQUEST = 25  # all that BatchExecuteStatement takes
# Two find out whether the image is there; the third is for one that the purge took in between.
ROUNDS = 3

# One and the same cause for all requests, until somebody mends it.
_MISCONFIGURED_CODES = frozenset(
    {
        "AccessDeniedException",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "ResourceNotFoundException",
        "UnrecognizedClientException",
    }
)
_MISCONFIGURED_STATUSES = frozenset({401, 403})
# The SDK fetches new credentials by itself.
_EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_CONTENT_TOO_LARGE = 413

type Verb = Literal["INSERT", "UPDATE"]


class _Statements(msgspec.Struct, frozen=True):
    """The constant texts for one kind of item; every value is a parameter."""

    names: tuple[str, ...]
    insert: str
    update: str

    def request(self, verb: Verb, change: Change) -> "BatchStatementRequestTypeDef":
        item = item_from(change)
        values = [item[name] for name in self.names]
        if verb == "INSERT":
            statement, parameters = self.insert, [item[KEY], *values]
        else:
            statement, parameters = self.update, [*values, item[KEY], item["version"]]
        return {
            "Statement": statement,
            "Parameters": parameters,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }


def _statements(table: str, names: tuple[str, ...]) -> _Statements:
    fields = ", ".join(f"'{name}': ?" for name in (KEY, *names))
    # Every attribute of ours is set or removed: an image that comes back must lose `expires_at`.
    sets = " ".join(f'SET "{name}"=?' for name in names)
    removes = " ".join(f'REMOVE "{name}"' for name in sorted(OUR_ATTRIBUTES - {KEY, *names}))
    # A missing version: an item that was there before us.
    guard = f'"{KEY}"=? AND ("version" < ? OR "version" IS MISSING)'
    return _Statements(
        names,
        insert=f'INSERT INTO "{table}" VALUE {{{fields}}}',
        update=f'UPDATE "{table}" {sets} {removes} WHERE {guard}',
    )


class ImageTable:
    """The system of record, written under the guard: a strictly higher version wins.

    A failure that leaves open whether something was written is harmless: sent again, it turns
    out to be a `Duplicate`.
    """

    def __init__(
        self, client: "DynamoDBClient", table_name: str, *, longest_request: float
    ) -> None:
        """Args: `longest_request`, in seconds, follows from the client's timeouts and retries."""
        self._client = client
        self._table = table_name
        self._longest_request = longest_request
        self._image = _statements(table_name, IMAGE_ATTRIBUTES)
        self._tombstone = _statements(table_name, TOMBSTONE_ATTRIBUTES)

    @property
    def longest_send(self) -> float:
        """Seconds that one `send` or `check` can take at most."""
        return ROUNDS * self._longest_request

    def requests(self, changes: Sequence[Change]) -> Iterable[Sequence[Change]]:
        """Cut the changes, in order, into as many as a request takes."""
        return batched(changes, CHANGES_PER_REQUEST, strict=False)

    def send(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write changes of different images; one request where each finds what it expects.

        Raises:
            RequestFailedError: nothing is known of any of them.
            RequestRefusedError: refused as a whole, nothing is written.
            MisconfiguredError: no right to write, or no table.
        """
        outcomes: list[Outcome] = [Failed("appears and disappears in the table")] * len(changes)
        # An upload expects no item, everything else expects one: each tries first what it expects.
        verbs: dict[int, Verb] = {
            at: "INSERT" if change.event_type == "image.uploaded" else "UPDATE"
            for at, change in enumerate(changes)
        }
        for _ in range(ROUNDS):
            try:
                answers = self._execute([(verb, changes[at]) for at, verb in verbs.items()])
            except (RequestFailedError, RequestRefusedError) as error:
                if len(verbs) == len(changes):
                    raise
                for at in verbs:  # what an earlier round found out stays true
                    outcomes[at] = Failed(str(error))
                break
            for at, answer in zip(list(verbs), answers, strict=True):
                match self._read(answer, changes[at]):
                    case "INSERT" | "UPDATE" as verb:
                        verbs[at] = verb
                    case outcome:
                        outcomes[at] = outcome
                        del verbs[at]
            if not verbs:
                break
        return outcomes

    def check(self) -> None:
        """Read the key schema, and what the table's indexes take for keys.

        Raises:
            MisconfiguredError: there is no such table, its key is not ours, or an index of it takes
                none of our items.
            RequestFailedError: it could not be read for now.
        """
        try:
            table = self._client.describe_table(TableName=self._table)["Table"]
        except KeyError as error:  # botocore takes an answer that was cut off for an empty success
            raise RequestFailedError(f"table {self._table}: an empty answer") from error
        except ClientError as error:
            meaning = self._meaning(error)
            if isinstance(meaning, RequestRefusedError):  # the name itself is none
                raise MisconfiguredError(str(meaning)) from error
            raise meaning from error
        except BotoCoreError as error:
            raise RequestFailedError(f"table {self._table}: {error}") from error
        types = {
            one["AttributeName"]: one["AttributeType"] for one in table["AttributeDefinitions"]
        }
        found = [
            f"{one['AttributeName']} {types[one['AttributeName']]} {one['KeyType']}"
            for one in table["KeySchema"]
        ]
        expected = f"{KEY} S HASH"
        if found != [expected]:
            raise MisconfiguredError(
                f"table {self._table}: its key is {', '.join(found)}, expected is {expected}"
            )
        for name, kind in types.items():
            ours = ATTRIBUTE_TYPES.get(name, kind)
            if kind != ours:
                raise MisconfiguredError(
                    f"table {self._table}: an index of it takes {name} as {kind}, which is {ours} "
                    "in every item: delete that index"
                )

    def _execute(
        self, statements: Sequence[tuple[Verb, Change]]
    ) -> "Sequence[BatchStatementResponseTypeDef]":
        """One request: as many answers as statements, or a SinkError."""
        requests = [self._texts(change).request(verb, change) for verb, change in statements]
        try:
            answers = self._client.batch_execute_statement(Statements=requests).get("Responses", [])
        except ClientError as error:
            raise self._meaning(error) from error
        except BotoCoreError as error:
            raise RequestFailedError(f"table {self._table}: {error}") from error
        if len(answers) != len(requests):
            raise RequestFailedError(
                f"table {self._table}: {len(answers)} answers to {len(requests)} statements"
            )
        return answers

    def _texts(self, change: Change) -> _Statements:
        match change:
            case Put():
                return self._image
            case Remove() | Purge():
                return self._tombstone

    def _read(self, answer: "BatchStatementResponseTypeDef", change: Change) -> Outcome | Verb:
        """What one answer says: an outcome, or the statement to try next."""
        error = answer.get("Error")
        if error is None:
            return Applied()
        code = error.get("Code")
        detail = f"table {self._table}: {code}: {error.get('Message', 'no message')}"
        match code:
            case "DuplicateItem":
                return "UPDATE"
            case "ConditionalCheckFailed":
                item = error.get("Item")
                return _compare(change, item) if item else "INSERT"
            case "ValidationError" | "ItemCollectionSizeLimitExceeded":
                return Refused(detail)
            case "AccessDenied" | "ResourceNotFound":
                raise MisconfiguredError(detail)
            case _:  # throttling, internal errors, and whatever may be new
                return Failed(detail)

    def _meaning(self, error: ClientError) -> SinkError:
        """What an error answer to a whole request means."""
        code = error.response["Error"]["Code"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        detail = f"table {self._table}: {error}"
        if code in _EXPIRED_CODES:
            return RequestFailedError(detail)
        if code in _MISCONFIGURED_CODES or status in _MISCONFIGURED_STATUSES:
            return MisconfiguredError(detail)
        if code == "ValidationException" or status == _CONTENT_TOO_LARGE:
            return RequestRefusedError(detail)
        return RequestFailedError(detail)


def _compare(change: Change, item: Mapping[str, AttributeValue]) -> Outcome | Verb:
    """What the item that the guard defended says of the change that it kept out."""
    version = item.get("version", {}).get("N")
    if version is None:
        return Refused(
            f"the item in the table has a version that is no number, {item.get('version')}: "
            "mend or delete that item"
        )
    stored = Decimal(version)
    if stored > change.version:
        return Stale()
    if stored < change.version:
        return "UPDATE"
    there = describe_content(
        item.get("digest", {}).get("S"), deleted=item.get("deleted") == {"BOOL": True}
    )
    this = describe_change(change)
    if there == this:
        return Duplicate()
    return Conflict(f"version {change.version} is taken: stored is {there}, this is {this}")
