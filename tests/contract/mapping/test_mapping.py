"""The mapping as a process: a real Kinesis endpoint before it, real worker processes behind it."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
import psutil
import pytest
from botocore.config import Config

from lockstep.stream import sequence
from lockstep.stream.checkpoints import Gap, read_mappings
from tests.checkpoints import read_checkpoints
from tests.contract.kinesis.server import running
from tests.contract.mapping.stage import BUCKET, STREAM, Stage, staged, stopped
from tests.trimming import outlive_retention

if TYPE_CHECKING:
    from types_boto3_kinesis.type_defs import ShardTypeDef


def test_records_arrive_in_order_in_one_warm_process(stage: Stage) -> None:
    texts = [f"record-{number}" for number in range(250)]
    stage.put(*texts)
    stage.template(BatchSize=100)

    with stage.mapping() as process:
        stage.until(lambda: len(stage.texts) >= len(texts))
        assert stopped(process) == 0

    assert stage.texts == texts
    assert [len(batch) for batch in stage.batches] == [100, 100, 50]
    assert len({invocation["pid"] for invocation in stage.invocations}) == 1
    assert "got ['record-0'" in (stage.state / "logs" / "recorder.log").read_text()
    last = stage.invocations[-1]
    assert read_checkpoints(stage.state / "checkpoints.db") == {
        "recorder": {last["shard"]: last["numbers"][-1]}
    }


def test_the_function_sees_lambdas_environment_and_context_only(stage: Stage) -> None:
    stage.put("one")

    with stage.mapping():
        stage.until(lambda: len(stage.invocations) == 1)

    (invocation,) = stage.invocations
    environment = invocation["environment"]
    given = {name for name in environment if not name.startswith(("AWS_", "LAMBDA_"))}
    # LC_CTYPE is what Python itself sets.
    assert given - {"LC_CTYPE"} == {"OUT", "TABLE_NAME", "_HANDLER", "LANG", "PATH", "TZ"}
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "recorder"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert environment["AWS_REGION"] == "us-east-1"
    assert environment["LAMBDA_TASK_ROOT"] == str(stage.folder)
    assert environment["AWS_ENDPOINT_URL_S3"] == "http://127.0.0.1:1"
    assert environment["AWS_ACCESS_KEY_ID"] == "local"
    assert "AWS_ENDPOINT_URL_DYNAMODB" not in environment, "the stack names none"
    context = invocation["context"]
    assert 0 < context.pop("remaining") <= 30_000
    assert len(context.pop("aws_request_id")) == 36
    assert context == {
        "function_name": "recorder",
        "function_version": "$LATEST",
        "invoked_function_arn": "arn:aws:lambda:us-east-1:000000000000:function:recorder",
        "memory_limit_in_mb": "256",
        "log_group_name": "/aws/lambda/recorder",
        "log_stream_name": "local",
        "identity": None,
        "client_context": None,
    }


@pytest.mark.parametrize("trouble", ["hang once", "crash once", "raise once"])
def test_a_batch_comes_again_in_a_fresh_process_if_need_be(stage: Stage, trouble: str) -> None:
    """What is not known to be done comes again.

    Rule: at least once.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
    """
    stage.put("before", trouble, "after")
    stage.template(timeout=2)

    with stage.mapping():
        stage.until(lambda: len(stage.batches) == 2)

    assert stage.batches == [["before", trouble, "after"]] * 2
    pids = [invocation["pid"] for invocation in stage.invocations]
    assert (pids[0] == pids[1]) == (trouble == "raise once"), "an exception keeps a process warm"
    cause = {
        "hang once": "Task timed out after 2.00 seconds",
        "crash once": "the process ended: exit code 7",
        "raise once": "ValueError: raise once",
    }
    assert cause[trouble] in stage.log.read_text()


def test_a_discarded_batch_lies_in_s3_with_its_payload(tmp_path: Path, s3_endpoint: str) -> None:
    s3 = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(s3={"addressing_style": "path"}),
    )
    with closing(s3), staged(tmp_path, s3=s3_endpoint) as stage:
        with suppress(s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
            s3.create_bucket(Bucket=BUCKET)
        destination = {"Type": "S3", "Destination": {"Fn::GetAtt": ["Bucket", "Arn"]}}
        stage.template(MaximumRetryAttempts=1, DestinationConfig={"OnFailure": destination})
        stage.put("fine", "report", "raise", "never tried")
        with stage.mapping():
            stage.until(lambda: "discarded" in stage.log.read_text())
            stage.put("after")
            stage.until(lambda: stage.texts[-1:] == ["after"])
        (listed,) = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
        document = msgspec.json.decode(
            s3.get_object(Bucket=BUCKET, Key=listed["Key"])["Body"].read()
        )

    assert listed["Key"].startswith("aws/lambda/")
    assert f"/{stage.invocations[0]['shard']}/20" in listed["Key"]
    request = document["requestContext"]
    assert request["condition"] == "RetryAttemptsExhausted"
    assert request["approximateInvokeCount"] == 2
    assert request["requestId"] == stage.invocations[2]["context"]["aws_request_id"]
    assert document["KinesisBatchInfo"]["batchSize"] == 3
    assert document["KinesisBatchInfo"]["startSequenceNumber"] == stage.invocations[0]["numbers"][1]
    payload = [record["kinesis"]["sequenceNumber"] for record in document["payload"]["Records"]]
    assert payload == stage.invocations[0]["numbers"][1:]


def test_what_cannot_be_set_aside_holds_the_checkpoint(stage: Stage) -> None:
    destination = {"Type": "S3", "Destination": {"Fn::GetAtt": ["Bucket", "Arn"]}}
    stage.template(MaximumRetryAttempts=0, DestinationConfig={"OnFailure": destination})
    stage.put("raise")

    with stage.mapping():
        stage.until(lambda: stage.log.read_text().count("the failure document was not written") > 1)

    assert read_checkpoints(stage.state / "checkpoints.db") == {"recorder": {}}


def test_a_stopped_mapping_goes_on_where_it_was(stage: Stage) -> None:
    with stage.mapping() as process:
        stage.put("one", "two")
        stage.until(lambda: len(stage.texts) == 2)
        assert stopped(process) == 0
    stage.put("three")

    with stage.mapping():
        stage.until(lambda: len(stage.texts) >= 3)

    assert stage.texts == ["one", "two", "three"]


def test_what_was_running_when_the_mapping_stopped_comes_again(stage: Stage) -> None:
    stage.put("hang once")
    with stage.mapping() as process:
        stage.until(lambda: len(stage.invocations) == 1)
        assert stopped(process) == 0
    assert read_checkpoints(stage.state / "checkpoints.db") == {"recorder": {}}

    with stage.mapping():
        stage.until(lambda: read_checkpoints(stage.state / "checkpoints.db")["recorder"] != {})

    assert stage.texts == ["hang once", "hang once"]


def test_a_worker_dies_with_its_mapping(stage: Stage) -> None:
    stage.put("hang")
    with stage.mapping() as process:
        stage.until(lambda: len(stage.invocations) == 1)
        worker = stage.invocations[0]["pid"]
        assert psutil.pid_exists(worker)
        process.kill()
        process.wait()
        stage.until(lambda: not psutil.pid_exists(worker))


def test_kills_at_any_moment_lose_nothing_and_keep_the_order(stage: Stage) -> None:
    chance = random.Random(20261121)
    stage.template(BatchSize=5)
    expected: list[str] = []
    process = stage.start()
    try:
        for turn in range(12):
            texts = [f"{turn}-{number}" for number in range(100)]
            # The first kill surely interrupts something; the others come when they come.
            texts[50:50] = ["hang once"] if turn == 0 else []
            stage.put(*texts)
            expected += texts
            if turn == 0:
                stage.until(lambda: "hang once" in stage.texts)
            else:
                stage.until_it_invokes()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=chance.random() * 0.1)
            if turn % 2:
                _kill_workers_of(process.pid)
            else:
                process.kill()
                process.wait()
                process = stage.start()
        stage.until(lambda: set(stage.texts) >= set(expected))
        checkpoint = _last_number(stage, expected[-1])
        stage.until(lambda: checkpoint in _checkpoints(stage))
    finally:
        process.kill()
        process.wait()

    assert list(dict.fromkeys(stage.texts)) == expected, "in order on first delivery"
    assert len(stage.texts) > len(expected), "what was interrupted came again"


def test_a_restarted_endpoint_holds_up_nothing_else(tmp_path: Path) -> None:
    with staged(tmp_path) as stage:
        endpoint = stage.client.meta.endpoint_url
        port = endpoint.rpartition(":")[2]
        ((server,)) = [
            child
            for child in psutil.Process().children()
            if str(tmp_path / "kinesis.db") in child.cmdline()
        ]
        stage.put("before")
        with stage.mapping():
            stage.until(lambda: stage.texts == ["before"])
            server.kill()
            server.wait()
            stage.until(lambda: "the stream is unavailable, retrying" in stage.log.read_text())
            with running(tmp_path / "kinesis.db", "--port", port):
                stage.put("after")
                stage.until(lambda: stage.texts == ["before", "after"])

    log = stage.log.read_text()
    assert log.count("the stream is unavailable, retrying") == 1, "said once"
    assert log.count("the stream is available again") == 1


def test_children_wait_until_their_parents_are_read(stage: Stage) -> None:
    stage.template(BatchSize=1)
    stage.put(*[f"parent-{number}" for number in range(30)])
    (parent,) = stage.client.list_shards(StreamName=STREAM)["Shards"]
    middle = str(2**127)
    stage.client.split_shard(
        StreamName=STREAM, ShardToSplit=parent["ShardId"], NewStartingHashKey=middle
    )
    stage.client.get_waiter("stream_exists").wait(StreamName=STREAM, WaiterConfig={"Delay": 1})
    stage.put(*[f"child-{number}" for number in range(30)])

    with stage.mapping():
        stage.until(lambda: len(stage.texts) >= 60)

    assert stage.texts == [f"parent-{n}" for n in range(30)] + [f"child-{n}" for n in range(30)]
    with closing(sqlite3.connect(stage.state / "checkpoints.db")) as database:
        ended = database.execute("SELECT shard_id FROM checkpoints WHERE ended").fetchall()
    assert ended == [(parent["ShardId"],)]


def test_a_stream_that_is_made_again_is_read_from_its_start(stage: Stage) -> None:
    stage.put("before")
    (parent,) = stage.client.list_shards(StreamName=STREAM)["Shards"]
    ready = stage.client.get_waiter("stream_exists")
    stage.client.split_shard(
        StreamName=STREAM, ShardToSplit=parent["ShardId"], NewStartingHashKey=str(2**127)
    )
    ready.wait(StreamName=STREAM, WaiterConfig={"Delay": 1})
    stage.put("child")

    with stage.mapping():
        # The mapping must read a child: if it only knows the parent, which has ended, no shard
        # expires.
        stage.until(lambda: stage.texts == ["before", "child"])
        stage.until(lambda: _after(parent) < time.time())
        stage.client.delete_stream(StreamName=STREAM)
        stage.client.create_stream(StreamName=STREAM, ShardCount=1)
        ready.wait(StreamName=STREAM, WaiterConfig={"Delay": 1})
        stage.put("after")
        stage.until(lambda: stage.texts == ["before", "child", "after"])
        stage.until(lambda: "expired" in stage.log.read_text())


def test_one_shards_poison_holds_up_no_other_shard(tmp_path: Path) -> None:
    """A batch holds one shard's records.

    Rule: one shard.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
    """
    with staged(tmp_path, shards=2) as stage:
        shards = stage.client.list_shards(StreamName=STREAM)["Shards"]
        keys = [shard["HashKeyRange"]["StartingHashKey"] for shard in shards]
        put: Any = stage.client.put_record
        put(StreamName=STREAM, Data=b"hang", PartitionKey="k", ExplicitHashKey=keys[0])
        with stage.mapping():
            stage.until(lambda: stage.texts == ["hang"])
            put(StreamName=STREAM, Data=b"fine", PartitionKey="k", ExplicitHashKey=keys[1])
            stage.until(lambda: stage.texts == ["hang", "fine"])

    pids = {invocation["pid"] for invocation in stage.invocations}
    assert len(pids) == 2, "one worker for each invocation that runs at the same time"


def test_latest_begins_when_the_mapping_was_first_started(stage: Stage) -> None:
    stage.template(StartingPosition="LATEST")
    stage.put("too early")
    with stage.mapping() as process:
        stage.until((stage.state / "checkpoints.db").exists)
        stage.until(lambda: read_checkpoints(stage.state / "checkpoints.db") != {})
        assert stopped(process) == 0
    stage.put("while it was down")

    with stage.mapping():
        stage.until(lambda: len(stage.texts) >= 1)

    assert stage.texts == ["while it was down"]


@pytest.mark.parametrize("positions", [-1, 1], ids=["earlier stream", "beyond the shard"])
def test_a_checkpoint_that_the_stream_does_not_know_starts_anew(
    stage: Stage, positions: int
) -> None:
    with stage.mapping() as process:
        stage.put("first")
        stage.until(lambda: _checkpoints(stage) != [])
        assert stopped(process) == 0
    (number,) = _checkpoints(stage)
    # A record's position in its shard begins at this bit of its number.
    unknown = "12" if positions < 0 else str(int(number) + (positions << 80))
    with closing(sqlite3.connect(stage.state / "checkpoints.db")) as database, database:
        database.execute("UPDATE checkpoints SET sequence_number = ?", (unknown,))

    with stage.mapping():
        stage.until(lambda: len(stage.texts) == 2)

    assert stage.texts == ["first", "first"]
    assert "checkpoint lost" in stage.log.read_text()


def test_records_that_were_removed_while_the_mapping_was_stopped_are_a_gap(stage: Stage) -> None:
    """A kill at any moment leaves the checkpoint before the gap, or the gap."""
    with stage.mapping() as process:
        stage.put("before")
        stage.until(lambda: _checkpoints(stage) != [])
        assert stopped(process) == 0
    (settled,) = _checkpoints(stage)
    stage.put("lost", "lost, too")
    outlive_retention(stage.folder / "kinesis.db", STREAM, now=round(time.time() * 1000))
    stage.put("hang once")

    with stage.mapping() as process:
        stage.until(lambda: "hang once" in stage.texts)
        process.kill()
    assert _checkpoints(stage) == [settled], "nothing after the gap is settled"
    (gap,) = _gaps(stage)
    assert (gap.after, gap.records) == (settled, 2)

    with stage.mapping():
        stage.until(lambda: _checkpoints(stage) != [settled])

    assert stage.texts == ["before", "hang once", "hang once"]
    assert _gaps(stage) == (gap,)


def test_a_mapping_that_runs_meets_a_gap_too(stage: Stage) -> None:
    with stage.mapping() as process:
        stage.put("before")
        stage.until(lambda: _checkpoints(stage) != [])
        (settled,) = _checkpoints(stage)
        process.send_signal(signal.SIGSTOP)
        stage.put("lost")
        outlive_retention(stage.folder / "kinesis.db", STREAM, now=round(time.time() * 1000))
        process.send_signal(signal.SIGCONT)
        stage.put("after")
        stage.until(lambda: stage.texts == ["before", "after"])

    (gap,) = _gaps(stage)
    assert (gap.after, gap.records) == (settled, 1)


def test_a_mapping_that_is_new_with_its_stream_has_no_gap(stage: Stage) -> None:
    stage.put("first")
    with stage.mapping():
        stage.until(lambda: _checkpoints(stage) != [])
    assert _gaps(stage) == ()


def test_a_mapping_that_begins_at_latest_has_a_gap_from_the_beginning(stage: Stage) -> None:
    stage.put("too early")
    stage.template(StartingPosition="LATEST")
    with stage.mapping():
        stage.until(lambda: read_mappings(stage.state / "checkpoints.db") != [])
        stage.put("later")
        stage.until(lambda: stage.texts == ["later"])

    (gap,) = _gaps(stage)
    assert (gap.after, gap.records) == ("", 1)


def test_what_a_user_can_get_wrong_is_told_in_one_line(stage: Stage) -> None:
    stage.template(BatchSize=0)
    _fails(stage, "Recorder", "BatchSize: is 0, must be 1 to 10000")
    queue = "arn:aws:sqs:us-east-1:000000000000:given-up"
    stage.template(DestinationConfig={"OnFailure": {"Type": "SQS", "Destination": queue}})
    _fails(stage, queue, "AWS_ENDPOINT_URL_SQS")
    (stage.folder / "template.yaml").write_text("Resources: [\n  {")
    _fails(stage, "template.yaml", "line 2")
    (stage.folder / "template.yaml").unlink()
    _fails(stage, "template.yaml", "cannot be read", "--template")
    stage.template()
    (stage.state / "checkpoints.db").write_text("no database " * 50)
    _fails(stage, "checkpoints.db", "not a database")
    (stage.state / "stack.json").unlink()
    _fails(stage, "no local stack")


def test_without_a_template_the_repositorys_own_is_used_from_any_folder(stage: Stage) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "lockstep.local.mapping"),
            *("--state", stage.state, "--function", "nobody"),
        ],
        cwd=stage.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    template = Path(__file__).parents[3] / "template.yaml"
    assert f"{template}: no function has the Handler functions.nobody" in done.stderr


def test_a_disabled_mapping_says_so(stage: Stage) -> None:
    stage.template(Enabled=False)

    with stage.mapping() as process:
        assert process.wait(timeout=120) == 0

    assert "disabled" in stage.log.read_text()


def test_a_mapping_that_is_disabled_goes_on_at_the_last_processed_record(stage: Stage) -> None:
    """A disabled mapping goes on at the last processed record.

    Rule: Enabled.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html
    """
    stage.put("before")
    with stage.mapping() as process:
        stage.until(lambda: _checkpoints(stage) != [])
        assert stopped(process) == 0
    stage.put("meanwhile")
    stage.template(Enabled=False)
    with stage.mapping() as process:
        assert process.wait(timeout=120) == 0
    stage.template(Enabled=True)

    with stage.mapping():
        stage.until(lambda: len(stage.texts) >= 2)

    assert stage.texts == ["before", "meanwhile"]


def _gaps(stage: Stage) -> tuple[Gap, ...]:
    (mapping,) = read_mappings(stage.state / "checkpoints.db")
    return mapping.gaps


def _fails(stage: Stage, *said: str) -> None:
    stage.log.write_text("")
    with stage.mapping() as process:
        assert process.wait(timeout=120) == 1
    (line,) = stage.log.read_text().splitlines()
    assert all(word in line for word in said), line


def _after(shard: "ShardTypeDef") -> int:
    """The next second, since 1970, whose shards start with another number than this one."""
    start = sequence.parse(shard["SequenceNumberRange"]["StartingSequenceNumber"])
    return start.created + 1


def _checkpoints(stage: Stage) -> list[str]:
    found = read_checkpoints(stage.state / "checkpoints.db").get("recorder", {})
    return list(found.values())


def _last_number(stage: Stage, text: str) -> str:
    numbers = [
        number
        for invocation in stage.invocations
        for one, number in zip(invocation["texts"], invocation["numbers"], strict=True)
        if one == text
    ]
    return str(numbers[-1])


def _kill_workers_of(pid: int) -> None:
    with suppress(psutil.NoSuchProcess):
        for worker in psutil.Process(pid).children():
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
