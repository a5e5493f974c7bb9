"""What production chooses by parameter, and what it cannot change later."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from tests.package.resources import (
    permissions_of,
    properties_of,
    resolved_under,
    resources_of,
)
from tests.package.test_template_rules import refusals, value_of
from tests.package.tools import ROOT, cfn_lint

type Template = Mapping[str, Any]

KEY = "arn:aws:kms:eu-central-1:123456789012:key/0a1b"
GUIDE = ROOT / "docs/guides/migrating.md"
FAN_OUT = {"kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"}


def resolved(template: Template, logical_id: str, **chosen: str) -> Any:
    """The properties of a resource with these parameters; the others have their defaults."""
    defaults = {name: str(its["Default"]) for name, its in template["Parameters"].items()}
    parameters = defaults | chosen
    conditions = {
        name
        for name in template["Conditions"]
        if value_of({"Condition": name}, parameters, template["Conditions"])
    }
    return resolved_under(properties_of(template, logical_id), conditions, parameters)


def test_each_store_and_the_logs_take_a_key_of_your_own(template: Template) -> None:
    assert resolved(template, "ImageTable")["SSESpecification"] == {"SSEEnabled": True}
    table = resolved(template, "ImageTable", TableKmsKeyArn=KEY)
    assert table["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS"}
    (own,) = table["Replicas"]
    assert own["SSESpecification"] == {"KMSMasterKeyId": KEY}
    assert resolved(template, "ImageDomain")["EncryptionAtRestOptions"] == {"Enabled": True}
    domain = resolved(template, "ImageDomain", OpenSearchKmsKeyArn=KEY)
    assert domain["EncryptionAtRestOptions"] == {"Enabled": True, "KmsKeyId": KEY}
    logs = resources_of(template, "AWS::Logs::LogGroup")
    assert len(logs) == 11
    for name in logs:
        assert "KmsKeyId" not in resolved(template, name)
        assert resolved(template, name, LogKmsKeyArn=KEY)["KmsKeyId"] == KEY


@pytest.mark.parametrize(
    "function", ["WriteToDynamodb", "WriteToEs", "SearchImages", "NightlyAudit"]
)
def test_who_reads_the_table_may_use_its_key_through_dynamodb_only(
    template: Template, function: str
) -> None:
    with_key = {"HasTableKey", "FromKinesis", "MakesTable"}
    assert ("kms:Decrypt", "TableKmsKeyArn") in permissions_of(template, function, with_key)
    without = permissions_of(template, function, with_key - {"HasTableKey"})
    assert "kms:Decrypt" not in {action for action, _ in without}
    (statement,) = properties_of(template, "TableKeyPolicy")["PolicyDocument"]["Statement"]
    service = {"Fn::Sub": "dynamodb.${AWS::Region}.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"kms:ViaService": service}}


@pytest.mark.parametrize("mapping", ["WriteToDynamodbStream", "WriteToEsStream"])
def test_a_mapping_takes_its_sizes(template: Template, mapping: str) -> None:
    sizes = {"TableBatchSize": "50", "IndexBatchSize": "50", "ParallelizationFactor": "4"}
    found = resolved(template, mapping, **sizes)
    assert (found["BatchSize"], found["ParallelizationFactor"]) == ("50", "4")
    usual = resolved(template, mapping)
    expected = "100" if mapping == "WriteToDynamodbStream" else "500"
    assert (usual["BatchSize"], usual["ParallelizationFactor"]) == (expected, "1")


@pytest.mark.parametrize(
    ("mapping", "reader", "index_from", "stream"),
    [
        ("WriteToDynamodbStream", "TableReader", "Kinesis", "ImageStream"),
        ("WriteToEsStream", "IndexReader", "Kinesis", "ImageStream"),
        (
            "WriteToEsTableChanges",
            "IndexReader",
            "KinesisDataStreamsForDynamoDB",
            "TableChangesStream",
        ),
    ],
)
def test_with_fan_out_each_consumer_reads_with_its_own_throughput(
    template: Template, mapping: str, reader: str, index_from: str, stream: str
) -> None:
    chosen = {"EnhancedFanOut": "yes", "IndexFrom": index_from}
    assert resolved(template, mapping, **chosen)["EventSourceArn"] == {"Ref": reader}
    assert resolved(template, reader, **chosen)["StreamARN"] == {"Fn::GetAtt": [stream, "Arn"]}
    off = resolved(template, mapping, IndexFrom=index_from)["EventSourceArn"]
    assert off == {"Fn::GetAtt": [stream, "Arn"]}
    function = mapping.removesuffix("Stream").removesuffix("TableChanges")
    conditions = {"FansOut", "FromKinesis", "MakesTable"}
    allowed = permissions_of(template, function, conditions)
    assert {(action, reader) for action in FAN_OUT} <= allowed
    assert not FAN_OUT & {one for one, _ in permissions_of(template, function)}


def test_memory_and_concurrency_are_parameters(template: Template) -> None:
    chosen = {"ConsumerMemoryMiB": "1024", "SearchMemoryMiB": "2048"}
    for function in ("WriteToDynamodb", "WriteToEs"):
        assert resolved(template, function, **chosen)["MemorySize"] == "1024"
    search = resolved(template, "SearchImages", **chosen, SearchReservedConcurrency="50")
    assert (search["MemorySize"], search["ReservedConcurrentExecutions"]) == ("2048", "50")
    assert "ReservedConcurrentExecutions" not in resolved(template, "SearchImages")


def test_tracing_is_off_and_the_level_of_the_logs_is_a_parameter(template: Template) -> None:
    for name in resources_of(template, "AWS::Lambda::Function"):
        usual = resolved(template, name)
        assert usual["TracingConfig"] == {"Mode": "PassThrough"}
        assert usual["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"] == "INFO"
        changed = resolved(template, name, Tracing="yes", LogLevel="DEBUG")
        assert changed["TracingConfig"] == {"Mode": "Active"}
        assert changed["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"] == "DEBUG"
    untraced = permissions_of(template, "WriteToEs", {"FromKinesis", "MakesTable"})
    assert not [action for action, _ in untraced if action.startswith("xray:")]


def test_the_domain_writes_logs_and_may(template: Template) -> None:
    assert "LogPublishingOptions" not in resolved(template, "ImageDomain")
    # OpenSearch Service checks the policy when it creates the domain.
    first = [{"Fn::GetAtt": ["DomainLog", "Arn"]}, {"Ref": "DomainMayLog"}]
    log = {"Enabled": True, "CloudWatchLogsLogGroupArn": {"Fn::Select": [0, first]}}
    slow = {"ES_APPLICATION_LOGS": log, "SEARCH_SLOW_LOGS": log, "INDEX_SLOW_LOGS": log}
    domain = resolved(template, "ImageDomain", OpenSearchLogs="yes")
    assert domain["LogPublishingOptions"] == slow
    audited = resolved(template, "ImageDomain", OpenSearchAuditLog="yes", Dashboards="yes")
    assert audited["LogPublishingOptions"] == {"AUDIT_LOGS": log}
    text, _ = properties_of(template, "DomainMayLog")["PolicyDocument"]["Fn::Sub"]
    (statement,) = json.loads(text)["Statement"]
    assert statement["Principal"] == {"Service": "es.amazonaws.com"}
    assert statement["Resource"] == "${DomainLog.Arn}"
    assert statement["Condition"]["ArnLike"] == {"aws:SourceArn": "${Domain}"}


def test_updates_and_masters_of_the_domain(template: Template) -> None:
    usual = resolved(template, "ImageDomain")
    assert usual["SoftwareUpdateOptions"] == {"AutoSoftwareUpdateEnabled": False}
    assert "OffPeakWindowOptions" not in usual
    assert usual["ClusterConfig"]["DedicatedMasterEnabled"] is False
    chosen = {"OpenSearchAutoUpdate": "yes", "OpenSearchOffPeakHour": "1"}
    domain = resolved(template, "ImageDomain", **chosen, OpenSearchMasterType="m7g.medium.search")
    assert domain["SoftwareUpdateOptions"] == {"AutoSoftwareUpdateEnabled": True}
    window = domain["OffPeakWindowOptions"]["OffPeakWindow"]["WindowStartTime"]
    assert window == {"Hours": "1", "Minutes": 0}
    cluster = domain["ClusterConfig"]
    assert cluster["DedicatedMasterEnabled"] is True
    assert (cluster["DedicatedMasterType"], cluster["DedicatedMasterCount"]) == (
        "m7g.medium.search",
        3,
    )


OWN = {"OpenSearchEndpoint": "https://d.example", "OpenSearchDomainName": "own"}


@pytest.mark.parametrize(
    ("chosen", "named"),
    [
        (OWN | {"OpenSearchKmsKeyArn": KEY}, "OpenSearchKmsKeyArn"),
        (OWN | {"OpenSearchLogs": "yes"}, "OpenSearchLogs"),
        (OWN | {"OpenSearchAutoUpdate": "yes"}, "OpenSearchAutoUpdate"),
        (
            OWN | {"OpenSearchMasterType": "m7g.medium.search", "OpenSearchInstanceCount": "3"},
            "OpenSearchMasterType",
        ),
        ({"TableKmsKeyArn": KEY, "TableReplicaRegion": "eu-west-1"}, "TableKmsKeyArn"),
        ({"OpenSearchAuditLog": "yes"}, "Dashboards"),
        ({"OpenSearchMasterType": "m7g.medium.search"}, "OpenSearchInstanceCount"),
        ({"EnhancedFanOut": "yes", "IndexFrom": "DynamoDBStreams"}, "EnhancedFanOut"),
    ],
)
def test_what_contradicts_is_refused(
    template: Template, chosen: Mapping[str, str], named: str
) -> None:
    (refused,) = refusals(template, **chosen)
    assert named in refused


def test_a_whole_production_is_accepted(template: Template) -> None:
    chosen = {
        "KmsKeyArn": KEY,
        "TableKmsKeyArn": KEY,
        "OpenSearchKmsKeyArn": KEY,
        "LogKmsKeyArn": KEY,
        "OpenSearchInstanceCount": "3",
        "OpenSearchMasterType": "m7g.medium.search",
        "OpenSearchLogs": "yes",
        "OpenSearchAutoUpdate": "yes",
        "EnhancedFanOut": "yes",
        "Tracing": "yes",
        "Dashboards": "yes",
        "OpenSearchAuditLog": "yes",
    }
    assert refusals(template, **chosen) == []


def test_the_page_of_migrations_names_each_parameter_that_replaces_a_resource(
    template: Template,
) -> None:
    """By the schemas of CloudFormation, in the copy that cfn-lint has of them."""
    rows = re.findall(r"^\| (`.+?) \|", GUIDE.read_text(), flags=re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    found = {
        parameter
        for resource in template["Resources"].values()
        for path in _fixed(resource["Type"])
        for parameter in _parameters(template, resource.get("Properties", {}), path)
    }
    assert {"OpenSearchKmsKeyArn", "OpenSearchDomainName", "EnhancedFanOut"} <= found
    assert found <= named


def _fixed(kind: str) -> Iterator[list[str]]:
    """The properties of a type whose change replaces the resource."""
    if kind.startswith("Custom::"):
        return
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    for name in ("createOnlyProperties", "conditionalCreateOnlyProperties"):
        for path in schema.get(name) or ():
            yield path.split("/")[2:]


def _parameters(template: Template, value: Any, path: list[str]) -> Iterator[str]:
    """The parameters on which the value at this path depends, also through a condition."""
    if path and isinstance(value, dict) and "Fn::If" not in value:
        if path[0] in value:
            yield from _parameters(template, value[path[0]], path[1:])
        return
    text = json.dumps(value)
    names = {*re.findall(r'"Ref": "(\w+)"', text), *re.findall(r"\$\{(\w+)\}", text)}
    for condition in re.findall(r'"Fn::If": \["(\w+)"', text):
        names |= {*re.findall(r'"Ref": "(\w+)"', json.dumps(template["Conditions"][condition]))}
    yield from names & template["Parameters"].keys()


def test_cfn_lint_finds_nothing_in_the_template_with_all_parameters_set(
    template: Template, tmp_path: Path
) -> None:
    """Also where the conditions that the linter tries by itself do not lead."""
    defaults = json.loads(json.dumps(template))
    chosen: dict[str, str | int] = {"TableKmsKeyArn": KEY, "OpenSearchKmsKeyArn": KEY}
    chosen |= {"LogKmsKeyArn": KEY, "KmsKeyArn": KEY, "OpenSearchMasterType": "m7g.medium.search"}
    chosen |= {"OpenSearchLogs": "yes", "OpenSearchAuditLog": "yes", "Dashboards": "yes"}
    chosen |= {"OpenSearchAutoUpdate": "yes", "EnhancedFanOut": "yes", "Tracing": "yes"}
    numbers = {"OpenSearchInstanceCount": 3, "SearchReservedConcurrency": 50}
    for name, default in (chosen | numbers).items():
        defaults["Parameters"][name]["Default"] = default
    assert cfn_lint(defaults, tmp_path) == ""


def test_with_a_secret_no_log_shows_the_id_of_an_image(template: Template) -> None:
    secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:log-hash-0a1b2c"
    reference = {"Fn::Sub": "{{resolve:secretsmanager:${LogHashSecretArn}:SecretString}}"}
    for function in ("WriteToDynamodb", "WriteToEs"):
        usual = resolved(template, function)["Environment"]["Variables"]
        hashing = resolved(template, function, LogHashSecretArn=secret)["Environment"]["Variables"]
        assert "LOG_HASH_KEY" not in usual
        assert hashing == usual | {"LOG_HASH_KEY": reference}
    lines = []
    for values in ({}, {"LogHashSecretArn": secret}):
        access = resolved(template, "SearchStage", **values)["AccessLogSettings"]["Format"]
        text, its = access["Fn::Sub"]
        lines.append(json.loads(text.replace("${Path}", its["Path"])))
    whole, without = lines
    assert whole.pop("path") == "$context.path"
    assert without == whole
