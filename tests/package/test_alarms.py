"""The alarms of both templates: what they read, whom they tell, and the page of each."""

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import (
    AmazonCloudWatchEMFProvider,
)

from doors import stream
from doors.logged_ids import PlainIds
from functions.write_to_es import watcher
from lockstep.audit.audit import Audit
from lockstep.audit.pieces.ending import PiecesReport
from lockstep.nightly.piece import AUDITED_IMAGES, DIFFERENT, UNKNOWN, add_metrics
from shared.batch import Delivery
from shared.quarantine import quarantined
from tests.builders import change, image_event, kinesis_records, record
from tests.emitted import consumed, logging_as
from tests.flow import test_alarms as played_alarms
from tests.flow import test_replica_alarms as played_replica
from tests.flow.alarm_stage import PLAYED
from tests.memory_sink import MemorySink
from tests.package.test_template_rules import refusals
from tests.simulation.rewired import rewired
from tools.template.alarms import (
    DOCUMENT,
    EVERY_ALARM,
    RUNBOOK,
    MetricOfAlarm,
    TemplateAlarm,
    alarms,
    described,
    document,
    pages,
    short_name,
)
from tools.template.choices import together
from tools.template.metrics import METRICS, OWN_NAMESPACE
from tools.template.played import BY_NAME_ONLY
from tools.template.rendering import Resources, render

type Template = Mapping[str, Any]

PAGES = "arn:aws:sns:eu-central-1:123456789012:pages"
TICKETS = "arn:aws:sns:eu-central-1:123456789012:tickets"
OWN_DOMAIN = {"OpenSearchEndpoint": "https://own.example", "OpenSearchDomainName": "own-domain"}
NO_METRIC_OF_A_FUNCTION = {"PlannedWork"}


def every_alarm(template: Template, **chosen: str) -> Resources:
    return render(template, EVERY_ALARM | chosen)


def by_name(resources: Resources) -> dict[str, TemplateAlarm]:
    return {one.name: one for one in alarms(resources)}


def composite(resources: Resources) -> Mapping[str, Any]:
    properties: Mapping[str, Any] = resources["Outage"]["Properties"]
    return properties


def combinations_with_alarms(template: Template) -> list[Resources]:
    found = [render(template, chosen) for chosen in together(template)]
    return [one for one in found if "Outage" in one]


def pages_of(template: Template) -> set[str]:
    resources = every_alarm(template)
    return {one.page for one in alarms(resources)} | {described(composite(resources))[2]}


def test_each_alarm_has_a_page(a_template: Template) -> None:
    assert pages_of(a_template) <= pages()


def test_each_page_has_an_alarm(template: Template, replica_template: Template) -> None:
    assert pages_of(template) | pages_of(replica_template) == pages()


def test_each_page_says_what_to_look_at_what_to_do_and_when_to_wake_somebody() -> None:
    headings = ["What it means", "What to look at", "What to do", "When to wake somebody"]
    for name in pages():
        text = (RUNBOOK / name).read_text()
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == headings, name
        assert text.startswith(f"# {name.removesuffix('.md')}\n\n")


def test_the_list_is_up_to_date(template: Template, replica_template: Template) -> None:
    assert DOCUMENT.read_text("utf-8") == document(template, replica_template), "run make generated"


def test_each_alarm_is_on_the_list(a_template: Template) -> None:
    """Whatever the parameters are: the list has the alarms of one combination."""
    listed = {f"`{one.name}`" for one in alarms(every_alarm(a_template))}
    for resources in combinations_with_alarms(a_template):
        assert {f"`{one.name}`" for one in alarms(resources)} <= listed
    assert all(one in DOCUMENT.read_text() for one in listed)


def test_each_alarm_is_played_or_says_why_not(
    template: Template, replica_template: Template
) -> None:
    """What plays an alarm is checked to have set it off, and to have seen it go off."""
    names = set[str]()
    for resources in (every_alarm(template), every_alarm(replica_template)):
        names |= {one.name for one in alarms(resources)} | {short_name(composite(resources))}
    assert PLAYED.keys() | BY_NAME_ONLY.keys() == names
    assert PLAYED.keys().isdisjoint(BY_NAME_ONLY)
    assert set(PLAYED.values()) <= vars(played_alarms).keys() | vars(played_replica).keys()


def _read(template: Template) -> list[MetricOfAlarm]:
    return [
        metric
        for resources in [every_alarm(template), *combinations_with_alarms(template)]
        for alarm in alarms(resources)
        for metric in alarm.metrics.values()
    ]


def test_each_metric_is_one_that_aws_lists_or_that_the_functions_emit(a_template: Template) -> None:
    for metric in _read(a_template):
        known = METRICS[metric.namespace, metric.name]
        assert tuple(name for name, _ in metric.dimensions) == known.dimensions
        assert metric.unit in {None, known.unit}


def test_no_metric_is_listed_that_nobody_reads(
    template: Template, replica_template: Template
) -> None:
    shown = {(one[0], one[1]) for one in _shown(template)}
    read = {(one.namespace, one.name) for one in _read(template) + _read(replica_template)}
    assert read | shown == METRICS.keys()


def _on_the_dashboard(template: Template, **chosen: str) -> list[list[Any]]:
    """The metrics and expressions on the dashboard, each as it is written there."""
    said = every_alarm(template, **chosen)["StackDashboard"]["Properties"]["DashboardBody"]
    widgets = json.loads(said["Fn::Sub"])["widgets"]
    return [metric for widget in widgets for metric in widget["properties"]["metrics"]]


def _shown(template: Template, **chosen: str) -> list[list[Any]]:
    """The metrics on the dashboard: namespace, name, and the names and values of dimensions."""
    return [
        [part for part in metric if isinstance(part, str)]
        for metric in _on_the_dashboard(template, **chosen)
        if isinstance(metric[0], str)
    ]


def test_the_dashboard_shows_the_share_of_the_busiest_shard(template: Template) -> None:
    """By the rule of the stack: an expression may name no other one, and only its values.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/ContributorInsights-GraphReportData.html
    """
    expressions = [
        metric[0]["expression"]
        for metric in _on_the_dashboard(template)
        if isinstance(metric[0], dict)
    ]
    called = re.findall(r"INSIGHT_RULE_METRIC\('([^']+)', '([^']+)'\)", " ".join(expressions))
    assert {rule for rule, _ in called} == {"${AWS::StackName}-shards"}
    assert [value for _, value in called] == ["MaxContributorValue", "Sum", "UniqueContributors"]
    assert expressions[0] == (
        "100 * INSIGHT_RULE_METRIC('${AWS::StackName}-shards', 'MaxContributorValue') / "
        "INSIGHT_RULE_METRIC('${AWS::StackName}-shards', 'Sum')"
    )
    its = every_alarm(template)["ShardRule"]["Properties"]
    assert its["RuleName"] == {"Fn::Sub": "${AWS::StackName}-shards"}


def test_the_rule_of_the_shards_reads_fields_of_the_line_of_each_batch(template: Template) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/ContributorInsights-RuleSyntax.html."""
    rule = json.loads(every_alarm(template)["ShardRule"]["Properties"]["RuleBody"]["Fn::Sub"])
    assert rule["LogGroupNames"] == ["${WriteToDynamodbLog}"]
    counts = rule["Contribution"]
    with logging_as("write_to_dynamodb") as (logger, written):
        records = kinesis_records(image_event("A1"), image_event("A2"), b"no event")
        consumed(records, MemorySink, logger)
    (match,) = counts["Filters"]
    (line,) = [one for one in written.lines if one[match["Match"][2:]] in match["In"]]
    (shard,) = counts["Keys"]
    assert line[shard.removeprefix("$.")] == "shardId-000000000000"
    assert line[counts["ValueOf"].removeprefix("$.")] == 3


def test_the_chart_of_the_last_audit_reaches_back_to_it(template: Template) -> None:
    """An audit runs once a night, and a dashboard opens with some hours."""
    said = every_alarm(template)["StackDashboard"]["Properties"]["DashboardBody"]
    charts = [
        widget["properties"]
        for widget in json.loads(said["Fn::Sub"])["widgets"]
        if widget["properties"]["title"].startswith("Last audit")
    ]
    assert [(one["start"], one["end"]) for one in charts] == [("-P7D", "P0D")] * 2
    named = {metric[1] for one in charts for metric in one["metrics"]}
    assert named == {DIFFERENT, UNKNOWN, AUDITED_IMAGES}


@pytest.mark.parametrize(
    ("index_from", "mapping"),
    [("Kinesis", "WriteToEsStream"), ("DynamoDBStreams", "WriteToEsTableStream")],
)
def test_the_dashboard_shows_only_metrics_that_are_emitted(
    template: Template, index_from: str, mapping: str
) -> None:
    shown = _shown(template, IndexFrom=index_from)
    for namespace, name, *dimensions in shown:
        assert tuple(dimensions[::2]) == METRICS[namespace, name].dimensions
    uuids = {one[3] for one in shown if one[2] == "EventSourceMappingUUID"}
    assert uuids == {"${WriteToDynamodbStream}", f"${{{mapping}}}"}


def test_no_two_charts_of_the_dashboard_overlap(template: Template) -> None:
    said = every_alarm(template)["StackDashboard"]["Properties"]["DashboardBody"]
    widgets = json.loads(said["Fn::Sub"])["widgets"]
    places = [(one["x"], one["y"]) for one in widgets]
    assert len(set(places)) == len(places)
    assert all(one["x"] + one["width"] <= 24 for one in widgets)
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html
    assert len({one["properties"]["title"] for one in widgets}) == len(widgets)


def test_our_own_metrics_are_those_that_the_functions_emit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    emitted = _emitted(capsys, stream.report, _everything(), PlainIds())
    emitted |= _emitted(capsys, watcher.publish, *_looks())
    emitted |= _emitted(capsys, _add_audit)
    ours = {
        name: (known.unit, known.dimensions)
        for (namespace, name), known in METRICS.items()
        if namespace == OWN_NAMESPACE and name not in NO_METRIC_OF_A_FUNCTION
    }
    assert ours.items() <= emitted.items()
    assert emitted.keys() == ours.keys()


def _emitted(
    capsys: pytest.CaptureFixture[str], reports: Callable[..., None], *what: object
) -> dict[str, tuple[str, tuple[str, ...]]]:
    """The unit and dimensions of each metric, in CloudWatch's embedded metric format."""
    metrics = AmazonCloudWatchEMFProvider(namespace="Lockstep/tests", service="write_to_es")
    rewired(reports, metrics=metrics)(*what)
    metrics.flush_metrics()
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "CloudWatchMetrics" in one]
    (said,) = json.loads(line)["_aws"]["CloudWatchMetrics"]
    (dimensions,) = said["Dimensions"]
    return {one["Name"]: (one["Unit"], tuple(dimensions)) for one in said["Metrics"]}


class _Engines:
    """An index whose aliases nobody has made, a filled table, and an empty bucket."""

    indices = SimpleNamespace(get=lambda **_: {})

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: [])


metrics: Any = None  # each function gets its own


def _add_audit() -> None:
    """The metrics of an audit that has ended."""
    moment = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
    audit = Audit("equal", table=2, index=2, differences={}, seconds=1.0)
    add_metrics(
        metrics,
        PiecesReport(
            "run",
            values=False,
            begun=moment,
            ended=moment,
            audit=audit,
            invocations=1,
            seconds=1.0,
            read_units=1.0,
        ),
    )


def _looks() -> tuple[Callable[[], watcher.Looked], ...]:
    engines: Any = _Engines()
    return (
        lambda: watcher.index_metrics(engines, engines, "images", "images", 0.0),
        lambda: watcher.bucket_metrics(engines, "bucket", dt.datetime.now(dt.UTC)),
    )


def _everything() -> Delivery:
    """A batch in which each fate occurs, with a late and an outrun event."""
    outrun = quarantined(
        record(),
        function="write_to_es",
        change=None,
        reason="outrun",
        detail="",
        at="2026-11-29T00:00:00Z",
    )
    return Delivery(
        counts={"Applied": 1, "Duplicate": 1, "Stale": 1, "Quarantined": 1, "Failed": 1},
        lag_ms=1,
        checkpoint=None,
        quarantined=[outrun],
        failures={},
        late=[change()],
        out_of_order=1,
    )


def test_without_anybody_to_tell_there_are_no_alarms(a_template: Template) -> None:
    kinds = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm", "AWS::SNS")
    resources = render(a_template, {"OpenSearchInstanceCount": "3"})
    assert [name for name, its in resources.items() if its["Type"].startswith(kinds)] == []


@pytest.mark.parametrize(
    ("chosen", "paged", "ticketed"),
    [
        ({"AlarmEmail": "a@example.com"}, {"Ref": "AlarmTopic"}, {"Ref": "AlarmTopic"}),
        ({"PageTopicArn": PAGES, "TicketTopicArn": TICKETS}, PAGES, TICKETS),
        (
            {"PageTopicArn": PAGES, "AlarmEmail": "a@example.com"},
            PAGES,
            {"Ref": "AlarmTopic"},
        ),
        (
            {"TicketTopicArn": TICKETS, "AlarmEmail": "a@example.com"},
            {"Ref": "AlarmTopic"},
            TICKETS,
        ),
    ],
)
def test_each_severity_tells_its_own_and_tells_when_it_is_over(
    a_template: Template, chosen: Mapping[str, str], paged: Any, ticketed: Any
) -> None:
    assert refusals(a_template, **chosen) == []
    resources = render(a_template, chosen)
    outage = composite(resources)
    assert outage["AlarmActions"] == outage["OKActions"] == [paged]
    for alarm in alarms(resources):
        tells = (ticketed,) if alarm.severity == "ticket" else ()
        assert alarm.actions == alarm.ok_actions == tells, alarm.name
    assert ("AlarmTopic" in resources) == ("AlarmEmail" in chosen)


def test_an_address_that_would_get_nothing_is_refused(a_template: Template) -> None:
    both = {"PageTopicArn": PAGES, "TicketTopicArn": TICKETS}
    (refused,) = refusals(a_template, AlarmEmail="a@example.com", **both)
    assert "AlarmEmail" in refused


@pytest.mark.parametrize("topic", ["PageTopicArn", "TicketTopicArn"])
def test_a_severity_that_would_tell_nobody_is_refused(a_template: Template, topic: str) -> None:
    (refused,) = refusals(a_template, **{topic: PAGES})
    assert refused.startswith(f"If {topic} is set")


def test_an_outage_is_one_page(a_template: Template) -> None:
    """The composite alarm has each alarm of severity page, and no other."""
    for resources in combinations_with_alarms(a_template):
        rule = json.dumps(composite(resources)["AlarmRule"])
        said = re.findall(r"ALARM\(\\\\?\"\$\{(\w+)\}", rule)
        paging = {one.logical_id for one in alarms(resources) if one.severity == "page"}
        assert set(said) == paging
        assert len(said) == len(paging) <= 100


def test_planned_work_ends_by_itself(a_template: Template) -> None:
    resources = every_alarm(a_template)
    assert composite(resources)["ActionsSuppressor"] == {"Fn::GetAtt": ["PlannedWork", "Arn"]}
    (metric,) = by_name(resources)["planned-work"].metrics.values()
    assert metric.period == 3600
    assert by_name(resources)["planned-work"].missing == "notBreaching"


def test_an_alarm_has_the_name_of_its_stack(a_template: Template) -> None:
    for resource in every_alarm(a_template).values():
        if resource["Type"].startswith("AWS::CloudWatch::") and "AlarmName" in str(resource):
            name = resource["Properties"]["AlarmName"]["Fn::Sub"]
            assert name == "${AWS::StackName}-" + short_name(resource["Properties"])


def test_a_replica_without_a_node_is_an_alarm_only_where_there_is_a_node_for_it(
    template: Template,
) -> None:
    assert "domain-yellow" in by_name(every_alarm(template, OpenSearchInstanceCount="2"))
    assert "domain-yellow" not in by_name(every_alarm(template, OpenSearchInstanceCount="1"))
    own = by_name(every_alarm(template, **OWN_DOMAIN))
    assert {"domain-yellow", "domain-storage"} & own.keys() == set()
    (metric,) = own["domain-red"].metrics.values()
    assert dict(metric.dimensions)["DomainName"] == "own-domain"


def test_an_engine_that_is_no_domain_of_aws_has_no_metrics_there(template: Template) -> None:
    found = by_name(every_alarm(template, OpenSearchSigning="no", **OWN_DOMAIN))
    assert not [one for one in found if one.startswith("domain-")]


@pytest.mark.parametrize("gib", [10, 100, 1000])
def test_the_disk_is_nearly_full_at_a_quarter(template: Template, gib: int) -> None:
    sizes = {"OpenSearchInstanceType": "r7g.large.search", "OpenSearchVolumeGiB": str(gib)}
    # MiB: https://docs.aws.amazon.com/opensearch-service/latest/developerguide/cloudwatch-alarms.html
    assert by_name(every_alarm(template, **sizes))["domain-storage"].threshold == gib * 1024 / 4
    allowed = template["Parameters"]["OpenSearchVolumeGiB"]["AllowedValues"]
    assert template["Mappings"]["Volume"].keys() == {str(one) for one in allowed}


@pytest.mark.parametrize("consumer", ["table", "index"])
@pytest.mark.parametrize("days", ["2", "7", "30"])
def test_a_loss_is_near_at_half_of_the_age_at_which_records_are_discarded(
    template: Template, consumer: str, days: str
) -> None:
    resources = every_alarm(template, RetentionDays=days)
    age = resources["WriteToDynamodbStream"]["Properties"]["MaximumRecordAgeInSeconds"]
    assert by_name(resources)[f"loss-is-near-{consumer}"].threshold == age * 1000 / 2


def test_of_the_tables_stream_a_loss_is_near_sooner(template: Template) -> None:
    resources = every_alarm(template, IndexFrom="DynamoDBStreams")
    age = resources["WriteToEsTableStream"]["Properties"]["MaximumRecordAgeInSeconds"]
    assert by_name(resources)["loss-is-near-index"].threshold == age * 1000 / 2
    assert by_name(resources)["loss-is-near-table"].threshold > age * 1000 / 2


@pytest.mark.parametrize(
    ("index_from", "mapping"),
    [
        ("Kinesis", "WriteToEsStream"),
        ("DynamoDBStreams", "WriteToEsTableStream"),
        ("KinesisDataStreamsForDynamoDB", "WriteToEsTableChanges"),
    ],
)
def test_a_mapping_is_watched_whichever_it_is(
    template: Template, index_from: str, mapping: str
) -> None:
    resources = every_alarm(template, IndexFrom=index_from)
    for name in ("not-reading", "dropped", "discarded"):
        (metric,) = by_name(resources)[f"{name}-index"].metrics.values()
        assert metric.dimensions == (("EventSourceMappingUUID", {"Ref": mapping}),)
        (metric,) = by_name(resources)[f"{name}-table"].metrics.values()
        assert metric.dimensions == (("EventSourceMappingUUID", {"Ref": "WriteToDynamodbStream"}),)


@pytest.mark.parametrize("consumer", ["table", "index"])
def test_only_a_missing_value_says_that_a_mapping_is_off(template: Template, consumer: str) -> None:
    """An idle mapping reports 0, a mapping that is off nothing."""
    alarm = by_name(every_alarm(template))[f"not-reading-{consumer}"]
    assert (alarm.comparison, alarm.threshold) == ("LessThanThreshold", 0)
    assert alarm.missing == "breaching"
    (metric,) = alarm.metrics.values()
    assert alarm.periods * metric.period == 15 * 60


def test_missing_data_of_dynamodb_is_filled(template: Template) -> None:
    """Its alarms ignore missing data: they would stay on after the last throttled request."""
    reading = [
        alarm
        for alarm in alarms(every_alarm(template))
        if any(one.namespace == "AWS/DynamoDB" for one in alarm.metrics.values())
    ]
    assert reading
    for alarm in reading:
        assert alarm.expression is not None
        assert all(f"FILL({one}, 0)" in alarm.expression for one in alarm.metrics)


def test_only_alarms_of_this_stack_may_tell_and_with_its_key(a_template: Template) -> None:
    resources = every_alarm(a_template)
    (statement,) = resources["AlarmTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statement["Action"] == "sns:Publish"
    named = statement["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"]
    assert named.endswith(":${AWS::AccountId}:alarm:${AWS::StackName}-*")
    key = "arn:aws:kms:eu-central-1:123456789012:key/0a1b"
    own = every_alarm(a_template, KmsKeyArn=key)["AlarmTopic"]["Properties"]
    assert own == {"KmsMasterKeyId": key}
    # CloudWatch cannot use alias/aws/sns.
    assert resources["AlarmTopic"].get("Properties", {}) == {}


def test_each_consumer_is_watched_in_the_same_way(template: Template) -> None:
    """But for what only the consumer of the table says, and for the names."""
    found = by_name(every_alarm(template))
    assert len(_pairs(found)) == 10
    for name in _pairs(found):
        one, other = found[f"{name}-table"], found[f"{name}-index"]
        assert _without_names(one) == _without_names(other)


def test_the_consumer_of_a_replica_is_watched_in_the_same_way(
    template: Template, replica_template: Template
) -> None:
    """But for its pages, its own alarm, and when a loss is near: a table's stream is shorter."""
    other = by_name(every_alarm(template))
    found = by_name(every_alarm(replica_template))
    assert found.keys() - {f"{name}-replica" for name in _pairs(other)} == {
        "out-of-order-replica",
        "planned-work",
        "purge-fails",
    }
    for name in _pairs(other):
        one, same = _without_names(found[f"{name}-replica"]), _without_names(other[f"{name}-table"])
        if name == "loss-is-near":
            same = same._replace(threshold=one.threshold)
        assert one._replace(page="") == same._replace(page="")


def test_of_a_replica_a_loss_is_near_at_half_of_the_age(replica_template: Template) -> None:
    resources = every_alarm(replica_template)
    age = resources["WriteToTablestoreStream"]["Properties"]["MaximumRecordAgeInSeconds"]
    alarm = by_name(resources)["loss-is-near-replica"]
    assert alarm.threshold == age * 1000 / 2
    for one in alarms(resources):
        if one.name == "purge-fails":
            continue
        for metric in one.metrics.values():
            for name, value in metric.dimensions:
                assert (
                    value
                    == {
                        "EventSourceMappingUUID": {"Ref": "WriteToTablestoreStream"},
                        "FunctionName": {"Ref": "WriteToTablestore"},
                        "service": "write_to_tablestore",
                    }[name]
                )


def _pairs(found: Mapping[str, TemplateAlarm]) -> list[str]:
    return [name.removesuffix("-table") for name in found if name.endswith("-table")]


def _without_names(alarm: TemplateAlarm) -> TemplateAlarm:
    metrics = {key: one._replace(dimensions=()) for key, one in alarm.metrics.items()}
    return alarm._replace(logical_id="", name="", says="", metrics=metrics)


def test_the_template_is_within_the_limits_of_cloudformation(a_template: Template) -> None:
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
    assert len(json.dumps(a_template)) < 1_000_000
    assert len(a_template["Resources"]) < 500
    assert len(a_template["Parameters"]) < 200
