"""Both official SDKs tell the same story, and get the same answers, with both signatures."""

import subprocess
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from lockstep.local.tablestore.server import LocalTableStore
from tests.contract.tablestore import python_sdk
from tests.contract.tablestore.story import STORY, Step, Teller, failing
from tools.java_client import JAVA
from tools.tablestore_java import TABLE_STORE


@pytest.fixture
def address() -> Iterator[str]:
    with LocalTableStore(faults=failing) as running:
        yield running.address


@pytest.fixture(scope="module")
def java(tmp_path_factory: pytest.TempPathFactory) -> Teller:
    class_path = TABLE_STORE.compile_into(tmp_path_factory.mktemp("classes"))

    def tell(address: str, region: str, steps: list[Step]) -> list[Any]:
        done = subprocess.run(
            [*JAVA, "-cp", class_path, "Story", address, region],
            input=msgspec.json.encode(steps),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        answers: list[Any] = msgspec.json.decode(done.stdout)
        return answers

    return tell


@pytest.fixture
def python() -> Teller:
    return python_sdk.tell


@pytest.mark.parametrize("region", ["", "cn-hangzhou"], ids=["version 2", "version 4"])
@pytest.mark.parametrize("sdk", ["python", "java"])
def test_an_sdk_gets_the_answers_of_the_story(
    sdk: str, region: str, address: str, request: pytest.FixtureRequest
) -> None:
    tell: Teller = request.getfixturevalue(sdk)
    answers = tell(address, region, [step for step, _ in STORY])
    for (step, expected), answer in zip(STORY, answers, strict=True):
        assert answer == expected, step
