"""Records are put in order, and read from any place."""

import base64

import pytest

from lockstep.local.kinesis.store import Store
from lockstep.local.kinesis.tokens import LIFETIME_MS
from tests.unit.kinesis.client import HOUR, SECOND, START, Kinesis


@pytest.fixture(autouse=True)
def one_shard(kinesis: Kinesis) -> None:
    kinesis.stream()


def ask(kinesis: Kinesis, **more: str) -> str:
    answer = kinesis("PutRecord", StreamName="pictures", Data="", PartitionKey="k", **more)
    found: str = answer["SequenceNumber"]
    return found


def test_numbers_rise_even_if_the_clock_goes_back(kinesis: Kinesis) -> None:
    numbers = kinesis.put(b"one")
    kinesis.clock.now -= HOUR
    numbers += kinesis.put(b"two")
    kinesis.clock.now += 2 * HOUR
    numbers += kinesis.put(b"three")
    assert sorted(numbers, key=int) == numbers
    assert kinesis.data(kinesis.iterator("TRIM_HORIZON")) == [b"one", b"two", b"three"]


def test_arrival_times_are_told_in_milliseconds_and_never_go_down(kinesis: Kinesis) -> None:
    kinesis.clock.now += 234
    kinesis.put(b"one")
    kinesis.clock.now -= SECOND
    kinesis.put(b"two")
    answer = kinesis("GetRecords", ShardIterator=kinesis.iterator("TRIM_HORIZON"))
    times = [record["ApproximateArrivalTimestamp"] for record in answer["Records"]]
    assert times == [(START + 234) / 1000] * 2


def test_iterators_start_where_their_type_says(kinesis: Kinesis) -> None:
    first, second, third = kinesis.put(b"one", b"two", b"three")
    assert kinesis.data(kinesis.iterator("TRIM_HORIZON")) == [b"one", b"two", b"three"]
    at = kinesis.iterator("AT_SEQUENCE_NUMBER", StartingSequenceNumber=second)
    after = kinesis.iterator("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=first)
    assert kinesis.data(at) == kinesis.data(after) == [b"two", b"three"]
    assert not kinesis.data(kinesis.iterator("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=third))
    latest = kinesis.iterator("LATEST")
    kinesis.put(b"four")
    assert kinesis.data(latest) == [b"four"]


def test_the_starting_number_of_a_shard_is_its_trim_horizon(kinesis: Kinesis) -> None:
    kinesis.put(b"one")
    [shard] = kinesis.shards()
    start = shard["SequenceNumberRange"]["StartingSequenceNumber"]
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        assert kinesis.data(kinesis.iterator(kind, StartingSequenceNumber=start)) == [b"one"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-10, [b"one", b"two"]), (0, [b"one", b"two"]), (0.001, [b"two"]), (1, [b"two"])],
)
def test_a_timestamp_starts_at_the_first_record_not_before_it(
    kinesis: Kinesis, seconds: float, expected: list[bytes]
) -> None:
    kinesis.put(b"one")
    kinesis.clock.now += SECOND
    kinesis.put(b"two")
    iterator = kinesis.iterator("AT_TIMESTAMP", Timestamp=START / 1000 + seconds)
    assert kinesis.data(iterator) == expected


def test_a_timestamp_between_last_record_and_now_waits_for_the_next(kinesis: Kinesis) -> None:
    kinesis.put(b"one")
    kinesis.clock.now += SECOND
    iterator = kinesis.iterator("AT_TIMESTAMP", Timestamp=kinesis.clock.now / 1000)
    kinesis.put(b"two")
    assert kinesis.data(iterator) == [b"two"]


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("AT_SEQUENCE_NUMBER", {}),
        ("TRIM_HORIZON", {"StartingSequenceNumber": "1"}),
        ("LATEST", {"Timestamp": 1}),
        ("AT_TIMESTAMP", {}),
        ("AT_TIMESTAMP", {"Timestamp": START / 1000 + 1}),
        ("AT_SEQUENCE_NUMBER", {"StartingSequenceNumber": "1"}),
    ],
)
def test_an_iterator_that_makes_no_sense_is_refused(
    kinesis: Kinesis, kind: str, more: dict[str, str]
) -> None:
    refusal = kinesis.refusal(
        "GetShardIterator",
        StreamName="pictures",
        ShardId="shardId-000000000000",
        ShardIteratorType=kind,
        **more,
    )
    assert refusal.name == "InvalidArgumentException"


def test_a_number_of_another_shard_or_stream_is_refused(kinesis: Kinesis) -> None:
    kinesis.stream("wide", shards=2)
    kinesis.clock.now += SECOND
    kinesis.stream("later")
    high = {"ExplicitHashKey": str(1 << 127)}
    other = kinesis("PutRecord", StreamName="wide", Data="", PartitionKey="k", **high)
    [later] = kinesis.put(b"", stream="later")
    for number in (other["SequenceNumber"], later):
        refusal = kinesis.refusal(
            "GetShardIterator",
            StreamName="pictures",
            ShardId="shardId-000000000000",
            ShardIteratorType="AT_SEQUENCE_NUMBER",
            StartingSequenceNumber=number,
        )
        assert refusal.name == "InvalidArgumentException"


def test_a_number_that_the_shard_has_not_issued_yet_is_refused(kinesis: Kinesis) -> None:
    [last] = kinesis.put(b"one")
    next_position = 1 << 80
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        assert kinesis.iterator(kind, StartingSequenceNumber=last)
        for number in (int(last) + next_position, int(last) + 9 * next_position):
            refusal = kinesis.refusal(
                "GetShardIterator",
                StreamName="pictures",
                ShardId="shardId-000000000000",
                ShardIteratorType=kind,
                StartingSequenceNumber=str(number),
            )
            assert refusal.name == "InvalidArgumentException"
            assert "beyond the shard's last record" in refusal.message


def test_an_iterator_expires_after_five_minutes(kinesis: Kinesis) -> None:
    iterator = kinesis.iterator("TRIM_HORIZON")
    kinesis.clock.now += LIFETIME_MS
    kinesis("GetRecords", ShardIterator=iterator)
    kinesis.clock.now += 1
    refusal = kinesis.refusal("GetRecords", ShardIterator=iterator)
    assert refusal.name == "ExpiredIteratorException"


def test_an_iterator_that_was_tampered_with_is_refused(kinesis: Kinesis) -> None:
    iterator = kinesis.iterator("TRIM_HORIZON")
    content = bytearray(base64.b64decode(iterator))
    content[-1] ^= 1
    for forged in (base64.b64encode(content).decode(), "AAAA", "not base64", iterator[:-4]):
        refusal = kinesis.refusal("GetRecords", ShardIterator=forged)
        assert refusal.name == "InvalidArgumentException"


def test_a_paging_token_is_no_iterator(kinesis: Kinesis) -> None:
    kinesis.stream("wide", shards=2)
    token = kinesis("ListShards", StreamName="wide", MaxResults=1)["NextToken"]
    assert kinesis.refusal("GetRecords", ShardIterator=token).message == "Invalid ShardIterator."


def test_reading_goes_on_where_it_stopped(kinesis: Kinesis) -> None:
    kinesis.put(b"one", b"two", b"three")
    answer = kinesis("GetRecords", ShardIterator=kinesis.iterator("TRIM_HORIZON"), Limit=2)
    assert len(answer["Records"]) == 2
    assert kinesis.data(answer["NextShardIterator"]) == [b"three"]


def test_a_read_gives_at_most_10_mib(kinesis: Kinesis) -> None:
    kinesis.put(*[b"x" * 1024 * 1023] * 11)
    answer = kinesis("GetRecords", ShardIterator=kinesis.iterator("TRIM_HORIZON"))
    assert len(answer["Records"]) == 10
    assert answer["MillisBehindLatest"] > 0
    assert len(kinesis.data(answer["NextShardIterator"])) == 1


def test_millis_behind_latest_is_the_age_of_the_next_record(kinesis: Kinesis) -> None:
    kinesis.put(b"one")
    kinesis.clock.now += SECOND
    kinesis.put(b"two")
    kinesis.clock.now += 3 * SECOND
    behind = kinesis("GetRecords", ShardIterator=kinesis.iterator("TRIM_HORIZON"), Limit=1)
    assert behind["MillisBehindLatest"] == 3 * SECOND
    caught_up = kinesis("GetRecords", ShardIterator=behind["NextShardIterator"])
    assert caught_up["MillisBehindLatest"] == 0


def test_a_number_for_ordering_puts_the_record_above_it(kinesis: Kinesis) -> None:
    first = ask(kinesis)
    kinesis.clock.now -= HOUR
    second = ask(kinesis, SequenceNumberForOrdering=first)
    assert int(second) > int(first)


def test_a_number_for_ordering_from_the_future_is_refused(kinesis: Kinesis) -> None:
    first = int(ask(kinesis))
    next_position = 1 << 80
    for number in (str(first + next_position), str(first + 5 * next_position), "1"):
        refusal = kinesis.refusal(
            "PutRecord",
            StreamName="pictures",
            Data="",
            PartitionKey="k",
            SequenceNumberForOrdering=number,
        )
        assert refusal.name == "InvalidArgumentException"
    assert len(kinesis.data(kinesis.iterator("TRIM_HORIZON"))) == 1


def test_a_record_over_the_streams_maximum_is_refused(kinesis: Kinesis) -> None:
    over = base64.b64encode(b"x" * 1024 * 1024).decode()
    refusal = kinesis.refusal("PutRecord", StreamName="pictures", Data=over, PartitionKey="k")
    assert refusal.name == "InvalidArgumentException"
    assert "1048577 bytes" in refusal.message
    kinesis("CreateStream", StreamName="large", ShardCount=1, MaxRecordSizeInKiB=2048)
    kinesis("PutRecord", StreamName="large", Data=over, PartitionKey="k")


def test_more_than_10_mib_in_one_request_is_refused_whole(kinesis: Kinesis) -> None:
    data = base64.b64encode(b"x" * 1024 * 1000).decode()
    records = [{"Data": data, "PartitionKey": "k"}] * 11
    refusal = kinesis.refusal("PutRecords", StreamName="pictures", Records=records)
    assert refusal.name == "InvalidArgumentException"
    assert kinesis.data(kinesis.iterator("TRIM_HORIZON")) == []


def test_a_hash_key_beyond_the_last_is_refused(kinesis: Kinesis) -> None:
    refusal = kinesis.refusal(
        "PutRecord", StreamName="pictures", Data="", PartitionKey="k", ExplicitHashKey=str(1 << 128)
    )
    assert refusal.name == "InvalidArgumentException"


def test_a_dry_run_stores_nothing(kinesis: Kinesis) -> None:
    refusal = kinesis.refusal(
        "PutRecord", StreamName="pictures", Data="", PartitionKey="k", DryRun=True
    )
    assert refusal.name == "DryRunOperationException"
    assert kinesis.data(kinesis.iterator("TRIM_HORIZON")) == []


def test_expired_records_are_not_served(kinesis: Kinesis) -> None:
    kinesis.put(b"old")
    kinesis.clock.now += 23 * HOUR
    kinesis.put(b"new")
    kinesis.clock.now += 2 * HOUR
    assert kinesis.data(kinesis.iterator("TRIM_HORIZON")) == [b"new"]


def test_a_number_that_was_trimmed_starts_at_the_horizon(kinesis: Kinesis, store: Store) -> None:
    [old, _] = kinesis.put(b"old", b"older")
    kinesis.clock.now += 23 * HOUR
    kinesis.put(b"new")
    kinesis.clock.now += 2 * HOUR
    at_once = kinesis.iterator("AT_SEQUENCE_NUMBER", StartingSequenceNumber=old)
    assert kinesis.data(at_once) == [b"new"]
    assert sum(store.trim(kinesis.clock.now)) == 2
    after_trim = kinesis.iterator("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=old)
    assert kinesis.data(after_trim) == [b"new"]


def test_trimming_goes_on_in_small_steps_until_all_is_gone(kinesis: Kinesis, store: Store) -> None:
    kinesis.put(*[b"old"] * 25)
    kinesis.clock.now += 25 * HOUR
    assert list(store.trim(kinesis.clock.now, at_most=10)) == [10, 10, 5]
    assert sum(store.trim(kinesis.clock.now)) == 0
    kinesis.put(b"new")
    assert kinesis.data(kinesis.iterator("TRIM_HORIZON")) == [b"new"]


def test_a_longer_retention_does_not_restore_expired_records(kinesis: Kinesis) -> None:
    kinesis.put(b"old")
    kinesis.clock.now += 25 * HOUR
    kinesis("IncreaseStreamRetentionPeriod", StreamName="pictures", RetentionPeriodHours=48)
    kinesis.put(b"new")
    kinesis.clock.now += 25 * HOUR
    assert kinesis.data(kinesis.iterator("TRIM_HORIZON")) == [b"new"]
