"""The settings that a table needs beside its key: what a given table lacks, and how to set it.

CloudFormation sets them on the table of the template. A table that DynamoDB restored lacks most of
them, whatever the source of the backup had:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/pointintimerecovery_restores.html
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

import msgspec

from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_dynamodb.table import PURGED_BY
from shared.item import STREAM_VIEW
from shared.sink import MisconfiguredError

if TYPE_CHECKING:
    from collections.abc import Callable

    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodb.type_defs import TableDescriptionTypeDef

# The tag that names the stack of a table: no other stack may write it.
STACK_TAG = "lockstep:stack"

SettingName = Literal[
    "stream",
    "time to live",
    "point-in-time recovery",
    "deletion protection",
    "Kinesis destination",
    "tags",
]
# A setting counts from when DynamoDB has accepted it.
_ON = frozenset({"ENABLED", "ENABLING", "ACTIVE"})


class UnpreparedTableError(MisconfiguredError):
    """A table may not be used as it is; the message says why, and what to do."""


class WantedSettings(msgspec.Struct, frozen=True):
    """What a stack needs of its table.

    `stack` is the name of the stack; None for a local one, whose engine knows no point-in-time
    recovery, no tags and no Kinesis destination. `changes_stream` is the ARN of the Kinesis stream
    that gets the table's changes; None if there is none. `tags` are tags beside `STACK_TAG`.
    """

    stack: str | None
    changes_stream: str | None = None
    tags: Mapping[str, str] = {}

    @property
    def all_tags(self) -> Mapping[str, str]:
        """The tags of the table."""
        return self.tags if self.stack is None else {**self.tags, STACK_TAG: self.stack}


class Setting(msgspec.Struct, frozen=True):
    """One setting of a table: what it is now, and what it must be."""

    name: SettingName
    now: str
    wanted: str

    @property
    def is_set(self) -> bool:
        """Whether nothing is to do."""
        return self.now == self.wanted


class TableSettings:
    """The settings of one table, for one stack."""

    def __init__(self, client: "DynamoDBClient", table: str, wanted: WantedSettings) -> None:
        self._client = client
        self._table = table
        self._wanted = wanted

    def read(self) -> Sequence[Setting]:
        """All settings.

        Raises:
            MisconfiguredError: the table does not exist, or has another key.
            UnpreparedTableError: the table belongs to another stack.
            RequestFailedError: the table could not be read this time.
            ClientError, BotoCoreError: a setting could not be read.
        """
        ImageTable(self._client, self._table, longest_request=0.0).check()
        described = self._describe()
        found = [
            Setting("stream", _view(described), STREAM_VIEW),
            Setting("time to live", self.purged_by(), PURGED_BY),
            Setting("deletion protection", _on_or_off(_protected(described)), "on"),
        ]
        if self._wanted.stack is not None:
            recovery = _on_or_off(self.is_recoverable())
            found.append(Setting("point-in-time recovery", recovery, "on"))
            found.append(self._tags(described["TableArn"]))
        if self._wanted.changes_stream is not None:
            found.append(self._destination(self._wanted.changes_stream))
        return found

    def check(self) -> Sequence[Setting]:
        """Check that the table is prepared; return what only a deployment can set.

        That is the Kinesis destination: the deployment may just have made the stream.

        Raises:
            UnpreparedTableError: the table lacks a setting, or belongs to another stack.
            MisconfiguredError: the table does not exist, or has another key.
            RequestFailedError: the table could not be read this time.
            ClientError, BotoCoreError: a setting could not be read.
        """
        lacking = [one for one in self.read() if not one.is_set]
        names = [one.name for one in lacking if one.name != "Kinesis destination"]
        if names:
            stack = self._wanted.stack
            of_stack = f" --stack {stack}" if stack else ""
            raise UnpreparedTableError(
                f"table {self._table} is not prepared ({', '.join(names)}): run `lockstep prepare "
                f"{self._table}{of_stack} --apply`, then {'deploy' if stack else 'start'} again"
            )
        return lacking

    def stream_arn(self) -> str | None:
        """The ARN of the table's stream; None if it has none."""
        return self._describe().get("LatestStreamArn")

    def set(self, setting: Setting) -> None:
        """Set what this setting says it must be. Returns when DynamoDB has accepted it.

        Raises:
            UnpreparedTableError: the table has a stream of another kind.
            ClientError, BotoCoreError: DynamoDB does not do it, or not now.
        """
        table = self._table
        if setting.name == "stream" and setting.now != "off":
            raise UnpreparedTableError(
                f"the stream of table {table} contains {setting.now}, not {STREAM_VIEW}: turn it "
                f"off (`aws dynamodb update-table --table-name {table} --stream-specification "
                "StreamEnabled=false`), then try again"
            )
        # One change at a time: DynamoDB refuses a second one while the table is updated.
        self._client.get_waiter("table_exists").wait(
            TableName=table, WaiterConfig={"Delay": 2, "MaxAttempts": 60}
        )
        client = self._client
        actions: Mapping[SettingName, Callable[[], object]] = {
            "stream": partial(
                client.update_table,
                TableName=table,
                StreamSpecification={"StreamEnabled": True, "StreamViewType": STREAM_VIEW},
            ),
            "time to live": partial(
                client.update_time_to_live,
                TableName=table,
                TimeToLiveSpecification={"Enabled": True, "AttributeName": PURGED_BY},
            ),
            "point-in-time recovery": partial(
                client.update_continuous_backups,
                TableName=table,
                PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
            ),
            "deletion protection": partial(
                client.update_table, TableName=table, DeletionProtectionEnabled=True
            ),
            "Kinesis destination": partial(
                client.enable_kinesis_streaming_destination,
                TableName=table,
                StreamArn=self._wanted.changes_stream or "",
                EnableKinesisStreamingConfiguration={
                    "ApproximateCreationDateTimePrecision": "MILLISECOND"
                },
            ),
            "tags": self._add_tags,
        }
        actions[setting.name]()

    def _add_tags(self) -> None:
        tags = [{"Key": key, "Value": value} for key, value in self._wanted.all_tags.items()]
        self._client.tag_resource(ResourceArn=self._describe()["TableArn"], Tags=tags)  # type: ignore[arg-type]  # plain dicts

    def _describe(self) -> "TableDescriptionTypeDef":
        return self._client.describe_table(TableName=self._table)["Table"]

    def is_protected(self) -> bool:
        """Whether the table has deletion protection.

        Raises:
            ClientError, BotoCoreError: it could not be read.
        """
        return _protected(self._describe())

    def purged_by(self) -> str:
        """The attribute by which DynamoDB purges items; `off` if it purges none.

        Raises:
            ClientError, BotoCoreError: it could not be read.
        """
        answer = self._client.describe_time_to_live(TableName=self._table)
        found = answer["TimeToLiveDescription"]
        on = found.get("TimeToLiveStatus") in _ON
        return found.get("AttributeName", "off") if on else "off"

    def is_recoverable(self) -> bool:
        """Whether the table has point-in-time recovery.

        Raises:
            ClientError, BotoCoreError: it could not be read.
        """
        answer = self._client.describe_continuous_backups(TableName=self._table)
        found = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
        return found.get("PointInTimeRecoveryStatus") in _ON

    def _destination(self, stream: str) -> Setting:
        answer = self._client.describe_kinesis_streaming_destination(TableName=self._table)
        on = any(
            one.get("StreamArn") == stream and one.get("DestinationStatus") in _ON
            for one in answer["KinesisDataStreamDestinations"]
        )
        return Setting("Kinesis destination", stream if on else "off", stream)

    def _tags(self, arn: str) -> Setting:
        wanted = self._wanted.all_tags
        request = {"ResourceArn": arn}
        found: dict[str, str] = {}
        while True:
            answer = self._client.list_tags_of_resource(**request)
            found |= {one["Key"]: one["Value"] for one in answer.get("Tags", ())}
            if "NextToken" not in answer:
                break
            request["NextToken"] = answer["NextToken"]
        owner = found.get(STACK_TAG, self._wanted.stack)
        if owner != self._wanted.stack:
            raise UnpreparedTableError(
                f"table {self._table} belongs to stack {owner}: two stacks must never write one "
                f"table. If that stack is gone, remove the tag {STACK_TAG} "
                f"(`aws dynamodb untag-resource --resource-arn {arn} --tag-keys {STACK_TAG}`)"
            )
        now = {key: value for key, value in found.items() if key in wanted}
        return Setting("tags", _listed(now), _listed(wanted))


def _protected(described: "TableDescriptionTypeDef") -> bool:
    return described.get("DeletionProtectionEnabled", False)


def _view(described: "TableDescriptionTypeDef") -> str:
    specification = described.get("StreamSpecification")
    if specification is None or not specification["StreamEnabled"]:
        return "off"
    return specification.get("StreamViewType", "off")


def _on_or_off(value: bool) -> str:  # noqa: FBT001 - one value to one word
    return "on" if value else "off"


def _listed(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={tags[key]}" for key in sorted(tags)) or "off"
