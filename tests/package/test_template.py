"""The template, as CloudFormation gets it: linted, least privilege, nothing lost on the way."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from functions.search_images import handler
from functions.write_to_es.roles import ROLE_NAMES
from functions.write_to_es.settings import IndexSettings
from lockstep.audit.audit import WATERMARK
from lockstep.audit.pieces.pieces import KEEP_ALIVE
from lockstep.audit.pieces.state import REPORTS, STATE, WORK
from lockstep.local.services import (
    REFRESH_INTERVAL,
    ResourceNames,
    python_service,
    stack_of,
)
from lockstep.nightly.handler import MARGIN_SECONDS
from lockstep.repair.replaced import REPLACED
from lockstep.stack.stack import FUNCTION_TIMEOUT, read_deployed
from shared.horizon import HORIZON, LONGEST_RETENTION, QUARANTINE_AGE
from shared.item import STREAM_VIEW
from tests.gate.evaluator import Call, allows, listed
from tests.gate.policies import EXAMPLE, rendered
from tests.package.resources import (
    NO_VALUE,
    USUAL,
    arn_of,
    attached_to,
    permissions_of,
    permissions_of_role,
    plain,
    properties_of,
    resources_of,
    value_under,
)
from tests.package.tools import ROOT, cfn_lint, sam
from tools.template.rendering import render

type Template = Mapping[str, Any]

# The properties that set the name of a resource of its account and region, or of all of AWS.
PHYSICAL_NAMES = {"BucketName", "Domain", "DomainName", "FunctionName", "GroupName", "LogGroupName"}
PHYSICAL_NAMES |= {"IdentityPoolName", "ManagedPolicyName", "Name", "RoleName", "StreamName"}
PHYSICAL_NAMES |= {"TableName", "UserPoolName"}
# They name another resource, or are a part of one.
NAMED_INSIDE_ANOTHER = {
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Permission",
    "Custom::PreparedTable",
}
# What each function that uses the index needs.
INDEX = {"OPENSEARCH_ENDPOINT", "OPENSEARCH_SIGNING"}
CHANGES_STREAM_NAME = {"Fn::Sub": "${AWS::StackName}-table-changes"}
TRACE = {("xray:PutTelemetryRecords", "*"), ("xray:PutTraceSegments", "*")}


def test_cfn_lint_finds_nothing_in_what_is_rendered(template: Template, tmp_path: Path) -> None:
    assert cfn_lint(template, tmp_path) == ""


def test_sam_finds_nothing_in_the_template() -> None:
    assert "is a valid SAM Template" in sam("validate", "--lint")


def test_no_policy_of_awss_own_is_attached(template: Template) -> None:
    assert "AWSLambdaKinesisExecutionRole" not in json.dumps(template)
    attached = {
        role: attached_to(role_properties, USUAL)
        for role, role_properties in resources_of(template, "AWS::IAM::Role").items()
    }
    assert attached == {
        "WriteToDynamodbRole": [{"Ref": "ConsumerPolicy"}],
        "WriteToEsRole": [{"Ref": "ConsumerPolicy"}],
        "IndexOnDeploymentRole": [],
        "SearchImagesRole": [],
        "StackWatcherRole": [],
        "TableOnDeploymentRole": [],
        "NightlyAuditRole": [],
        "MakeThumbnailsRole": [],
        "PicturesToEventsRole": [],
        "BackupRole": [],
        "DashboardsReaderRole": [],
        "DashboardsSignInRole": [],
    }


IN_VPC = frozenset(
    {"WriteToEs", "IndexOnDeployment", "SearchImages", "StackWatcher", "NightlyAudit"}
)


def test_in_a_vpc_are_the_functions_that_use_the_index_and_no_others(template: Template) -> None:
    chosen = {"InVpc", "FromKinesis"}
    for name, properties in resources_of(template, "AWS::Lambda::Function").items():
        network = value_under(properties.get("VpcConfig", NO_VALUE), chosen)
        role = properties_of(template, f"{name}Role")
        reaches = {"Ref": "NetworkPolicy"} in attached_to(role, chosen)
        assert reaches == (name in IN_VPC) == (network != NO_VALUE)
        if network != NO_VALUE:
            assert network == {
                "SubnetIds": {"Fn::Split": [",", {"Ref": "SubnetIds"}]},
                "SecurityGroupIds": {"Fn::Split": [",", {"Ref": "SecurityGroupIds"}]},
            }
            assert value_under(properties["VpcConfig"], USUAL) == NO_VALUE


@pytest.mark.parametrize("instances", [1, 2, 3])
def test_a_new_domain_in_a_vpc_has_a_subnet_for_each_zone_and_the_functions_groups(
    template: Template, instances: int
) -> None:
    """https://docs.aws.amazon.com/opensearch-service/latest/developerguide/vpc.html#vpc-architecture"""
    network = {
        "SubnetIds": "subnet-0a,subnet-0b,subnet-0c",
        "SecurityGroupIds": "sg-0d,sg-0e",
        "OpenSearchInstanceCount": str(instances),
        "AlarmEmail": "somebody@example.com",
    }
    resources = render(template, network)
    domain = resources["ImageDomain"]["Properties"]
    zones = domain["ClusterConfig"].get("ZoneAwarenessConfig", {"AvailabilityZoneCount": 1})
    groups = ["sg-0d", "sg-0e"]
    subnets = ["subnet-0a", "subnet-0b", "subnet-0c"]
    assert domain["VPCOptions"] == {"SubnetIds": subnets[:instances], "SecurityGroupIds": groups}
    assert zones["AvailabilityZoneCount"] == instances
    for function in IN_VPC:
        its = resources[function]["Properties"]["VpcConfig"]
        assert its == {"SubnetIds": subnets, "SecurityGroupIds": groups}
    # What does not use the index needs no network.
    assert "VpcConfig" not in resources["WriteToDynamodb"]["Properties"]


def test_a_domain_is_not_in_a_vpc_unless_a_network_is_given(template: Template) -> None:
    assert "VPCOptions" not in render(template, {})["ImageDomain"]["Properties"]
    too_few = {"SubnetIds": "subnet-0a", "SecurityGroupIds": "sg-0d"}
    with pytest.raises(IndexError):  # CloudFormation refuses such a `Fn::Select`, too
        render(template, {**too_few, "OpenSearchInstanceCount": "2"})


def test_the_code_of_a_function_may_not_change_the_network(template: Template) -> None:
    """As https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html advises."""
    (statement,) = properties_of(template, "NetworkPolicy")["PolicyDocument"]["Statement"]
    assert statement["Condition"] == {"Null": {"lambda:SourceFunctionArn": "true"}}
    # https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSLambdaVPCAccessExecutionRole.html
    assert {action.removeprefix("ec2:") for action in statement["Action"]} == {
        "AssignPrivateIpAddresses",
        "CreateNetworkInterface",
        "DeleteNetworkInterface",
        "DescribeNetworkInterfaces",
        "DescribeSubnets",
        "UnassignPrivateIpAddresses",
    }
    assert template["Resources"]["NetworkPolicy"]["Condition"] == "InVpc"


READ_KINESIS = (
    "kinesis:DescribeStream",
    "kinesis:DescribeStreamSummary",
    "kinesis:GetRecords",
    "kinesis:GetShardIterator",
    "kinesis:ListShards",
)
READ_TABLE_STREAM = (
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
)
READ_IMAGE_STREAM = {(action, "ImageStream.Arn") for action in READ_KINESIS}

CONSUMER = TRACE | {
    ("kms:Decrypt", "KmsKeyArn"),
    ("kms:GenerateDataKey", "KmsKeyArn"),
    ("s3:ListBucket", "QuarantineBucket.Arn"),
    ("s3:PutObject", "${QuarantineBucket.Arn}/aws/lambda/*"),
}


def test_the_tables_consumer_may_do_what_it_does_and_no_more(template: Template) -> None:
    assert permissions_of(template, "WriteToDynamodb") == CONSUMER | READ_IMAGE_STREAM | {
        ("dynamodb:DescribeTable", "ImageTable.Arn"),
        ("dynamodb:PartiQLInsert", "ImageTable.Arn"),
        ("dynamodb:PartiQLUpdate", "ImageTable.Arn"),
        ("logs:CreateLogStream", "WriteToDynamodbLog.Arn"),
        ("logs:PutLogEvents", "WriteToDynamodbLog.Arn"),
        ("s3:PutObject", "${QuarantineBucket.Arn}/quarantine/write_to_dynamodb/*"),
    }


@pytest.mark.parametrize(
    ("condition", "reads"),
    [
        ("FromKinesis", READ_IMAGE_STREAM),
        (
            "FromTableStream",
            {("dynamodb:ListStreams", "*")}
            | {(one, "${ImageTable.Arn}/stream/*") for one in READ_TABLE_STREAM},
        ),
        ("FromChangesStream", {(one, "TableChangesStream.Arn") for one in READ_KINESIS}),
    ],
)
def test_the_indexs_consumer_reads_its_one_stream_and_may_do_no_more(
    template: Template, condition: str, reads: set[tuple[str, str]]
) -> None:
    assert permissions_of(
        template, "WriteToEs", {"HasKey", "HasDashboards", "MakesTable", "Traces", condition}
    ) == CONSUMER | reads | {
        ("es:ESHttpGet", "domain:${IndexAlias}"),
        ("es:ESHttpPost", "domain:${IndexAlias}/_bulk"),
        ("es:ESHttpPost", "domain:${IndexAlias}/_mget"),
        ("logs:CreateLogStream", "WriteToEsLog.Arn"),
        ("logs:PutLogEvents", "WriteToEsLog.Arn"),
        ("s3:PutObject", "${QuarantineBucket.Arn}/quarantine/write_to_es/*"),
    }


def test_the_indexs_role_may_not_write_documents_of_the_tables_mapping(template: Template) -> None:
    """Not even through the policy that both consumers share; no role may overwrite a Deny."""
    (denied,) = resources_of(template, "AWS::IAM::Policy").values()
    assert denied["Roles"] == [{"Ref": "WriteToEsRole"}]
    (statement,) = denied["PolicyDocument"]["Statement"]
    documents = "${QuarantineBucket.Arn}/aws/lambda/${WriteToDynamodbStream}/*"
    assert statement == {
        "Sid": statement["Sid"],
        "Effect": "Deny",
        "Action": "s3:PutObject",
        "Resource": {"Fn::Sub": documents},
    }
    # The commands know the mapping by the same name.
    mapping = template["Resources"]["WriteToDynamodbStream"]
    assert mapping["Properties"]["FunctionName"] == {"Ref": "WriteToDynamodb"}
    assert template["Outputs"]["TableMappingId"]["Value"] == {"Ref": "WriteToDynamodbStream"}


def test_no_role_of_the_stack_may_acknowledge_a_loss(template: Template) -> None:
    """An acknowledgement ends an audit's `unknown`: only an operator may make one."""
    written = [one for found in _writes(_of_the_stack(template)) for one in listed(found)]
    assert written, "they write quarantined records and failure documents"
    own = ("quarantine/", "aws/lambda/", "audits/")
    prefixes = tuple(f"${{QuarantineBucket.Arn}}/{one}" for one in own)
    # Thumbnails have a bucket of their own.
    prefixes += ("${ThumbnailBucket.Arn}/",)
    assert all(plain(resource).startswith(prefixes) for resource in written)


def test_no_role_of_the_stack_may_write_where_replaced_documents_are_kept(
    template: Template,
) -> None:
    """They are the only copy of what an answer removed from the index."""
    for resource in [one for found in _writes(_of_the_stack(template)) for one in listed(found)]:
        prefix = plain(resource).removeprefix("${QuarantineBucket.Arn}/").rstrip("*")
        assert prefix
        assert not REPLACED.startswith(prefix)
        assert not prefix.startswith(REPLACED)


def _of_the_stack(template: Template) -> Mapping[str, Any]:
    """The roles of the stack, and all policies that they have: those of people are not there."""
    roles = resources_of(template, "AWS::IAM::Role")
    attached = {
        managed["Ref"]
        for role in roles.values()
        for managed in attached_to(role, USUAL | {"InVpc"})
    }
    managed = resources_of(template, "AWS::IAM::ManagedPolicy")
    return {
        **roles,
        **{name: its for name, its in managed.items() if name in attached},
        **resources_of(template, "AWS::IAM::Policy"),
    }


def _writes(value: Any) -> list[Any]:
    """The resources of each statement that allows more of S3 than to read."""
    if isinstance(value, list):
        return [found for one in value for found in _writes(one)]
    if not isinstance(value, dict):
        return []
    actions = value.get("Action", [])
    named = actions if isinstance(actions, list) else [actions]
    reads = ("s3:GetObject", "s3:ListBucket")
    if value.get("Effect") == "Allow" and any(
        one.startswith(("s3:", "*")) and one not in reads for one in named
    ):
        return [value["Resource"]]
    return [found for one in value.values() for found in _writes(one)]


def test_the_deployment_may_make_the_index_and_add_to_it_but_never_delete(
    template: Template,
) -> None:
    assert permissions_of(template, "IndexOnDeployment") == TRACE | {
        ("es:ESHttpGet", "domain:"),
        ("es:ESHttpGet", "domain:${IndexAlias},${IndexAlias}-live"),
        ("es:ESHttpPut", "domain:${IndexAlias}-000001"),
        ("es:ESHttpPut", "domain:${IndexAlias}-*/_mapping"),
        ("es:ESHttpPut", "domain:${IndexAlias}-*/_settings"),
        ("es:ESHttpPut", "domain:${IndexAlias}-*/_alias/${IndexAlias}-live"),
        ("es:ESHttpPut", "domain:_plugins/_security/api/roles/${IndexAlias}_*"),
        ("es:ESHttpPut", "domain:_plugins/_security/api/rolesmapping/${IndexAlias}_*"),
        ("logs:CreateLogStream", "IndexOnDeploymentLog.Arn"),
        ("logs:PutLogEvents", "IndexOnDeploymentLog.Arn"),
    }


def test_the_search_may_read_what_is_not_deleted_and_one_item_and_write_nothing(
    template: Template,
) -> None:
    assert permissions_of(template, "SearchImages") == TRACE | {
        ("es:ESHttpPost", "domain:${IndexAlias}-live/_search"),
        ("dynamodb:GetItem", "ImageTable.Arn"),
        ("logs:CreateLogStream", "SearchImagesLog.Arn"),
        ("logs:PutLogEvents", "SearchImagesLog.Arn"),
    }


def test_the_watcher_may_look_and_change_nothing(template: Template) -> None:
    assert permissions_of(template, "StackWatcher") == TRACE | {
        ("dynamodb:Scan", "ImageTable.Arn"),
        ("es:ESHttpGet", "domain:${IndexAlias},${IndexAlias}-live"),
        ("es:ESHttpPost", "domain:${IndexAlias}/_count"),
        ("logs:CreateLogStream", "StackWatcherLog.Arn"),
        ("logs:PutLogEvents", "StackWatcherLog.Arn"),
        ("s3:ListBucket", "QuarantineBucket.Arn"),
    }


def test_nobody_searches_without_signing_or_a_token(template: Template) -> None:
    assert template["Parameters"]["SearchAuth"]["AllowedValues"] == ["IAM", "JWT"]
    assert template["Parameters"]["SearchAuth"]["Default"] == "IAM"
    routes = resources_of(template, "AWS::ApiGatewayV2::Route")
    assert sorted(route["RouteKey"] for route in routes.values()) == ["GET /", "GET /{proxy+}"]
    for route in routes.values():
        assert route["AuthorizationType"] == {"Fn::If": ["TakesTokens", "JWT", "AWS_IAM"]}
        assert route["AuthorizerId"]["Fn::If"][1] == {"Ref": "SearchAuthorizer"}
    assert template["Resources"]["SearchAuthorizer"]["Condition"] == "TakesTokens"
    assert properties_of(template, "SearchAuthorizer")["JwtConfiguration"] == {
        "Issuer": {"Ref": "SearchIssuer"},
        "Audience": {"Fn::Split": [",", {"Ref": "SearchAudience"}]},
    }


def test_searches_are_throttled_and_logged_without_what_was_searched(template: Template) -> None:
    stage = properties_of(template, "SearchStage")
    assert stage["DefaultRouteSettings"] == {
        "DetailedMetricsEnabled": True,
        "ThrottlingRateLimit": {"Ref": "SearchRatePerSecond"},
        "ThrottlingBurstLimit": {"Ref": "SearchBurst"},
    }
    assert stage["AccessLogSettings"]["DestinationArn"] == {"Fn::GetAtt": ["SearchApiLog", "Arn"]}
    assert "uery" not in json.dumps(stage["AccessLogSettings"]["Format"])


def test_only_pages_of_the_named_origins_may_search(template: Template) -> None:
    cors = properties_of(template, "SearchApi")["CorsConfiguration"]["Fn::If"]
    assert cors[0] == "HasOrigins"
    assert cors[1]["AllowOrigins"] == {"Ref": "SearchOrigins"}
    # A website reads where the next file of a download is.
    assert cors[1]["ExposeHeaders"] == ["link"]
    assert cors[2] == {"Ref": "AWS::NoValue"}
    assert template["Parameters"]["SearchOrigins"]["Default"] == ""


def test_only_this_api_may_invoke_the_search(template: Template) -> None:
    permissions = resources_of(template, "AWS::Lambda::Permission")
    of_search = {"Ref": "SearchImages"}
    assert {name: one for name, one in permissions.items() if one["FunctionName"] == of_search} == {
        "SearchApiMayInvoke": {
            "FunctionName": {"Ref": "SearchImages"},
            "Action": "lambda:InvokeFunction",
            "Principal": "apigateway.amazonaws.com",
            "SourceArn": {
                "Fn::Sub": "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:"
                "${SearchApi}/*"
            },
        }
    }


def test_the_gateway_waits_longer_than_the_function_and_the_function_than_the_stores(
    template: Template,
) -> None:
    function = properties_of(template, "SearchImages")["Timeout"]
    integration = properties_of(template, "SearchIntegration")
    assert integration["TimeoutInMillis"] > function * 1000
    assert integration["PayloadFormatVersion"] == "2.0"
    # Three requests, for a page behind a page of what was meant.
    assert function > 3 * (handler.CONNECT_SECONDS + handler.READ_SECONDS)


BATCH_SIZES = {"WriteToDynamodb": "TableBatchSize", "WriteToEs": "IndexBatchSize"}
A_DAY_LESS = {"Fn::FindInMap": ["Retention", {"Ref": "RetentionDays"}, "RecordAge"]}


@pytest.mark.parametrize(
    ("mapping", "function", "stream", "age"),
    [
        ("WriteToDynamodbStream", "WriteToDynamodb", "ImageStream.Arn", A_DAY_LESS),
        ("WriteToEsStream", "WriteToEs", "ImageStream.Arn", A_DAY_LESS),
        ("WriteToEsTableStream", "WriteToEs", "ImageTable.StreamArn", 20 * 3600),
        ("WriteToEsTableChanges", "WriteToEs", "TableChangesStream.Arn", A_DAY_LESS),
    ],
)
def test_a_mapping_loses_nothing_and_waits_for_nobody(
    template: Template, *, mapping: str, function: str, stream: str, age: Any
) -> None:
    found = properties_of(template, mapping)
    assert {**found, "EventSourceArn": value_under(found["EventSourceArn"], USUAL)} == {
        "FunctionName": {"Ref": function},
        "EventSourceArn": {"Fn::GetAtt": stream.split(".")},
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": {"Ref": BATCH_SIZES[function]},
        # What is put is found within two seconds: Lambda asks a shard once a second by itself.
        "MaximumBatchingWindowInSeconds": 1 if function == "WriteToDynamodb" else 0,
        "ParallelizationFactor": {"Ref": "ParallelizationFactor"},
        "MaximumRetryAttempts": -1,
        "MaximumRecordAgeInSeconds": age,
        "BisectBatchOnFunctionError": True,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        # Without this metric nobody can tell that the mapping was off for too long.
        "MetricsConfig": {"Metrics": ["EventCount"]},
        "DestinationConfig": {
            "OnFailure": {"Destination": {"Fn::GetAtt": ["QuarantineBucket", "Arn"]}}
        },
    }


def test_each_consumer_has_one_mapping_and_no_function_another(template: Template) -> None:
    mappings = resources_of(template, "AWS::Lambda::EventSourceMapping")
    conditions = {name: template["Resources"][name].get("Condition") for name in mappings}
    assert conditions == {
        "WriteToDynamodbStream": None,
        "WriteToEsStream": "FromKinesis",
        "WriteToEsTableStream": "FromTableStream",
        "WriteToEsTableChanges": "FromChangesStream",
        "MakeThumbnailsNotifications": "HasPictures",
        "PicturesToEventsNotifications": "HasPictures",
    }
    # Of these exactly one holds, whatever the parameter says.
    of_index = [one for one in conditions.values() if one and one.startswith("From")]
    said = [template["Conditions"][name]["Fn::Equals"] for name in of_index]
    allowed = template["Parameters"]["IndexFrom"]["AllowedValues"]
    assert said == [[{"Ref": "IndexFrom"}, value] for value in allowed]


def test_the_tables_changes_are_told_whole_and_to_one_stream_more_where_it_is_read(
    template: Template,
) -> None:
    table = properties_of(template, "ImageTable")
    assert table["StreamSpecification"] == {"StreamViewType": STREAM_VIEW}
    arn = {"Fn::GetAtt": ["TableChangesStream", "Arn"]}
    told = table["Replicas"][0]["KinesisStreamSpecification"]
    assert value_under(told, {"FromChangesStream"})["StreamArn"] == arn
    assert value_under(told, USUAL) == NO_VALUE
    changes = template["Resources"]["TableChangesStream"]
    assert changes["Condition"] == "FromChangesStream"
    name = {"Name": CHANGES_STREAM_NAME}
    assert changes["Properties"] == properties_of(template, "ImageStream") | name


def test_the_index_knows_the_stream_of_changes_by_name(template: Template) -> None:
    named = properties_of(template, "WriteToEs")["Environment"]["Variables"]["TABLE_CHANGES_STREAM"]
    assert value_under(named, {"FromChangesStream"}) == {"Ref": "TableChangesStream"}
    # The old mapping still delivers after the deployment that changes IndexFrom, and a redrive
    # reads its failure documents later.
    assert value_under(named, USUAL) == CHANGES_STREAM_NAME
    assert template["Outputs"]["TableChangesStreamName"]["Value"] == CHANGES_STREAM_NAME
    assert "Condition" not in template["Outputs"]["TableChangesStreamName"]


def test_no_record_reaches_the_index_before_the_index_is_there(template: Template) -> None:
    # The mapping names the function, and so waits for it.
    assert "ImageIndex" in listed(template["Resources"]["WriteToEs"]["DependsOn"])


def test_records_are_given_up_a_day_before_the_stream_forgets_them(template: Template) -> None:
    days_allowed = template["Parameters"]["RetentionDays"]["AllowedValues"]
    a_day, longest = 86_400, 604_800
    assert template["Mappings"]["Retention"] == {
        str(days): {"Hours": days * 24, "RecordAge": age, "HalfAgeMs": age * 500}
        for days in days_allowed
        for age in [min((days - 1) * a_day, longest)]
    }


def test_no_retention_is_longer_than_the_horizon_allows_for(template: Template) -> None:
    days_allowed = template["Parameters"]["RetentionDays"]["AllowedValues"]
    assert max(days_allowed) == LONGEST_RETENTION.days


def test_the_horizon_is_told_and_no_setting_changes_it(template: Template) -> None:
    assert template["Outputs"]["HorizonDays"]["Value"] == str(HORIZON.days)


def test_a_deleted_object_can_be_restored_while_it_may_be_redriven(template: Template) -> None:
    rule, *_ = properties_of(template, "QuarantineBucket")["LifecycleConfiguration"]["Rules"]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": QUARANTINE_AGE.days}
    assert rule["ExpiredObjectDeleteMarker"] is True


def test_what_is_written_is_found_as_soon_as_a_parameter_says_and_here_as_there(
    template: Template,
) -> None:
    assert properties_of(template, "ImageIndex")["RefreshInterval"] == {"Ref": "RefreshInterval"}
    assert template["Parameters"]["RefreshInterval"]["Default"] == REFRESH_INTERVAL


def test_shards_and_replicas_are_parameters_and_the_same_as_on_one_machine(
    template: Template, tmp_path: Path
) -> None:
    index = properties_of(template, "ImageIndex")
    assert (index["Shards"], index["Replicas"]) == (
        {"Ref": "IndexShards"},
        {"Ref": "IndexReplicas"},
    )
    defaults = {name: its["Default"] for name, its in template["Parameters"].items()}
    names = ("kinesis", "dynamodb", "opensearch", "s3")
    services = {name: python_service(name, tmp_path, [], port=1) for name in names}
    local = stack_of(tmp_path, ResourceNames(), services).index_settings
    assert (local.shards, local.replicas) == (defaults["IndexShards"], defaults["IndexReplicas"])


def test_a_changed_definition_makes_the_deployment_call_again(template: Template) -> None:
    files = [ROOT / "functions/write_to_es" / name for name in ("mapping.json", "characters.json")]
    said = properties_of(template, "ImageIndex")["MappingSha256"]
    assert template["Outputs"]["MappingSha256"]["Value"] == said
    sha256 = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    assert said == sha256, "put it into template.yaml, MappingSha256"


@pytest.mark.parametrize(
    ("function", "own"),
    [
        ("WriteToDynamodb", {"TABLE_NAME", "AWS_ENDPOINT_URL_DYNAMODB"}),
        ("WriteToEs", {*INDEX, "INDEX_ALIAS", "TABLE_CHANGES_STREAM"}),
    ],
)
def test_a_function_sees_what_it_needs(template: Template, function: str, own: set[str]) -> None:
    variables = properties_of(template, function)["Environment"]["Variables"]
    assert variables.keys() == own | {
        "QUARANTINE_BUCKET",
        "POWERTOOLS_SERVICE_NAME",
        "POWERTOOLS_METRICS_NAMESPACE",
        "POWERTOOLS_LOG_LEVEL",
        "STACK_NAME",
        "LOG_HASH_KEY",
        "AWS_ENDPOINT_URL_S3",
    }
    # Named for `sam local invoke` alone.
    endpoints = [value for name, value in variables.items() if name.startswith("AWS_")]
    assert endpoints == [{"Ref": "AWS::NoValue"}] * len(endpoints)


def test_functions_and_commands_sign_requests_to_the_index_as_the_parameter_says(
    template: Template,
) -> None:
    signing = {"Ref": "OpenSearchSigning"}
    variables = {
        name: properties["Environment"]["Variables"]
        for name, properties in resources_of(template, "AWS::Lambda::Function").items()
    }
    users = {name for name, said in variables.items() if "OPENSEARCH_ENDPOINT" in said}
    assert users == {"WriteToEs", "IndexOnDeployment", "SearchImages", "StackWatcher"}
    assert [variables[name]["OPENSEARCH_SIGNING"] for name in users] == [signing] * 4
    assert template["Outputs"]["OpenSearchSigning"]["Value"] == signing
    assert template["Parameters"]["OpenSearchSigning"]["Default"] == "yes"


@pytest.mark.parametrize("function", ["WriteToDynamodb", "WriteToEs", "StackWatcher"])
def test_stacks_of_one_account_and_region_do_not_share_metrics(
    template: Template, function: str
) -> None:
    variables = properties_of(template, function)["Environment"]["Variables"]
    namespace = {"Fn::Sub": "Lockstep/${AWS::StackName}"}
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == namespace
    assert template["Outputs"]["MetricsNamespace"]["Value"] == namespace


def test_every_function_has_the_same_runtime_and_its_own_log(template: Template) -> None:
    functions = resources_of(template, "AWS::Lambda::Function")
    assert functions.keys() == {
        "WriteToDynamodb",
        "WriteToEs",
        "IndexOnDeployment",
        "SearchImages",
        "StackWatcher",
        "TableOnDeployment",
        "NightlyAudit",
        "MakeThumbnails",
        "PicturesToEvents",
    }
    for name, properties in functions.items():
        assert properties["Runtime"] == "python3.13"
        assert properties["Architectures"] == ["x86_64"]
        mode = {"Fn::If": ["Traces", "Active", "PassThrough"]}
        assert properties["TracingConfig"] == {"Mode": mode}
        assert properties["LoggingConfig"] == {"LogGroup": {"Ref": f"{name}Log"}}
        variables = properties["Environment"]["Variables"]
        assert variables["STACK_NAME"] == {"Ref": "AWS::StackName"}


def test_one_parameter_says_how_long_every_log_is_kept(template: Template) -> None:
    logs = resources_of(template, "AWS::Logs::LogGroup")
    assert {f"{name}Log" for name in resources_of(template, "AWS::Lambda::Function")} < logs.keys()
    kept = [properties["RetentionInDays"] for properties in logs.values()]
    assert kept == [{"Ref": "LogRetentionDays"}] * len(logs)


def test_a_consumer_has_a_minute_and_the_deployment_more(template: Template) -> None:
    timeouts = {
        name: properties["Timeout"]
        for name, properties in resources_of(template, "AWS::Lambda::Function").items()
    }
    assert timeouts == {
        "WriteToDynamodb": 60,
        "WriteToEs": 60,
        "IndexOnDeployment": 300,
        "SearchImages": 15,
        "StackWatcher": 60,
        "TableOnDeployment": 90,
        "NightlyAudit": 600,
        "MakeThumbnails": 300,
        "PicturesToEvents": 300,
    }
    # CloudFormation must hear the function out, or it reports a time-out for the real reason.
    assert properties_of(template, "ImageIndex")["ServiceTimeout"] > timeouts["IndexOnDeployment"]
    assert (
        properties_of(template, "PreparedTable")["ServiceTimeout"] > timeouts["TableOnDeployment"]
    )


def test_the_stream_is_encrypted_and_keeps_as_long_as_it_is_told(template: Template) -> None:
    assert properties_of(template, "ImageStream") == {
        "RetentionPeriodHours": {"Fn::FindInMap": ["Retention", {"Ref": "RetentionDays"}, "Hours"]},
        "StreamModeDetails": {
            "StreamMode": {"Fn::If": ["HasShardCount", "PROVISIONED", "ON_DEMAND"]}
        },
        "ShardCount": {"Fn::If": ["HasShardCount", {"Ref": "ShardCount"}, {"Ref": "AWS::NoValue"}]},
        "StreamEncryption": {
            "EncryptionType": "KMS",
            "KeyId": {"Fn::If": ["HasKey", {"Ref": "KmsKeyArn"}, "alias/aws/kinesis"]},
        },
    }


def test_the_table_is_guarded_against_loss(template: Template) -> None:
    table = properties_of(template, "ImageTable")
    assert table["KeySchema"] == [{"AttributeName": "image_id", "KeyType": "HASH"}]
    assert table["AttributeDefinitions"] == [{"AttributeName": "image_id", "AttributeType": "S"}]
    assert table["BillingMode"] == {"Fn::If": ["HasUnits", "PROVISIONED", "PAY_PER_REQUEST"]}
    assert table["SSESpecification"]["SSEEnabled"] is True
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    for replica in table["Replicas"]:
        found = value_under(replica, {"HasReplica", "HasReplica2"})
        assert found["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert found["DeletionProtectionEnabled"] == {"Fn::If": ["ProtectsTable", True, False]}


@pytest.mark.parametrize(
    "store",
    [
        *("ImageTable", "QuarantineBucket", "QuarantineBucketPolicy"),
        *("PictureBucket", "PictureBucketPolicy", "PictureRows"),
    ],
)
def test_what_holds_the_only_copy_outlives_the_stack(template: Template, store: str) -> None:
    """A failed first deployment leaves nothing behind that stops the next one."""
    resource = template["Resources"][store]
    policies = resource["DeletionPolicy"], resource["UpdateReplacePolicy"]
    assert policies == ("RetainExceptOnCreate", "Retain")


def test_the_table_is_protected_from_the_second_deployment_on(template: Template) -> None:
    # A protected table could not be deleted when the first deployment is rolled back.
    assert template["Parameters"]["TableDeletionProtection"]["Default"] == "no"
    condition = {"Fn::Equals": [{"Ref": "TableDeletionProtection"}, "yes"]}
    assert template["Conditions"]["ProtectsTable"] == condition


def test_nothing_in_quarantine_expires(template: Template) -> None:
    bucket = properties_of(template, "QuarantineBucket")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    rule, *of_audits = bucket["LifecycleConfiguration"]["Rules"]
    assert rule.keys() == {
        "Id",
        "Status",
        "NoncurrentVersionExpiration",
        "ExpiredObjectDeleteMarker",
    }
    # No consumer may write there, and no redrive reads it.
    assert [one["Prefix"] for one in of_audits] == [WORK, STATE]


def test_the_audit_of_the_night_runs_until_it_is_done_and_one_at_a_time(
    template: Template,
) -> None:
    schedule = properties_of(template, "NightlyAuditEveryFiveMinutes")
    assert schedule["ScheduleExpression"] == "rate(5 minutes)"
    resources = template["Resources"]
    mine = [name for name in resources if name.startswith("NightlyAudit")]
    assert {resources[name]["Condition"] for name in mine} == {"RunsAudit"}
    assert template["Parameters"]["AuditEveryNight"]["Default"] == "yes"
    timeout = properties_of(template, "NightlyAudit")["Timeout"]
    # Two invocations and the pause between them: then OpenSearch still has the point in time.
    assert KEEP_ALIVE == "1h"
    assert 2 * timeout + 300 < 3600
    assert timeout > MARGIN_SECONDS + WATERMARK
    retries = properties_of(template, "NightlyAuditEventInvokeConfig")
    assert retries["MaximumRetryAttempts"] == 0


def test_no_consumer_may_write_where_the_audit_keeps_its_state(template: Template) -> None:
    policies = rendered(template, EXAMPLE)
    for key in (STATE, f"{WORK}run/table-000000", f"{REPORTS}run.json"):
        put = Call("s3:PutObject", f"arn:aws:s3:::bucket/{key}")
        assert allows(policies.of_role("NightlyAuditRole"), put)
        for role in ("WriteToDynamodbRole", "WriteToEsRole", "SearchImagesRole"):
            assert not allows(policies.of_role(role), put)
    # And it writes nothing else.
    for key in ("quarantine/write_to_es/x", "aws/lambda/x/y", "acknowledged/x", "redriven/x"):
        for action in ("s3:PutObject", "s3:DeleteObject"):
            other = Call(action, f"arn:aws:s3:::bucket/{key}")
            assert not allows(policies.of_role("NightlyAuditRole"), other)


def test_the_quarantine_is_private_encrypted_and_speaks_tls_only(template: Template) -> None:
    bucket = properties_of(template, "QuarantineBucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert bucket["BucketEncryption"]
    (statement,) = properties_of(template, "QuarantineBucketPolicy")["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_domain_is_encrypted_and_closed(template: Template) -> None:
    domain = properties_of(template, "ImageDomain")
    assert domain["EngineVersion"] == "OpenSearch_3.3"
    assert domain["EncryptionAtRestOptions"]["Enabled"] is True
    assert domain["NodeToNodeEncryptionOptions"] == {"Enabled": True}
    assert domain["DomainEndpointOptions"] == {
        "EnforceHTTPS": True,
        "TLSSecurityPolicy": "Policy-Min-TLS-1-2-PFS-2023-10",
    }
    # Without it a path in a policy binds nobody, unless the domain itself is asked by role.
    allowed = domain["AdvancedOptions"]["rest.action.multi.allow_explicit_index"]
    assert allowed == _with_dashboards("true", "false")
    # An allow here would add to what the roles may.
    assert {one["Effect"] for one in domain["AccessPolicies"]["Statement"]} == {"Deny"}


def _with_dashboards(value: Any, otherwise: Any = NO_VALUE) -> Any:
    return {"Fn::If": ["HasDashboards", value, otherwise]}


def test_dashboards_are_off_until_somebody_wants_them(template: Template) -> None:
    assert template["Parameters"]["Dashboards"]["Default"] == "no"
    assert {
        name
        for name, its in template["Resources"].items()
        if its["Type"].startswith("AWS::Cognito")
    } == {
        name
        for name, its in template["Resources"].items()
        if its.get("Condition") == "HasDashboards" and its["Type"] != "AWS::IAM::Role"
    }


def test_with_dashboards_the_domain_itself_asks_for_roles(template: Template) -> None:
    domain = properties_of(template, "ImageDomain")
    _, security, _ = domain["AdvancedSecurityOptions"]["Fn::If"]
    assert security == {
        "Enabled": True,
        "InternalUserDatabaseEnabled": False,
        "MasterUserOptions": {"MasterUserARN": arn_of("IndexOnDeploymentRole")},
    }
    assert domain["CognitoOptions"] == _with_dashboards(
        {
            "Enabled": True,
            "UserPoolId": {"Ref": "DashboardsUsers"},
            "IdentityPoolId": {"Ref": "DashboardsIdentities"},
            "RoleArn": arn_of("DashboardsSignInRole"),
        }
    )
    _, members, _ = properties_of(template, "ImageIndex")["Roles"]["Fn::If"]
    assert tuple(members) == ROLE_NAMES
    # Each function that asks the index has a role there, or is the master.
    known = [arn_of("IndexOnDeploymentRole"), *members["writers"], *members["readers"]]
    known += [value_under(one, {"HasAlarms", "RunsAudit"}) for one in members["auditors"]]
    for role in resources_of(template, "AWS::IAM::Role"):
        if any(one.startswith("es:") for one, _ in permissions_of_role(template, role)):
            assert arn_of(role) in known


def test_only_people_who_were_invited_and_signed_in_become_readers(template: Template) -> None:
    users = properties_of(template, "DashboardsUsers")
    assert users["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    identities = properties_of(template, "DashboardsIdentities")
    assert identities["AllowUnauthenticatedIdentities"] is False
    (trust,) = properties_of(template, "DashboardsReaderRole")["AssumeRolePolicyDocument"][
        "Statement"
    ]
    assert trust["Condition"] == {
        "StringEquals": {"cognito-identity.amazonaws.com:aud": {"Ref": "DashboardsIdentities"}},
        "ForAnyValue:StringLike": {"cognito-identity.amazonaws.com:amr": "authenticated"},
    }


def test_the_service_may_tie_these_two_pools_and_no_others(template: Template) -> None:
    allowed = permissions_of_role(template, "DashboardsSignInRole")
    assert {resource for action, resource in allowed if action.startswith("cognito-idp:")} == {
        "DashboardsUsers.Arn"
    }
    all_pools = ("cognito-identity:SetIdentityPoolRoles", "*")
    pools = {one for one in allowed if one[0].startswith("cognito-identity:")} - {all_pools}
    assert all(pool.endswith(":identitypool/${DashboardsIdentities}") for _, pool in pools)
    assert ("iam:PassRole", "DashboardsReaderRole.Arn") in allowed
    # https://docs.aws.amazon.com/opensearch-service/latest/developerguide/cognito-auth.html
    actions = {action.partition(":")[2] for action, _ in allowed if "identity:" in action}
    assert actions == {
        "DescribeIdentityPool",
        "GetIdentityPoolRoles",
        "SetIdentityPoolRoles",
        "UpdateIdentityPool",
    }
    # The address to sign in at must be there before the domain looks for it.
    assert template["Resources"]["DashboardsSignInRole"]["DependsOn"] == "DashboardsSignIn"


def test_lockstep_finds_everything_in_the_outputs(template: Template) -> None:
    told = {"HorizonDays": "121", "IndexFrom": "DynamoDBStreams", "OpenSearchSigning": "yes"}
    told |= {"IndexShards": "5", "IndexReplicas": "auto", "RefreshInterval": "1s"}

    class CloudFormation:
        def describe_stacks(self, **_: str) -> Mapping[str, Any]:
            values = {name: name for name in template["Outputs"]} | told
            outputs = [{"OutputKey": key, "OutputValue": value} for key, value in values.items()]
            return {"Stacks": [{"Outputs": outputs}]}

    found = read_deployed(CloudFormation(), "lockstep", "eu-west-1")  # type: ignore[arg-type]  # the one call that it makes
    named = {found.stream, found.table, found.index, found.bucket, found.endpoints.opensearch}
    named |= {found.changes_stream, str(found.endpoints.search), *found.functions.values()}
    named |= {found.table_mapping, str(found.definition_sha256), str(found.metrics_namespace)}
    named |= {str(found.shard_rule)}
    named |= {found.log_hash_secret, *found.search_facets, *found.log_groups.values()}
    assert found.pictures is not None
    named |= {found.pictures.bucket, found.pictures.rows, found.pictures.thumbnails}
    read = (found.horizon_days, found.index_from, found.opensearch_signing)
    assert read == (121, "DynamoDBStreams", "yes")
    assert found.index_settings == IndexSettings(5, "auto", "1s")
    policies = ["Producer", "Reader", "Auditor", "Operator", "Eraser", "Restore", "Uploader"]
    policies += ["ImageReader", "TableKey"]
    for_people = {
        "BackupVaultName",
        "DashboardsUrl",
        "PictureDeadLettersUrl",
        "ThumbnailDeadLettersUrl",
        *(f"{one}PolicyArn" for one in policies),
    }
    assert named | told.keys() | for_people == template["Outputs"].keys()


def test_a_rebuild_waits_as_long_as_an_invocation_may_write(template: Template) -> None:
    assert properties_of(template, "WriteToEs")["Timeout"] == FUNCTION_TIMEOUT.total_seconds()


def test_the_build_is_never_cached() -> None:
    # The cache's key is the function's folder: a change in shared/ would not be deployed.
    assert "cached = false" in (ROOT / "samconfig.toml").read_text()


def test_stacks_of_one_account_and_region_do_not_share_a_name(template: Template) -> None:
    """CloudFormation makes a name that is unique, or the template's name contains the stack's."""
    names = {
        f"{logical_id}.{key}": value
        for logical_id, resource in template["Resources"].items()
        for key, value in resource.get("Properties", {}).items()
        if key in PHYSICAL_NAMES and resource["Type"] not in NAMED_INSIDE_ANOTHER
    }
    assert value_under(names.pop("ImageDomain.DomainName"), set()) == {
        "Fn::Sub": "${AWS::StackName}-images"
    }
    assert names.pop("TableChangesStream.Name") == CHANGES_STREAM_NAME
    assert names.pop("SearchApi.Name") == {"Fn::Sub": "${AWS::StackName}-search"}
    assert "AWS::StackId" in str(names.pop("DashboardsSignIn.Domain"))
    assert names == {}
    assert template["Parameters"]["OpenSearchDomainName"]["Default"] == ""


def test_the_domain_has_the_name_that_the_policies_say(template: Template) -> None:
    name = properties_of(template, "ImageDomain")["DomainName"]
    stacks = {"Fn::Sub": "${AWS::StackName}-images"}
    assert name == {"Fn::If": ["HasDomainName", {"Ref": "OpenSearchDomainName"}, stacks]}
    (closed,) = properties_of(template, "ImageDomain")["AccessPolicies"]["Statement"]
    assert plain(closed["Resource"]) == "domain:*"
