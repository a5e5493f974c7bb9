"""The table's changes, copied into Kinesis as DynamoDB does it."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from types_boto3_kinesis import KinesisClient

from functions.write_to_es.table_changes import TABLE_CHANGES_ON_KINESIS, TABLE_STREAM
from lockstep.local.mapping.forward import Forwarder, forwarded
from lockstep.local.mapping.response import Errored, Returned
from tests.builders import change, kinesis_record, table_change_on_kinesis, table_record

PUT = table_record(change("T1", 4), change("T1", 3))
PURGED = table_record(None, change("T1", 4, "image.deleted"), by_time_to_live=True)


class Client:
    """A Kinesis client that answers once, and keeps what it was asked."""

    def __init__(self, answer: Mapping[str, Any] | Exception) -> None:
        self._answer = answer
        self.records: list[dict[str, Any]] = []

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> Any:  # noqa: N803  # boto3's
        assert StreamName == "changes"
        self.records += Records
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def invoked(client: Client, *changes: dict[str, Any]) -> Returned | Errored:
    forwarder = Forwarder(cast("KinesisClient", client), "changes", "lockstep-images")
    answer = forwarder.invoke(msgspec.json.encode({"Records": changes}), "request")
    assert isinstance(answer, Returned | Errored)
    return answer


@pytest.mark.parametrize("raw", [PUT, PURGED])
def test_a_change_means_the_same_on_either_side(raw: dict[str, Any]) -> None:
    put = forwarded(msgspec.json.encode(raw), "lockstep-images")
    record = TABLE_CHANGES_ON_KINESIS.record(kinesis_record(cast("bytes", put["Data"])))
    directly = TABLE_STREAM.change(TABLE_STREAM.record(raw))
    assert TABLE_CHANGES_ON_KINESIS.change(record) == directly


def test_it_is_told_in_the_envelope_of_kinesis_data_streams_for_dynamodb() -> None:
    put = forwarded(msgspec.json.encode(PURGED), "lockstep-images")
    said = msgspec.json.decode(cast("bytes", put["Data"]))
    sample = TABLE_CHANGES_ON_KINESIS.record(table_change_on_kinesis(PURGED)).data
    assert said.keys() == msgspec.json.decode(sample).keys()
    assert said["dynamodb"].keys() == msgspec.json.decode(sample)["dynamodb"].keys()
    assert (said["tableName"], said["recordFormat"]) == ("lockstep-images", "application/json")


def test_changes_of_one_item_have_one_partition_key() -> None:
    keys = {forwarded(msgspec.json.encode(one), "t")["PartitionKey"] for one in (PUT, PURGED)}
    assert keys == {'{"image_id":{"S":"T1"}}'}


def test_a_batch_is_put_whole_and_in_order() -> None:
    client = Client({"FailedRecordCount": 0})
    assert isinstance(invoked(client, PUT, PURGED), Returned)
    names = [msgspec.json.decode(one["Data"])["eventName"] for one in client.records]
    assert names == ["MODIFY", "REMOVE"]


@pytest.mark.parametrize(
    "answer",
    [
        {"FailedRecordCount": 1},
        {},
        ClientError({"Error": {"Code": "LimitExceeded", "Message": "said so"}}, "PutRecords"),
        EndpointConnectionError(endpoint_url="http://k"),
    ],
)
def test_a_batch_that_is_not_put_completely_is_retried(answer: Any) -> None:
    assert isinstance(invoked(Client(answer), PUT, PURGED), Errored)
