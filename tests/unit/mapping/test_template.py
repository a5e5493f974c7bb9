"""The template's functions and mappings, as they are on one machine."""

from pathlib import Path

import msgspec
import pytest

from functions.write_to_tablestore.settings import Credentials, credentials_in, settings_in
from lockstep.local.mapping.intrinsics import TemplateError
from lockstep.local.mapping.settings import S3Bucket
from lockstep.local.mapping.template import FunctionMapping, function_mapping
from lockstep.local.replica import replica_parameters, with_local_secret
from lockstep.stack.stack import REPLICA_CONSUMER, Endpoints, IndexFrom, LocalReplica, Stack

STACK = Stack(
    endpoints=Endpoints(
        kinesis="http://127.0.0.1:1",
        dynamodb="http://127.0.0.1:2",
        opensearch="http://127.0.0.1:3",
        s3="http://127.0.0.1:4",
    ),
    stream="local-stream",
    table="local-table",
    index="local-index",
    bucket="local-bucket",
    region="eu-west-1",
    functions={},
    state=".lockstep",
)
PROJECT = Path(__file__).parents[3]
STREAM_ARN = "arn:aws:kinesis:eu-west-1:000000000000:stream/local-stream"

TEMPLATE = """
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {Runtime: python3.13, CodeUri: functions/, Timeout: 20}
Parameters:
  OpenSearchEndpoint: {Type: String, Default: ""}
  Batch: {Type: Number, Default: 7}
  Stage: {Type: String, Default: test}
Conditions:
  MakesDomain: !Equals [!Ref OpenSearchEndpoint, ""]
  HasDomain: !Not [!Condition MakesDomain]
  Both: !And [!Condition HasDomain, !Equals [!Ref Stage, test]]
  Either: !Or [!Condition MakesDomain, !Equals [!Ref Stage, test]]
  Never: !Equals [a, b]
Mappings:
  Days: {"7": {short: 3, long: 30}}
Resources:
  AnyStream: {Type: AWS::Kinesis::Stream, Properties: {ShardCount: 1}}
  AnyTable: {Type: AWS::DynamoDB::Table, Properties: {}}
  AnyBucket: {Type: AWS::S3::Bucket}
  Domain: {Type: AWS::OpenSearchService::Domain, Condition: MakesDomain}
  Role: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {}}}
  Probe:
    Type: AWS::Serverless::Function
    Properties:
      Handler: functions.probe.handler.handle
      Role: !GetAtt Role.Arn
      MemorySize: 256
      Environment:
        Variables:
          TABLE: !Ref AnyTable
          TABLE_ARN: !GetAtt AnyTable.Arn
          BUCKET: !Sub "s3://${AnyBucket}/${Stage}/${!kept}/${AWS::Region}"
          ENDPOINT: !If [MakesDomain, !GetAtt Domain.DomainEndpoint, !Ref OpenSearchEndpoint]
          BOTH: !If [Both, "yes", "no"]
          EITHER: !If [Either, "yes", "no"]
          ABSENT: !If [Never, "yes", !Ref AWS::NoValue]
          JOINED: !Join ["-", [a, !Ref Batch, !Select [1, [x, y]]]]
          SPLIT: !Select [2, !Split [":", !GetAtt AnyTable.Arn]]
          FOUND: !FindInMap [Days, !Ref Batch, long]
          SUBSTITUTED: !Sub ["${Given}/${AnyStream.Arn}", {Given: !Ref Stage}]
          FLAG: true
      Events:
        Records:
          Type: Kinesis
          Properties:
            Stream: !GetAtt AnyStream.Arn
            StartingPosition: TRIM_HORIZON
            BatchSize: !Ref Batch
            BisectBatchOnFunctionError: true
            FunctionResponseTypes: [ReportBatchItemFailures]
            DestinationConfig: {OnFailure: {Type: S3, Destination: !GetAtt AnyBucket.Arn}}
  Other:
    Type: AWS::Serverless::Function
    Properties:
      Handler: functions.other.handler.handle
      Role: !GetAtt Role.Arn
"""


def read(tmp_path: Path, text: str = TEMPLATE, name: str = "probe") -> FunctionMapping:
    path = tmp_path / "template.yaml"
    path.write_text(text)
    return function_mapping(path, name, STACK)


def test_the_function_sees_local_names_for_what_the_template_makes(tmp_path: Path) -> None:
    function = read(tmp_path).function

    assert function.environment == {
        "TABLE": "local-table",
        "TABLE_ARN": "arn:aws:dynamodb:eu-west-1:000000000000:table/local-table",
        "BUCKET": "s3://local-bucket/test/${kept}/eu-west-1",
        "ENDPOINT": "http://127.0.0.1:3",
        "BOTH": "yes",
        "EITHER": "yes",
        "JOINED": "a-7-y",
        "SPLIT": "dynamodb",
        "FOUND": "30",
        "SUBSTITUTED": f"test/{STREAM_ARN}",
        "FLAG": "true",
    }


def test_the_function_is_as_the_template_says(tmp_path: Path) -> None:
    function = read(tmp_path).function

    assert function.handler == "functions.probe.handler.handle"
    assert (function.name, function.deployed_name) == ("probe", "probe")
    assert (function.timeout, function.memory) == (20, 256)
    assert function.role_arn == "arn:aws:iam::000000000000:role/Role"


def test_the_mapping_is_as_the_template_says(tmp_path: Path) -> None:
    mapping = read(tmp_path)

    assert mapping.stream_arn == STREAM_ARN
    assert mapping.settings.batch_size == 7
    assert mapping.settings.bisect
    assert mapping.settings.reports_item_failures
    assert mapping.settings.on_failure == S3Bucket("local-bucket")


def test_an_alias_is_its_function(tmp_path: Path) -> None:
    aliased = "FunctionName: !Sub ${AWS::StackName}-probe\n      AutoPublishAlias: live"

    mapping = read(tmp_path, TEMPLATE.replace("MemorySize: 256", aliased))

    assert mapping.function.deployed_name == "lockstep-probe"
    assert mapping.function.name == "probe"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("BatchSize: !Ref Batch", "BatchSize: 0", "ProbeRecords: BatchSize: is 0, must be 1"),
        ("TABLE: !Ref AnyTable", "TABLE: !Ref Nothing", "TABLE: there is no Nothing"),
        ("!GetAtt AnyTable.Arn", "!GetAtt AnyTable.TableId", "AnyTable.TableId is not supported"),
        ("!Ref AnyTable", "!ImportValue x", "TABLE: Fn::ImportValue of 'x' cannot be resolved"),
        ("[Both,", "[Neither,", "there is no Neither"),
        ("Batch, long]", "Batch, wide]", "there is no Days.7.wide"),
        ("Stage: {Type: String, Default: test}", "Stage: {Type: String}", "Stage has no default"),
        ("Handler: functions.probe.", "Handler: functions.prob.", "no function has the Handler"),
        ("Stream: !GetAtt AnyStream.Arn", "Strean: x", "Probe"),
        ("Resources:", "Ressources:", "it has no Resources"),
        ("Globals:", "Globals: [", "expected"),
    ],
)
def test_an_error_says_where_the_template_is_wrong(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in TEMPLATE

    with pytest.raises(TemplateError, match=message):
        read(tmp_path, TEMPLATE.replace(old, new))


def test_a_function_without_a_stream_has_no_mapping(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="Other has 0 streams, must have one"):
        read(tmp_path, name="other")


def test_a_missing_template_is_named(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"nowhere\.yaml: .*--template"):
        function_mapping(tmp_path / "nowhere.yaml", "probe", STACK)


@pytest.mark.parametrize("name", ["write_to_dynamodb", "write_to_es"])
def test_the_projects_own_template_can_be_used_here(name: str) -> None:
    mapping = function_mapping(PROJECT / "template.yaml", name, STACK)

    assert mapping.stream_arn == STREAM_ARN
    assert mapping.settings.reports_item_failures
    assert mapping.settings.starting_position == "TRIM_HORIZON"
    assert mapping.settings.on_failure == S3Bucket("local-bucket")
    assert mapping.function.environment["QUARANTINE_BUCKET"] == "local-bucket"


@pytest.mark.parametrize(
    ("index_from", "stream_arn", "age"),
    [
        ("Kinesis", STREAM_ARN, 518_400),
        (
            "DynamoDBStreams",
            "arn:aws:dynamodb:eu-west-1:000000000000:table/local-table/stream/latest",
            72_000,
        ),
        (
            "KinesisDataStreamsForDynamoDB",
            "arn:aws:kinesis:eu-west-1:000000000000:stream/local-changes",
            518_400,
        ),
    ],
)
def test_the_index_is_fed_from_where_the_stack_says(
    index_from: IndexFrom, stream_arn: str, age: int
) -> None:
    stack = msgspec.structs.replace(STACK, index_from=index_from, changes_stream="local-changes")
    mapping = function_mapping(PROJECT / "template.yaml", "write_to_es", stack)
    assert (mapping.stream_arn, mapping.settings.age_seconds) == (stream_arn, age)
    from_changes = index_from == "KinesisDataStreamsForDynamoDB"
    named = "local-changes" if from_changes else "lockstep-table-changes"
    assert mapping.function.environment["TABLE_CHANGES_STREAM"] == named
    other = function_mapping(PROJECT / "template.yaml", "write_to_dynamodb", stack)
    assert other.stream_arn == STREAM_ARN


def test_the_consumer_of_the_replica_reads_the_stacks_table_and_has_its_own_bucket() -> None:
    stack = msgspec.structs.replace(
        STACK,
        endpoints=msgspec.structs.replace(STACK.endpoints, tablestore="http://127.0.0.1:5"),
        replica=LocalReplica("local_replica", "replica-bucket"),
    )
    mapping = with_local_secret(
        function_mapping(
            PROJECT / "template-tablestore.yaml",
            REPLICA_CONSUMER,
            stack,
            parameters=replica_parameters(stack),
        )
    )
    arn = "arn:aws:dynamodb:eu-west-1:000000000000:table/local-table/stream/latest"
    assert mapping.stream_arn == arn
    assert mapping.settings.on_failure == S3Bucket("replica-bucket")
    assert (mapping.settings.batch_size, mapping.settings.age_seconds) == (100, 72_000)
    environment = mapping.function.environment
    assert environment["QUARANTINE_BUCKET"] == "replica-bucket"
    settings = settings_in(environment)
    assert (settings.endpoint, settings.table) == ("http://127.0.0.1:5", "local_replica")
    assert settings.conversion.primary_key == ("image_id",)
    assert credentials_in(environment, None) == Credentials("local", "local")


def test_a_stack_without_a_replica_has_no_parameters_for_one() -> None:
    assert replica_parameters(STACK) == {}
