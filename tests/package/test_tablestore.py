"""The artifact and the template of the function that writes to Table Store."""

import os
import re
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from tablestore import (
    CapacityUnit,
    ComparatorType,
    Condition,
    OTSClient,
    ReservedThroughput,
    Row,
    SingleColumnCondition,
    TableMeta,
    TableOptions,
)

from lockstep.local.mapping.translation import translated
from lockstep.local.tablestore.server import LocalTableStore
from lockstep.stack.stack import LOCAL_REGION
from tests.package.test_artifacts import PINNED, files_of
from tests.package.tools import ROOT, RUNTIME, cfn_lint, sam

TEMPLATE = ROOT / "template-tablestore.yaml"
LARGEST_MB = 10
# What the SDK requires, and the artifact leaves out.
LEFT_OUT = {
    "numpy",
    "numpy.libs",
    "future",
    "past",
    "libfuturize",
    "aiohttp",
    "aiohappyeyeballs",
    "aiosignal",
    "attr",
    "attrs",
    "frozenlist",
    "idna",
    "multidict",
    "propcache",
    "yarl",
}
LIVING = SingleColumnCondition(
    "lockstep_deleted", column_value=False, comparator=ComparatorType.EQUAL, pass_if_missing=False
)
PROGRAM = """
import json, sys
from types import SimpleNamespace

sys.path.insert(0, sys.argv[1])
from functions.write_to_tablestore import handler

context = SimpleNamespace(
    get_remaining_time_in_millis=lambda: 60_000,
    function_name="f",
    memory_limit_in_mb=512,
    invoked_function_arn="arn",
    aws_request_id="1",
)
for path in sys.argv[2:]:
    answer = handler.handle(json.load(open(path)), context)
    assert answer == {"batchItemFailures": []}, answer
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""

PURGE = """
import sys
from types import SimpleNamespace

sys.path.insert(0, sys.argv[1])
from functions.write_to_tablestore import purge_handler

purge_handler.handle({}, SimpleNamespace(
    get_remaining_time_in_millis=lambda: 900_000,
    function_name="f",
    memory_limit_in_mb=256,
    invoked_function_arn="arn",
    aws_request_id="1",
))
"""


@pytest.fixture(scope="module")
def built_replica(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `sam build -t template-tablestore.yaml` makes."""
    folder = tmp_path_factory.mktemp("sam") / "build"
    sam("build", "--template", TEMPLATE, "--build-dir", folder)
    return folder


@pytest.fixture(scope="module")
def artifact(built_replica: Path) -> Path:
    """The artifact of the consumer."""
    return built_replica / "WriteToTablestore"


@pytest.fixture(scope="module")
def template() -> Mapping[str, Any]:
    return translated(TEMPLATE, LOCAL_REGION)


def test_the_artifact_holds_the_function_and_what_functions_share_unchanged(
    artifact: Path,
) -> None:
    for package in "doors", "shared", "functions/write_to_tablestore":
        assert files_of(artifact / package) == files_of(ROOT / package)
    assert {one.name for one in (artifact / "functions").iterdir()} == {"write_to_tablestore"}


def test_the_purge_has_the_artifact_of_the_consumer(built_replica: Path, artifact: Path) -> None:
    assert files_of(built_replica / "ReplicaPurge") == files_of(artifact)


def test_sam_finds_nothing_in_the_template() -> None:
    assert "is a valid SAM Template" in sam("validate", "--lint", "--template", TEMPLATE)


def test_the_artifact_is_small_and_leaves_out_what_does_not_run(artifact: Path) -> None:
    found = files_of(artifact)
    assert sum(map(len, found.values())) < LARGEST_MB * 1_000_000
    assert LEFT_OUT.isdisjoint(one.name for one in artifact.iterdir() if one.is_dir())
    assert not [name for name in found if name.startswith("tablestore/") and name.endswith(".so")]
    top = {one.name for one in artifact.iterdir()}
    assert top.isdisjoint({"tests", "lockstep", "benchmarks", "boto3", "botocore", "bin"})


def test_the_artifact_holds_the_packages_that_are_pinned_and_no_other(artifact: Path) -> None:
    listed = (ROOT / "requirements" / "write_to_tablestore.txt").read_text()
    pinned = {f"{name}-{version}" for name, version in PINNED.findall(listed)}
    installed = {
        one.name.removesuffix(".dist-info").replace("_", "-").lower()
        for one in artifact.glob("*.dist-info")
    }
    assert installed == pinned


def invoked(artifact: Path, store: LocalTableStore, event: str) -> set[str]:
    """The modules that an invocation with a sample event has loaded, on the runtime of Lambda."""
    account = store.account
    run = subprocess.run(
        [RUNTIME / "bin" / "python", "-I", "-c", PROGRAM, artifact, ROOT / "events" / event],
        env={
            "PATH": os.defpath,
            "AWS_DEFAULT_REGION": LOCAL_REGION,
            "POWERTOOLS_METRICS_NAMESPACE": "Lockstep/test",
            "QUARANTINE_BUCKET": "unused",
            "OTS_ID": account.key_id,
            "OTS_SECRET": account.secret,
            "OTS_INSTANCE": account.instance,
            "OTS_ENDPOINT": store.address,
            "OTS_REGION": "eu-central-1",
            "TABLE_NAME": "orders",
            "PRIMARY_KEY": "customer,order",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    # Nothing is logged that is no line of JSON.
    assert run.stderr == ""
    *lines, loaded = run.stdout.splitlines()
    for line in lines:
        msgspec.json.decode(line)
    return {*loaded.split()}


def test_the_artifact_writes_and_removes_a_row_on_the_runtime_of_lambda(artifact: Path) -> None:
    """By the three sample events, one after the other."""
    with LocalTableStore() as store:
        account = store.account
        client = OTSClient(store.address, account.key_id, account.secret, account.instance)
        meta = TableMeta("orders", [("customer", "STRING"), ("order", "INTEGER")])
        client.create_table(meta, TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))

        def row(**filtered: Any) -> dict[str, Any] | None:
            key = [("customer", "Ada"), ("order", 1842)]
            _, found, _ = client.get_row("orders", key, max_version=1, **filtered)
            return found and {name: cell for name, cell, *_ in found.attribute_columns}

        loaded = invoked(artifact, store, "tablestore-put.json")
        assert {"numpy", "yarl", "future"}.isdisjoint(loaded)
        put = row(column_filter=LIVING)
        assert put is not None
        assert put["paid"] is False
        invoked(artifact, store, "tablestore-update.json")
        changed = row(column_filter=LIVING)
        assert changed is not None
        assert changed["paid"] is True
        invoked(artifact, store, "tablestore-delete.json")
        assert row(column_filter=LIVING) is None
        assert row() is not None


def test_the_artifact_purges_expired_tombstones_on_the_runtime_of_lambda(
    artifact: Path, s3_endpoint: str
) -> None:
    bucket = f"purge-{uuid.uuid4()}"
    local = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    s3 = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name=LOCAL_REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    s3.create_bucket(Bucket=bucket)
    with LocalTableStore() as store:
        account = store.account
        client = OTSClient(store.address, account.key_id, account.secret, account.instance)
        meta = TableMeta("orders", [("id", "STRING")])
        client.create_table(meta, TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))
        for key, ends in (("over", 1), ("later", 2**40)):
            tombstone = [
                ("lockstep_version", f"2026-11-30T01:23:45.678/{1:040d}"),
                ("lockstep_at", 1),
                ("lockstep_deleted", True),
                ("lockstep_purge_at", ends),
            ]
            client.put_row("orders", Row([("id", key)], tombstone), Condition("IGNORE"))
        run = subprocess.run(
            [RUNTIME / "bin" / "python", "-I", "-c", PURGE, artifact],
            env=local
            | {
                "PATH": os.defpath,
                "AWS_DEFAULT_REGION": LOCAL_REGION,
                "AWS_ENDPOINT_URL_S3": s3_endpoint,
                "POWERTOOLS_METRICS_NAMESPACE": "Lockstep/test",
                "PURGE_READ_UNITS": "200",
                "QUARANTINE_BUCKET": bucket,
                "OTS_ID": account.key_id,
                "OTS_SECRET": account.secret,
                "OTS_INSTANCE": account.instance,
                "OTS_ENDPOINT": store.address,
                "OTS_REGION": "eu-central-1",
                "TABLE_NAME": "orders",
                "PRIMARY_KEY": "id",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert (run.returncode, run.stderr) == (0, "")
        lines = [msgspec.json.decode(line) for line in run.stdout.splitlines()]
        (purged,) = [one for one in lines if one.get("message") == "purge"]
        assert (purged["purged"], purged["finished"]) == (1, True)
        found = {
            key: client.get_row("orders", [("id", key)], max_version=1)[1]
            for key in ("over", "later")
        }
        assert [key for key, row in found.items() if row is not None] == ["later"]


def test_the_purge_runs_on_its_schedule_unless_that_is_empty(template: Mapping[str, Any]) -> None:
    purge = {name: one for name, one in template["Resources"].items() if "ReplicaPurge" in name}
    assert {one["Type"].rpartition("::")[2] for one in purge.values()} == {
        "Function",
        "LogGroup",
        "Permission",
        "Role",
        "Rule",
    }
    assert {one["Condition"] for one in purge.values()} == {"Purges"}
    (rule,) = [one for one in purge.values() if one["Type"] == "AWS::Events::Rule"]
    assert rule["Properties"]["ScheduleExpression"] == {"Ref": "PurgeSchedule"}
    parameter = template["Parameters"]["PurgeSchedule"]
    assert parameter["Default"] == "rate(1 day)"
    allowed = re.compile(parameter["AllowedPattern"])
    assert all(map(allowed.fullmatch, ("", "rate(1 day)", "cron(0 3 * * ? *)")))
    assert not any(map(allowed.fullmatch, ("daily", "rate()", "0 3 * * *")))
    assert template["Conditions"]["Purges"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "PurgeSchedule"}, ""]}]
    }


def test_the_purge_has_the_settings_of_the_consumer_and_its_rate(
    template: Mapping[str, Any],
) -> None:
    consumer, purge = (
        template["Resources"][name]["Properties"]["Environment"]["Variables"]
        for name in ("WriteToTablestore", "ReplicaPurge")
    )
    its_own = {"PURGE_READ_UNITS", "POWERTOOLS_SERVICE_NAME"}
    assert {name for name in purge if purge[name] != consumer.get(name)} == its_own


def test_the_template_has_no_finding_of_cfn_lint(tmp_path: Path) -> None:
    assert cfn_lint(translated(TEMPLATE, LOCAL_REGION), tmp_path) == ""


def test_the_mapping_is_as_the_guide_says(template: Mapping[str, Any]) -> None:
    mapping = template["Resources"]["WriteToTablestoreStream"]["Properties"]
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["MaximumRecordAgeInSeconds"] == 72_000
    assert mapping["MaximumRetryAttempts"] == -1
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    batches = template["Parameters"]["BatchSize"]
    assert (batches["Default"], batches["MaxValue"]) == (100, 200)
    assert template["Resources"]["WriteToTablestore"]["Properties"]["Timeout"] >= 60


def test_each_variable_of_the_function_is_in_the_guide_and_each_setting_in_the_template(
    template: Mapping[str, Any],
) -> None:
    function = template["Resources"]["WriteToTablestore"]["Properties"]
    variables = {*function["Environment"]["Variables"]}
    ours = {one for one in variables if not one.startswith(("AWS_", "POWERTOOLS_", "STACK_"))}
    settings = (ROOT / "functions" / "write_to_tablestore" / "settings.py").read_text()
    handler = (ROOT / "functions" / "write_to_tablestore" / "handler.py").read_text()
    guide = (ROOT / "docs" / "guides" / "tablestore.md").read_text()
    for name in ours - {"QUARANTINE_BUCKET", "LOG_HASH_KEY"}:
        assert f"`{name}`" in guide
        assert f'"{name}"' in settings + handler
