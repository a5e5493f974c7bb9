"""`lockstep alarms`: whom the alarms of a deployed stack tell, and a drill of them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import boto3
import msgspec
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from lockstep.stack.alarms import OUTAGE, AlarmState, StackAlarm, checked_alarms, read_alarms
from lockstep.stack.drill import OVER, REASON, Drill, DrillError, planned
from shared.clock import Clock

STACK = "images"
TICKETS = "arn:aws:sns:eu-central-1:123456789012:tickets"
PAGES = "arn:aws:sns:eu-central-1:123456789012:pages"


def client(service: Any) -> Any:
    return boto3.client(
        service, "eu-central-1", aws_access_key_id="local", aws_secret_access_key="local"
    )


def alarm(short: str, severity: Any = "ticket", **other: Any) -> StackAlarm:
    fields = {
        "name": f"{STACK}-{short}",
        "short": short,
        "severity": severity,
        "state": "OK",
        "reason": "All is well.",
        "topics": [TICKETS if severity == "ticket" else PAGES],
        "is_enabled": True,
    }
    return StackAlarm(**(fields | other))


ERRORS, TOLD = alarm("errors-table"), alarm(OUTAGE, "page", waits=120)
LAGS = alarm("lags-table", "page", topics=[])
PLANNED = alarm("planned-work", "none", topics=[])
ALL = (ERRORS, LAGS, TOLD, PLANNED)


def on(one: StackAlarm) -> StackAlarm:
    return alarm(one.short, one.severity, topics=one.topics, waits=one.waits, state="ALARM")


def test_the_alarms_are_those_of_the_stack_and_no_others() -> None:
    cloudformation, cloudwatch = client("cloudformation"), client("cloudwatch")
    resources = [
        ("AWS::CloudWatch::Alarm", "images-errors-table"),
        ("AWS::CloudWatch::CompositeAlarm", "images-outage"),
        ("AWS::Kinesis::Stream", "images"),
    ]
    summaries = [
        {
            "ResourceType": kind,
            "PhysicalResourceId": name,
            "LogicalResourceId": "One",
            "LastUpdatedTimestamp": 0,
            "ResourceStatus": "CREATE_COMPLETE",
        }
        for kind, name in resources
    ]
    said: dict[str, Any] = {
        "StateValue": "OK",
        "StateReason": "All is well.",
        "ActionsEnabled": True,
    }
    answer = {
        "CompositeAlarms": [
            said
            | {
                "AlarmName": "images-outage",
                "AlarmDescription": "page: It is on. docs/runbook/outage.md",
                "AlarmActions": [PAGES],
                "ActionsSuppressorWaitPeriod": 120,
            }
        ],
        "MetricAlarms": [
            said
            | {
                "AlarmName": "images-errors-table",
                "AlarmDescription": "ticket: It fails. docs/runbook/errors.md",
                "AlarmActions": [TICKETS],
            }
        ],
    }
    asked = {
        "AlarmNames": ["images-errors-table", "images-outage"],
        "AlarmTypes": ["CompositeAlarm", "MetricAlarm"],
    }
    with Stubber(cloudformation) as stacks, Stubber(cloudwatch) as watch:
        stacks.add_response("list_stack_resources", {"StackResourceSummaries": summaries})
        watch.add_response("describe_alarms", answer, asked)
        found = read_alarms(cloudformation, cloudwatch, STACK)
    assert [msgspec.structs.replace(one, says="") for one in found] == [ERRORS, TOLD]
    assert found[0].says == "It fails."


def subscriptions(*of_topics: Sequence[tuple[str, str]] | None) -> Any:
    """A client of SNS with these addresses and their ARNs for each topic; None: no such topic."""
    sns = client("sns")
    stub = Stubber(sns)
    for found in of_topics:
        if found is None:
            stub.add_client_error("list_subscriptions_by_topic", "NotFound")
        else:
            listed = [
                {"Endpoint": who, "SubscriptionArn": arn, "Protocol": "email"} for who, arn in found
            ]
            stub.add_response("list_subscriptions_by_topic", {"Subscriptions": listed})
    stub.activate()
    return sns


HEARD = [("somebody@example.com", f"{PAGES}:1")]


def test_confirmed_addresses_are_well() -> None:
    found = checked_alarms(ALL, subscriptions(HEARD, HEARD), STACK)
    assert (found.wrong, found.exit_code, found.alarms) == ([], 0, 4)
    assert [one.topic for one in found.recipients] == [PAGES, TICKETS]


@pytest.mark.parametrize(
    ("pages", "says"),
    [
        ([("late@example.com", "PendingConfirmation")], "late@example.com is not confirmed"),
        ([*HEARD, ("late@example.com", "PendingConfirmation")], "late@example.com is not"),
        ([], f"nobody listens to topic {PAGES}"),
        ([("gone@example.com", "Deleted")], f"nobody listens to topic {PAGES}"),
        (None, f"nobody listens to topic {PAGES}"),
    ],
    ids=["pending", "one of two is pending", "no address", "removed", "no topic"],
)
def test_who_is_not_told_is_one_line_and_no(
    pages: Sequence[tuple[str, str]] | None, says: str
) -> None:
    found = checked_alarms(ALL, subscriptions(pages, HEARD), STACK)
    (wrong,) = found.wrong
    assert wrong.startswith(says)
    assert f"aws sns subscribe --topic-arn {PAGES}" in wrong
    assert found.exit_code == 1


def test_an_alarm_that_cannot_tell_is_wrong() -> None:
    alarms = (alarm("errors-table", is_enabled=False), alarm(OUTAGE, "page", topics=[]))
    found = checked_alarms(alarms, subscriptions(HEARD), STACK)
    assert found.wrong == [
        "images-errors-table: its actions are disabled",
        "images-outage has no topic, so nobody is told",
    ]


def test_a_stack_without_alarms_is_wrong_and_has_no_drill() -> None:
    found = checked_alarms([], subscriptions(), STACK)
    assert "images has no alarms" in found.wrong[0]
    assert found.exit_code == 1
    with pytest.raises(DrillError, match="images has no alarms"):
        planned([], [], STACK)


def test_one_alarm_of_each_severity_is_planned() -> None:
    assert planned(ALL, [], STACK) == [ERRORS, TOLD]
    assert planned(ALL, ["images-errors-table"], STACK) == [ERRORS]
    of_replica = alarm("errors-replica")
    assert planned([of_replica, TOLD], [], STACK) == [of_replica, TOLD]


@pytest.mark.parametrize(
    ("alarms", "wanted", "says"),
    [
        (ALL, "no-such", "no alarm 'no-such'; it has errors-table, outage"),
        (ALL, "lags-table", "tells nobody by itself: choose outage"),
        (ALL, "planned-work", "has no topic"),
        ((on(ERRORS), TOLD), "errors-table", "is on: this is no drill"),
        ((ERRORS, on(TOLD)), "outage", "is on: this is no drill"),
        ((ERRORS, TOLD, on(PLANNED)), "outage", "wait until images-planned-work is off"),
        ((alarm("errors-table", is_enabled=False),), "errors-table", "enable-alarm-actions"),
    ],
)
def test_there_is_no_drill_that_would_tell_nobody(
    alarms: Sequence[StackAlarm], wanted: str, says: str
) -> None:
    with pytest.raises(DrillError, match=says):
        planned(alarms, [wanted], STACK)


class Watch:
    """CloudWatch, as far as a drill uses it. An alarm that was set stays so.

    `tells` is what the history says some seconds after an alarm went on. `meanwhile` happens while
    the drill waits.
    """

    def __init__(self, *alarms: StackAlarm, tells: Sequence[str], after: float = 0.0) -> None:
        self.alarms = {one.name: one for one in alarms}
        self.set: list[tuple[str, AlarmState, str]] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.refuses_the_end = False
        self._tells = tells
        self._after = after
        self._now = 0.0
        self._went_on = 0.0

    def set_alarm_state(self, *, AlarmName: str, StateValue: Any, StateReason: str) -> None:  # noqa: N803
        if self.refuses_the_end and StateReason == OVER:
            raise ClientError({"Error": {"Code": "Throttling"}}, "SetAlarmState")
        self.set.append((AlarmName, StateValue, StateReason))
        self.change(AlarmName, StateValue, StateReason)
        self._went_on = self._now

    def change(self, name: str, state: AlarmState, reason: str) -> None:
        one = self.alarms[name]
        self.alarms[name] = alarm(
            one.short,
            one.severity,
            topics=one.topics,
            waits=one.waits,
            state=state,
            reason=reason,
        )

    def describe_alarm_history(self, **_: Any) -> Mapping[str, Any]:
        old = {"Timestamp": datetime.fromtimestamp(0, UTC), "HistorySummary": self._tells[0]}
        items = [old]
        if self.set and self._now >= self._went_on + self._after:
            at = datetime.fromtimestamp(1 + self._went_on + self._after, UTC)
            items += [{"Timestamp": at, "HistorySummary": said} for said in self._tells]
        return {"AlarmHistoryItems": items}

    def clock(self) -> Clock:
        def sleep(seconds: float) -> None:
            self._now += seconds
            self.meanwhile()

        return Clock(
            now=lambda: self._now, elapsed=lambda: self._now, sleep=sleep, chance=lambda: 0.0
        )

    def drill(self) -> Drill:
        cloudwatch: Any = self
        return Drill(cloudwatch, alarms=lambda: list(self.alarms.values()), clock=self.clock())


def test_an_alarm_rings_until_its_topic_has_the_message_and_is_put_back() -> None:
    said = f"Successfully executed action {TICKETS}"
    watch = Watch(ERRORS, tells=[said], after=12)
    found = watch.drill().ring(ERRORS, 60)
    assert (found.told, found.failed, found.missing, found.seconds) == ([TICKETS], [], [], 15.0)
    assert watch.set == [(ERRORS.name, "ALARM", REASON), (ERRORS.name, "OK", OVER)]


def test_a_message_that_cloudwatch_could_not_send_is_told() -> None:
    said = f'Failed to execute action {TICKETS}. Received error: "no authorization to the key"'
    found = Watch(ERRORS, tells=[said]).drill().ring(ERRORS, 60)
    assert (found.told, found.failed, found.is_heard) == ([], [said], False)


def test_outage_gets_the_time_that_it_waits_itself() -> None:
    said = f"Successfully executed action {PAGES}"
    assert Watch(TOLD, LAGS, tells=[said], after=130).drill().ring(TOLD, 60).is_heard
    too_late = Watch(TOLD, LAGS, tells=[said], after=200).drill().ring(TOLD, 60)
    assert (too_late.missing, too_late.is_heard) == ([PAGES], False)


@pytest.mark.parametrize("seen", ["before the end", "never by outage"])
def test_trouble_during_a_drill_is_no_drill(seen: str) -> None:
    """`outage` is on in any case, so it does not change when an alarm of its kind goes on."""
    watch = Watch(TOLD, LAGS, tells=[f"Successfully executed action {PAGES}"], after=60)

    def lags() -> None:
        watch.change(LAGS.name, "ALARM", "15 minutes behind.")
        if seen == "before the end":
            watch.change(TOLD.name, "ALARM", "lags-table went on.")

    watch.meanwhile = lags
    watch.drill().ring(TOLD, 60)
    assert watch.alarms[TOLD.name].state == "ALARM"
    assert watch.alarms[TOLD.name].reason != REASON
    assert (TOLD.name, "OK", OVER) in watch.set or seen == "before the end"


def test_a_drill_that_is_interrupted_puts_the_alarm_back() -> None:
    watch = Watch(ERRORS, tells=[f"Successfully executed action {TICKETS}"], after=60)

    def interrupt() -> None:
        raise KeyboardInterrupt

    watch.meanwhile = interrupt
    with pytest.raises(KeyboardInterrupt):
        watch.drill().ring(ERRORS, 60)
    assert watch.set[-1] == (ERRORS.name, "OK", OVER)


def test_an_alarm_that_could_not_be_put_back_is_told_with_the_command() -> None:
    watch = Watch(ERRORS, tells=[f"Successfully executed action {TICKETS}"])
    watch.refuses_the_end = True
    with pytest.raises(DrillError, match=r"may still be on .*set-alarm-state --alarm-name images-"):
        watch.drill().ring(ERRORS, 60)


def test_an_alarm_that_went_on_since_it_was_planned_is_no_drill() -> None:
    with pytest.raises(DrillError, match="is on"):
        Watch(on(ERRORS), tells=["-"]).drill().ring(ERRORS, 60)
