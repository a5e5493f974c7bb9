"""The drill: alarms of a deployed stack go on although nothing is wrong, to see that they tell.

CloudWatch keeps an alarm on metrics in a state that was set for seconds only, but a composite alarm
until one of its children changes. `outage` tells two minutes after it went on, so that planned work
can keep it silent. So the drill sets `outage` itself, not one of its children, and puts it back.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_SetAlarmState.html
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from lockstep.console.errors import UserError
from lockstep.stack.alarms import OUTAGE, PLANNED_WORK, AlarmState, StackAlarm, no_alarms
from shared.clock import Clock

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient

# One alarm of each severity: what is told of the others takes the same way.
USUAL = ("errors-table", OUTAGE)
USUAL_OF_REPLICA = ("errors-replica", OUTAGE)
REASON = "This is a drill of `lockstep alarms drill`: nothing is wrong."
OVER = "The drill is over."
# How often to look for a message, in seconds.
EVERY = 5.0
# What the history of an alarm says of an action, as CloudWatch's console shows it.
_DONE, _FAILED = "Successfully executed action", "Failed to execute action"


class DrillError(UserError):
    """There can be no drill now; the message says why and what to do."""


class Rang(msgspec.Struct, frozen=True):
    """What an alarm did in a drill.

    `told` are the topics that got its message, `failed` what CloudWatch says of the others.
    `seconds` is how long that took.
    """

    alarm: str
    told: Sequence[str]
    failed: Sequence[str]
    missing: Sequence[str]
    seconds: float

    @property
    def is_heard(self) -> bool:
        """Whether all its topics got the message."""
        return not self.failed and not self.missing


def planned(alarms: Sequence[StackAlarm], wanted: Sequence[str], stack: str) -> list[StackAlarm]:
    """The alarms of a drill.

    Args:
        alarms: all alarms of the stack.
        wanted: names, with or without the name of the stack; empty: one of each severity.
        stack: the name of the stack.

    Raises:
        DrillError: an alarm is not there, is on, or would tell nobody.
    """
    if not alarms:
        raise DrillError(no_alarms(stack))
    by_name = {one.short: one for one in alarms} | {one.name: one for one in alarms}
    found = []
    usual = USUAL_OF_REPLICA if USUAL_OF_REPLICA[0] in by_name else USUAL
    for name in wanted or usual:
        if name not in by_name:
            told = ", ".join(one.short for one in alarms if one.topics)
            raise DrillError(f"stack {stack} has no alarm {name!r}; it has {told}")
        found.append(by_name[name])
    for one in found:
        _check(one, alarms)
    return found


def _check(alarm: StackAlarm, alarms: Sequence[StackAlarm]) -> None:
    if alarm.severity == "page" and alarm.short != OUTAGE:
        raise DrillError(
            f"{alarm.short} tells nobody by itself: choose {OUTAGE}, which tells of it"
        )
    if not alarm.topics:
        raise DrillError(f"{alarm.name} has no topic, so it tells nobody")
    if not alarm.is_enabled:
        raise DrillError(
            f"the actions of {alarm.name} are disabled: `aws cloudwatch enable-alarm-actions "
            f"--alarm-names {alarm.name}` enables them"
        )
    if alarm.state == "ALARM":
        raise DrillError(f"{alarm.name} is on: this is no drill. Do what its page says")
    if alarm.short != OUTAGE:
        return
    for one in alarms:
        if one.short == PLANNED_WORK and one.state == "ALARM":
            raise DrillError(
                f"work is planned, so {OUTAGE} tells nobody: wait until {one.name} is off"
            )


class Drill:
    """Lets alarms ring, one after the other."""

    def __init__(
        self,
        cloudwatch: "CloudWatchClient",
        *,
        alarms: Callable[[], Sequence[StackAlarm]],
        clock: Clock,
    ) -> None:
        """Make it.

        Args:
            cloudwatch: sets the states.
            alarms: reads the alarms of the stack.
            clock: waits.
        """
        self._cloudwatch = cloudwatch
        self._alarms = alarms
        self._clock = clock

    def ring(self, alarm: StackAlarm, seconds: float) -> Rang:
        """Let an alarm go on, wait until it has told its topics, and put it back.

        It is put back whatever happens, but not if it went on for another reason meanwhile.

        Args:
            alarm: the alarm.
            seconds: how long to wait, besides the time that the alarm itself waits.

        Raises:
            DrillError: it went on meanwhile, or it could not be put back.
            ClientError, BotoCoreError: CloudWatch does not answer, or not to this caller.
        """
        alarms = self._alarms()
        alarm = self._now(alarm.name, alarms)
        _check(alarm, alarms)
        before = set(self._actions(alarm))
        started = self._clock.elapsed()
        self._set(alarm, "ALARM", REASON)
        try:
            return self._heard(alarm, before, started, started + alarm.waits + seconds)
        finally:
            self._put_back(alarm)

    def _heard(
        self, alarm: StackAlarm, before: set[tuple[str, str]], started: float, ends: float
    ) -> Rang:
        while True:
            news = [said for when, said in self._actions(alarm) if (when, said) not in before]
            told = [
                one
                for one in alarm.topics
                if any(said.startswith(_DONE) and one in said for said in news)
            ]
            failed = [said for said in news if said.startswith(_FAILED)]
            missing = [
                one for one in alarm.topics if not any(one in said for said in (*told, *failed))
            ]
            elapsed = self._clock.elapsed()
            if not missing or elapsed >= ends:
                return Rang(alarm.name, told, failed, missing, round(elapsed - started, 1))
            self._clock.sleep(EVERY)

    def _actions(self, alarm: StackAlarm) -> Iterator[tuple[str, str]]:
        """When each action of an alarm was, and what CloudWatch says of it; the latest 100."""
        answer = self._cloudwatch.describe_alarm_history(
            AlarmName=alarm.name,
            AlarmTypes=["CompositeAlarm", "MetricAlarm"],
            HistoryItemType="Action",
            ScanBy="TimestampDescending",
            MaxRecords=100,
        )
        for one in answer["AlarmHistoryItems"]:
            yield one["Timestamp"].isoformat(), one["HistorySummary"]

    def _put_back(self, alarm: StackAlarm) -> None:
        try:
            if self._now(alarm.name, self._alarms()).reason == REASON:
                self._set(alarm, alarm.state, OVER)
            if alarm.short == OUTAGE:
                self._ring_for_children(alarm)
        except (BotoCoreError, ClientError) as error:
            raise DrillError(
                f"{alarm.name} may still be on ({error}): `aws cloudwatch set-alarm-state "
                f"--alarm-name {alarm.name} --state-value OK --state-reason over` ends the drill"
            ) from error

    def _ring_for_children(self, alarm: StackAlarm) -> None:
        """A child that went on meanwhile did not change the state of `outage`, which was on."""
        alarms = self._alarms()
        on = [
            one.short
            for one in alarms
            if one.severity == "page" and one.state == "ALARM" and one.name != alarm.name
        ]
        if on and self._now(alarm.name, alarms).state != "ALARM":
            self._set(alarm, "ALARM", f"This is no drill: {', '.join(on)} went on during one.")

    def _set(self, alarm: StackAlarm, state: AlarmState, reason: str) -> None:
        self._cloudwatch.set_alarm_state(AlarmName=alarm.name, StateValue=state, StateReason=reason)

    @staticmethod
    def _now(name: str, alarms: Sequence[StackAlarm]) -> StackAlarm:
        (found,) = (one for one in alarms if one.name == name)
        return found
