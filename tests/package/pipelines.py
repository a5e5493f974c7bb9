"""The workflow of GitHub Actions as data, its steps as GitHub plays them, and what they ask."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.package.recorder import Recorder, event
from tests.package.tools import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "pipeline.yml"
_BASH = shutil.which("bash") or "bash"
_EXPRESSION = re.compile(r"\$\{\{ *([^}]+?) *\}\}")


class Step(NamedTuple):
    """A step of a job that runs commands."""

    job: str
    name: str
    run: str


def workflow() -> Mapping[Any, Any]:
    """The workflow. YAML 1.1 reads its key `on` as True."""
    found: Mapping[Any, Any] = yaml.safe_load(WORKFLOW.read_text())
    return found


def steps() -> Iterator[Step]:
    """The steps that run commands, in their order."""
    for job, its in workflow()["jobs"].items():
        for step in its["steps"]:
            if "run" in step:
                yield Step(job, step["name"], step["run"])


class Runner:
    """A machine of GitHub, as far as the steps use it.

    Attributes:
        values: what each expression of the workflow stands for.
        outputs: what the steps wrote into `GITHUB_OUTPUT`.
    """

    def __init__(
        self, folder: Path, values: Mapping[str, str], environment: Mapping[str, str]
    ) -> None:
        self.values = dict(values)
        self.folder = folder
        self._environment = environment
        self._output = folder / "github-output"
        self.summary = folder / "github-summary"
        for name in (".tools", ".venv", "lockstep", "samconfig.toml", "tools"):
            (folder / name).symlink_to(ROOT / name)

    @property
    def outputs(self) -> Mapping[str, str]:
        lines = self._output.read_text().splitlines() if self._output.exists() else []
        return dict(line.split("=", 1) for line in lines)

    def resolved(self, text: str) -> str:
        """The text without expressions."""
        return _EXPRESSION.sub(lambda found: self.values[found[1]], text)

    def run(self, step: Step) -> subprocess.CompletedProcess[str]:
        """Run a step by `shell: bash`, as GitHub documents it.

        https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax
        """
        script = self.folder / "step.sh"
        script.write_text(step.run)
        said = workflow()["jobs"][step.job].get("env", {})
        return subprocess.run(
            [_BASH, "--noprofile", "--norc", "-eo", "pipefail", script],
            cwd=self.folder,
            env={
                **os.environ,
                **self._environment,
                **{name: self.resolved(str(value)) for name, value in said.items()},
                "GITHUB_OUTPUT": str(self._output),
                "GITHUB_STEP_SUMMARY": str(self.summary),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )


class Account(Recorder):
    """What CloudFormation, CloudWatch and S3 are asked by a pipeline.

    Attributes:
        asked: the name of each action, in the order of the requests.
        change_sets: the form of each change set, in their order.
        changes: what each change set changes: action, type and physical name of a resource.
        alarms: the state of each alarm, by its name.
        ends: how the stack ends when a change set is executed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.change_sets: list[Mapping[str, str]] = []
        self.changes = [("Modify", "AWS::Lambda::Function", "one")]
        self.alarms: dict[str, str] = {}
        self.ends = "UPDATE_COMPLETE"
        self.nothing = False

    def answer(self, form: Mapping[str, str]) -> tuple[int, str]:
        self.asked.append(f"cloudformation:{form['Action']}")
        if form["Action"] == "CreateChangeSet":
            self.change_sets.append(form)
        return super().answer(form)

    def answer_json(self, operation: str, body: Any) -> Any:
        self.asked.append(f"cloudwatch:{operation}")
        found = [{"AlarmName": one, "StateValue": self.alarms[one]} for one in body["AlarmNames"]]
        return {"MetricAlarms": found}

    @property
    def triggers(self) -> list[str]:
        """The ARNs of the alarms of the latest change set."""
        prefix = "RollbackConfiguration.RollbackTriggers.member."
        return [
            value
            for name, value in self.change_sets[-1].items()
            if name.startswith(prefix) and name.endswith(".Arn")
        ]

    def _inside(self, action: str, stack: str, form: Mapping[str, str]) -> str:
        match action:
            case "DescribeChangeSet":
                return self._planned()
            case "DeleteChangeSet":
                return ""
            case "ListStackResources":
                members = "".join(
                    f"<member><PhysicalResourceId>{name}</PhysicalResourceId>"
                    "<ResourceType>AWS::CloudWatch::Alarm</ResourceType></member>"
                    for name in self.alarms
                )
                return f"<StackResourceSummaries>{members}</StackResourceSummaries>"
            case "ExecuteChangeSet" if self.ends != "UPDATE_COMPLETE":
                for status, why in (("UPDATE_FAILED", "The alarm is on"), (self.ends, "")):
                    said = f"<ResourceStatusReason>{why}</ResourceStatusReason>" if why else ""
                    happened = event(stack, status).replace("</member>", f"{said}</member>")
                    self._events[stack].insert(0, happened)
                return ""
            case _:
                return super()._inside(action, stack, form)

    def _status(self, stack: str) -> str:
        if any(self.ends in one for one in self._events.get(stack, ())):
            return self.ends
        is_new = all("REVIEW_IN_PROGRESS" in one for one in self._events.get(stack, ()))
        was_executed = self.asked[-1] == "cloudformation:ExecuteChangeSet"
        return "REVIEW_IN_PROGRESS" if is_new and not was_executed else super()._status(stack)

    def _planned(self) -> str:
        if self.nothing:
            why = "The submitted information didn't contain changes."
            return f"<Status>FAILED</Status><StatusReason>{why}</StatusReason>"
        triggers = "".join(
            f"<member><Arn>{one}</Arn><Type>AWS::CloudWatch::Alarm</Type></member>"
            for one in self.triggers
        )
        changes = "".join(
            "<member><Type>Resource</Type><ResourceChange>"
            f"<Action>{action}</Action><LogicalResourceId>One</LogicalResourceId>"
            f"<PhysicalResourceId>{name}</PhysicalResourceId><ResourceType>{kind}</ResourceType>"
            "</ResourceChange></member>"
            for action, kind, name in self.changes
        )
        return (
            f"<Status>CREATE_COMPLETE</Status><Changes>{changes}</Changes><RollbackConfiguration>"
            f"<RollbackTriggers>{triggers}</RollbackTriggers></RollbackConfiguration>"
        )
