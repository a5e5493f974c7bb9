"""Whatever is sent to the Kinesis endpoint, it answers or refuses as Kinesis does."""

import base64
import signal
import socket
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import cbor2
import msgspec
import pytest
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape
from botocore.parsers import create_parser
from h2.config import H2Configuration
from h2.connection import H2Connection
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.local.kinesis.cbor import CBOR
from lockstep.local.kinesis.consumers import CHANGE_MS
from lockstep.local.kinesis.endpoint import Endpoint
from lockstep.local.kinesis.errors import ErrorName
from lockstep.local.kinesis.http2 import PREFACE
from lockstep.local.kinesis.limits import PerShard, Unlimited
from lockstep.local.kinesis.operations import OPERATIONS, SUBSCRIBE
from lockstep.local.kinesis.operations.subscribing import Subscription
from lockstep.local.kinesis.server import Reply, reply
from lockstep.local.kinesis.store import Store
from tests.contract.kinesis.server import running
from tests.fuzz.test_decode import anything
from tests.unit.kinesis.client import SECOND, START, Clock, Kinesis, answer_of, message_in

# RFC 9113, 6.5: a client's first frame.
EMPTY_SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
CORPUS = sorted((Path(__file__).parents[1] / "corpus/kinesis").iterdir())
SERVICE = ServiceModel(Loader().load_service_model("kinesis", "service-2"), "kinesis")
TARGET = "Kinesis_20131202."
CONTENT_TYPE = "application/x-amz-json-1.1"
REFUSALS = set(get_args(ErrorName.__value__)) - {"InternalFailureException"}
ALL_OPERATIONS = sorted([*OPERATIONS, SUBSCRIBE])
_numbers = count()

FEWER = settings().max_examples // 4  # these take longer
# The process writes a line for each invalid request into a pipe that is read at the end.
FEW = min(FEWER, 400)

type Known = dict[str, list[Any]]
"""Existing values for a member of that name."""


def checked(operation: str, answer: Reply | Subscription) -> None:
    """Check that the answer is valid for an SDK, or a refusal that Kinesis knows."""
    if isinstance(answer, Subscription):
        assert operation == SUBSCRIBE
        return
    if answer.status != 200:
        assert answer.status in (400, 413)
        refusal = msgspec.json.decode(answer.body)
        assert refusal["__type"] in REFUSALS, refusal
        assert message_in(refusal)
        return
    shape = SERVICE.operation_model(operation).output_shape
    if shape is None:
        assert answer.body == b""
        return
    parser = create_parser("json")
    parsed = parser.parse({"body": answer.body, "headers": {}, "status_code": 200}, shape)
    assert set(shape.required_members) <= parsed.keys()


def inputs(shape: Shape | None, known: Known, name: str = "") -> st.SearchStrategy[Any]:
    """Values that the model allows, existing ones, and sometimes arbitrary ones."""
    usual = _usual(shape, known)
    there = known.get(name, [])
    if there:
        usual = st.sampled_from(there) | st.sampled_from(there) | usual
    return st.integers(0, 20).flatmap(lambda roll: usual if roll else anything)


def _usual(shape: Shape | None, known: Known) -> st.SearchStrategy[Any]:
    match shape:
        case StructureShape():
            members = {name: inputs(one, known, name) for name, one in shape.members.items()}
            needed = {name: members.pop(name) for name in shape.required_members}
            return st.fixed_dictionaries(needed, optional=members)
        case ListShape():
            return st.lists(inputs(shape.member, known), max_size=4)
        case MapShape():
            return st.dictionaries(st.text(max_size=8), inputs(shape.value, known), max_size=4)
        case StringShape():
            if shape.enum:
                return st.sampled_from(shape.enum)
            return st.text(max_size=20) | st.from_regex(r"[0-9]{1,60}", fullmatch=True)
    match shape and shape.type_name:
        case "blob":
            return st.binary(max_size=20).map(lambda data: base64.b64encode(data).decode())
        case "boolean":
            return st.booleans()
        case "timestamp":
            return st.floats() | st.integers(0, 2_000_000_000)
        case None:
            return st.just({})
        case _:
            return st.integers(-2, 30) | st.integers(-(2**63), 2**63)


class Stage:
    """An endpoint with a stream to use, and one that must not change."""

    def __init__(self, store: Store, *, limited: bool = False) -> None:
        # A minute after the stage before: its consumers are not CREATING any more.
        clock = Clock(START + next(_numbers) * 60 * SECOND)
        limits = PerShard() if limited else Unlimited()
        self.kinesis = Kinesis(Endpoint(store, clock, limits, "us-east-1", "000000000000"), clock)
        self.kept = self.kinesis.stream(f"kept-{next(_numbers)}")
        self.stream = self.kinesis.stream(f"stream-{next(_numbers)}", 2)
        self.kinesis.put(b"before", stream=self.kept)
        self.kinesis.put(b"a", b"b", stream=self.stream)

    @property
    def known(self) -> Known:
        kinesis, stream = self.kinesis, self.stream
        arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream}"
        records = kinesis("GetRecords", ShardIterator=kinesis.iterator("LATEST", stream=stream))
        [*shards] = kinesis.shards(stream)
        page = kinesis("ListShards", StreamName=stream, MaxResults=1).get("NextToken", "")
        numbers = [one["SequenceNumberRange"]["StartingSequenceNumber"] for one in shards]
        numbers += kinesis.put(b"c", stream=stream)
        ids = [one["ShardId"] for one in shards]
        consumers = [register(kinesis, arn, name) for name in ("a", "b")]
        kinesis.clock.now += CHANGE_MS
        iterators = [kinesis.iterator("TRIM_HORIZON", stream=stream), records["NextShardIterator"]]
        return {
            **{name: [stream] for name in ("StreamName", "ExclusiveStartStreamName")},
            "StreamARN": [arn],
            "ResourceARN": [arn, *consumers],
            "ConsumerARN": consumers,
            "ConsumerName": ["a", "c"],
            **dict.fromkeys(("ShardId", "ShardToSplit", "ShardToMerge"), ids),
            **dict.fromkeys(("AdjacentShardToMerge", "ExclusiveStartShardId"), ids),
            **dict.fromkeys(("StartingSequenceNumber", "SequenceNumberForOrdering"), numbers),
            "SequenceNumber": numbers,
            **{name: [str(2**126), "0"] for name in ("NewStartingHashKey", "ExplicitHashKey")},
            "ShardIterator": iterators,
            "NextToken": [page, *iterators],
            "Timestamp": [kinesis.clock.now / 1000],
            "ShardCount": [1, 3],
            "TargetShardCount": [1, 2, 3, 4],
            "RetentionPeriodHours": [24, 48, 8760],
            "PartitionKey": ["T02680", "é" * 128],
        }

    def holds(self) -> None:
        """Check that the other stream has not changed; delete all, because accounts have quotas."""
        kinesis = self.kinesis
        kinesis.clock.now += 1_000  # nothing is throttled any more
        assert kinesis.data(kinesis.iterator("TRIM_HORIZON", stream=self.kept)) == [b"before"]
        for name in kinesis("ListStreams")["StreamNames"]:
            kinesis("DeleteStream", StreamName=name, EnforceConsumerDeletion=True)


def register(kinesis: Kinesis, stream_arn: str, name: str) -> str:
    """Register a consumer; its ARN."""
    request = {"StreamARN": stream_arn, "ConsumerName": name}
    found: str = kinesis("RegisterStreamConsumer", **request)["Consumer"]["ConsumerARN"]
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(tmp_path_factory.mktemp("kinesis") / "kinesis.db") as opened:
        yield opened


@settings(max_examples=FEWER)
@given(data=st.data(), limited=st.booleans())
def test_any_operations_with_any_inputs(store: Store, data: st.DataObject, limited: bool) -> None:  # noqa: FBT001 - drawn
    stage = Stage(store, limited=limited)
    known = stage.known
    for operation in data.draw(st.lists(st.sampled_from(ALL_OPERATIONS), max_size=6)):
        request = data.draw(_usual(SERVICE.operation_model(operation).input_shape, known))
        body = written(request)
        headers = {"x-amz-target": f"{TARGET}{operation}", "content-type": CONTENT_TYPE}
        checked(operation, reply(stage.kinesis.endpoint, headers, body))
    stage.holds()


def written(request: Any) -> bytes:
    """JSON, also of what JSON has no word for."""
    try:
        return msgspec.json.encode(request)
    except (UnicodeEncodeError, OverflowError):
        return str(request).encode(errors="replace")


def packed(request: Any) -> bytes:
    """CBOR, also of what CBOR cannot say."""
    try:
        return cbor2.dumps(request)
    except (cbor2.CBOREncodeError, UnicodeEncodeError):
        return str(request).encode(errors="replace")


@given(
    st.sampled_from(ALL_OPERATIONS),
    st.binary(max_size=60) | anything.map(written) | st.sampled_from([b"[" * 9_000, b"1e999"]),
)
def test_any_body(store: Store, operation: str, body: bytes) -> None:
    endpoint = Endpoint(store, Clock(), Unlimited(), "us-east-1", "000000000000")
    headers = {"x-amz-target": f"{TARGET}{operation}", "content-type": CONTENT_TYPE}
    checked(operation, reply(endpoint, headers, body))


@given(
    st.sampled_from(ALL_OPERATIONS),
    st.binary(max_size=60)
    | anything.map(packed)
    | st.builds(
        lambda tag, rest: bytes([tag]) + rest, st.integers(0xC0, 0xDF), st.binary(max_size=9)
    )
    | st.just(b"\x81" * 9_000),
)
def test_any_body_in_cbor(store: Store, operation: str, body: bytes) -> None:
    endpoint = Endpoint(store, Clock(), Unlimited(), "us-east-1", "000000000000")
    headers = {"x-amz-target": f"{TARGET}{operation}", "content-type": CBOR.content_type}
    answer = answer_of(endpoint, headers, body)
    assert answer.content_type == CBOR.content_type
    assert answer.status == 200 or cbor2.loads(answer.body)["__type"] in REFUSALS


type Exchange = Callable[[bytes], bytes]
"""Sends a request's bytes; gives all that comes back."""


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """Sends raw bytes to the endpoint's process, gives what comes back; no fault is in its log."""
    with running(tmp_path_factory.mktemp("kinesis") / "kinesis.db") as server:
        address = urlsplit(server.url)

        def send(request: bytes) -> bytes:
            with socket.create_connection((address.hostname, address.port), timeout=20) as line:
                line.sendall(request)
                if request.startswith(PREFACE):  # no more requests: the endpoint may close
                    line.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: line.recv(65_536), b""))

        put(send, "CreateStream", {"StreamName": "kept", "ShardCount": 1})
        put(send, "PutRecord", {"StreamName": "kept", "PartitionKey": "k", "Data": "YmVmb3Jl"})
        yield send
        shard = {"ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
        iterator = put(send, "GetShardIterator", {"StreamName": "kept", **shard})
        [record] = put(send, "GetRecords", iterator)["Records"]
        assert record["Data"] == "YmVmb3Jl"
        _, said = server.end(signal.SIGTERM)
        assert "Traceback" not in said, said


def put(send: Exchange, operation: str, request: Any) -> Any:
    answer = send(http(msgspec.json.encode(request), {"X-Amz-Target": f"{TARGET}{operation}"}))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), answer
    return msgspec.json.decode(body) if body else {}


def http(body: bytes, headers: dict[str, str], method: str = "POST", path: str = "/") -> bytes:
    given = {
        "Host": "localhost",
        "Content-Type": CONTENT_TYPE,
        "Content-Length": str(len(body)),
        "Connection": "close",
    } | headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


def answered(answer: bytes) -> None:
    """Check that this is one complete HTTP answer, without a server error."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), answer
    while head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    status = int(head.split(b" ")[1])
    assert 200 <= status < 500, answer
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    if lengths:
        assert int(lengths[0].partition(b":")[2]) == len(body) or not body  # HEAD


tokens = st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=30)


@settings(max_examples=FEW)
@given(
    body=st.binary(max_size=60),
    headers=st.dictionaries(
        st.sampled_from(["X-Amz-Target", "Content-Type", "Host", "Expect", "X-Amz-Date", "Accept"]),
        tokens | st.sampled_from([f"{TARGET}ListStreams", CONTENT_TYPE, "100-continue"]),
        max_size=4,
    ),
    method=st.sampled_from(["POST", "POST", "GET", "PUT", "HEAD", "OPTIONS", "DELETE", "X"]),
    path=st.sampled_from(["/", "/health", "//", "/%00", "/%ff", "/a?b=c", "*"]),
)
def test_any_http(
    exchange: Exchange, body: bytes, headers: dict[str, str], method: str, path: str
) -> None:
    answered(exchange(http(body, headers, method, path)))


@settings(max_examples=FEW)
@given(st.text(st.characters(exclude_characters="0123456789", max_codepoint=255), max_size=9))
def test_an_invalid_length(exchange: Exchange, length: str) -> None:
    headers = {"X-Amz-Target": f"{TARGET}ListStreams", "Content-Length": length}
    answered(exchange(http(b"{}", headers)))


@settings(max_examples=FEW)
@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_instead_of_http(exchange: Exchange, sent: bytes) -> None:
    answered(exchange(b"!" + sent + b"\r\n\r\n"))


frames = st.builds(
    lambda payload, kind, flags, stream: (
        len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload
    ),
    st.binary(max_size=40),
    st.integers(0, 10),
    st.integers(0, 255),
    st.integers(0, 5),
)


@settings(max_examples=FEW)
@given(st.lists(frames, max_size=6), st.binary(max_size=20))
def test_any_frames_of_http2(exchange: Exchange, sent: list[bytes], rest: bytes) -> None:
    answer = exchange(PREFACE + EMPTY_SETTINGS + b"".join(sent) + rest)
    assert answer.startswith(b"\x00\x00")  # a frame, not HTTP/1.1


@settings(max_examples=FEW)
@given(
    method=st.sampled_from(["POST", "GET", "CONNECT", "X"]) | tokens,
    path=st.sampled_from(["/", "*", "/%ff"]) | tokens,
    authority=st.just("localhost") | tokens,
    headers=st.lists(st.tuples(tokens, tokens), max_size=3),
)
def test_any_headers_of_http2(
    exchange: Exchange, method: str, path: str, authority: str, headers: list[tuple[str, str]]
) -> None:
    rules = H2Configuration(
        header_encoding=None,
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
        validate_inbound_headers=False,
    )
    client = H2Connection(rules)
    client.initiate_connection()
    pseudo = [(":method", method), (":scheme", "http"), (":path", path), (":authority", authority)]
    written = [
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in pseudo + headers
    ]
    client.send_headers(1, written, end_stream=True)
    client.receive_data(exchange(client.data_to_send()))


@pytest.mark.parametrize("case", CORPUS, ids=lambda path: path.name)
def test_the_findings_of_earlier_runs(exchange: Exchange, case: Path) -> None:
    """Each file is a whole HTTP request."""
    answered(exchange(case.read_bytes()))
