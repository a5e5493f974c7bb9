"""Preparing a table that CloudFormation did not make: giving it the settings that a stack needs."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from functions.write_to_dynamodb.table_settings import Setting, TableSettings, WantedSettings
from lockstep.stack.clients import Clients

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class Prepared(msgspec.Struct, frozen=True):
    """A table and its settings, as they were before.

    `stream_arn` is the ARN of its stream, None if it has none.
    """

    table: str
    settings: Sequence[Setting]
    stream_arn: str | None

    @property
    def lacking(self) -> Sequence[Setting]:
        """The settings that it lacked."""
        return [one for one in self.settings if not one.is_set]


def prepare_table(
    client: "DynamoDBClient",
    table: str,
    wanted: WantedSettings,
    *,
    apply: bool,
    on_set: Callable[[Setting], None] = lambda _: None,
) -> Prepared:
    """Read the settings of a table and, with `apply`, set what it lacks.

    Args:
        client: a client of DynamoDB.
        table: the table's name.
        wanted: what the stack needs.
        apply: whether to change anything.
        on_set: called with each setting when it is set.

    Raises:
        MisconfiguredError: there is no such table, it has another key, or it may not be used.
        ClientError, BotoCoreError: DynamoDB does not do it, or not now. Run it again.
    """
    settings = TableSettings(client, table, wanted)
    found = settings.read()
    for one in found:
        if apply and not one.is_set:
            settings.set(one)
            on_set(one)
    return Prepared(table, found, settings.stream_arn())


def wanted_by(clients: Clients, name: str | None) -> WantedSettings:
    """What a stack needs of its table.

    Args:
        clients: the stack's.
        name: the name of a deployed stack; None for a local one.
    """
    stack = clients.stack
    if name is None:
        return WantedSettings(stack=None)
    (described,) = clients.cloudformation.describe_stacks(StackName=name)["Stacks"]
    # CloudFormation puts the tags of a stack on each resource, so also on a table of its own.
    tags = {one["Key"]: one["Value"] for one in described.get("Tags", ())}
    arn = None
    if stack.index_from == "KinesisDataStreamsForDynamoDB":
        summary = clients.kinesis.describe_stream_summary(StreamName=stack.changes_stream)
        arn = summary["StreamDescriptionSummary"]["StreamARN"]
    return WantedSettings(stack=name, changes_stream=arn, tags=tags)
