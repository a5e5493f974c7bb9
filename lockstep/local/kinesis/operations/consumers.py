"""Operations on registered consumers (enhanced fan-out)."""

from typing import Any

from lockstep.local.kinesis.consumers import RegisteredConsumer
from lockstep.local.kinesis.endpoint import Answer, Endpoint, Request, check_created, invalid
from lockstep.local.kinesis.errors import KinesisError
from lockstep.local.kinesis.operations.tags import check_new_tags
from lockstep.local.kinesis.tokens import ConsumerPage, seal
from lockstep.local.kinesis.wire import Moment
from lockstep.stream.kinesis_file import StoredStream

# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_RegisterStreamConsumer.html
MAX_CONSUMERS = 20
MAX_CREATING = 5

# The default size of a response, from the service model's documentation.
_CONSUMERS_LISTED = 100


def register_stream_consumer(endpoint: Endpoint, request: Request) -> Answer:
    """RegisterStreamConsumer: the consumer is CREATING, and ACTIVE half a second later."""
    stream = endpoint.stream_of_arn(request["StreamARN"])
    name, tags, now = request["ConsumerName"], request.get("Tags", {}), endpoint.now()
    registered = endpoint.store.consumers
    check_new_tags(f"consumer {name}", tags)
    others = registered.of_stream(stream, now)
    if any(each.name == name for each in others):
        message = f"consumer {name} of {endpoint.describe(stream)} already exists"
        raise KinesisError("ResourceInUseException", message)
    if len(others) >= MAX_CONSUMERS:
        message = f"{endpoint.describe(stream)} cannot have more than {MAX_CONSUMERS} consumers"
        raise KinesisError("LimitExceededException", message)
    if registered.being_created(now) >= MAX_CREATING:
        message = f"no more than {MAX_CREATING} consumers can be CREATING at the same time"
        raise KinesisError("LimitExceededException", message)
    consumer = registered.register(stream, name, tags=tags, now=now)
    return {"Consumer": _consumer_answer(endpoint, stream, consumer)}


def describe_stream_consumer(endpoint: Endpoint, request: Request) -> Answer:
    """DescribeStreamConsumer."""
    stream, consumer = endpoint.consumer(request)
    return {
        "ConsumerDescription": {
            **_consumer_answer(endpoint, stream, consumer),
            "StreamARN": endpoint.arn(stream.name),
        }
    }


def list_stream_consumers(endpoint: Endpoint, request: Request) -> Answer:
    """ListStreamConsumers: sorted by name."""
    stream = endpoint.stream_of_arn(request["StreamARN"])
    limit = request.get("MaxResults", _CONSUMERS_LISTED)
    after = ""
    if "NextToken" in request:
        if "StreamCreationTimestamp" in request:
            raise invalid("NextToken and StreamCreationTimestamp cannot be provided together.")
        page = endpoint.page(request["NextToken"], ConsumerPage)
        if page.stream != stream.key:
            raise invalid(f"the NextToken is not of {endpoint.describe(stream)}")
        after = page.after
    check_created(endpoint, stream, request)
    consumers = endpoint.store.consumers.of_stream(stream, endpoint.now())
    found = [each for each in consumers if each.name > after]
    listed = found[:limit]
    answer: dict[str, Any] = {
        "Consumers": [_consumer_answer(endpoint, stream, each) for each in listed]
    }
    if len(found) > limit:
        rest = ConsumerPage(stream=stream.key, after=listed[-1].name, issued_at=endpoint.now())
        answer["NextToken"] = seal(endpoint.store.secret, rest)
    return answer


def deregister_stream_consumer(endpoint: Endpoint, request: Request) -> Answer:
    """DeregisterStreamConsumer: the consumer is DELETING, and gone half a second later."""
    _stream, consumer = endpoint.consumer(request)
    if consumer.deregistered_at is None:
        endpoint.store.consumers.deregister(consumer, endpoint.now())
    return None


def _consumer_answer(
    endpoint: Endpoint, stream: StoredStream, consumer: RegisteredConsumer
) -> dict[str, Any]:
    return {
        "ConsumerName": consumer.name,
        "ConsumerARN": endpoint.consumer_arn(stream, consumer),
        "ConsumerStatus": consumer.status(endpoint.now()),
        "ConsumerCreationTimestamp": Moment(consumer.created_at),
    }
