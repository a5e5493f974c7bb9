"""The alarms of a deployed stack, and who is told of them.

Each alarm of template.yaml has a description that begins with its severity: `page`, `ticket` or
`none` (docs/runbook/README.md). An alarm of severity page tells nobody by itself: the composite
alarm `outage` does.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_cloudwatch import CloudWatchClient

AlarmState = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Severity = Literal["page", "ticket", "none"]

# The alarm that tells of all alarms of severity page, and the one that keeps it silent.
OUTAGE, PLANNED_WORK = "outage", "planned-work"

_TYPES = frozenset({"AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"})
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
_AT_ONCE = 100
# https://docs.aws.amazon.com/sns/latest/api/API_Subscription.html
_PENDING = "PendingConfirmation"
_GONE = "Deleted"


class StackAlarm(msgspec.Struct, frozen=True):
    """An alarm as it is now.

    `name` is its whole name, `short` the name without that of its stack. `topics` are the ARNs of
    those who are told when it goes on. `waits` is how many seconds it waits before it tells. `says`
    is what it says if it is on, and `since` when it came into its present state.
    """

    name: str
    short: str
    severity: Severity
    state: AlarmState
    reason: str
    topics: Sequence[str]
    is_enabled: bool
    waits: int = 0
    says: str = ""
    since: dt.datetime | None = None


def read_alarms(
    cloudformation: "CloudFormationClient", cloudwatch: "CloudWatchClient", stack: str
) -> Sequence[StackAlarm]:
    """The alarms that belong to this stack, by name.

    CloudFormation says which they are: the names of a stack `a-b` begin like those of a stack `a`.

    Raises:
        ClientError, BotoCoreError: a service does not answer, or not to this caller.
    """
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    names = [
        one["PhysicalResourceId"]
        for page in pages
        for one in page["StackResourceSummaries"]
        if one["ResourceType"] in _TYPES and one.get("PhysicalResourceId")
    ]
    pager = cloudwatch.get_paginator("describe_alarms")
    found = [
        _alarm(one, stack)
        for some in batched(names, _AT_ONCE)
        for page in pager.paginate(
            AlarmNames=list(some), AlarmTypes=["CompositeAlarm", "MetricAlarm"]
        )
        for one in (*page.get("CompositeAlarms", ()), *page.get("MetricAlarms", ()))
    ]
    return sorted(found, key=lambda one: one.name)


def _alarm(said: Any, stack: str) -> StackAlarm:
    severity, _, says = said.get("AlarmDescription", "").partition(":")
    return StackAlarm(
        name=said["AlarmName"],
        short=said["AlarmName"].removeprefix(f"{stack}-"),
        severity=severity if severity in {"page", "ticket"} else "none",
        state=said["StateValue"],
        reason=said.get("StateReason", ""),
        topics=said.get("AlarmActions", []),
        is_enabled=said["ActionsEnabled"],
        waits=said.get("ActionsSuppressorWaitPeriod", 0),
        says=says.partition(" docs/runbook/")[0].strip(),
        since=said.get("StateTransitionedTimestamp"),
    )


class Recipient(msgspec.Struct, frozen=True):
    """Somebody whom a topic tells: an address, and whether its owner has confirmed it."""

    topic: str
    protocol: str
    endpoint: str
    confirmed: bool


class AlarmCheck(msgspec.Struct, frozen=True):
    """The alarms of a stack and whom they tell. `wrong` has a line for each alarm nobody hears."""

    alarms: int
    recipients: Sequence[Recipient]
    wrong: Sequence[str]

    @property
    def exit_code(self) -> int:
        """1 if somebody is not told of an alarm."""
        return int(bool(self.wrong))


def checked_alarms(alarms: Sequence[StackAlarm], sns: Any, stack: str) -> AlarmCheck:
    """Whether somebody is told of each alarm.

    Args:
        alarms: all alarms of the stack.
        sns: a client of SNS.
        stack: the name of the stack.

    Raises:
        ClientError, BotoCoreError: SNS does not answer, or not to this caller.
    """
    if not alarms:
        return AlarmCheck(0, [], [no_alarms(stack)])
    wrong = [f"{one.name}: its actions are disabled" for one in alarms if not one.is_enabled]
    telling = [one for one in alarms if one.severity == "ticket" or one.short == OUTAGE]
    wrong += [f"{one.name} has no topic, so nobody is told" for one in telling if not one.topics]
    recipients: list[Recipient] = []
    for topic in sorted({topic for one in alarms for topic in one.topics}):
        found = list(_recipients(sns, topic))
        recipients += found
        wrong += _unheard(topic, found)
    return AlarmCheck(len(alarms), recipients, wrong)


def no_alarms(stack: str) -> str:
    """What to say of a stack without alarms."""
    return (
        f"stack {stack} has no alarms, so nobody is told: set AlarmEmail, or PageTopicArn and "
        "TicketTopicArn, in samconfig.toml, and deploy"
    )


def _recipients(sns: Any, topic: str) -> Iterator[Recipient]:
    try:
        for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic):
            for one in page["Subscriptions"]:
                arn = one["SubscriptionArn"]
                if arn != _GONE:
                    yield Recipient(topic, one["Protocol"], one["Endpoint"], arn != _PENDING)
    except sns.exceptions.NotFoundException:
        return


def _unheard(topic: str, recipients: Sequence[Recipient]) -> Iterator[str]:
    # AWS removes what is not confirmed after 48 hours, and a deployment does not add it again:
    # https://aws.amazon.com/about-aws/whats-new/2023/05/amazon-sns-automatic-deletion-unconfirmed-subscriptions/
    again = f"aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint"
    if not recipients:
        yield (
            f"nobody listens to topic {topic}. AWS forgets an address that is not confirmed within "
            f"48 hours: add it with `{again} ADDRESS`"
        )
    for one in recipients:
        if not one.confirmed:
            yield (
                f"{one.endpoint} is not confirmed, so it gets no alarm: open the link in AWS's "
                f"message, or ask for another message with `{again} {one.endpoint}`"
            )
