"""A stack: the addresses and names that every command needs, local or deployed."""

import datetime as dt
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Literal

import msgspec

from functions.write_to_es.aliases import live_alias
from lockstep.console.errors import UserError

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient

# The query side's name: its folder under functions/.
SEARCH = "search_images"
# The consumers' names: their folder under functions/, and their prefix in the quarantine.
CONSUMERS = TABLE_CONSUMER, INDEX_CONSUMER = "write_to_dynamodb", "write_to_es"
# What copies the table's changes into Kinesis on one machine: its name beside the consumers'.
FORWARDER = "forwarder"

# What feeds the index, as template.yaml names it (docs/guides/index-from.md).
IndexFrom = Literal["Kinesis", "DynamoDBStreams", "KinesisDataStreamsForDynamoDB"]

# Where a local stack lies if nobody says otherwise.
STATE = Path(".lockstep")
LOCAL_REGION = "us-east-1"
# As in template.yaml, whose default the local stack keeps to.
QUARANTINE_DAYS = 30
# As in template.yaml: so long an invocation may still write after the aliases were switched.
FUNCTION_TIMEOUT = dt.timedelta(seconds=60)
# How much later than a removal a producer may still put an older version of the image
# (docs/decisions/2026-11-21-the-horizon-allows-for-late-producers.md).
LATENESS = dt.timedelta(days=1)


class Endpoints(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the four services answer; None means the SDK's own address for the region.

    `search` is where images are found over HTTP.
    """

    kinesis: str | None
    dynamodb: str | None
    opensearch: str
    s3: str | None
    search: str | None = None


class Stack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One running system: its endpoints and the names of its parts.

    `state` is the local stack's folder, None for a deployed one. `index` is the writing alias;
    readers use the alias `INDEX-live`, which hides tombstones. `functions` gives each consumer's
    name in Lambda. `quarantine_days` is the age up to which a quarantined record may be redriven.
    `changes_stream` is the Kinesis stream that carries the table's changes, empty if there is none.
    """

    endpoints: Endpoints
    stream: str
    table: str
    index: str
    bucket: str
    region: str
    functions: dict[str, str]
    state: str | None = None
    quarantine_days: int = QUARANTINE_DAYS
    index_from: IndexFrom = "Kinesis"
    changes_stream: str = ""

    @property
    def live(self) -> str:
        """The reading alias."""
        return live_alias(self.index)


class StackNotFoundError(UserError):
    """No stack answers to that name; the message says what to do."""


def typed(words: str, name: str | None, state: Path) -> str:
    """A command as a person types it about this stack, in backquotes."""
    if name is not None:
        return f"`lockstep {words} --stack {name}`"
    usual = state.absolute() == STATE.absolute()
    return f"`lockstep {words}`" if usual else f"`lockstep {words} --state {quote(str(state))}`"


def write_local(stack: Stack, state: Path) -> None:
    """Publish a local stack, in one step: readers see the whole file or the one before."""
    unfinished = state / "stack.json.new"
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(stack)) + b"\n")
    unfinished.rename(state / "stack.json")


def read_local(state: Path) -> Stack:
    """The local stack that runs on this folder.

    Raises:
        StackNotFoundError: nothing was started there.
    """
    try:
        return msgspec.json.decode((state / "stack.json").read_bytes(), type=Stack)
    except FileNotFoundError:
        message = f"no local stack in {state}: start one with {typed('up', None, state)}"
        raise StackNotFoundError(message) from None
    except OSError as error:
        message = f"{state / 'stack.json'}: {error.strerror}: name the stack's folder with --state"
        raise StackNotFoundError(message) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        message = (
            f"{state / 'stack.json'} is damaged ({error}): run {typed('up', None, state)} again"
        )
        raise StackNotFoundError(message) from None


def read_deployed(cloudformation: "CloudFormationClient", name: str, region: str) -> Stack:
    """The stack that `sam deploy` made, found through its CloudFormation outputs.

    Raises:
        StackNotFoundError: there is no such stack in this account and region, or it is not ours.
    """
    try:
        (described,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except cloudformation.exceptions.ClientError as error:
        message = f"no stack {name!r} in {region}: {error.response['Error']['Message']}"
        raise StackNotFoundError(message) from error
    outputs = {one["OutputKey"]: one["OutputValue"] for one in described.get("Outputs", [])}
    try:
        return Stack(
            endpoints=Endpoints(
                kinesis=None,
                dynamodb=None,
                opensearch=outputs["OpenSearchEndpoint"],
                s3=None,
                # A stack that was deployed before the search was has none.
                search=outputs.get("SearchApi"),
            ),
            stream=outputs["StreamName"],
            table=outputs["TableName"],
            index=outputs["IndexAlias"],
            bucket=outputs["QuarantineBucket"],
            region=region,
            functions=dict(
                zip(
                    CONSUMERS,
                    (outputs["WriteToDynamodbName"], outputs["WriteToEsName"]),
                    strict=True,
                )
            ),
            quarantine_days=int(outputs["QuarantineDays"]),
            # A stack of an earlier release does not say.
            index_from=msgspec.convert(outputs.get("IndexFrom", "Kinesis"), IndexFrom),
            changes_stream=outputs.get("TableChangesStreamName", ""),
        )
    except KeyError as missing:
        message = f"stack {name!r} has no output {missing}: was it deployed from template.yaml?"
        raise StackNotFoundError(message) from None
