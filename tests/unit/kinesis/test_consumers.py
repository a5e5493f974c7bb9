"""Registered consumers, as AWS documents them.

- REGISTER: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_RegisterStreamConsumer.html
- DEREGISTER, DESCRIBE, LIST, DELETE: API_DeregisterStreamConsumer.html,
  API_DescribeStreamConsumer.html, API_ListStreamConsumers.html and API_DeleteStream.html there
- CONSUMER: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Consumer.html
"""

from pathlib import Path
from typing import Any

import pytest

from lockstep.local.kinesis.consumers import CHANGE_MS
from lockstep.local.kinesis.endpoint import Endpoint
from lockstep.local.kinesis.store import Store
from lockstep.local.kinesis.tokens import LIFETIME_MS
from tests.unit.kinesis.client import START, Kinesis

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/pictures"


def register(kinesis: Kinesis, name: str = "reader", **more: Any) -> dict[str, Any]:
    answer = kinesis("RegisterStreamConsumer", StreamARN=ARN, ConsumerName=name, **more)
    consumer: dict[str, Any] = answer["Consumer"]
    return consumer


def active(kinesis: Kinesis, *names: str) -> list[str]:
    """ARNs of consumers that are registered and ACTIVE."""
    arns = []
    for name in names:
        arns.append(register(kinesis, name)["ConsumerARN"])
        kinesis.clock.now += CHANGE_MS
    return arns


def status(kinesis: Kinesis, name: str = "reader") -> str:
    described = kinesis("DescribeStreamConsumer", StreamARN=ARN, ConsumerName=name)
    found: str = described["ConsumerDescription"]["ConsumerStatus"]
    return found


def test_a_consumer_is_creating_then_active(kinesis: Kinesis) -> None:
    """Source: CONSUMER: a consumer cannot read before it is ACTIVE. The ARN: API_Consumer."""
    kinesis.stream()
    consumer = register(kinesis)
    assert consumer == {
        "ConsumerName": "reader",
        "ConsumerARN": f"{ARN}/consumer/reader:{START // 1000}",
        "ConsumerStatus": "CREATING",
        "ConsumerCreationTimestamp": START / 1000,
    }
    assert status(kinesis) == "CREATING"
    kinesis.clock.now += CHANGE_MS
    assert status(kinesis) == "ACTIVE"


def test_a_consumer_is_described_by_its_arn_its_names_or_all_three(kinesis: Kinesis) -> None:
    """Source: DESCRIBE."""
    kinesis.stream()
    [arn] = active(kinesis, "reader")
    names = {"StreamARN": ARN, "ConsumerName": "reader"}
    by_arn = kinesis("DescribeStreamConsumer", ConsumerARN=arn)
    assert by_arn == kinesis("DescribeStreamConsumer", **names)
    assert by_arn == kinesis("DescribeStreamConsumer", ConsumerARN=arn, **names)
    assert by_arn["ConsumerDescription"]["StreamARN"] == ARN


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        ({}, "InvalidArgumentException"),
        ({"StreamARN": ARN}, "InvalidArgumentException"),
        ({"ConsumerName": "reader"}, "InvalidArgumentException"),
        ({"StreamARN": ARN, "ConsumerName": "other"}, "ResourceNotFoundException"),
        ({"StreamARN": f"{ARN}2", "ConsumerName": "reader"}, "ResourceNotFoundException"),
        ({"ConsumerARN": f"{ARN}/consumer/reader:1"}, "ResourceNotFoundException"),
        ({"ConsumerARN": f"{ARN}/consumer/other:{START // 1000}"}, "ResourceNotFoundException"),
        (
            {"ConsumerARN": f"{ARN}/consumer/reader:{START // 1000}", "ConsumerName": "other"},
            "InvalidArgumentException",
        ),
    ],
)
@pytest.mark.parametrize("operation", ["DescribeStreamConsumer", "DeregisterStreamConsumer"])
def test_a_consumer_that_is_not_named_or_not_there_is_refused(
    kinesis: Kinesis, operation: str, request_: dict[str, str], name: str
) -> None:
    """Source: DESCRIBE, DEREGISTER: the parameters must not conflict."""
    kinesis.stream()
    active(kinesis, "reader")
    assert kinesis.refusal(operation, **request_).name == name
    assert status(kinesis) == "ACTIVE"


def test_a_name_is_registered_once(kinesis: Kinesis) -> None:
    """Source: REGISTER: for a stream, each consumer must have a unique name."""
    kinesis.stream()
    register(kinesis)
    refusal = kinesis.refusal("RegisterStreamConsumer", StreamARN=ARN, ConsumerName="reader")
    assert refusal.name == "ResourceInUseException"
    kinesis.stream("other")
    kinesis(
        "RegisterStreamConsumer", StreamARN=ARN.replace("pictures", "other"), ConsumerName="reader"
    )


def test_a_stream_has_at_most_twenty_consumers(kinesis: Kinesis) -> None:
    """Source: REGISTER: up to 20 consumers per stream."""
    kinesis.stream()
    active(kinesis, *(f"reader-{number}" for number in range(20)))
    refusal = kinesis.refusal("RegisterStreamConsumer", StreamARN=ARN, ConsumerName="21st")
    assert refusal.name == "LimitExceededException"
    summary = kinesis("DescribeStreamSummary", StreamARN=ARN)["StreamDescriptionSummary"]
    assert summary["ConsumerCount"] == 20


def test_at_most_five_consumers_are_creating(kinesis: Kinesis) -> None:
    """Source: REGISTER: a 6th while there are 5 in a CREATING status is refused."""
    kinesis.stream()
    for number in range(5):
        register(kinesis, f"reader-{number}")
    refusal = kinesis.refusal("RegisterStreamConsumer", StreamARN=ARN, ConsumerName="sixth")
    assert refusal.name == "LimitExceededException"
    kinesis.clock.now += CHANGE_MS
    register(kinesis, "sixth")


def test_a_deregistered_consumer_is_deleting_then_gone(kinesis: Kinesis) -> None:
    """Source: DEREGISTER, and the statuses of CONSUMER."""
    kinesis.stream()
    [arn] = active(kinesis, "reader")
    kinesis("DeregisterStreamConsumer", ConsumerARN=arn)
    assert status(kinesis) == "DELETING"
    refusal = kinesis.refusal("RegisterStreamConsumer", StreamARN=ARN, ConsumerName="reader")
    assert refusal.name == "ResourceInUseException"
    kinesis.clock.now += CHANGE_MS
    refusal = kinesis.refusal("DescribeStreamConsumer", ConsumerARN=arn)
    assert refusal.name == "ResourceNotFoundException"
    kinesis.clock.now += CHANGE_MS
    assert register(kinesis)["ConsumerARN"] != arn


def test_consumers_are_listed_by_name_page_by_page(kinesis: Kinesis) -> None:
    """Source: LIST: a token is valid for 300 seconds, and not together with a creation time."""
    kinesis.stream()
    active(kinesis, "c", "a", "b")
    first = kinesis("ListStreamConsumers", StreamARN=ARN, MaxResults=2)
    assert [each["ConsumerName"] for each in first["Consumers"]] == ["a", "b"]
    more = {"StreamARN": ARN, "NextToken": first["NextToken"]}
    rest = kinesis("ListStreamConsumers", **more)
    assert [each["ConsumerName"] for each in rest["Consumers"]] == ["c"]
    assert "NextToken" not in rest

    created = {"StreamCreationTimestamp": START / 1000}
    assert len(kinesis("ListStreamConsumers", StreamARN=ARN, **created)["Consumers"]) == 3
    other = {"StreamARN": ARN, "StreamCreationTimestamp": START / 1000 - 1}
    assert kinesis.refusal("ListStreamConsumers", **other).name == "ResourceNotFoundException"
    together = kinesis.refusal("ListStreamConsumers", **more, **created)
    assert together.name == "InvalidArgumentException"
    kinesis.stream("other")
    elsewhere = more | {"StreamARN": ARN.replace("pictures", "other")}
    assert kinesis.refusal("ListStreamConsumers", **elsewhere).name == "InvalidArgumentException"
    kinesis.clock.now += LIFETIME_MS + 1
    assert kinesis.refusal("ListStreamConsumers", **more).name == "ExpiredNextTokenException"


def test_a_stream_with_consumers_is_deleted_only_on_demand(kinesis: Kinesis) -> None:
    """Source: DELETE, EnforceConsumerDeletion."""
    kinesis.stream()
    [arn] = active(kinesis, "reader")
    refusal = kinesis.refusal("DeleteStream", StreamName="pictures")
    assert refusal.name == "ResourceInUseException"
    kinesis("DeleteStream", StreamName="pictures", EnforceConsumerDeletion=True)
    kinesis.stream()
    assert kinesis("ListStreamConsumers", StreamARN=ARN)["Consumers"] == []
    refusal = kinesis.refusal("DescribeStreamConsumer", ConsumerARN=arn)
    assert refusal.name == "ResourceNotFoundException"


def test_a_consumer_has_tags(kinesis: Kinesis) -> None:
    """Source: REGISTER (up to 50 tags), and API_TagResource.html there: a stream or a consumer."""
    kinesis.stream()
    many = {str(number): "" for number in range(51)}
    refusal = kinesis.refusal(
        "RegisterStreamConsumer", StreamARN=ARN, ConsumerName="reader", Tags=many
    )
    assert refusal.name == "InvalidArgumentException"
    arn = register(kinesis, Tags={"a": "1"})["ConsumerARN"]
    kinesis("TagResource", ResourceARN=arn, Tags={"b": "2", "a": "3"})
    assert kinesis.refusal("TagResource", ResourceARN=arn, Tags=many).name == refusal.name
    kinesis("UntagResource", ResourceARN=arn, TagKeys=["b", "none"])
    assert kinesis("ListTagsForResource", ResourceARN=arn)["Tags"] == [{"Key": "a", "Value": "3"}]
    assert kinesis("ListTagsForResource", ResourceARN=ARN)["Tags"] == []
    kinesis("DeregisterStreamConsumer", ConsumerARN=arn)
    kinesis.clock.now += CHANGE_MS
    arn = register(kinesis)["ConsumerARN"]
    assert kinesis("ListTagsForResource", ResourceARN=arn)["Tags"] == []


def test_consumers_survive_a_restart(kinesis: Kinesis, store: Store, database: Path) -> None:
    kinesis.stream()
    active(kinesis, "kept", "gone")
    before = kinesis("ListStreamConsumers", StreamARN=ARN)["Consumers"]
    kinesis("DeregisterStreamConsumer", StreamARN=ARN, ConsumerName="gone")
    store.close()
    with Store.open(database) as again:
        endpoint = kinesis.endpoint
        restarted = Kinesis(
            Endpoint(again, endpoint.now, endpoint.limits, endpoint.region, endpoint.account)
        )
        kinesis.clock.now += CHANGE_MS
        kept = [each for each in before if each["ConsumerName"] == "kept"]
        assert restarted("ListStreamConsumers", StreamARN=ARN)["Consumers"] == kept
