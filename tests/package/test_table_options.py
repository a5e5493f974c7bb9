"""The table as users of DynamoDB know it: capacity, class, replicas, readers, backups."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from shared.horizon import RESTORABLE
from shared.item import ATTRIBUTE_TYPES, KEY
from tests.gate.evaluator import Call, allows, listed
from tests.gate.policies import EXAMPLE, rendered
from tests.package.resources import (
    permissions_of_role,
    properties_of,
    resolved_under,
    value_under,
)
from tests.package.test_template_rules import refusals

type Template = Mapping[str, Any]


def _table(template: Template, *conditions: str) -> Any:
    return resolved_under(properties_of(template, "ImageTable"), set(conditions))


def test_the_table_is_a_global_one_from_the_start_with_one_region(template: Template) -> None:
    assert template["Resources"]["ImageTable"]["Type"] == "AWS::DynamoDB::GlobalTable"
    table = _table(template)
    (home,) = table["Replicas"]
    assert home["Region"] == {"Ref": "AWS::Region"}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    limits = {"WriteProvisionedThroughputSettings", "WriteOnDemandThroughputSettings"}
    assert not table.keys() & limits
    assert not [name for name in home if "Throughput" in name or name == "ResourcePolicy"]


def test_provisioned_units_are_those_that_are_given(template: Template) -> None:
    table = _table(template, "HasUnits", "HasReplica")
    assert table["BillingMode"] == "PROVISIONED"
    write = table["WriteProvisionedThroughputSettings"]["WriteCapacityAutoScalingSettings"]
    units = {"Ref": "TableWriteUnits"}
    assert (write["MinCapacity"], write["MaxCapacity"], write["SeedCapacity"]) == (units,) * 3
    for replica in table["Replicas"]:
        reads = replica["ReadProvisionedThroughputSettings"]
        assert reads == {"ReadCapacityUnits": {"Ref": "TableReadUnits"}}


def test_on_demand_capacity_has_limits_where_they_are_given(template: Template) -> None:
    table = _table(template, "LimitsReads", "LimitsWrites", "HasReplica")
    writes = table["WriteOnDemandThroughputSettings"]
    assert writes == {"MaxWriteRequestUnits": {"Ref": "TableMaxWriteUnits"}}
    for replica in table["Replicas"]:
        reads = replica["ReadOnDemandThroughputSettings"]
        assert reads == {"MaxReadRequestUnits": {"Ref": "TableMaxReadUnits"}}


def test_a_replica_is_as_safe_as_the_table_and_has_no_owner_and_no_second_stream(
    template: Template,
) -> None:
    """The stack that takes over in its region prepares it: tag and Kinesis stream are its own."""
    conditions = ("HasReplica", "HasReplica2", "FromChangesStream")
    home, first, second = _table(template, *conditions)["Replicas"]
    assert (first["Region"], second["Region"]) == (
        {"Ref": "TableReplicaRegion"},
        {"Ref": "TableReplicaRegion2"},
    )
    same = {"DeletionProtectionEnabled", "PointInTimeRecoverySpecification", "TableClass"}
    for replica in (first, second):
        assert replica.keys() == same | {"Region"}
        assert {name: replica[name] for name in same} == {name: home[name] for name in same}
    assert home["TableClass"] == {"Ref": "TableClass"}


def test_the_tables_own_policy_lets_some_roles_read_single_images(template: Template) -> None:
    (home,) = _table(template, "HasPolicyReaders")["Replicas"]
    (statement,) = home["ResourcePolicy"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"AWS": {"Ref": "TablePolicyReaders"}}
    assert statement["Action"] == ["dynamodb:BatchGetItem", "dynamodb:GetItem"]
    assert statement["Effect"] == "Allow"


def test_a_reader_sees_some_images_and_some_attributes_and_only_by_their_ids(
    template: Template,
) -> None:
    assert template["Resources"]["ImageReaderPolicy"]["Condition"] == "HasImageReaders"
    (statement,) = properties_of(template, "ImageReaderPolicy")["PolicyDocument"]["Statement"]
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
    assert statement["Condition"] == {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": {"Ref": "ReaderImages"}},
        "ForAllValues:StringEquals": {"dynamodb:Attributes": {"Ref": "ReaderFields"}},
        # `ForAllValues` also holds for a key that is not there: a scan, or no projection.
        "Null": {"dynamodb:LeadingKeys": "false", "dynamodb:Attributes": "false"},
        "StringEqualsIfExists": {"dynamodb:Select": "SPECIFIC_ATTRIBUTES"},
    }
    assert not [one for one in statement["Action"] if "Scan" in one or "PartiQL" in one]
    fields = template["Parameters"]["ReaderFields"]["Default"].split(",")
    assert KEY in fields
    assert set(fields) <= ATTRIBUTE_TYPES.keys()


@pytest.mark.parametrize(
    ("table", "is_allowed"),
    [
        ("lockstep-restored", True),
        ("lockstep-restored-20261128", True),
        ("lockstep-ImageTable-1ABC", False),
        # Of another stack, and of nobody here.
        ("lockstep-prod-restored", False),
        ("customers", False),
    ],
)
def test_who_restores_may_change_and_read_the_tables_that_were_restored_for_this_stack(
    template: Template, table: str, *, is_allowed: bool
) -> None:
    stack = msgspec.structs.replace(EXAMPLE, index_from="KinesisDataStreamsForDynamoDB")
    policy = rendered(template, stack).managed("RestorePolicy")
    for action in {one for it in policy["Statement"] for one in listed(it["Action"])}:
        if action.startswith("dynamodb:"):
            call = Call(action, f"arn:aws:dynamodb:us-east-1:000000000000:table/{table}")
            assert allows([policy], call) is is_allowed, action


def test_a_backup_is_not_kept_longer_than_a_table_may_be_restored_back(template: Template) -> None:
    assert template["Parameters"]["BackupDays"]["MaxValue"] == RESTORABLE.days
    plan = resolved_under(properties_of(template, "BackupPlan"), {"CopiesBackups"})["BackupPlan"]
    (rule,) = plan["BackupPlanRule"]
    (copy,) = rule["CopyActions"]
    days = {"DeleteAfterDays": {"Ref": "BackupDays"}}
    assert rule["Lifecycle"] == copy["Lifecycle"] == days
    assert copy["DestinationBackupVaultArn"] == {"Ref": "BackupCopyVaultArn"}
    (alone,) = resolved_under(properties_of(template, "BackupPlan"), set())["BackupPlan"][
        "BackupPlanRule"
    ]
    assert "CopyActions" not in alone


def test_backups_outlive_the_stack_and_are_of_the_table_alone(template: Template) -> None:
    vault = template["Resources"]["BackupVault"]
    policies = vault["DeletionPolicy"], vault["UpdateReplacePolicy"]
    assert policies == ("RetainExceptOnCreate", "Retain")
    selection = properties_of(template, "BackupSelection")["BackupSelection"]
    (selected,) = selection["Resources"]
    assert value_under(selected, {"MakesTable"}) == {"Fn::GetAtt": ["ImageTable", "Arn"]}
    for name in ("BackupVault", "BackupPlan", "BackupSelection", "BackupRole"):
        assert template["Resources"][name]["Condition"] == "HasBackups"


def test_aws_backup_may_back_up_the_table_and_never_read_an_item_or_restore(
    template: Template,
) -> None:
    allowed = permissions_of_role(template, "BackupRole", {"MakesTable", "CopiesBackups"})
    on_table = {action for action, resource in allowed if resource == "ImageTable.Arn"}
    assert on_table == {
        "dynamodb:CreateBackup",
        "dynamodb:DescribeTable",
        "dynamodb:ListTagsOfResource",
        "dynamodb:StartAwsBackupJob",
    }
    assert ("backup:CopyIntoBackupVault", "BackupCopyVaultArn") in allowed
    assert not [one for one, _ in allowed if "Restore" in one or "Item" in one or "Scan" in one]
    assert "*" not in {resource for _, resource in allowed}


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"TableCapacity": "provisioned", "TableMaxReadUnits": "10"}, "need TableCapacity"),
        ({"TableCapacity": "provisioned", "TableMaxWriteUnits": "10"}, "need TableCapacity"),
        ({"TableReplicaRegion2": "eu-west-1"}, "set TableReplicaRegion"),
        (
            {"TableReplicaRegion": "eu-west-1", "TableReplicaRegion2": "eu-west-1"},
            "another region",
        ),
        ({"BackupCopyVaultArn": "arn:aws:backup:eu-west-1:1:backup-vault:v"}, "BackupSchedule"),
    ],
)
def test_contradicting_parameters_of_the_table_are_refused(
    template: Template, chosen: dict[str, str], says: str
) -> None:
    (refused,) = refusals(template, **chosen)
    assert says in refused


@pytest.mark.parametrize(
    "chosen",
    [
        {"TableCapacity": "provisioned", "TableReadUnits": "50", "TableWriteUnits": "20"},
        {"TableMaxReadUnits": "1000", "TableMaxWriteUnits": "500"},
        {"TableReplicaRegion": "eu-west-1", "TableReplicaRegion2": "us-east-1"},
        {"BackupSchedule": "cron(0 5 * * ? *)", "BackupCopyVaultArn": "arn:v"},
    ],
)
def test_parameters_of_the_table_that_agree_are_accepted(
    template: Template, chosen: dict[str, str]
) -> None:
    assert refusals(template, **chosen) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TableReplicaRegion", "eu-west-1"),
        ("TableCapacity", "provisioned"),
        ("TableMaxReadUnits", "10"),
        ("TableClass", "STANDARD_INFREQUENT_ACCESS"),
    ],
)
def test_what_the_stack_cannot_set_on_a_given_table_is_refused(
    template: Template, name: str, value: str
) -> None:
    given = {"TableName": "restored", "TableStreamArn": "arn:stream"}
    (refused,) = refusals(template, **given, **{name: value})
    assert refused.startswith("With TableName")


def test_each_region_of_the_table_is_listed_once(template: Template) -> None:
    regions = [
        str(value_under(one, {"HasReplica", "HasReplica2"})["Region"])
        for one in listed(properties_of(template, "ImageTable")["Replicas"])
    ]
    assert len(set(regions)) == len(regions) == 3
