"""Templates whose alarms are wrong, each with the test that must catch it."""

from functools import partial

from tests.package import test_alarms as alarms
from tests.package.faults import Fault, drop, put

_RULE = """
{
  "LogGroupNames": ["${%s}"],
  "Contribution": {
    "Keys": ["$.%s"],
    "ValueOf": "$.records",
    "Filters": [{"Match": "$.message", "In": ["batch"]}]
  }
}
"""

SILENT = [
    Fault(
        "an alarm of severity page is not in the composite alarm",
        drop("Resources.Outage.Properties.AlarmRule.Fn::Join.1.4"),
        alarms.test_an_outage_is_one_page,
    ),
    Fault(
        "an alarm wakes somebody besides the composite alarm",
        put("Resources.TableLags.Properties.AlarmActions", [{"Ref": "AlarmTopic"}]),
        partial(
            alarms.test_each_severity_tells_its_own_and_tells_when_it_is_over,
            chosen={"AlarmEmail": "a@example.com"},
            paged={"Ref": "AlarmTopic"},
            ticketed={"Ref": "AlarmTopic"},
        ),
    ),
    Fault(
        "an alarm never says that it is over",
        drop("Resources.TableErrors.Properties.OKActions"),
        partial(
            alarms.test_each_severity_tells_its_own_and_tells_when_it_is_over,
            chosen={"AlarmEmail": "a@example.com"},
            paged={"Ref": "AlarmTopic"},
            ticketed={"Ref": "AlarmTopic"},
        ),
    ),
    Fault(
        "an alarm reads a metric by the wrong dimension",
        put("Resources.TableDropped.Properties.Dimensions.0.Name", "FunctionName"),
        alarms.test_each_metric_is_one_that_aws_lists_or_that_the_functions_emit,
    ),
    Fault(
        "an alarm reads a metric that nobody emits",
        put("Resources.TableSlow.Properties.MetricName", "Lateness"),
        alarms.test_each_metric_is_one_that_aws_lists_or_that_the_functions_emit,
    ),
    Fault(
        "the rule of the shards reads the log of the other consumer",
        put(
            "Resources.ShardRule.Properties.RuleBody.Fn::Sub",
            _RULE % ("WriteToEsLog", "shard_id"),
        ),
        alarms.test_the_rule_of_the_shards_reads_fields_of_the_line_of_each_batch,
    ),
    Fault(
        "the rule of the shards counts by a field that no line has",
        put(
            "Resources.ShardRule.Properties.RuleBody.Fn::Sub",
            _RULE % ("WriteToDynamodbLog", "shard"),
        ),
        alarms.test_the_rule_of_the_shards_reads_fields_of_the_line_of_each_batch,
    ),
    Fault(
        "an alarm demands another unit than the metric has",
        put("Resources.TableLags.Properties.Unit", "Seconds"),
        alarms.test_each_metric_is_one_that_aws_lists_or_that_the_functions_emit,
    ),
    Fault(
        "a mapping that is off counts as one that reads",
        put("Resources.IndexNotReading.Properties.TreatMissingData", "notBreaching"),
        partial(alarms.test_only_a_missing_value_says_that_a_mapping_is_off, consumer="index"),
    ),
    Fault(
        "missing data of DynamoDB keeps an alarm on",
        put("Resources.ImageTableThrottled.Properties.Metrics.0.Expression", "reads + writes"),
        alarms.test_missing_data_of_dynamodb_is_filled,
    ),
    Fault(
        "the loss of the table's stream is seen too late",
        put(
            "Resources.IndexLossIsNear.Properties.Threshold",
            {"Fn::FindInMap": ["Retention", {"Ref": "RetentionDays"}, "HalfAgeMs"]},
        ),
        alarms.test_of_the_tables_stream_a_loss_is_near_sooner,
    ),
    Fault(
        "an alarm names a page that is not there",
        put(
            "Resources.TableSlow.Properties.AlarmDescription",
            "ticket: Slow. docs/runbook/README.md",
        ),
        alarms.test_each_alarm_has_a_page,
    ),
    Fault(
        "anybody may write to the topic",
        drop("Resources.AlarmTopicPolicy.Properties.PolicyDocument.Statement.0.Condition"),
        alarms.test_only_alarms_of_this_stack_may_tell_and_with_its_key,
    ),
    Fault(
        "one node is always yellow",
        put("Resources.DomainYellow.Condition", "WatchesDisks"),
        alarms.test_a_replica_without_a_node_is_an_alarm_only_where_there_is_a_node_for_it,
    ),
]
