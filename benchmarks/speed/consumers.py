"""The programs that are compared as consumers: they take invocations of Lambda.

    python -m benchmarks.speed.consumers NAME INVOCATIONS SEGMENTS

Ours are the handlers as they are deployed. The documented ones are those of the documentation of
Powertools, with the clients of the documentation of boto3 and opensearch-py: a call for each
record. They neither validate events nor compute digests.
"""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from benchmarks.speed import floor
from benchmarks.speed.counting import segment
from benchmarks.speed.workload import LambdaContext

type Handle = Callable[[dict[str, Any], LambdaContext], object]


class Invocations(msgspec.Struct, frozen=True):
    """Invocations of one size: the first ones warm the program up, the others are measured."""

    name: str
    warm_up: list[dict[str, Any]]
    measured: list[dict[str, Any]]

    @property
    def records(self) -> int:
        """How many records are measured."""
        return sum(len(one["Records"]) for one in self.measured)


def our_writer() -> Handle:
    """`write_to_dynamodb`."""
    from functions.write_to_dynamodb.handler import handle  # noqa: PLC0415

    return cast("Handle", handle)


def our_indexer() -> Handle:
    """`write_to_es`."""
    from functions.write_to_es.handler import handle  # noqa: PLC0415

    return cast("Handle", handle)


def _by_record(store: Callable[[Any], object]) -> Handle:
    """A handler of the documentation of Powertools, which stores one record at a time.

    https://docs.powertools.aws.dev/lambda/python/latest/utilities/batch/
    """
    from aws_lambda_powertools.utilities.batch import (  # noqa: PLC0415
        BatchProcessor,
        EventType,
        process_partial_response,
    )

    processor = BatchProcessor(event_type=EventType.KinesisDataStreams)

    def handle(event: dict[str, Any], context: LambdaContext) -> object:
        return process_partial_response(
            event=event,
            record_handler=store,
            processor=processor,
            context=context,  # type: ignore[arg-type]  # as much of it as a handler uses
        )

    return handle


def documented_writer() -> Handle:
    """Powertools' BatchProcessor with a `put_item` for each record."""
    import boto3  # noqa: PLC0415

    table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])

    def store(record: Any) -> None:
        table.put_item(Item=record.kinesis.data_as_json())

    return _by_record(store)


def opensearch_client() -> Any:
    """The client of the documentation of opensearch-py, which signs its requests.

    https://docs.opensearch.org/latest/clients/python-low-level/
    """
    import boto3  # noqa: PLC0415
    from opensearchpy import (  # noqa: PLC0415
        OpenSearch,
        Urllib3AWSV4SignerAuth,
        Urllib3HttpConnection,
    )

    credentials = boto3.Session().get_credentials()
    return OpenSearch(
        hosts=[os.environ["OPENSEARCH_ENDPOINT"]],
        http_auth=Urllib3AWSV4SignerAuth(credentials, "us-east-1", "es"),
        connection_class=Urllib3HttpConnection,
    )


def _document(event: Any) -> dict[str, Any]:
    image = event["image"]
    attributes = [
        {"name": name, "value": value} for name, value in image.get("attributes", {}).items()
    ]
    return {
        **image,
        "attributes": attributes,
        "image_id": event["image_id"],
        "version": event["version"],
        "deleted": False,
        "event_type": event["type"],
        "occurred_at": event["occurred_at"],
    }


def documented_indexer() -> Handle:
    """Powertools' BatchProcessor with an `index` for each record."""
    client, alias = opensearch_client(), os.environ["INDEX_ALIAS"]

    def store(record: Any) -> None:
        event = record.kinesis.data_as_json()
        client.index(index=alias, id=event["image_id"], body=_document(event))

    return _by_record(store)


def bulk_indexer() -> Handle:
    """`helpers.bulk`, as its documentation shows, with versions."""
    from aws_lambda_powertools.utilities.data_classes import KinesisStreamEvent  # noqa: PLC0415
    from opensearchpy import helpers  # noqa: PLC0415

    client, alias = opensearch_client(), os.environ["INDEX_ALIAS"]

    def handle(event: dict[str, Any], _: LambdaContext) -> object:
        found = [one.kinesis.data_as_json() for one in KinesisStreamEvent(event).records]
        actions = [
            {
                "_index": alias,
                "_id": one["image_id"],
                "_version": one["version"],
                "_version_type": "external",
                "_source": _document(one),
            }
            for one in found
        ]
        return helpers.bulk(client, actions)

    return handle


PROGRAMS: Mapping[str, Callable[[], Handle]] = {
    "writer": our_writer,
    "writer, documented": documented_writer,
    "writer, floor": floor.writer,
    "indexer": our_indexer,
    "indexer, documented": documented_indexer,
    "indexer, helpers.bulk": bulk_indexer,
    "indexer, floor": floor.indexer,
}


def main() -> None:
    """Invoke a program, and write its segments."""
    name, work, to = sys.argv[1:]
    handle = PROGRAMS[name]()
    context = LambdaContext()
    segments = []
    for given in msgspec.json.decode(Path(work).read_bytes(), type=list[Invocations]):
        for event in given.warm_up:
            handle(event, context)

        def invoke(events: list[dict[str, Any]] = given.measured) -> None:
            for event in events:
                handle(event, context)

        segments.append(segment(given.name, given.records, invoke))
    Path(to).write_bytes(msgspec.json.encode(segments))


if __name__ == "__main__":
    main()
