"""An account of AWS for a person who deploys: SAM CLI, AWS CLI and `lockstep` find no difference.

A recorder stands for CloudFormation. The services of each stack that it "deploys" are those of one
local stack, with its real engines, functions and event source mappings; its outputs are those of
the template that SAM CLI uploaded. Lambda and CloudWatch are recorded answers.
"""

import copy
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from lockstep.local.mapping.intrinsics import Resolver
from lockstep.local.mapping.translation import translated
from lockstep.stack.clients import LOCAL_CREDENTIALS, Clients
from lockstep.stack.stack import LOCAL_REGION, Stack, read_local
from tests.builders import restored_table
from tests.flow.shell import Shell
from tests.gate.evaluator import EVERYTHING
from tests.gate.gate import Gate
from tests.gate.recorded import JSON, Answered, Recorded
from tests.gate.requests import Asked
from tests.package.recorder import SAMS_STACK, Recorder, recording
from tests.package.tools import ROOT, SAM

AWS_CLI = ROOT / ".tools" / "awscli"
UV = ROOT / ".tools" / "uv"


class _CloudFormation(Recorder):
    """Its stacks have the services of a local one."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        super().__init__()
        self._stack = stack
        self._folder = folder
        self._stacks[SAMS_STACK] = {}

    def outputs(self, stack: str) -> Mapping[str, str]:
        if stack == SAMS_STACK:
            return {"SourceBucket": "artifacts-of-sam"}
        uploaded = self._folder / "uploaded.template"
        uploaded.write_text(self.template)
        cache = self._folder / "translations"
        template = copy.deepcopy(dict(translated(uploaded, LOCAL_REGION, cache)))
        for name, value in self.parameters(stack).items():
            template["Parameters"][name]["Default"] = value
        resolver = Resolver(template, self._stack)
        theirs: dict[str, Any] = {
            "SearchApi": self._stack.endpoints.search,
            "TableMappingId": self._stack.table_mapping,
        }
        return {
            name: theirs.get(name) or str(resolver.value(its["Value"], name))
            for name, its in template["Outputs"].items()
            if "Condition" not in its
        }


class _Services(Gate):
    """What a local stack has no service for; what it has, DynamoDB too, answers itself."""

    def __init__(self, clients: Clients) -> None:
        stack = clients.stack
        recorded = Recorded(stack, {})
        # As template.yaml makes the table. DynamoDB Local has no such setting.
        recorded.settings[stack.table]["recovery"] = "ENABLED"
        super().__init__(stack, [EVERYTHING], recorded=recorded)
        self._dynamodb = clients.dynamodb

    def answer(self, asked: Asked, forward: Callable[[Asked], Answered]) -> Answered:
        """The answer to a request. DynamoDB Local restores no table: here it is an empty one."""
        if asked.headers.get("x-amz-target", "").endswith(".RestoreTableToPointInTime"):
            wanted = msgspec.json.decode(asked.body)["TargetTableName"]
            restored_table(self._dynamodb, wanted)
            restored = {"TableName": wanted, "TableStatus": "CREATING"}
            return 200, {"content-type": JSON}, msgspec.json.encode({"TableDescription": restored})
        return super().answer(asked, forward)


def _sam(folder: Path, recorder: str) -> Path:
    """A folder with SAM CLI as it is, but its bucket: the local S3 knows no encryption."""
    command = folder / "bin" / "sam"
    command.parent.mkdir()
    said = f'#!/bin/sh\nAWS_ENDPOINT_URL_S3={recorder} exec "{SAM}/bin/sam" "$@"\n'
    command.write_text(said)
    command.chmod(0o700)
    return command.parent


class Account:
    """What a person has who deploys.

    Attributes:
        clients: of the stack, for who changes it behind the person's back.
        environment: the variables of the person's shell.
    """

    def __init__(self, clients: Clients, urls: Mapping[str, str | None], sam: Path) -> None:
        self.clients = clients
        self.environment = {f"AWS_ENDPOINT_URL_{name}": str(url) for name, url in urls.items()} | {
            "AWS_ACCESS_KEY_ID": LOCAL_CREDENTIALS,
            "AWS_SECRET_ACCESS_KEY": LOCAL_CREDENTIALS,
            "AWS_REGION": LOCAL_REGION,
            "AWS_DEFAULT_REGION": LOCAL_REGION,
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.2",
            "PATH": _path(sam, SAM / "bin", AWS_CLI / "bin", UV / "bin"),
        }

    def at(self, repository: Path) -> Mapping[str, str]:
        """The variables of a shell in which the environment of this repository is active."""
        path = os.pathsep.join([str(repository / ".venv" / "bin"), self.environment["PATH"]])
        return {**self.environment, "PATH": path, "VIRTUAL_ENV": str(repository / ".venv")}


def _path(*folders: Path) -> str:
    return os.pathsep.join([*map(str, folders), os.environ["PATH"]])


@contextmanager
def account(folder: Path) -> Iterator[Account]:
    """An account without a stack, whose files are in this folder."""
    shell = Shell(folder / "services")
    shell.run("up", "--detach", "--shards", "1")
    try:
        with ExitStack() as opened:
            stack = read_local(shell.state)
            _, cloudformation = opened.enter_context(recording(_CloudFormation(stack, folder)))
            clients = Clients(stack)
            services = _Services(clients)
            urls = opened.enter_context(
                services.before({"dynamodb": str(stack.endpoints.dynamodb)})
            )
            yield Account(
                clients,
                {
                    "CLOUDFORMATION": cloudformation,
                    "LAMBDA": urls["lambda"],
                    "CLOUDWATCH": urls["cloudwatch"],
                    "DYNAMODB": urls["dynamodb"],
                    "DYNAMODB_STREAMS": stack.endpoints.dynamodb,
                    "KINESIS": stack.endpoints.kinesis,
                    "S3": stack.endpoints.s3,
                },
                _sam(folder, cloudformation),
            )
    finally:
        shell.run("down")
