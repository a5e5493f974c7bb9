"""What is deployed: the template as CloudFormation, and the artifacts that `sam build` makes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from functions.write_to_dynamodb.table import ensure_table
from functions.write_to_es.index import ensure_index
from lockstep.local.mapping.translation import translated
from lockstep.stack.clients import Clients
from lockstep.stack.stack import LOCAL_REGION, Endpoints, Stack
from shared.quarantine import CONSUMERS
from tests.builders import CHANGES_STREAM
from tests.package.tools import REPLICA_TEMPLATE, TEMPLATE, sam
from tests.tombstones import keep_tombstones


@pytest.fixture(scope="session")
def template() -> Mapping[str, Any]:
    """template.yaml as SAM turns it into CloudFormation."""
    return translated(TEMPLATE, LOCAL_REGION)


@pytest.fixture(scope="session")
def replica_template() -> Mapping[str, Any]:
    """template-tablestore.yaml as SAM turns it into CloudFormation."""
    return translated(REPLICA_TEMPLATE, LOCAL_REGION)


@pytest.fixture(params=["template", "replica_template"])
def a_template(request: pytest.FixtureRequest) -> Mapping[str, Any]:
    """Each of both templates."""
    found: Mapping[str, Any] = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `sam build` makes: the built template, and each function's artifact."""
    folder = tmp_path_factory.mktemp("sam")
    sam("build", "--build-dir", folder / "build")
    return folder / "build"


@pytest.fixture(scope="module")
def stack(
    request: pytest.FixtureRequest,
    opensearch_endpoint: str,
    dynamodb_endpoint: str,
    s3_endpoint: str,
) -> Stack:
    """Stores of this test module alone, empty at first."""
    name = request.module.__name__.rpartition(".")[2].replace("_", "-")
    stack = Stack(
        endpoints=Endpoints(
            kinesis=None,
            dynamodb=dynamodb_endpoint,
            opensearch=opensearch_endpoint,
            s3=s3_endpoint,
        ),
        stream="lockstep-images",
        table=name,
        index=name,
        bucket=name,
        region=LOCAL_REGION,
        functions={consumer: consumer for consumer in CONSUMERS},
        state="tests",
        changes_stream=CHANGES_STREAM,
    )
    clients = Clients(stack)
    ensure_table(clients.dynamodb, stack.table)
    keep_tombstones(clients.dynamodb, stack.table)
    ensure_index(clients.opensearch, stack.index)
    clients.s3.create_bucket(Bucket=stack.bucket)
    return stack
