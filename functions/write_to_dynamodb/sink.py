"""The sink of the table: conditional PartiQL statements, 25 in a request.

Rules: docs/internals/invariants.md.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Literal

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from doors.aws_timeouts import timed_out
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
from shared.outcome import Applied, Conflict, Duplicate, Failed, Held, Outcome, Refused, Stale, held
from shared.shortened import shortened
from shared.sink import (
    MisconfiguredError,
    RequestFailedError,
    RequestRefusedError,
    RequestTimedOutError,
    RequestTooLargeError,
    SinkError,
)

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodb.type_defs import (
        BatchStatementRequestTypeDef,
        BatchStatementResponseTypeDef,
    )

CHANGES_PER_REQUEST = 25  # the limit of BatchExecuteStatement
# INSERT and UPDATE each need one round. The third is for an item that was purged in between.
ROUNDS = 3

# With these errors, every request fails until somebody corrects the deployment.
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
# Transient, because the SDK gets new credentials by itself.
_EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_CONTENT_TOO_LARGE = 413

type Verb = Literal["INSERT", "UPDATE"]


class _Statements(msgspec.Struct, frozen=True):
    """The two statements for one kind of item. All values are parameters."""

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


@cache
def _statements(table: str, names: tuple[str, ...]) -> _Statements:
    fields = ", ".join(f"'{name}': ?" for name in (KEY, *names))
    # Set or remove each of our attributes: an image after a tombstone must not keep `expires_at`.
    sets = " ".join(f'SET "{name}"=?' for name in names)
    removes = " ".join(f'REMOVE "{name}"' for name in sorted(OUR_ATTRIBUTES - {KEY, *names}))
    # An item without a version is older than this system.
    condition = f'"{KEY}"=? AND ("version" < ? OR "version" IS MISSING)'
    return _Statements(
        names,
        insert=f'INSERT INTO "{table}" VALUE {{{fields}}}',
        update=f'UPDATE "{table}" {sets} {removes} WHERE {condition}',
    )


class ImageTable:
    """The sink of the system of record. A strictly higher version wins.

    After a failure it may be unknown whether a change was written. That is harmless: a retry then
    returns `Duplicate`.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        table_name: str,
        *,
        longest_request: float,
        patient: "Callable[[float], DynamoDBClient] | None" = None,
    ) -> None:
        """Set up the sink.

        Args:
            client: the client.
            table_name: the name of the table.
            longest_request: seconds; follows from the client's timeouts and retries.
            patient: makes a client whose requests may take so many seconds; by default, the same
                client is used, because boto3 cannot set the timeout of one request.
        """
        self._client = client
        self._table = table_name
        self._longest_request = longest_request
        self._patient = patient
        self._room = CHANGES_PER_REQUEST
        self._image = _statements(table_name, IMAGE_ATTRIBUTES)
        self._tombstone = _statements(table_name, TOMBSTONE_ATTRIBUTES)

    @property
    def longest_send(self) -> float:
        """The longest time of one `send` or `check`, in seconds."""
        return ROUNDS * self._longest_request

    def requests(self, changes: Sequence[Change]) -> Iterable[Sequence[Change]]:
        """Split the changes, in order, into requests.

        After a timeout, requests are smaller; with each answer in time, they grow again.
        """
        at = 0
        while at < len(changes):
            request = changes[at : at + self._room]
            yield request
            at += len(request)

    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        """Write changes of different images, in one request if each first statement is right.

        Raises:
            RequestTimedOutError: the first request did not end in its time.
            RequestFailedError: it is unknown whether anything was written.
            RequestRefusedError: the whole request was refused; nothing is written.
            MisconfiguredError: no permission to write, or no table.
        """
        outcomes: list[Outcome] = [Failed("the item appears and disappears in the table")] * len(
            changes
        )
        # An upload expects that no item exists, so it tries INSERT first. Other changes try UPDATE.
        verbs: dict[int, Verb] = {
            at: "INSERT" if change.event_type == "image.uploaded" else "UPDATE"
            for at, change in enumerate(changes)
        }
        client = self._client
        if within is not None and self._patient is not None:
            client = self._patient(within / ROUNDS)
        for _ in range(ROUNDS):
            try:
                answers = self._execute(client, [(verb, changes[at]) for at, verb in verbs.items()])
            except (RequestFailedError, RequestRefusedError) as error:
                if len(verbs) == len(changes):
                    raise
                for at in verbs:  # the outcomes of earlier rounds stay valid
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
        """Check the key of the table and the keys of its indexes.

        Raises:
            MisconfiguredError: the table does not exist, has another key, or has an index that
                refuses our items.
            RequestFailedError: the table could not be read this time.
        """
        try:
            table = self._client.describe_table(TableName=self._table)["Table"]
        except KeyError as error:  # botocore parses a truncated answer as an empty success
            raise RequestFailedError(f"table {self._table}: an empty answer") from error
        except ClientError as error:
            meaning = self._meaning(error)
            if isinstance(meaning, RequestRefusedError):  # the name is invalid
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
                f"table {self._table}: the key is {', '.join(found)}, expected {expected}"
            )
        for name, kind in types.items():
            ours = ATTRIBUTE_TYPES.get(name, kind)
            if kind != ours:
                raise MisconfiguredError(
                    f"table {self._table}: an index expects {name} of type {kind}, but every item "
                    f"has type {ours}: delete that index"
                )

    def _execute(
        self, client: "DynamoDBClient", statements: Sequence[tuple[Verb, Change]]
    ) -> "Sequence[BatchStatementResponseTypeDef]":
        """Send one request. Returns one answer for each statement, or raises a `SinkError`."""
        requests = [self._texts(change).request(verb, change) for verb, change in statements]
        try:
            answers = client.batch_execute_statement(Statements=requests).get("Responses", [])
        except ClientError as error:
            raise self._meaning(error) from error
        except BotoCoreError as error:
            detail = f"table {self._table}: {error}"
            if not timed_out(error):
                raise RequestFailedError(detail) from error
            if client is self._client and len(requests) > 1:
                self._room = len(requests) // 2
            raise RequestTimedOutError(detail) from error
        if client is self._client:
            self._room = min(CHANGES_PER_REQUEST, self._room + 1)
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
        """Read one answer: it gives the outcome, or the statement to try next."""
        error = answer.get("Error")
        if error is None:
            return Applied()
        code = error.get("Code")
        detail = shortened(f"table {self._table}: {code}: {error.get('Message', 'no message')}")
        match code:
            case "DuplicateItem":
                return "UPDATE"
            case "ConditionalCheckFailed":
                item = error.get("Item")
                return _compare_with_item(change, item) if item else "INSERT"
            case "ValidationError" | "ItemCollectionSizeLimitExceeded":
                return Refused(detail)
            case "AccessDenied" | "ResourceNotFound":
                raise MisconfiguredError(detail)
            case _:  # throttling, internal errors, and unknown codes
                return Failed(detail)

    def _meaning(self, error: ClientError) -> SinkError:
        """The `SinkError` for an error answer to a whole request."""
        code = error.response["Error"]["Code"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        detail = f"table {self._table}: {error}"
        if code in _EXPIRED_CODES:
            return RequestFailedError(detail)
        if code in _MISCONFIGURED_CODES or status in _MISCONFIGURED_STATUSES:
            return MisconfiguredError(detail)
        if status == _CONTENT_TOO_LARGE:
            return RequestTooLargeError(detail)
        if code == "ValidationException":
            return RequestRefusedError(detail)
        return RequestFailedError(detail)


def _compare_with_item(change: Change, item: Mapping[str, AttributeValue]) -> Outcome | Verb:
    """Compare the change with the item that failed its condition."""
    version = item.get("version", {}).get("N")
    if version is None:
        return Refused(
            f"the item in the table has a version that is not a number, {item.get('version')}: "
            "correct or delete that item"
        )
    stored = Decimal(version)
    its = _held(item)
    if stored > change.version:
        return Stale(its)
    if stored < change.version:
        return "UPDATE"
    there = describe_content(
        item.get("digest", {}).get("S"), deleted=item.get("deleted") == {"BOOL": True}
    )
    this = describe_change(change)
    if there == this:
        return Duplicate(its)
    return Conflict(f"version {change.version} is taken: stored is {there}, this is {this}", its)


def _held(item: Mapping[str, AttributeValue]) -> Held | None:
    """What the table holds; None if the item is malformed."""
    try:
        version, arrived_at = int(item["version"]["N"]), int(item["arrived_at"]["N"])
        return held(version, arrived_at, item["occurred_at"]["S"])
    except (KeyError, ValueError):
        return None
