"""A stack: its endpoints and the names of its resources, and where a command finds them."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Literal

import msgspec

from functions.write_to_es.aliases import live_alias
from functions.write_to_es.settings import IndexSettings
from lockstep.console.errors import UserError
from lockstep.machine.files import write_json
from shared.horizon import HORIZON
from shared.quarantine import CONSUMERS

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient

# The name of the search function: its folder under functions/.
SEARCH = "search_images"
# The name of the process that copies the table's changes into Kinesis in a local stack.
FORWARDER = "forwarder"
# The consumer that writes a replica: its folder under functions/.
REPLICA_CONSUMER = "write_to_tablestore"

# The source of the index, as template.yaml names it (docs/guides/index-from.md).
IndexFrom = Literal["Kinesis", "DynamoDBStreams", "KinesisDataStreamsForDynamoDB"]
# Whether requests to the index are signed, as template.yaml says it.
Signing = Literal["yes", "no"]

# The default folder of a local stack.
STATE = Path(".lockstep")
# The description of a running local stack, in its folder.
STACK = "stack.json"
LOCAL_REGION = "us-east-1"
# The outputs with the log group of each consumer.
_LOG_OUTPUTS = ("WriteToDynamodbLogName", "WriteToEsLogName")
# What a local stack is called where a template says the name of its stack.
LOCAL_NAME = "lockstep"
LOCAL_NAMESPACE = f"Lockstep/{LOCAL_NAME}"
# As in template.yaml: an invocation may write that long after a switch of the aliases.
FUNCTION_TIMEOUT = dt.timedelta(seconds=60)


class Endpoints(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The URLs of the four services; None means the SDK's own address for the region.

    `search` is the URL of the search API, and `tablestore` that of a local Table Store; None if the
    stack has none.
    """

    kinesis: str | None
    dynamodb: str | None
    opensearch: str
    s3: str | None
    search: str | None = None
    tablestore: str | None = None


class LocalReplica(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The replica of a local stack: a table in its Table Store, and a bucket for its quarantine."""

    table: str
    bucket: str


class PictureStores(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the pictures of a stack are.

    Attributes:
        bucket: the bucket of the pictures. The key of a picture gives the id of its image.
        rows: the DynamoDB table with one row for each key (`lockstep/pictures/bucket/rows.py`).
        thumbnails: the bucket of the thumbnails; empty: the stack makes none.
    """

    bucket: str
    rows: str
    thumbnails: str = ""


class Stack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One running system: its endpoints and the names of its resources.

    `state` is the folder of a local stack, None for a deployed one. `index` is the alias for
    writing; readers use the alias `INDEX-live`, which hides tombstones. `functions` maps each
    consumer to its name in Lambda. `horizon_days` is how long its consumers keep
    tombstones; 0 if their release does not say it. `changes_stream` is the name of the Kinesis
    stream with the table's changes, also if there is none now. `table_mapping` is the UUID of the
    event source mapping of the table's consumer, as it is in the keys of failure documents.
    `definition_sha256` is the SHA-256 of the index mapping of the consumers' release; None for a
    local stack, which runs this release. `metrics_namespace` is the CloudWatch namespace of the
    functions' metrics; None for a local stack, whose functions write metrics into their logs only.
    `opensearch_signing` tells whether requests to the index are signed. `index_settings` is what
    the stack chooses for its index; stacks of earlier releases do not say it. `shard_rule` is the
    name of the rule in CloudWatch that counts the records of each shard; None if there is none.
    `log_groups` maps each consumer to its log group; a local stack, and stacks of earlier releases,
    have none. `log_hash_secret` is the ARN of the secret with which the logs hash the ids of
    images; empty: the logs have the ids. `search_facets` names the attributes that are facets of
    the search. `page` has the settings of the search page of a local stack, by the names of the
    fields of `PageSettings`; a deployed stack does not say them. `replica` is the replica of a
    local stack; None if it has none. The replica of a deployed stack is a stack of its own.
    `pictures` tells where its pictures are; None if it has no picture bucket. A local stack always
    has one.
    """

    endpoints: Endpoints
    stream: str
    table: str
    index: str
    bucket: str
    region: str
    functions: dict[str, str]
    state: str | None = None
    horizon_days: int = HORIZON.days
    index_from: IndexFrom = "Kinesis"
    changes_stream: str = ""
    table_mapping: str = ""
    definition_sha256: str | None = None
    metrics_namespace: str | None = None
    opensearch_signing: Signing = "no"
    index_settings: IndexSettings = IndexSettings()
    shard_rule: str | None = None
    log_groups: dict[str, str] = {}
    log_hash_secret: str = ""
    search_facets: tuple[str, ...] = ()
    page: dict[str, str] = {}
    replica: LocalReplica | None = None
    pictures: PictureStores | None = None

    @property
    def live(self) -> str:
        """The alias for reading."""
        return live_alias(self.index)

    def check_horizon(self) -> None:
        """Check that the consumers keep tombstones as long as this release relies on.

        Raises:
            HorizonTooShortError: they keep them for less, so that an old record can bring a
                deleted image back.
        """
        if self.horizon_days >= HORIZON.days:
            return
        how_long = f"{self.horizon_days} days" if self.horizon_days else "an unknown time"
        raise HorizonTooShortError(
            f"the stack's consumers keep tombstones for {how_long}, but this release relies on "
            f"{HORIZON.days} days: deploy this release first"
        )


class HorizonTooShortError(UserError):
    """The stack's consumers keep tombstones for less time than this release relies on."""


class StackNotFoundError(UserError):
    """A stack cannot be used; the message says what to do."""


class NoSuchStackError(StackNotFoundError):
    """The account and region have no stack of this name."""


class HintedFolder(Path):
    """The folder of the local stack, where a setting names a deployed one.

    A command that is typed without `--local` would be about that one.
    """


def command_for(words: str, name: str | None, state: Path) -> str:
    """The command to type for this stack, in backquotes."""
    if name is not None:
        return f"`lockstep {words} --stack {name}`"
    default = state.absolute() == STATE.absolute()
    if default and isinstance(state, HintedFolder):
        return f"`lockstep {words} --local`"
    return f"`lockstep {words}`" if default else f"`lockstep {words} --state {quote(str(state))}`"


def write_local(stack: Stack, state: Path) -> None:
    """Write the description of a local stack into its folder."""
    write_json(state / STACK, stack)


def read_local(state: Path) -> Stack:
    """The local stack that runs on this folder.

    Raises:
        StackNotFoundError: no stack runs there.
    """
    try:
        return msgspec.json.decode((state / STACK).read_bytes(), type=Stack)
    except FileNotFoundError:
        message = f"no local stack in {state}: start one with {command_for('up', None, state)}"
        raise StackNotFoundError(message) from None
    except OSError as error:
        message = (
            f"{state / 'stack.json'}: {error.strerror}: give the folder of the stack with --state"
        )
        raise StackNotFoundError(message) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        again = command_for("up", None, state)
        message = f"{state / 'stack.json'} is damaged ({error}): run {again} again"
        raise StackNotFoundError(message) from None


def stack_outputs(
    cloudformation: "CloudFormationClient", name: str, region: str
) -> Mapping[str, str]:
    """The outputs of a stack of CloudFormation.

    Raises:
        NoSuchStackError: the account and region have no such stack.
        StackNotFoundError: it cannot be read.
    """
    try:
        (described,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except cloudformation.exceptions.ClientError as error:
        said = error.response["Error"]
        message = f"no stack {name!r} in {region}: {said['Message']}"
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html
        is_missing = said["Code"] == "ValidationError"
        raise (NoSuchStackError if is_missing else StackNotFoundError)(message) from error
    return {one["OutputKey"]: one["OutputValue"] for one in described.get("Outputs", [])}


def read_deployed(cloudformation: "CloudFormationClient", name: str, region: str) -> Stack:
    """The stack that `sam deploy` created, by its CloudFormation outputs.

    Raises:
        NoSuchStackError: the account and region have no such stack.
        StackNotFoundError: it cannot be read, or it is not Lockstep.
    """
    outputs = stack_outputs(cloudformation, name, region)
    try:
        return Stack(
            endpoints=Endpoints(
                kinesis=None,
                dynamodb=None,
                opensearch=outputs["OpenSearchEndpoint"],
                s3=None,
                # Stacks of releases without the search API have no such output.
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
            # Stacks of earlier releases do not have these outputs.
            horizon_days=int(outputs.get("HorizonDays", "0")),
            index_from=msgspec.convert(outputs.get("IndexFrom", "Kinesis"), IndexFrom),
            changes_stream=outputs.get("TableChangesStreamName", ""),
            table_mapping=outputs["TableMappingId"],
            definition_sha256=outputs["MappingSha256"],
            # Before there was this output, all stacks of an account and region shared one.
            metrics_namespace=outputs.get("MetricsNamespace", "Lockstep"),
            opensearch_signing=msgspec.convert(outputs.get("OpenSearchSigning", "yes"), Signing),
            index_settings=IndexSettings(
                shards=int(outputs["IndexShards"]) if "IndexShards" in outputs else None,
                replicas=outputs.get("IndexReplicas"),
                refresh_interval=outputs.get("RefreshInterval"),
            ),
            shard_rule=outputs.get("ShardRule"),
            log_groups={
                name: outputs[output]
                for name, output in zip(CONSUMERS, _LOG_OUTPUTS, strict=True)
                if output in outputs
            },
            log_hash_secret=outputs.get("LogHashSecretArn", ""),
            search_facets=tuple(filter(None, outputs.get("SearchFacets", "").split(","))),
            pictures=_pictures(outputs),
        )
    except KeyError as missing:
        message = f"stack {name!r} has no output {missing}: deploy it from template.yaml"
        raise StackNotFoundError(message) from None


def _pictures(outputs: Mapping[str, str]) -> PictureStores | None:
    """The picture bucket and what belongs to it; None if the stack was deployed without it."""
    if "PictureBucketName" not in outputs:
        return None
    return PictureStores(
        bucket=outputs["PictureBucketName"],
        rows=outputs["PictureRowsTableName"],
        thumbnails=outputs.get("ThumbnailBucketName", ""),
    )
