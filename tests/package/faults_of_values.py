"""Templates with a wrong value or a missing rule, each with the test that must catch it."""

from functools import partial

from tests.package import test_table_options as table_options
from tests.package import test_template as whole
from tests.package import test_template_rules as rules
from tests.package import test_updates as updates
from tests.package.faults import Fault, drop, put

WRONG = [
    Fault(
        "a record is given up after the stream forgot it",
        put("Mappings.Retention.7.RecordAge", 604_800),
        whole.test_records_are_given_up_a_day_before_the_stream_forgets_them,
    ),
    Fault(
        "the stream keeps records longer than the horizon",
        put("Parameters.RetentionDays.AllowedValues", [2, 3, 7, 14, 30, 365]),
        whole.test_no_retention_is_longer_than_the_horizon_allows_for,
    ),
    Fault(
        "the commands are told another horizon",
        put("Outputs.HorizonDays.Value", "30"),
        whole.test_the_horizon_is_told_and_no_setting_changes_it,
    ),
    Fault(
        "old versions in the quarantine go before their time",
        put(
            "Resources.QuarantineBucket.Properties.LifecycleConfiguration.Rules.0"
            ".NoncurrentVersionExpiration.NoncurrentDays",
            30,
        ),
        whole.test_a_deleted_object_can_be_restored_while_it_may_be_redriven,
    ),
    Fault(
        "a backup is kept too long to be restored",
        put("Parameters.BackupDays.MaxValue", 365),
        table_options.test_a_backup_is_not_kept_longer_than_a_table_may_be_restored_back,
    ),
    Fault(
        "two mappings feed the index",
        drop("Resources.WriteToEsTableStream.Condition"),
        whole.test_each_consumer_has_one_mapping_and_no_function_another,
    ),
    Fault(
        "metrics of all stacks have one namespace",
        put(
            "Resources.WriteToEs.Properties.Environment.Variables.POWERTOOLS_METRICS_NAMESPACE",
            "Lockstep",
        ),
        partial(
            whole.test_stacks_of_one_account_and_region_do_not_share_metrics, function="WriteToEs"
        ),
    ),
    Fault(
        "the commands look at metrics of another namespace",
        put("Outputs.MetricsNamespace.Value", "Lockstep"),
        partial(
            whole.test_stacks_of_one_account_and_region_do_not_share_metrics, function="WriteToEs"
        ),
    ),
    Fault(
        "the stream of changes has one name for all stacks",
        put("Resources.TableChangesStream.Properties.Name", "table-changes"),
        whole.test_stacks_of_one_account_and_region_do_not_share_a_name,
    ),
    Fault(
        "a bucket has one name for all of AWS",
        put("Resources.QuarantineBucket.Properties.BucketName", "quarantine"),
        whole.test_stacks_of_one_account_and_region_do_not_share_a_name,
    ),
    Fault(
        "the policies name another domain than the one that is made",
        put("Resources.ImageDomain.Properties.DomainName", {"Fn::Sub": "${AWS::StackName}-index"}),
        whole.test_the_domain_has_the_name_that_the_policies_say,
    ),
    Fault(
        "the gateway gives up before the function",
        put("Resources.SearchIntegration.Properties.TimeoutInMillis", 10_000),
        whole.test_the_gateway_waits_longer_than_the_function_and_the_function_than_the_stores,
    ),
    Fault(
        "CloudFormation gives up before the function",
        put("Resources.ImageIndex.Properties.ServiceTimeout", 120),
        whole.test_a_consumer_has_a_minute_and_the_deployment_more,
    ),
    Fault(
        "a consumer runs longer than a rebuild waits",
        put("Resources.WriteToEs.Properties.Timeout", 300),
        whole.test_a_rebuild_waits_as_long_as_an_invocation_may_write,
    ),
    Fault(
        "the index has another definition than the release",
        put("Resources.ImageIndex.Properties.MappingSha256", "0" * 64),
        whole.test_a_changed_definition_makes_the_deployment_call_again,
    ),
    Fault(
        "a first deployment that fails leaves a protected table",
        put("Parameters.TableDeletionProtection.Default", "yes"),
        whole.test_the_table_is_protected_from_the_second_deployment_on,
    ),
    Fault(
        "a parameter replaces the stream",
        put("Resources.ImageStream.Properties.Name", {"Fn::Sub": "images-${ShardCount}"}),
        updates.test_no_change_of_a_parameter_deletes_an_only_copy_and_none_replaces_one,
    ),
    Fault(
        "tokens of every app may search",
        drop("Rules.TokensHaveAnIssuerAndAnAudience.Assertions.1"),
        rules.test_tokens_need_an_issuer_and_an_audience,
    ),
    Fault(
        "a disk is larger than its instance allows",
        drop("Rules.SmallInstancesHaveSmallDisks"),
        partial(
            rules.test_a_disk_is_not_larger_than_its_instance_allows,
            instance="t3.small.search",
            gib="150",
            is_accepted=False,
        ),
    ),
    Fault(
        "an existing domain has no name",
        drop("Rules.AnExistingDomainHasAName"),
        rules.test_an_existing_domain_has_a_name,
    ),
    Fault(
        "subnets without a security group pass",
        drop("Rules.ANetworkIsWhole.Assertions.1"),
        rules.test_a_network_is_whole,
    ),
    Fault(
        "security groups without subnets pass",
        drop("Rules.ANetworkIsWhole.Assertions.0"),
        rules.test_a_network_is_whole,
    ),
]
