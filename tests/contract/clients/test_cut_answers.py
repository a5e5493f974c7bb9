"""What boto3 and opensearch-py make of an answer cut at any byte: the fakes say just the same."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import msgspec
import opensearchpy
import pytest
from botocore.exceptions import BotoCoreError

from lockstep.simulation.fakes.cut_answers import HEAD_OF_PUT, whole
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.fakes.kinesis import Kinesis
from lockstep.simulation.fakes.network import CutOffError, PartFailure
from lockstep.simulation.fakes.opensearch import OpenSearch
from lockstep.simulation.fakes.s3 import S3
from lockstep.stores.objects import BucketObjects
from tests.contract.clients.server import Server, aws, opensearch

STATEMENT = {
    "Statement": "INSERT INTO \"t\" VALUE {'image_id': ?, 'version': ?}",
    "Parameters": [{"S": "T0"}, {"N": "1"}],
}
DOCUMENT = b'{"index":{"_id":"T0","require_alias":true}}\n{"image_id":"T0","version":1}\n'
# An object long enough that its length has two digits: cut between them, it has another length.
OBJECT = b'{"some": "object"}'


class Scissors:
    """A line on which the answer is cut at this byte of so many."""

    def __init__(self) -> None:
        self.answer: Any = None
        self.share = 0.0

    def send[T](self, apply: Callable[[], T]) -> T:
        self.answer = apply()
        raise CutOffError(self.answer, self.share)

    def part_failures(self, _: int, __: Sequence[str]) -> Mapping[int, PartFailure]:
        return {}


def seen(call: Callable[[], Any]) -> object:
    """What a caller can tell apart."""
    try:
        answer = call()
    except BotoCoreError:
        return "BotoCoreError"
    except opensearchpy.OpenSearchException as error:
        return type(error).__name__
    if isinstance(answer, dict):
        answer.pop("ResponseMetadata", None)
    return answer


def compare(
    server: Server,
    scissors: Scissors,
    answer: bytes,
    real: Callable[[], Any],
    fake: Callable[[], Any],
) -> set[str]:
    """Cut the answer at every byte; says what came of it, in all."""
    outcomes = set()
    for at in range(len(answer)):
        server.says, scissors.share = answer[:at], (at + 0.5) / len(answer)
        expected, found = seen(real), seen(fake)
        assert found == expected, f"cut after byte {at}, {answer[:at]!r}"
        outcomes.add(str(expected))
    return outcomes


def test_an_answer_of_dynamodb(server: Server) -> None:
    scissors = Scissors()
    fake, client = DynamoDB("t", connection=scissors), aws("dynamodb", server)
    for _ in range(2):  # from the second time on, the answer is the same: there is such an item
        seen(lambda: fake.batch_execute_statement(Statements=[STATEMENT]))
    outcomes = compare(
        server,
        scissors,
        whole(msgspec.json.encode(scissors.answer)),
        lambda: client.batch_execute_statement(Statements=[STATEMENT]),
        lambda: fake.batch_execute_statement(Statements=[STATEMENT]),
    )
    assert outcomes == {"BotoCoreError", "{}"}


def test_an_answer_of_kinesis(server: Server) -> None:
    scissors = Scissors()
    fake, client = Kinesis("s", connection=scissors), aws("kinesis", server)
    request: Any = {"StreamName": "s", "Records": [{"PartitionKey": "T0", "Data": b"x"}]}
    seen(lambda: fake.put_records(**request))
    outcomes = compare(
        server,
        scissors,
        whole(msgspec.json.encode(scissors.answer)),
        lambda: client.put_records(**request),
        lambda: fake.put_records(**request),
    )
    assert outcomes == {"BotoCoreError", "{}"}


def test_an_answer_of_s3_to_a_put(server: Server) -> None:
    scissors = Scissors()
    fake, client = S3("b", connection=scissors), aws("s3", server)
    request: Any = {"Bucket": "b", "Key": "k", "Body": b"x"}

    def durable(put: Callable[..., Mapping[str, Any]]) -> bool:
        return "ETag" in put(**request)

    outcomes = compare(
        server,
        scissors,
        HEAD_OF_PUT,
        lambda: durable(client.put_object),
        lambda: durable(fake.put_object),
    )
    assert outcomes == {"BotoCoreError", "False", "True"}


def test_an_answer_of_s3_to_a_get(server: Server) -> None:
    scissors = Scissors()
    fake, client = S3("b", connection=scissors), aws("s3", server)
    fake.objects["k"] = OBJECT
    outcomes = compare(
        server,
        scissors,
        whole(OBJECT),
        lambda: BucketObjects(client, "b").read("k"),
        lambda: BucketObjects(cast("Any", fake), "b").read("k"),
    )
    assert outcomes == {"BotoCoreError"}


@pytest.mark.parametrize("says_length", [True, False])
def test_an_answer_of_opensearch(server: Server, says_length: bool) -> None:  # noqa: FBT001 - a parameter of the test
    client = opensearch(server)
    scissors = Scissors()
    fake = OpenSearch("i", connection=scissors)
    # The fake takes every fourth length for an answer that ends with the connection.
    for padding in range(4):
        body = DOCUMENT.replace(b"T0", b"T" * (padding + 1))
        for _ in range(2):
            seen(partial(fake.bulk, body=body, index="i"))
        if (len(msgspec.json.encode(scissors.answer)) % 4 > 0) == says_length:
            break
    outcomes = compare(
        server,
        scissors,
        whole(msgspec.json.encode(scissors.answer), says_length=says_length),
        lambda: client.bulk(body=body, index="i"),
        lambda: fake.bulk(body=body, index="i"),
    )
    broken = "ConnectionError" if says_length else "SerializationError"
    assert outcomes == {"ConnectionError", "", broken}
