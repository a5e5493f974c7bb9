"""A stage for one mapping: a template with one function, a stream, a state folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.stack.stack import Endpoints, Stack, write_local
from tests.contract.kinesis.server import client_of, running

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient

RECORDER = Path(__file__).with_name("recorder.py")
STREAM = "images"
BUCKET = "set-aside"
SECONDS = 240.0  # a busy machine is slow, not broken

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Stream: {{Type: AWS::Kinesis::Stream}}
  Bucket: {{Type: AWS::S3::Bucket}}
  Role: {{Type: AWS::IAM::Role, Properties: {{AssumeRolePolicyDocument: {{}}}}}}
  Recorder:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.13
      CodeUri: functions/recorder/
      Handler: functions.recorder.handler.handle
      Role: !GetAtt Role.Arn
      MemorySize: 256
      Timeout: {timeout}
      Environment: {{Variables: {{OUT: out.ndjson, TABLE_NAME: table}}}}
      Events:
        Records:
          Type: Kinesis
          Properties: {properties}
"""


class Stage:
    """Everything that a mapping needs, and the mapping's process itself."""

    def __init__(self, folder: Path, client: "KinesisClient", kinesis: str, s3: str) -> None:
        self.folder, self.client = folder, client
        self.state = folder / "state"
        self.out = folder / "out.ndjson"
        self.log = folder / "mapping.log"
        self.state.mkdir()
        code = folder / "functions" / "recorder"
        code.mkdir(parents=True)
        for package in (code, code.parent):
            (package / "__init__.py").touch()
        shutil.copy(RECORDER, code / "handler.py")
        endpoints = Endpoints(kinesis, None, "http://127.0.0.1:1", s3)
        stack = Stack(endpoints, STREAM, "table", "index", BUCKET, "us-east-1", {}, str(self.state))
        write_local(stack, self.state)
        self.template()

    def template(self, *, timeout: int = 30, **properties: Any) -> None:
        said = {
            "Stream": {"Fn::GetAtt": ["Stream", "Arn"]},
            "StartingPosition": "TRIM_HORIZON",
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            **properties,
        }
        # It names no folder of this test: Lockstep keeps translations, and to make one is slow.
        text = TEMPLATE.format(timeout=timeout, properties=json.dumps(said))
        (self.folder / "template.yaml").write_text(text)

    def start(self) -> subprocess.Popen[bytes]:
        """The mapping, as the supervisor starts it."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [
                    *(sys.executable, "-P", "-u", "-m", "lockstep.local.mapping"),
                    *("--state", self.state, "--function", "recorder"),
                    *("--template", self.folder / "template.yaml"),
                ],
                stdout=log,
                stderr=log,
                env=os.environ | {"SECRET": "of the operator"},
            )

    @contextmanager
    def mapping(self) -> Iterator[subprocess.Popen[bytes]]:
        process = self.start()
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def put(self, *texts: str, key: str = "key") -> None:
        for at in range(0, len(texts), 500):
            answer = self.client.put_records(
                StreamName=STREAM,
                Records=[{"Data": text.encode(), "PartitionKey": key} for text in texts[at:][:500]],
            )
            assert answer["FailedRecordCount"] == 0

    @property
    def invocations(self) -> list[dict[str, Any]]:
        if not self.out.exists():
            return []
        # The last line may be half written, by a worker that runs or was killed.
        lines = self.out.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    @property
    def batches(self) -> list[list[str]]:
        return [invocation["texts"] for invocation in self.invocations]

    @property
    def texts(self) -> list[str]:
        return [text for batch in self.batches for text in batch]

    def until_it_invokes(self) -> None:
        """Wait for one invocation more than there are."""
        before = len(self.invocations)
        self.until(lambda: len(self.invocations) > before)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{self.batches[-5:]}\n{self.log.read_text()}"
            time.sleep(0.05)


@contextmanager
def staged(folder: Path, *, s3: str = "http://127.0.0.1:1", shards: int = 1) -> Iterator[Stage]:
    with running(folder / "kinesis.db") as server, client_of(server.url) as client:
        client.create_stream(StreamName=STREAM, ShardCount=shards)
        client.get_waiter("stream_exists").wait(StreamName=STREAM, WaiterConfig={"Delay": 1})
        yield Stage(folder, client, server.url, s3)


def stopped(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=120)
