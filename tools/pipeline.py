"""What the pipeline asks CloudFormation: docs/guides/pipeline.md.

SAM CLI cannot set the alarms that roll a deployment back. So SAM CLI builds and packages, and this
program makes the change set from the packaged template and the stage in samconfig.toml.
"""

import argparse
import os
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from samtranslator.yaml_helper import yaml_parse

SAMCONFIG = Path(__file__).parents[1] / "samconfig.toml"

# Alarms of severity page whose trouble a deployment can cause at once. CloudFormation takes five at
# most (https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_RollbackConfiguration.html).
TRIGGERS = ("lags-table", "lags-index", "not-reading-table", "not-reading-index", "search-fails")
# The slowest of them, `lags`, goes on 20 minutes after a consumer began to fail.
MINUTES = 30
EVERY = 10.0
_ALARM = "AWS::CloudWatch::Alarm"
# What CloudFormation says of a change set that changes nothing.
_NOTHING = ("didn't contain changes", "No updates are to be performed")


class PipelineError(Exception):
    """The pipeline cannot go on; the message is one line that says why."""


class Pipeline:
    """The deployment of one stage."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        cloudformation: Any,
        cloudwatch: Any = None,
        s3: Any = None,
        sleep: Callable[[float], None] = time.sleep,
        say: Callable[[str], None] = print,
    ) -> None:
        """Make it.

        Args:
            settings: the stage's parameters of `sam deploy`, from samconfig.toml.
            cloudformation: a client of CloudFormation.
            cloudwatch: a client of CloudWatch, for a deployment.
            s3: a client of S3, for a plan.
            sleep: waits.
            say: prints a line.
        """
        self._settings = settings
        self._stack: str = settings["stack_name"]
        self._cloudformation = cloudformation
        self._cloudwatch = cloudwatch
        self._s3 = s3
        self._sleep = sleep
        self._say = say

    def plan(self, packaged: Path, name: str, *, bucket: str, role: str, watches: bool) -> bool:
        """Make a change set, and print what it would change.

        Args:
            packaged: the template that `sam package` wrote.
            name: the name of the change set.
            bucket: the bucket for the template.
            role: the ARN of the role with which CloudFormation acts.
            watches: whether alarms roll the deployment back.

        Returns:
            Whether it changes anything.

        Raises:
            PipelineError: CloudFormation does not accept it.
            ClientError: a service refuses a request.
        """
        key = f"{self._stack}/{name}.template"
        self._s3.upload_file(str(packaged), bucket, key)
        region = self._s3.meta.region_name
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        existing = self._existing()
        asked = {
            "StackName": self._stack,
            "ChangeSetName": name,
            "ChangeSetType": "CREATE" if existing is None else "UPDATE",
            "TemplateURL": f"https://{bucket}.s3.{region}.{suffix}/{key}",
            "Parameters": list(self._parameters(packaged, existing)),
            "Capabilities": self._settings["capabilities"].split(),
            "RoleARN": role,
            "Tags": [_pair(one, "Key", "Value") for one in self._settings.get("tags", [])],
        }
        triggers = self._triggers(existing) if watches else []
        changes = self._made(asked, triggers)
        # A trigger that is gone fails the whole deployment.
        gone = {one["PhysicalResourceId"] for one in changes if _ends(one)}
        left = [one for one in triggers if one.rpartition(":")[2] not in gone]
        if left != triggers:
            self._cloudformation.delete_change_set(StackName=self._stack, ChangeSetName=name)
            changes = self._made(asked, left)
        for one in changes:
            replacement = one.get("Replacement", "")
            said = f", replacement: {replacement}" if replacement not in {"", "False"} else ""
            self._say(f"{one['Action']} {one['LogicalResourceId']} ({one['ResourceType']}{said})")
        watched = ", ".join(one.rpartition(":")[2] for one in left)
        self._say(f"rolls back on: {watched or 'a failed resource only'}")
        return bool(changes)

    def deploy(self, name: str) -> None:
        """Execute a change set, and wait until CloudFormation has watched its alarms.

        Args:
            name: the name of the change set.

        Raises:
            PipelineError: an alarm is on before, or CloudFormation rolled the deployment back.
            ClientError: a service refuses a request.
        """
        planned = self._cloudformation.describe_change_set(
            StackName=self._stack, ChangeSetName=name
        )
        triggers = planned.get("RollbackConfiguration", {}).get("RollbackTriggers", [])
        self._check([one["Arn"].rpartition(":")[2] for one in triggers])
        started = max((one["Timestamp"] for one in self._events()), default=None)
        self._cloudformation.execute_change_set(StackName=self._stack, ChangeSetName=name)
        status = self._ended(started)
        if status not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
            for event in reversed(self._events()):
                is_new = started is None or event["Timestamp"] > started
                if (
                    is_new
                    and "FAILED" in event["ResourceStatus"]
                    and "ResourceStatusReason" in event
                ):
                    self._say(f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}")
            raise PipelineError(f"stack {self._stack} is {status}: the deployment was rolled back")
        self._say(f"stack {self._stack} is {status}")

    def _existing(self) -> Mapping[str, Any] | None:
        """The stack as it is; None if it has no resources yet."""
        try:
            (found,) = self._cloudformation.describe_stacks(StackName=self._stack)["Stacks"]
        except ClientError as error:
            # https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html
            if error.response["Error"]["Code"] == "ValidationError":
                return None
            raise
        return None if found["StackStatus"] == "REVIEW_IN_PROGRESS" else found

    def _parameters(
        self, packaged: Path, existing: Mapping[str, Any] | None
    ) -> Iterator[Mapping[str, Any]]:
        """As SAM CLI does: what the file does not say keeps its value."""
        chosen = dict(one.split("=", 1) for one in self._settings.get("parameter_overrides", []))
        has = {one["ParameterKey"] for one in (existing or {}).get("Parameters", [])}
        for name in yaml_parse(packaged.read_text())["Parameters"]:
            if name in chosen:
                yield {"ParameterKey": name, "ParameterValue": chosen.pop(name)}
            elif name in has:
                yield {"ParameterKey": name, "UsePreviousValue": True}
        if chosen:
            raise PipelineError(
                f"samconfig.toml: the template has no parameter {next(iter(chosen))}"
            )

    def _triggers(self, existing: Mapping[str, Any] | None) -> list[str]:
        """The ARNs of the alarms that the stack has and that roll back."""
        if existing is None:
            return []
        wanted = {f"{self._stack}-{one}" for one in TRIGGERS}
        pages = self._cloudformation.get_paginator("list_stack_resources")
        found = [
            one["PhysicalResourceId"]
            for page in pages.paginate(StackName=self._stack)
            for one in page["StackResourceSummaries"]
            if one["ResourceType"] == _ALARM and one.get("PhysicalResourceId") in wanted
        ]
        _, partition, _, region, account, _ = existing["StackId"].split(":", 5)
        return [f"arn:{partition}:cloudwatch:{region}:{account}:alarm:{one}" for one in found]

    def _made(self, asked: Mapping[str, Any], triggers: Sequence[str]) -> list[Any]:
        """The changes of a new change set. CloudFormation keeps the triggers of the last one."""
        self._cloudformation.create_change_set(
            **asked,
            RollbackConfiguration={
                "RollbackTriggers": [{"Arn": one, "Type": _ALARM} for one in triggers],
                "MonitoringTimeInMinutes": MINUTES if triggers else 0,
            },
        )
        place = {"StackName": self._stack, "ChangeSetName": asked["ChangeSetName"]}
        while (found := self._cloudformation.describe_change_set(**place))["Status"] in {
            "CREATE_PENDING",
            "CREATE_IN_PROGRESS",
        }:
            self._sleep(EVERY)
        if found["Status"] == "FAILED":
            why = found.get("StatusReason", "")
            self._cloudformation.delete_change_set(**place)
            if any(one in why for one in _NOTHING):
                return []
            raise PipelineError(f"CloudFormation does not accept the change set: {why}")
        changes = [one["ResourceChange"] for one in found.get("Changes", [])]
        while "NextToken" in found:
            found = self._cloudformation.describe_change_set(**place, NextToken=found["NextToken"])
            changes += [one["ResourceChange"] for one in found.get("Changes", [])]
        return changes

    def _check(self, alarms: Sequence[str]) -> None:
        if not alarms:
            return
        found = self._cloudwatch.describe_alarms(AlarmNames=alarms, AlarmTypes=["MetricAlarm"])
        on = [one["AlarmName"] for one in found["MetricAlarms"] if one["StateValue"] == "ALARM"]
        if on:
            raise PipelineError(
                f"{', '.join(on)}: on already, so the deployment would be rolled back. Mend it, or "
                "run the pipeline without rollback by alarms"
            )

    def _events(self) -> list[Any]:
        found: list[Any] = self._cloudformation.describe_stack_events(StackName=self._stack)[
            "StackEvents"
        ]
        return found

    def _ended(self, started: Any) -> str:
        """The status of the stack after its update; `started` is the last event before it."""
        while True:
            latest = max((one["Timestamp"] for one in self._events()), default=None)
            (found,) = self._cloudformation.describe_stacks(StackName=self._stack)["Stacks"]
            status: str = found["StackStatus"]
            if latest != started and not status.endswith("_IN_PROGRESS"):
                return status
            self._sleep(EVERY)


def _pair(text: str, key: str, value: str) -> Mapping[str, str]:
    name, _, content = text.partition("=")
    return {key: name, value: content}


def _ends(change: Mapping[str, Any]) -> bool:
    """Whether a change ends an alarm, or may."""
    return change["ResourceType"] == _ALARM and (
        change["Action"] == "Remove" or change.get("Replacement") in {"True", "Conditional"}
    )


def settings_of(stage: str, samconfig: Path = SAMCONFIG) -> Mapping[str, Any]:
    """The parameters of `sam deploy` of a stage.

    Raises:
        PipelineError: there is no such stage.
    """
    stages = tomllib.loads(samconfig.read_text())
    if stage not in stages or "deploy" not in stages[stage]:
        raise PipelineError(f"samconfig.toml has no stage {stage!r}")
    settings: Mapping[str, Any] = stages[stage]["deploy"]["parameters"]
    return settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step of the pipeline; return its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    steps = parser.add_subparsers(dest="step", required=True)
    for step in ("stack", "plan", "deploy"):
        one = steps.add_parser(step)
        one.add_argument("stage")
        if step != "stack":
            one.add_argument("--change-set", required=True)
        if step == "plan":
            one.add_argument("--template", type=Path, required=True)
            one.add_argument("--bucket", required=True)
            one.add_argument("--role", required=True)
            one.add_argument("--alarms", choices=("true", "false"), default="true")
    asked = parser.parse_args(arguments)
    try:
        settings = settings_of(asked.stage)
        if asked.step == "stack":
            print(settings["stack_name"])
        elif asked.step == "plan":
            _plan(settings, asked)
        else:
            pipeline = Pipeline(
                settings,
                cloudformation=boto3.client("cloudformation"),
                cloudwatch=boto3.client("cloudwatch"),
            )
            pipeline.deploy(asked.change_set)
    except (PipelineError, BotoCoreError, ClientError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def _plan(settings: Mapping[str, Any], asked: argparse.Namespace) -> None:
    lines: list[str] = []
    pipeline = Pipeline(
        settings,
        cloudformation=boto3.client("cloudformation"),
        s3=boto3.client("s3"),
        say=lines.append,
    )
    changes = pipeline.plan(
        asked.template,
        asked.change_set,
        bucket=asked.bucket,
        role=asked.role,
        watches=asked.alarms == "true",
    )
    print("\n".join(lines))
    # What GitHub shows to the person who approves, and what the next job asks for.
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a") as file:
            file.writelines(f"- {line}\n" for line in lines)
    if output := os.environ.get("GITHUB_OUTPUT"):
        with Path(output).open("a") as file:
            file.write(f"changes={'yes' if changes else 'no'}\n")


if __name__ == "__main__":
    sys.exit(main())
