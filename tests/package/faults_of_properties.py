"""Templates that lost something, each with the test that must catch it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from tests.package import test_production as production
from tests.package import test_table_options as table_options
from tests.package import test_template as whole
from tests.package import test_updates as updates
from tests.package.faults import Fault, drop, put, without_condition

_MAPPING = "Resources.WriteToEsStream.Properties"
_outlives = whole.test_what_holds_the_only_copy_outlives_the_stack


def _mapping(template: Mapping[str, Any]) -> None:
    whole.test_a_mapping_loses_nothing_and_waits_for_nobody(
        template,
        mapping="WriteToEsStream",
        function="WriteToEs",
        stream="ImageStream.Arn",
        age=whole.A_DAY_LESS,
    )


def _fan_out(template: Mapping[str, Any]) -> None:
    production.test_with_fan_out_each_consumer_reads_with_its_own_throughput(
        template, "WriteToDynamodbStream", "TableReader", "Kinesis", "ImageStream"
    )


LOST = [
    *(
        Fault(
            f"with a network, {what}",
            put(f"Resources.ImageDomain.Properties.VPCOptions.Fn::If.{path}", wrong),
            partial(
                whole.test_a_new_domain_in_a_vpc_has_a_subnet_for_each_zone_and_the_functions_groups,
                instances=3,
            ),
        )
        for what, path, wrong in (
            ("a new domain has a public endpoint", "1", {"Ref": "AWS::NoValue"}),
            ("a new domain has the default security group", "1.SecurityGroupIds", []),
            ("two of three zones are in one subnet", "1.SubnetIds.Fn::If.1.2", "subnet-0b"),
        )
    ),
    Fault(
        "a domain is always in a VPC",
        put("Conditions.InVpc", {"Fn::Equals": ["", ""]}),
        whole.test_a_domain_is_not_in_a_vpc_unless_a_network_is_given,
    ),
    Fault(
        "the table cannot be restored",
        drop("Resources.ImageTable.Properties.Replicas.0.PointInTimeRecoverySpecification"),
        whole.test_the_table_is_guarded_against_loss,
    ),
    Fault(
        "tombstones never expire",
        drop("Resources.ImageTable.Properties.TimeToLiveSpecification"),
        whole.test_the_table_is_guarded_against_loss,
    ),
    Fault(
        "the table is deleted with the stack",
        put("Resources.ImageTable.DeletionPolicy", "Delete"),
        partial(_outlives, store="ImageTable"),
    ),
    Fault(
        "the bucket is deleted when it is replaced",
        drop("Resources.QuarantineBucket.UpdateReplacePolicy"),
        partial(_outlives, store="QuarantineBucket"),
    ),
    Fault(
        "the kept bucket loses its policy",
        put("Resources.QuarantineBucketPolicy.DeletionPolicy", "Delete"),
        partial(_outlives, store="QuarantineBucketPolicy"),
    ),
    Fault(
        "the vault of backups is deleted with the stack",
        drop("Resources.BackupVault.DeletionPolicy"),
        table_options.test_backups_outlive_the_stack_and_are_of_the_table_alone,
    ),
    Fault(
        "the quarantine is read without TLS",
        without_condition("QuarantineBucketPolicy", "OnlyOverTls"),
        whole.test_the_quarantine_is_private_encrypted_and_speaks_tls_only,
    ),
    Fault(
        "the quarantine may become public",
        put(
            "Resources.QuarantineBucket.Properties.PublicAccessBlockConfiguration.BlockPublicPolicy",
            value=False,
        ),
        whole.test_the_quarantine_is_private_encrypted_and_speaks_tls_only,
    ),
    Fault(
        "quarantined records expire",
        put(
            "Resources.QuarantineBucket.Properties.LifecycleConfiguration.Rules.0.ExpirationInDays",
            30,
        ),
        whole.test_nothing_in_quarantine_expires,
    ),
    Fault(
        "a deleted record cannot be brought back",
        put("Resources.QuarantineBucket.Properties.VersioningConfiguration.Status", "Suspended"),
        whole.test_nothing_in_quarantine_expires,
    ),
    Fault(
        "the stream is not encrypted",
        drop("Resources.ImageStream.Properties.StreamEncryption"),
        whole.test_the_stream_is_encrypted_and_keeps_as_long_as_it_is_told,
    ),
    Fault(
        "the domain speaks HTTP",
        put("Resources.ImageDomain.Properties.DomainEndpointOptions.EnforceHTTPS", value=False),
        whole.test_the_domain_is_encrypted_and_closed,
    ),
    Fault(
        "the nodes of the domain speak in clear",
        drop("Resources.ImageDomain.Properties.NodeToNodeEncryptionOptions"),
        whole.test_the_domain_is_encrypted_and_closed,
    ),
    *(
        Fault(
            f"a mapping lost {name}", drop(f"Resources.WriteToEsStream.Properties.{name}"), _mapping
        )
        for name in (
            "BisectBatchOnFunctionError",
            "DestinationConfig",
            "FunctionResponseTypes",
            "MetricsConfig",
        )
    ),
    Fault(
        "a mapping discards after ten attempts",
        put(f"{_MAPPING}.MaximumRetryAttempts", 10),
        _mapping,
    ),
    Fault(
        "a new mapping skips what the stream has",
        put(f"{_MAPPING}.StartingPosition", "LATEST"),
        _mapping,
    ),
    Fault(
        "records reach the index before it is there",
        drop("Resources.WriteToEs.DependsOn"),
        whole.test_no_record_reaches_the_index_before_the_index_is_there,
    ),
    Fault(
        "the table tells its changes without the old item",
        put("Resources.ImageTable.Properties.StreamSpecification.StreamViewType", "NEW_IMAGE"),
        whole.test_the_tables_changes_are_told_whole_and_to_one_stream_more_where_it_is_read,
    ),
    Fault(
        "enhanced fan-out changes nothing",
        put("Conditions.FansOut", {"Fn::Equals": ["yes", "no"]}),
        _fan_out,
    ),
    Fault(
        "the search does not reach a domain in a VPC",
        drop("Resources.SearchImages.Properties.VpcConfig"),
        whole.test_in_a_vpc_are_the_functions_that_use_the_index_and_no_others,
    ),
    Fault(
        "a function signs what it should not sign",
        drop("Resources.WriteToEs.Properties.Environment.Variables.OPENSEARCH_SIGNING"),
        whole.test_functions_and_commands_sign_requests_to_the_index_as_the_parameter_says,
    ),
    Fault(
        "a command misses an output",
        drop("Outputs.QuarantineBucket"),
        whole.test_lockstep_finds_everything_in_the_outputs,
    ),
    Fault(
        "searches are not throttled",
        drop("Resources.SearchStage.Properties.DefaultRouteSettings"),
        whole.test_searches_are_throttled_and_logged_without_what_was_searched,
    ),
    Fault(
        "the domain may not write its log",
        put("Resources.DomainMayLog.Properties.PolicyDocument.Fn::Sub.0", '{"Statement": [{}]}'),
        production.test_the_domain_writes_logs_and_may,
    ),
    Fault(
        "a changed domain gets no index",
        drop("Resources.ImageIndex.Properties.Endpoint"),
        updates.test_another_name_of_the_domain_replaces_it_and_prepares_its_index,
    ),
]
