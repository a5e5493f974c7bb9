"""A stack's clients, each made when it is first used: the one place where clients are made.

A client's library is imported together with it, so that a command loads only what it uses.
"""

# ruff: noqa: PLC0415

from functools import cache, cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from doors.clock import SYSTEM_CLOCK
from lockstep.stack.stack import Stack
from shared.clock import Clock

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config
    from botocore.credentials import Credentials
    from opensearchpy import OpenSearch, Transport
    from opensearchpy.serializer import Deserializer
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_kinesis import KinesisClient
    from types_boto3_s3 import S3Client

# The access key and the secret key of a local stack. Its S3 accepts no others.
LOCAL_CREDENTIALS = "local"

# A redrive reads and writes so many objects at the same time.
S3_CONNECTIONS = 64

CONNECT_SECONDS = 3
READ_SECONDS = 30
# Few attempts: an operator waits for the result, or for the error.
_ATTEMPTS = 3
# A full shard refuses records for a second, and others wait for the same second.
_PATIENT_ATTEMPTS = 8
_CONNECTIONS = 10  # as botocore has by default

# A session makes one client at a time, and the local stacks of a process share theirs.
_MAKING_CLIENTS = Lock()


class Clients:
    """A stack, its clients, and the clock of the use case that they serve."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    @cached_property
    def clock(self) -> Clock:
        """The only clock of a use case, which never goes back."""
        return SYSTEM_CLOCK.steady()

    @cached_property
    def kinesis(self) -> "KinesisClient":
        """The client of the stream. It does not retry: the producer and the readers do."""
        from lockstep.stream.pages import decode_kinesis

        endpoint, config = self.stack.endpoints.kinesis, _config(attempts=1)
        with _MAKING_CLIENTS:
            client = self.session.client("kinesis", endpoint_url=endpoint, config=config)
        client.meta.events.register("before-parse.kinesis.GetRecords", decode_kinesis)
        return client

    @cached_property
    def producing(self) -> "KinesisClient":
        """The client of the stream that puts records, for the producer, which retries.

        It encodes each request once, and decodes the results fast.
        """
        from doors.encoding import encode_once
        from lockstep.producing.answers import decode_results

        endpoint = self.stack.endpoints.kinesis
        config = _config(attempts=1, validates=False)
        with _MAKING_CLIENTS:
            client = self.session.client("kinesis", endpoint_url=endpoint, config=config)
        encode_once(client, "PutRecords")
        client.meta.events.register("before-parse.kinesis.PutRecords", decode_results)
        return client

    @cached_property
    def putting_one(self) -> "KinesisClient":
        """The client of the stream that puts single records. It retries: twice is as good."""
        endpoint, config = self.stack.endpoints.kinesis, _config(attempts=_PATIENT_ATTEMPTS)
        with _MAKING_CLIENTS:
            return self.session.client("kinesis", endpoint_url=endpoint, config=config)

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """The client of the table. It decodes items fast."""
        from lockstep.stores.item_decoding import decode_items

        client = self.new_dynamodb()
        decode_items(client)
        return client

    def new_dynamodb(self) -> "DynamoDBClient":
        """Another client of the table, for a caller that changes how answers are decoded."""
        endpoint = self.stack.endpoints.dynamodb
        with _MAKING_CLIENTS:
            return self.session.client("dynamodb", endpoint_url=endpoint, config=_config())

    @cached_property
    def dynamodbstreams(self) -> Any:
        """The client of the table's stream. It does not retry: the readers do."""
        from lockstep.stream.pages import decode_table

        endpoint, config = self.stack.endpoints.dynamodb, _config(attempts=1)
        with _MAKING_CLIENTS:
            client = self.session.client("dynamodbstreams", endpoint_url=endpoint, config=config)
        client.meta.events.register("before-parse.dynamodb-streams.GetRecords", decode_table)
        return client

    @cached_property
    def s3(self) -> "S3Client":
        """The client of the quarantine's bucket."""
        endpoint = self.stack.endpoints.s3
        # A local S3 checks a signed content in memory, so a large part needs much of it. It checks
        # the checksum of a part in any case.
        config = _config(connections=S3_CONNECTIONS, signs_contents=endpoint is None)
        with _MAKING_CLIENTS:
            return _without_expect(self.session.client("s3", endpoint_url=endpoint, config=config))

    @cached_property
    def cloudwatch(self) -> "CloudWatchClient":
        """The client of a deployed stack's metrics; a local stack has none."""
        with _MAKING_CLIENTS:
            return self.session.client("cloudwatch", config=_config())

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        """The client of CloudFormation, for a deployed stack; a local stack has none."""
        with _MAKING_CLIENTS:
            return self.session.client("cloudformation", config=_config())

    @cached_property
    def sns(self) -> Any:
        """The client of a deployed stack's topics; a local stack has none."""
        with _MAKING_CLIENTS:
            return self.session.client("sns", config=_config())

    @cached_property
    def lambda_(self) -> Any:
        """The client of a deployed stack's functions; a local stack has none."""
        with _MAKING_CLIENTS:
            return self.session.client("lambda", config=_config())

    @cached_property
    def logs(self) -> Any:
        """The client of a deployed stack's logs; a local stack has files."""
        with _MAKING_CLIENTS:
            return self.session.client("logs", config=_config())

    @cached_property
    def secrets(self) -> Any:
        """The client of Secrets Manager, for a deployed stack; a local stack has no secrets."""
        with _MAKING_CLIENTS:
            return self.session.client("secretsmanager", config=_config())

    @cached_property
    def sts(self) -> Any:
        """The client that tells who the caller is; a local stack has none."""
        with _MAKING_CLIENTS:
            return self.session.client("sts", config=_config())

    def messaging(self, service: Literal["sqs", "sns"], endpoint: str) -> Any:
        """A client of SQS or SNS at this endpoint: a stack has no queue or topic of its own."""
        with _MAKING_CLIENTS:
            return self.session.client(service, endpoint_url=endpoint, config=_config())

    @cached_property
    def opensearch(self) -> "OpenSearch":
        """The client of the index.

        Its first request raises EngineRefusedError if Lockstep cannot use the engine.
        """
        return self.new_opensearch()

    def new_opensearch(self, deserializer: "Deserializer | None" = None) -> "OpenSearch":
        """Another client of the index, which decodes answers by this deserializer."""
        from doors.opensearch_py import import_opensearch_py

        import_opensearch_py()
        from doors.opensearch import signing_credentials
        from functions.write_to_es.connect import connect

        client = connect(
            self.stack.endpoints.opensearch,
            self.stack.region,
            signing_credentials(
                self._credentials,
                self.stack.region,
                self.stack.opensearch_signing,
            ),
            transport=self._checking_transport,
        )
        if deserializer is not None:
            client.transport.deserializer = deserializer
        return client

    def _credentials(self) -> "Credentials | None":
        """Credentials to sign with. A local stack asks for none, and so loads no boto3."""
        return self.session.get_credentials()

    @cached_property
    def _checking_transport(self) -> "type[Transport]":
        from lockstep.stack.engine import checking_transport

        return checking_transport()

    @cached_property
    def session(self) -> "boto3.Session":
        """The session of all clients. A local stack ignores the user's AWS profile."""
        if self.stack.state is not None:
            return _local_session(self.stack.region)
        import boto3

        return boto3.Session(region_name=self.stack.region)


class AlarmClients:
    """The clients for the alarms of any deployed stack, and the clock of their use case."""

    def __init__(self, session: "boto3.Session") -> None:
        self.session = session
        self.region = session.region_name
        self.clock = SYSTEM_CLOCK.steady()

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        """The client of CloudFormation."""
        return self.session.client("cloudformation", config=_config())

    @cached_property
    def cloudwatch(self) -> "CloudWatchClient":
        """The client of the alarms."""
        return self.session.client("cloudwatch", config=_config())

    @cached_property
    def sns(self) -> Any:
        """The client of the topics."""
        return self.session.client("sns", config=_config())


class ReplicaClients:
    """The clients of a deployed stack of `template-tablestore.yaml`, and the clock of its use case.

    A source that is scanned in many segments gets as many connections.
    """

    def __init__(self, session: "boto3.Session", connections: int = _CONNECTIONS) -> None:
        self.session = session
        self.region = session.region_name
        self.clock = SYSTEM_CLOCK.steady()
        self._connections = connections

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        """The client of CloudFormation."""
        return self.session.client("cloudformation", config=_config())

    @cached_property
    def lambda_(self) -> Any:
        """The client of the stack's function."""
        return self.session.client("lambda", config=_config())

    @cached_property
    def s3(self) -> "S3Client":
        """The client of the bucket of the consumer's quarantine."""
        return _without_expect(
            self.session.client("s3", config=_config(connections=S3_CONNECTIONS))
        )

    @cached_property
    def cloudwatch(self) -> "CloudWatchClient":
        """The client of the metrics."""
        return self.session.client("cloudwatch", config=_config())

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """The client of the source. It decodes items fast."""
        from lockstep.stores.item_decoding import decode_items

        client = self.session.client("dynamodb", config=_config(connections=self._connections))
        decode_items(client)
        return client


@cache
def _local_session(region: str) -> "boto3.Session":
    """One session for all local stacks of a process: a new one reads large descriptions again."""
    import boto3
    import botocore.session

    no_profile: Any = {"profile": (None, None, None, None)}
    return boto3.Session(
        region_name=region,
        aws_access_key_id=LOCAL_CREDENTIALS,
        aws_secret_access_key=LOCAL_CREDENTIALS,
        botocore_session=botocore.session.Session(session_vars=no_profile),
    )


def _without_expect(client: "S3Client") -> "S3Client":
    from doors.quarantine import disable_expect_header

    disable_expect_header(client)
    return client


def _config(
    attempts: int = _ATTEMPTS,
    connections: int = _CONNECTIONS,
    *,
    validates: bool = True,
    signs_contents: bool = True,
) -> "Config":
    from botocore.config import Config

    return Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": attempts},
        s3={"addressing_style": "path"}
        if signs_contents
        else {"addressing_style": "path", "payload_signing_enabled": False},
        parameter_validation=validates,
    )
