"""Stacks on the real engines behind the gate, as commands see a deployed one."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import botocore.session
import pytest
from click.testing import CliRunner, Result

from functions.write_to_es.index import definition_sha256
from lockstep.cli import main
from lockstep.local.engines.pins import EngineName
from lockstep.local.mapping.translation import translated
from lockstep.stack.stack import LOCAL_REGION, Endpoints, PictureStores, Stack
from shared.horizon import HORIZON
from shared.quarantine import INDEX_CONSUMER, TABLE_CONSUMER
from tests.contract.kinesis.server import running
from tests.contract.redrive.conftest import Stage
from tests.gate.evaluator import EVERYTHING
from tests.gate.gate import Gate
from tests.gate.policies import EXAMPLE, HASHES, KEY
from tests.gate.recorded import Recorded
from tests.json_answers import check
from tests.package.tools import REPLICA_TEMPLATE, TEMPLATE

# The SDK's names of the services that the gate has other names for.
_VARIABLES = {
    "dynamodb": ("DYNAMODB", "DYNAMODB_STREAMS"),
    "kinesis": ("KINESIS",),
    "s3": ("S3",),
    "cloudformation": ("CLOUDFORMATION",),
    "lambda": ("LAMBDA",),
    "cloudwatch": ("CLOUDWATCH",),
    "sns": ("SNS",),
    "sqs": ("SQS",),
    "logs": ("CLOUDWATCH_LOGS",),
    "secretsmanager": ("SECRETS_MANAGER",),
    "sts": ("STS",),
}


class GatedStack:
    """A stage on the engines, and the `lockstep` command on it through the gate."""

    def __init__(self, stage: Stage, gate: Gate, urls: Mapping[str, str]) -> None:
        self.stage = stage
        self.gate = gate
        self.urls = urls
        self.folder = stage.state
        self.recorded = Recorded(stage.stack, _outputs(stage.stack, urls))
        gate.stack = stage.stack
        gate.recorded = self.recorded
        gate.meanwhile = lambda _: None
        self.environment = {
            f"AWS_ENDPOINT_URL_{name}": urls[service]
            for service, names in _VARIABLES.items()
            for name in names
        } | {
            "AWS_REGION": stage.stack.region,
            "AWS_ACCESS_KEY_ID": "person",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }

    @contextmanager
    def everything_allowed(self) -> Iterator[None]:
        """Let every request through for a while, and forget it."""
        gate = self.gate
        before = (gate.policies, set(gate.asked), set(gate.refused), gate.has_changed)
        gate.policies = [EVERYTHING]
        try:
            yield
        finally:
            gate.policies, gate.asked, gate.refused, gate.has_changed = before

    def lockstep(self, *words: object) -> Result:
        """Run a command on the stack, as a deployed one."""
        arguments = [*map(str, words), "--stack", "lockstep"]
        result = CliRunner().invoke(main, arguments, env=self.environment)
        check(arguments, result.stdout)
        return result

    def in_a_process(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run a command in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "lockstep", *map(str, words), "--stack", "lockstep"],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


def _outputs(stack: Stack, urls: Mapping[str, str]) -> Mapping[str, str]:
    return {
        "StreamName": stack.stream,
        "TableName": stack.table,
        "OpenSearchEndpoint": urls["opensearch"],
        "OpenSearchSigning": "yes",
        "IndexAlias": stack.index,
        "QuarantineBucket": stack.bucket,
        "MetricsNamespace": "Lockstep/lockstep",
        "ShardRule": "lockstep-shards",
        "HorizonDays": str(HORIZON.days),
        "WriteToDynamodbName": stack.functions[TABLE_CONSUMER],
        "WriteToEsName": stack.functions[INDEX_CONSUMER],
        "MappingSha256": definition_sha256(),
        "WriteToDynamodbLogName": "WriteToDynamodbLog",
        "WriteToEsLogName": "WriteToEsLog",
        "LogHashSecretArn": HASHES,
        "TableMappingId": stack.table_mapping,
        "IndexFrom": stack.index_from,
        "TableChangesStreamName": stack.changes_stream,
        "SearchApi": urls["api"],
        **_of_pictures(stack.pictures),
    }


def _of_pictures(pictures: PictureStores | None) -> Mapping[str, str]:
    if pictures is None:
        return {}
    return {
        "PictureBucketName": pictures.bucket,
        "PictureRowsTableName": pictures.rows,
        "ThumbnailBucketName": pictures.thumbnails,
    }


@pytest.fixture(scope="session", autouse=True)
def models_are_read_once() -> Iterator[None]:
    """Let all commands share what botocore has read of its models: 200 commands run here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", cache(botocore.session.create_loader))
        yield


@pytest.fixture(scope="session")
def template() -> Mapping[str, Any]:
    """template.yaml as SAM turns it into CloudFormation."""
    return translated(TEMPLATE, LOCAL_REGION)


@pytest.fixture(scope="session")
def replica_template() -> Mapping[str, Any]:
    """template-tablestore.yaml as SAM turns it into CloudFormation."""
    return translated(REPLICA_TEMPLATE, LOCAL_REGION)


@pytest.fixture(scope="session")
def new_gated(
    tmp_path_factory: pytest.TempPathFactory, engine: Callable[[EngineName], str]
) -> Iterator[Callable[[], GatedStack]]:
    """A function that makes a stack; all are behind one gate, one after the other."""
    with running(tmp_path_factory.mktemp("kinesis") / "kinesis.db") as kinesis:
        engines = {
            "dynamodb": engine("dynamodb"),
            "kinesis": kinesis.url,
            "opensearch": engine("opensearch"),
            "s3": engine("s3"),
        }
        gate = Gate(EXAMPLE, recorded=Recorded(EXAMPLE, {}), key=KEY)
        with gate.before(engines) as urls:

            def new() -> GatedStack:
                stage = Stage(
                    Endpoints(**engines), tmp_path_factory.mktemp("stage"), thumbnails=True
                )
                stage.clients.opensearch.indices.put_settings(
                    index=stage.stack.index, body={"index": {"gc_deletes": "1s"}}
                )
                return GatedStack(stage, gate, urls)

            yield new
