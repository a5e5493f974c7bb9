"""Tags of streams and of registered consumers."""

import unicodedata
from collections.abc import Iterable, Mapping

from lockstep.local.kinesis.consumers import RegisteredConsumer
from lockstep.local.kinesis.endpoint import Answer, Endpoint, Request, invalid
from lockstep.stream.kinesis_file import StoredStream

# https://docs.aws.amazon.com/streams/latest/dev/tagging.html
MAX_TAGS = 50
# Besides letters, digits and white space. As recorded: the documentation allows `%` as well.
_TAG_SIGNS = "_./=+-@"
_RESERVED_TAG_PREFIX = "aws:"

# From the service model's documentation.
_TAGS_LISTED = 50


def add_tags_to_stream(endpoint: Endpoint, request: Request) -> Answer:
    """AddTagsToStream."""
    _add_to_stream(endpoint, endpoint.stream(request), request["Tags"])
    return None


def remove_tags_from_stream(endpoint: Endpoint, request: Request) -> Answer:
    """RemoveTagsFromStream."""
    _check_tag_keys(request["TagKeys"])
    endpoint.store.remove_tags(endpoint.stream(request), request["TagKeys"])
    return None


def list_tags_for_stream(endpoint: Endpoint, request: Request) -> Answer:
    """ListTagsForStream: sorted by key."""
    limit = request.get("Limit", _TAGS_LISTED)
    after = request.get("ExclusiveStartTagKey", "")
    tags = endpoint.store.tags(endpoint.stream(request))
    found = [{"Key": key, "Value": value} for key, value in tags.items() if key > after]
    return {"Tags": found[:limit], "HasMoreTags": len(found) > limit}


def tag_resource(endpoint: Endpoint, request: Request) -> Answer:
    """TagResource, for a stream or a consumer."""
    match _resource(endpoint, request):
        case StoredStream() as stream:
            _add_to_stream(endpoint, stream, request["Tags"])
        case RegisteredConsumer() as consumer:
            before = endpoint.store.consumers.tags(consumer)
            _check_added(f"consumer {consumer.name}", before, request["Tags"])
            endpoint.store.consumers.put_tags(consumer, request["Tags"])
    return None


def untag_resource(endpoint: Endpoint, request: Request) -> Answer:
    """UntagResource, for a stream or a consumer."""
    _check_tag_keys(request["TagKeys"])
    match _resource(endpoint, request):
        case StoredStream() as stream:
            endpoint.store.remove_tags(stream, request["TagKeys"])
        case RegisteredConsumer() as consumer:
            endpoint.store.consumers.remove_tags(consumer, request["TagKeys"])
    return None


def list_tags_for_resource(endpoint: Endpoint, request: Request) -> Answer:
    """ListTagsForResource, for a stream or a consumer."""
    match _resource(endpoint, request):
        case StoredStream() as stream:
            tags = endpoint.store.tags(stream)
        case RegisteredConsumer() as consumer:
            tags = endpoint.store.consumers.tags(consumer)
    return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def check_new_tags(named: str, tags: Mapping[str, str]) -> None:
    """Check the tags of something that is created.

    Args:
        named: what is created, in messages.
        tags: its tags.

    Raises:
        KinesisError: InvalidArgumentException.
    """
    _check_added(named, {}, tags)


def _resource(endpoint: Endpoint, request: Request) -> StoredStream | RegisteredConsumer:
    arn: str = request["ResourceARN"]
    # The name of a stream has no slash.
    if "/consumer/" in arn:
        return endpoint.consumer_of_arn(arn)[1]
    return endpoint.stream_of_arn(arn)


def _add_to_stream(endpoint: Endpoint, stream: StoredStream, tags: Mapping[str, str]) -> None:
    _check_added(endpoint.describe(stream), endpoint.store.tags(stream), tags)
    endpoint.store.put_tags(stream, tags)


def _check_added(named: str, before: Mapping[str, str], tags: Mapping[str, str]) -> None:
    if len({**before, **tags}) > MAX_TAGS:
        raise invalid(f"{named} cannot have more than {MAX_TAGS} tags")
    _check_tags(tags)


def _check_tags(tags: Mapping[str, str]) -> None:
    _check_tag_keys(tags)
    for value in tags.values():
        _check_tag_characters(value)


def _check_tag_keys(keys: Iterable[str]) -> None:
    for key in keys:
        if key.lower().startswith(_RESERVED_TAG_PREFIX):
            raise invalid(f"tag key {key!r} begins with {_RESERVED_TAG_PREFIX}, which is reserved")
        _check_tag_characters(key)


def _check_tag_characters(text: str) -> None:
    if not all(map(_may_be_in_tag, text)):
        raise invalid(
            f"Some tags contain invalid characters: {text!r}. Valid characters: Unicode letters,"
            f" digits, white space, {' '.join(_TAG_SIGNS)}"
        )


def _may_be_in_tag(character: str) -> bool:
    """Whether it is a letter, a digit, a space (no tab or newline), or one of the signs."""
    return character in _TAG_SIGNS or unicodedata.category(character)[0] in "LNZ"
