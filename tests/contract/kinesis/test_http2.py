"""HTTP/2 without TLS, as the SDKs for Java and JavaScript speak it: many requests on one line."""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import h2.events
import msgspec
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import StreamClosedError

from lockstep.local.kinesis.http2 import PREFACE

MIB = 1024 * 1024
WINDOW = 65_535  # RFC 9113, 6.9.2: of each stream at the beginning
# RFC 9113, 6.8: the last stream that was received, and no error.
GOAWAY = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(8)
PING = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + bytes(8)  # RFC 9113, 6.7

type MakeStream = Callable[[int], str]


class Line:
    """A connection. `answers` and `bodies` are by stream."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self.socket = socket.create_connection((address.hostname or "", address.port or 0), 20)
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.statuses: dict[int, int] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: list[int] = []
        self.reset: dict[int, int] = {}
        self.closed = False
        self.flush()

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def request(self, operation: str, *, host: str = "localhost", length: int | None = None) -> int:
        """Send the headers of a request; its stream."""
        number = self.h2.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", host),
            (":path", "/"),
            ("x-amz-target", f"Kinesis_20131202.{operation}"),
            ("content-type", "application/x-amz-json-1.1"),
        ]
        if length is not None:
            headers.append(("content-length", str(length)))
        self.h2.send_headers(number, headers)
        self.flush()
        return number

    def send(self, number: int, body: bytes) -> None:
        """Send a body as fast as the endpoint allows."""
        while body:
            size = min(self.h2.local_flow_control_window(number), 16_384, len(body))
            if size == 0:
                self.receive()
                continue
            self.h2.send_data(number, body[:size])
            self.flush()
            body = body[size:]
        self.h2.end_stream(number)
        self.flush()

    def ask(self, operation: str, **request: Any) -> int:
        body = msgspec.json.encode(request)
        number = self.request(operation, length=len(body))
        self.send(number, body)
        return number

    def receive(self, *, acknowledge: bool = True) -> None:
        """Handle what comes next."""
        data = self.socket.recv(MIB)
        self.closed = not data
        for event in self.h2.receive_data(data):
            match event:
                case h2.events.ResponseReceived(stream_id=int(number), headers=headers):
                    self.statuses[number] = int(dict[Any, Any](headers or ())[":status"])
                case h2.events.DataReceived(stream_id=int(number), data=bytes(part)):
                    self.bodies[number] = self.bodies.get(number, b"") + part
                    if acknowledge:
                        # Behind this part, the stream may have been reset already.
                        with suppress(StreamClosedError):
                            self.h2.acknowledge_received_data(event.flow_controlled_length, number)
                case h2.events.StreamEnded(stream_id=int(number)):
                    self.ended.append(number)
                case h2.events.StreamReset(stream_id=int(number)):
                    self.reset[number] = int(event.error_code or 0)
                case h2.events.ConnectionTerminated():
                    self.closed = True
        self.flush()

    def wait(self, numbers: Sequence[int]) -> None:
        while not set(numbers) <= {*self.ended, *self.reset}:
            assert not self.closed
            self.receive()

    def answer(self, number: int) -> Any:
        self.wait([number])
        assert self.statuses[number] == 200, self.bodies[number]
        return msgspec.json.decode(self.bodies[number])


@contextmanager
def opened(url: str) -> Iterator[Line]:
    line = Line(url)
    try:
        yield line
    finally:
        with suppress(OSError):
            line.socket.close()


def put(stream: str, size: int) -> bytes:
    request = {"StreamName": stream, "PartitionKey": "k", "Data": b"x" * size}
    return msgspec.json.encode(request)


def test_many_requests_are_answered_on_one_line(kinesis_endpoint: str, stream: MakeStream) -> None:
    name = stream(1)
    with opened(kinesis_endpoint) as line:
        numbers = [line.ask("DescribeStreamSummary", StreamName=name) for _ in range(50)]
        for number in numbers:
            assert line.answer(number)["StreamDescriptionSummary"]["StreamName"] == name


def test_a_large_body_and_a_large_answer_come_whole(
    kinesis_endpoint: str, stream: MakeStream
) -> None:
    name = stream(1)
    with opened(kinesis_endpoint) as line:
        for _ in range(3):
            body = put(name, MIB - 1)
            number = line.request("PutRecord", length=len(body))
            line.send(number, body)
            line.answer(number)
        first = {"ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
        iterator = line.answer(line.ask("GetShardIterator", StreamName=name, **first))
        read = line.answer(line.ask("GetRecords", **iterator))
        assert [len(each["Data"]) for each in read["Records"]] == [-(-(MIB - 1) // 3) * 4] * 3


def test_a_request_that_waits_for_its_body_holds_up_no_other(
    kinesis_endpoint: str, stream: MakeStream
) -> None:
    name = stream(1)
    with opened(kinesis_endpoint) as line:
        large = put(name, MIB - 1)
        # Both are large, so the second one waits for its turn while a part of it was sent.
        first = line.request("PutRecord", length=len(large))
        second = line.request("PutRecord", length=len(large))
        while line.h2.outbound_flow_control_window < 2 * WINDOW:
            line.receive()  # the endpoint's settings
        line.h2.send_data(first, large[:10_000])
        for start in range(0, WINDOW, 13_107):
            line.h2.send_data(second, large[start : start + 13_107])
        line.flush()
        line.answer(line.ask("DescribeStreamSummary", StreamName=name))
        assert line.h2.local_flow_control_window(second) == 0
        line.send(first, large[10_000:])
        line.answer(first)
        line.send(second, large[WINDOW:])
        line.answer(second)


def test_an_answer_that_is_not_read_holds_up_no_other(
    kinesis_endpoint: str, stream: MakeStream
) -> None:
    name = stream(1)
    arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}"
    with opened(kinesis_endpoint) as line:
        body = put(name, MIB - 1)
        number = line.request("PutRecord", length=len(body))
        line.send(number, body)
        line.answer(number)
        registered = line.answer(
            line.ask("RegisterStreamConsumer", StreamARN=arn, ConsumerName="slow")
        )
        consumer = {"ConsumerARN": registered["Consumer"]["ConsumerARN"]}
        status = ""
        while status != "ACTIVE":
            described = line.answer(line.ask("DescribeStreamConsumer", **consumer))
            status = described["ConsumerDescription"]["ConsumerStatus"]
        start = {"Type": "TRIM_HORIZON"}
        subscription = line.ask(
            "SubscribeToShard", **consumer, ShardId="shardId-000000000000", StartingPosition=start
        )
        # The connection's window is large, so only the stream's own window is full.
        line.h2.increment_flow_control_window(MIB)
        line.flush()
        while len(line.bodies.get(subscription, b"")) < WINDOW:
            line.receive(acknowledge=False)
        other = line.answer(line.ask("DescribeStreamSummary", StreamName=name))
        assert other["StreamDescriptionSummary"]["ConsumerCount"] == 1
        line.h2.reset_stream(subscription, ErrorCodes.CANCEL)
        line.flush()
        line.answer(line.ask("DescribeStreamSummary", StreamName=name))


def test_requests_before_a_goaway_are_answered(kinesis_endpoint: str, stream: MakeStream) -> None:
    name = stream(1)
    with opened(kinesis_endpoint) as line:
        body = put(name, 10)
        number = line.request("PutRecord", length=len(body))
        line.socket.sendall(GOAWAY)
        line.send(number, body)
        # These bytes come after the answer. They must not reset the connection before it is read.
        time.sleep(0.3)
        for _ in range(3):
            line.socket.sendall(PING)
            time.sleep(0.05)
        line.answer(number)
        while not line.closed:
            line.receive()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example"])
def test_it_answers_to_local_names_only(kinesis_endpoint: str, host: str) -> None:
    with opened(kinesis_endpoint) as line:
        number = line.request("ListStreams", host=host)
        line.h2.end_stream(number)
        line.flush()
        line.wait([number])
        assert line.statuses[number] == 421
        assert line.bodies[number].startswith(f"the Host header names {host}".encode())


def test_a_body_beyond_the_limit_is_refused_before_its_end(kinesis_endpoint: str) -> None:
    with opened(kinesis_endpoint) as line:
        number = line.request("PutRecords", length=17 * MIB)
        line.h2.send_data(number, b" " * 10_000)
        line.flush()
        line.wait([number])
        assert line.statuses[number] == 413
        line.answer(line.ask("ListStreams"))


@pytest.mark.parametrize(
    "sent",
    [
        PREFACE + b"GET / HTTP/1.1\r\n\r\n",
        PREFACE + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + bytes(20_000),
        PREFACE + b"\x00\x00\x00\x00\x00\x00\x00\x00\x01",
        PREFACE.replace(b"SM", b"XX"),
    ],
)
def test_what_is_not_http_closes_the_connection(kinesis_endpoint: str, sent: bytes) -> None:
    address = urlsplit(kinesis_endpoint)
    with socket.create_connection((address.hostname or "", address.port or 0), 20) as line:
        line.sendall(sent)
        with suppress(ConnectionResetError):
            while line.recv(MIB):
                pass


def test_http1_may_come_in_small_pieces(kinesis_endpoint: str) -> None:
    address = urlsplit(kinesis_endpoint)
    with socket.create_connection((address.hostname or "", address.port or 0), 20) as line:
        for piece in (b"P", b"RI", b" /x HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            line.sendall(piece)
        assert line.recv(MIB).startswith(b"HTTP/1.1 405")
