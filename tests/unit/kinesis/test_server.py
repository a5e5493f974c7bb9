"""The server answers others while one client stalls."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest
from starlette.applications import Starlette

from lockstep.local.kinesis.arrivals import Arrivals
from lockstep.local.kinesis.server import application
from tests.unit.kinesis.client import Kinesis

type Message = MutableMapping[str, Any]

LARGE = 2 * 1024 * 1024


def scope(operation: str, length: int) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/",
        "root_path": "",
        "query_string": b"",
        "headers": [
            (b"x-amz-target", f"Kinesis_20131202.{operation}".encode()),
            (b"content-type", b"application/x-amz-json-1.1"),
            (b"content-length", str(length).encode()),
        ],
    }


def sends(body: bytes) -> Callable[[], Awaitable[Message]]:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def stalls() -> Message:
    await asyncio.Event().wait()
    raise AssertionError("nothing sets that event")


def test_a_client_that_stalls_in_a_large_request_holds_up_nobody_for_long(
    kinesis: Kinesis,
) -> None:
    kinesis.stream()
    app = application(kinesis.endpoint, turn_seconds=0.01)
    large_put = b'{"StreamName": "pictures", "PartitionKey": "k", "Data": ""}'.ljust(LARGE)
    answers: list[Message] = []

    async def send(message: Message) -> None:
        answers.append(message)

    async def both() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(app(scope("PutRecord", LARGE), stalls, send))
            tasks.create_task(app(scope("PutRecord", LARGE), sends(large_put), send))

    asyncio.run(both())
    starts = [each["status"] for each in answers if each["type"] == "http.response.start"]
    assert starts == [200]
    assert len(kinesis.data(kinesis.iterator("TRIM_HORIZON"))) == 1


def test_a_client_that_disconnects_breaks_nothing(kinesis: Kinesis) -> None:
    app = application(kinesis.endpoint)
    messages: list[Message] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    answers: list[Message] = []

    async def goes() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        answers.append(message)

    asyncio.run(app(scope("ListStreams", 2), goes, send))
    assert answers == []
    asyncio.run(app(scope("ListStreams", 2), sends(b"{}"), send))
    assert answers[0]["status"] == 200


@pytest.mark.parametrize("query", [b"", b"\xf5"])
def test_a_request_with_an_empty_path_is_not_found(kinesis: Kinesis, query: bytes) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    empty = scope("ListStreams", 2) | {"path": "", "query_string": query}
    asyncio.run(application(kinesis.endpoint)(empty, sends(b"{}"), send))
    assert sent[0]["status"] == 404


def test_an_answer_carries_a_request_id_and_its_length(kinesis: Kinesis) -> None:
    app = application(kinesis.endpoint)
    answers: list[Message] = []

    async def send(message: Message) -> None:
        answers.append(message)

    asyncio.run(app(scope("ListStreams", 2), sends(b"{}"), send))
    headers = dict(answers[0]["headers"])
    body = b"".join(each.get("body", b"") for each in answers[1:])
    assert headers[b"content-type"] == b"application/x-amz-json-1.1"
    assert len(headers[b"x-amzn-requestid"]) == 36
    assert int(headers[b"content-length"]) == len(body) > 0


async def asked(app: Starlette, after: str) -> str:
    """What GET /arrivals answers."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    get = {"method": "GET", "path": "/arrivals", "query_string": f"after={after}".encode()}
    await app(scope("", 0) | get, sends(b""), send)
    return b"".join(each.get("body", b"") for each in sent[1:]).decode()


async def ignored(_: Message) -> None:
    """An answer that a test does not look at."""


def test_a_reader_that_waits_is_answered_when_a_record_is_put(kinesis: Kinesis) -> None:
    kinesis.stream()
    app = application(kinesis.endpoint)
    put = b'{"StreamName": "pictures", "PartitionKey": "k", "Data": ""}'

    async def both() -> tuple[str, str]:
        before = await asked(app, "")
        waiting = asyncio.create_task(asked(app, before))
        await app(scope("ListStreams", 2), sends(b"{}"), ignored)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        await app(scope("PutRecord", len(put)), sends(put), ignored)
        return before, await waiting

    before, after = asyncio.run(both())
    assert before != after


def test_a_reader_that_missed_a_record_does_not_wait(kinesis: Kinesis) -> None:
    kinesis.stream()
    app = application(kinesis.endpoint)
    put = b'{"StreamName": "pictures", "PartitionKey": "k", "Data": ""}'

    async def each() -> tuple[str, str]:
        before = await asked(app, "")
        await app(scope("PutRecord", len(put)), sends(put), ignored)
        return before, await asked(app, before)

    before, after = asyncio.run(each())
    assert before != after


def test_a_state_of_another_start_is_answered_at_once() -> None:
    assert Arrivals().state != Arrivals().state


def test_a_reader_that_waits_is_answered_when_the_endpoint_ends(kinesis: Kinesis) -> None:
    app = application(kinesis.endpoint)

    async def both() -> tuple[str, str]:
        before = await asked(app, "")
        waiting = asyncio.create_task(asked(app, before))
        await asyncio.sleep(0)
        kinesis.endpoint.stop()
        return before, await waiting

    before, after = asyncio.run(both())
    assert before == after
