"""Each function needs exactly the rights of its role; what Lambda itself uses is AWS's own list."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import msgspec
import pytest

from doors import stream
from doors.clock import SYSTEM_CLOCK
from functions.search_images import handler as search
from functions.write_to_dynamodb import handler as table
from functions.write_to_dynamodb.table_on_deployment import accept
from functions.write_to_es import handler as index
from functions.write_to_es import watcher
from functions.write_to_es.connect import connect
from functions.write_to_es.engine import check_engine
from functions.write_to_es.index import definition, ensure_index
from functions.write_to_es.settings import IndexSettings
from functions.write_to_tablestore import purge_handler
from lockstep.local.mapping.invocation import stream_arn
from lockstep.local.mapping.translation import translated
from lockstep.make_thumbnails import handler as make_thumbnails
from lockstep.nightly import handler as nightly
from lockstep.pictures_to_events import handler as pictures_to_events
from lockstep.stack.stack import LOCAL_REGION, IndexFrom
from tests.builders import CHANGES_STREAM, image, image_event, kinesis_records, restored_table
from tests.contract.repair.hand import Hand, a_change
from tests.gate.commands import differing
from tests.gate.conftest import GatedStack
from tests.gate.evaluator import Call, allows, listed
from tests.gate.invocation import Invocation
from tests.gate.picture_functions import draw, look, picture_environment
from tests.gate.policies import ACCESS_KEY, EXAMPLE, KEY, rendered
from tests.gate.replica import a_replica, put_tombstone, replicated, row_of
from tests.gate.requests import RESTORED
from tests.package.tools import REPLICA_TEMPLATE, TEMPLATE
from tools.sample_events import requests

# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSLambdaKinesisExecutionRole.html
# without ListStreams, which names no stream, and SubscribeToShard, which is for enhanced fan-out.
KINESIS_READS = {
    "kinesis:DescribeStream",
    "kinesis:DescribeStreamSummary",
    "kinesis:GetRecords",
    "kinesis:GetShardIterator",
    "kinesis:ListShards",
}
# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSLambdaDynamoDBExecutionRole.html
TABLE_STREAM_READS = {
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
}
# https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
DESTINATION = {"s3:ListBucket", "s3:PutObject"}
# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSLambdaBasicExecutionRole.html
# without CreateLogGroup: the stack has the groups.
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSXRayDaemonWriteAccess.html
# without the rights to read rules of sampling.
TRACES = {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}
# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSLambdaSQSQueueExecutionRole.html
# without the logs, which have rights of their own here.
QUEUE_READS = {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}
# The customer's key: reading the stream, and writing failure documents.
WITH_KEY = {"kms:Decrypt"}

type Pair = tuple[str, str]
type Documents = Sequence[Mapping[str, Any]]


_VERSIONS = count(2)


class Function(NamedTuple):
    """The role of a function, and a run of its code that raises if it fails.

    `not_its_own`: actions of the role that only Lambda uses, to read the stream, to write failure
    documents, logs and traces. `index_from` and `parameters` are those of the stack, which is
    deployed from `template`. `prepare` brings a stack into a state in which the function uses each
    of its rights.
    """

    role: str
    run: Callable[[GatedStack], None]
    not_its_own: AbstractSet[str]
    index_from: IndexFrom = "Kinesis"
    parameters: Mapping[str, str] = {}
    prepare: Callable[[GatedStack], None] = lambda _: None
    template: Path = TEMPLATE


def _consume(handle: Callable[..., Any], check: Callable[[], None], _: GatedStack) -> None:
    """An upload, an update, what can never be applied; then all of it again."""
    events = (
        image_event(f"N{next(_VERSIONS)}", 1, "image.uploaded"),
        image_event("T0", next(_VERSIONS), "image.updated", image=image("updated")),
        b"{",
    )
    for _again in range(2):
        answer = handle({"Records": kinesis_records(*events)}, Invocation())
        assert answer == {"batchItemFailures": []}, answer
    # Before a refusal of the store counts, the function looks at the store's definition.
    check()


def _search(_: GatedStack) -> None:
    samples = requests()
    for name, status in (("search.json", 200), ("no-such-image.json", 404)):
        answer = search.handle(msgspec.to_builtins(samples[name]), Invocation())
        assert answer["statusCode"] == status, answer


def _deploy(gated: GatedStack) -> None:
    """It makes an index, changes a setting, and completes an index of an earlier release."""
    alias, engine = gated.stage.stack.index, gated.stage.clients.opensearch
    client = connect(gated.urls["opensearch"], None, None)
    engine.indices.delete(index=f"{alias}-*")
    check_engine(client.transport)
    ensure_index(client, alias, IndexSettings(1, "auto", "1s"))
    ensure_index(client, alias, IndexSettings(5, "1", "2s"))
    engine.indices.delete(index=f"{alias}-*")
    whole = definition()
    fields = {name: its for name, its in whole["mappings"]["properties"].items() if name != "tags"}
    engine.indices.create(
        index=f"{alias}-000007",
        body={
            "mappings": whole["mappings"] | {"properties": fields},
            "settings": whole["settings"],
            "aliases": {alias: {"is_write_index": True}},
        },
    )
    ensure_index(client, alias)


def _watch(gated: GatedStack) -> None:
    """The index is empty, so that it looks at the table, too."""
    engine, alias = gated.stage.clients.opensearch, gated.stage.stack.index
    engine.delete(index=alias, id="T0", params={"refresh": "true"}, ignore=404)
    session, stack = boto3.Session(), gated.stage.stack
    client = connect(gated.urls["opensearch"], None, None)
    dynamodb, now = session.client("dynamodb"), dt.datetime.now(dt.UTC)
    found = watcher.index_metrics(client, dynamodb, stack.index, stack.table, now.timestamp())
    assert found == {"AliasProblems": ("Count", 0), "IndexEmpty": ("Count", 1)}
    watcher.bucket_metrics(session.client("s3"), stack.bucket, now)


# A given table of the stack.
GIVEN = f"{RESTORED}-and-given"


def _accept(gated: GatedStack) -> None:
    """It accepts a prepared table, and sends the table's changes to the stream it just made."""
    with gated.everything_allowed():
        dynamodb = gated.stage.clients.dynamodb
        if GIVEN in dynamodb.list_tables()["TableNames"]:
            dynamodb.update_table(TableName=GIVEN, DeletionProtectionEnabled=False)
            dynamodb.delete_table(TableName=GIVEN)
        restored_table(dynamodb, GIVEN)
        gated.recorded.settings.clear()
        assert gated.lockstep("prepare", GIVEN, "--apply").exit_code == 0
        stream = dynamodb.describe_table(TableName=GIVEN)["Table"]["LatestStreamArn"]
    told = {
        "TableName": GIVEN,
        "TableStreamArn": stream,
        "StackName": "lockstep",
        "ChangesStreamArn": stream_arn(CHANGES_STREAM, gated.stage.stack.region),
    }
    assert accept(boto3.client("dynamodb"), told) == f"table {GIVEN} is prepared"


def _audit(gated: GatedStack) -> None:
    """A whole audit, from its beginning: differences, quarantined records, acknowledged losses."""
    stage = gated.stage
    for key in stage.keys("audits/"):
        stage.clients.s3.delete_object(Bucket=stage.stack.bucket, Key=key)
    answer = nightly.handle({}, Invocation(600))
    assert answer["done"] == "ended", answer
    report = stage.body(f"audits/reports/{answer['run']}.json")
    assert report["audit"]["result"] == "different", report
    # What could not be read besides is a warning.
    assert report["audit"]["warnings"] == [], report


def _purge_replica(gated: GatedStack) -> None:
    """It goes on from where it stopped, deletes a tombstone, and stops again before the end."""
    with a_replica(gated) as client:
        for at in range(101):  # a limited purge looks at 100 rows
            put_tombstone(client, f"T{at:03d}")
        bucket, begin = gated.stage.stack.bucket, '[{"image_id":{"S":"T000"}}]'
        kept = msgspec.json.encode({"table": "images", "position": begin})
        with gated.everything_allowed():
            gated.stage.clients.s3.put_object(Bucket=bucket, Key=purge_handler.POSITION, Body=kept)
        # One page, and the request that deletes what it has.
        left = [purge_handler.MARGIN_SECONDS + 1.0] * 2
        done = purge_handler.purge(
            {**gated.recorded.replica, "PURGE_READ_UNITS": "1000000"},
            boto3.client,
            SYSTEM_CLOCK,
            remaining=lambda: left.pop() if left else 0,
            logger=purge_handler.logger,
            metrics=purge_handler.metrics,
        )
        assert (done.purged, done.finished) == (100, False), done
        assert row_of(client, "T100") is not None
    with gated.everything_allowed():
        found = gated.stage.clients.s3.get_object(Bucket=bucket, Key=purge_handler.POSITION)
        assert b"T100" in found["Body"].read()
        gated.stage.clients.s3.delete_object(Bucket=bucket, Key=purge_handler.POSITION)


OF_A_CONSUMER = KINESIS_READS | DESTINATION | LOGS | TRACES | WITH_KEY
FUNCTIONS = {
    "WriteToDynamodb": Function(
        "WriteToDynamodbRole",
        partial(_consume, table.handle, lambda: table.table().check()),
        OF_A_CONSUMER,
    ),
    "WriteToEs": Function(
        "WriteToEsRole",
        partial(_consume, index.handle, lambda: index.index().check()),
        OF_A_CONSUMER,
    ),
    # With pictures, it may also read what the links lead to: tests/package/test_thumbnails.py.
    "SearchImages": Function(
        "SearchImagesRole", _search, LOGS | TRACES, parameters={"Pictures": "no"}
    ),
    "IndexOnDeployment": Function("IndexOnDeploymentRole", _deploy, LOGS | TRACES),
    "StackWatcher": Function(
        "StackWatcherRole", _watch, LOGS | TRACES, parameters={"AlarmEmail": "a@example.com"}
    ),
    "NightlyAudit": Function("NightlyAuditRole", _audit, LOGS | TRACES, prepare=differing),
    "PicturesToEvents": Function(
        "PicturesToEventsRole", look, QUEUE_READS | LOGS | TRACES, parameters={"Pictures": "yes"}
    ),
    "MakeThumbnails": Function(
        "MakeThumbnailsRole", draw, QUEUE_READS | LOGS | TRACES, parameters={"Pictures": "yes"}
    ),
    "ReplicaPurge": Function(
        "ReplicaPurgeRole",
        _purge_replica,
        LOGS | TRACES,
        parameters={"OtsSecretArn": ACCESS_KEY},
        prepare=replicated,
        template=REPLICA_TEMPLATE,
    ),
    "TableOnDeployment": Function(
        "TableOnDeploymentRole",
        _accept,
        LOGS | TRACES,
        "KinesisDataStreamsForDynamoDB",
        {"TableName": GIVEN},
    ),
}


@contextmanager
def environment(gated: GatedStack, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The variables that the template gives the functions, and clients that see them."""
    stack = gated.stage.stack
    variables = {
        "TABLE_NAME": stack.table,
        "QUARANTINE_BUCKET": stack.bucket,
        "OPENSEARCH_ENDPOINT": gated.urls["opensearch"],
        "OPENSEARCH_SIGNING": "no",
        "INDEX_ALIAS": stack.index,
        "LIVE_ALIAS": stack.live,
        "STACK_NAME": "lockstep",
        "AUDIT_HOUR": "2",
        "AUDIT_READ_UNITS": "100000",
        "POWERTOOLS_SERVICE_NAME": "gate",
        "POWERTOOLS_METRICS_NAMESPACE": "Lockstep/gate",
        "POWERTOOLS_LOG_LEVEL": "CRITICAL",
        "AWS_DEFAULT_REGION": stack.region,
    }
    # It reads its variables at the import.
    for metrics in (stream.metrics, nightly.metrics, purge_handler.metrics):
        patch.setattr(metrics.provider, "namespace", "Lockstep/gate")
    with patch.context() as patched:
        for name, value in (gated.environment | variables | picture_environment(gated)).items():
            patched.setenv(name, value)
        clients = (
            stream.quarantine,
            table.table,
            index.index,
            search.stores,
            pictures_to_events.work,
            pictures_to_events.readers,
            make_thumbnails.work,
        )
        for made in clients:
            made.cache_clear()
        yield
        pictures_to_events.readers().close()
        for made in clients:
            made.cache_clear()


def _pairs(documents: Documents) -> set[Pair]:
    return {
        (action, resource)
        for document in documents
        for statement in document["Statement"]
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }


def _without(documents: Documents, pair: Pair) -> Documents:
    """The same policies but for one action on one resource; what is denied stays."""
    denied = [one for it in documents for one in it["Statement"] if one["Effect"] == "Deny"]
    allowed = [
        {"Effect": "Allow", "Action": action, "Resource": resource}
        for action, resource in _pairs(documents) - {pair}
    ]
    return [{"Statement": [*denied, *allowed]}]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_needs_exactly_the_rights_of_its_role(
    new_gated: Callable[[], GatedStack],
    template: Mapping[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    function, gated = FUNCTIONS[name], new_gated()
    Hand(gated.stage).write_both(a_change("T0", 1, "first"))
    if function.template != TEMPLATE:
        template = translated(function.template, LOCAL_REGION)
    stack = msgspec.structs.replace(gated.stage.stack, index_from=function.index_from)
    more = {"KmsKeyArn": KEY, "Tracing": "yes", **function.parameters}
    policies = rendered(template, stack, **more)
    function.prepare(gated)
    documents = policies.of_role(function.role)
    assert _wrong(function, documents, gated, monkeypatch) is None
    assert gated.gate.refused == set()
    asked = set(gated.gate.asked)
    lambdas = set()
    for pair in sorted(_pairs(documents)):
        if any(allows(_only(pair), call) for call in asked):
            wrong = _wrong(function, _without(documents, pair), gated, monkeypatch)
            assert wrong is not None, f"{name} does not need {pair}"
            assert gated.gate.refused, wrong
        else:
            lambdas.add(pair[0])
    assert lambdas <= function.not_its_own
    assert {one for one, _ in _pairs(documents)} >= function.not_its_own


def test_the_search_uses_nothing_that_the_key_of_stream_and_quarantine_encrypts(
    new_gated: Callable[[], GatedStack],
    template: Mapping[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So its role has no right to use `KmsKeyArn`, without links to pictures.

    The key of the table comes with `TableKeyPolicy`. OpenSearch Service and CloudWatch Logs use
    theirs by themselves.
    """
    search_images, gated = FUNCTIONS["SearchImages"], new_gated()
    Hand(gated.stage).write_both(a_change("T0", 1, "first"))
    policies = rendered(template, gated.stage.stack, KmsKeyArn=KEY, Pictures="no")
    documents = policies.of_role(search_images.role)
    assert _wrong(search_images, documents, gated, monkeypatch) is None
    assert {call.action.partition(":")[0] for call in gated.gate.asked} == {"dynamodb", "es"}
    assert not any(action.startswith("kms:") for action, _ in _pairs(documents))


def test_lambda_may_do_for_each_source_of_the_index_what_aws_lists(
    template: Mapping[str, Any],
) -> None:
    """What the event source mapping does with the role of the function."""
    changes = "arn:aws:kinesis:us-east-1:000000000000:stream/changes"
    table_streams = "arn:aws:dynamodb:us-east-1:000000000000:table/table/stream/*"
    sources: Sequence[tuple[IndexFrom, set[Pair]]] = (
        ("KinesisDataStreamsForDynamoDB", {(one, changes) for one in KINESIS_READS}),
        (
            "DynamoDBStreams",
            {
                (one, "*" if one == "dynamodb:ListStreams" else table_streams)
                for one in TABLE_STREAM_READS
            },
        ),
    )
    for source, reads in sources:
        stack = msgspec.structs.replace(EXAMPLE, index_from=source)
        allowed = _pairs(rendered(template, stack).of_role("WriteToEsRole"))
        assert {one for one in allowed if one[0].startswith(("kinesis:", "dynamodb:"))} == reads


def test_a_failure_document_is_written_where_only_its_mapping_may(
    template: Mapping[str, Any],
) -> None:
    policies = rendered(template, EXAMPLE)
    for role, may in (("WriteToDynamodbRole", True), ("WriteToEsRole", False)):
        for mapping, is_allowed in (("WriteToDynamodbStream", may), ("another", True)):
            document = Call("s3:PutObject", f"arn:aws:s3:::bucket/aws/lambda/{mapping}/a/b")
            assert allows(policies.of_role(role), document) == is_allowed


def _wrong(
    function: Function, documents: Documents, gated: GatedStack, patch: pytest.MonkeyPatch
) -> Exception | None:
    """How a run with these policies fails; None if it does not."""
    gated.gate.policies = documents
    gated.gate.forget()
    with environment(gated, patch):
        try:
            function.run(gated)
        except Exception as error:  # noqa: BLE001 - whichever way it fails
            return error
    return None


def _only(pair: Pair) -> Documents:
    return [{"Statement": [{"Effect": "Allow", "Action": pair[0], "Resource": pair[1]}]}]
