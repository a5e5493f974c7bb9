"""The gate: what IAM does before the services, for engines that ask nobody who they are.

It tells each request in IAM's words, lets through what the policies allow, and refuses the rest as
AWS does. Where no engine stands for a service, it answers itself (`tests/gate/recorded.py`).
"""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lockstep.stack.clients import LOCAL_CREDENTIALS
from lockstep.stack.stack import LOCAL_REGION, Stack
from lockstep.web.addresses import HOST
from tests.gate.evaluator import Call, allows
from tests.gate.recorded import JSON, SETTINGS, Answered, Recorded, answered
from tests.gate.requests import Asked, calls_of
from tests.gate.versions import with_versions

ENGINES = ("dynamodb", "kinesis", "opensearch", "s3")
RECORDED = (
    "cloudformation",
    "lambda",
    "cloudwatch",
    "logs",
    "secretsmanager",
    "api",
    "sns",
    "sqs",
    "sts",
)
_OF_A_SIGNATURE = frozenset({"authorization", "x-amz-content-sha256", "x-amz-date"})
_HOP_BY_HOP = frozenset({"connection", "content-length", "host", "transfer-encoding"})
_NOT_FOUND = 404
# The last part of the path of a request to OpenSearch that changes nothing.
_READING = ("/_count", "/_mget", "/_msearch", "/_refresh", "/_search", "/point_in_time")


class Gate:
    """Lets through what `policies` allow.

    Attributes:
        policies: policy documents, with their intrinsic functions resolved.
        stack: the stack that requests are to.
        recorded: answers for the services without an engine.
        key: the ARN of the customer's key of the stream and the bucket, if they have one.
        refusals_before_interrupt: after so many refusals, the command gets Ctrl-C; 0: never.
        meanwhile: called with each request that is let through, before it goes on.
        asked, refused: what came, and what of it was refused.
        has_changed: whether something came that changes the stack.
    """

    def __init__(
        self,
        stack: Stack,
        policies: Sequence[Mapping[str, Any]] = (),
        *,
        recorded: Recorded | None = None,
        key: str | None = None,
    ) -> None:
        self.stack = stack
        self.policies = policies
        self.recorded = recorded
        self.key = key
        self.refusals_before_interrupt = 0
        self.meanwhile: Callable[[Asked], None] = lambda _: None
        self.asked: set[Call] = set()
        self.has_changed = False
        self.refused: set[Call] = set()

    def forget(self) -> None:
        """Forget what came, and interrupt nothing any more."""
        self.refusals_before_interrupt = 0
        self.has_changed = False
        self.asked.clear()
        self.refused.clear()

    def refuses(self, calls: Sequence[Call]) -> bool:
        """Whether a request with these calls is refused."""
        self.asked.update(calls)
        refused = [call for call in calls if not allows(self.policies, call)]
        self.refused.update(refused)
        if refused and self.refusals_before_interrupt:
            self.refusals_before_interrupt -= 1
            if not self.refusals_before_interrupt:
                signal.raise_signal(signal.SIGINT)
        return bool(refused)

    @contextmanager
    def before(self, engines: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
        """The URL of each service behind this gate.

        Args:
            engines: the URL of each engine, by service.
        """
        with ExitStack() as open_gates:
            yield {
                service: open_gates.enter_context(self.before_one(service, engines.get(service)))
                for service in (*engines, *(RECORDED if self.recorded else ()))
            }

    @contextmanager
    def before_one(self, service: str, engine: str | None) -> Iterator[str]:
        """The URL of one service behind this gate."""
        server = ThreadingHTTPServer((HOST, 0), _handler(service, engine, self))
        # It looks so often whether it shall stop.
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def answer(self, asked: Asked, forward: Callable[[Asked], Answered]) -> Answered:
        """The answer to a request: a refusal, or that of the service."""
        calls = calls_of(asked, self.stack, self.key)
        if self.refuses(calls):
            return _refusal(asked.service, calls)
        self.has_changed |= any(map(_changes, calls))
        self.meanwhile(asked)
        if asked.service in RECORDED:
            assert self.recorded is not None
            return self.recorded.answer(asked)
        operation = asked.headers.get("x-amz-target", "").rpartition(".")[2]
        if self.recorded and operation in SETTINGS:
            setting = self.recorded.of_a_setting(operation, msgspec.json.decode(asked.body))
            return answered(setting)
        of_s3 = asked.service == "s3"
        status, headers, body = with_versions(asked, forward) if of_s3 else forward(asked)
        if of_s3 and asked.method == "GET" and status == _NOT_FOUND:
            # Who may not list a bucket does not learn that an object does not exist:
            # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
            bucket = calls[0].resource.partition("/")[0]
            listing = [Call("s3:ListBucket", bucket, (("s3:prefix", ""),))]
            if self.refuses(listing):
                return _refusal(asked.service, listing)
        if self.recorded and operation == "DescribeStreamSummary":
            body = self.recorded.aged(body)
        return status, headers, body


def _changes(call: Call) -> bool:
    """Whether a call may change what the stack holds."""
    _, _, name = call.action.partition(":")
    if name in {"ESHttpPost", "ESHttpDelete"}:
        return not call.resource.endswith(_READING)
    return name.startswith(
        (
            "Put",
            "Delete",
            "PartiQLInsert",
            "PartiQLUpdate",
            "ESHttpPut",
            "Update",
            "Tag",
            "Enable",
            "Set",
        )
    )


def _refusal(service: str, calls: Sequence[Call]) -> Answered:
    """The answer to who may not."""
    said = f"User is not authorized to perform: {', '.join(call.action for call in calls)}"
    match service:
        case "s3":
            body = f"<Error><Code>AccessDenied</Code><Message>{said}</Message></Error>"
            return 403, {"content-type": "application/xml"}, body.encode()
        case "cloudformation" | "sns":
            error = f"<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{said}</Message>"
            body = f"<ErrorResponse>{error}</Error></ErrorResponse>"
            return 403, {"content-type": "text/xml"}, body.encode()
        case "opensearch":
            return 403, {"content-type": JSON}, msgspec.json.encode({"Message": said})
        case "lambda" | "api":
            headers = {"content-type": JSON, "x-amzn-errortype": "AccessDeniedException"}
            return 403, headers, msgspec.json.encode({"message": said})
        case _:
            kind = "com.amazon.coral.service#AccessDeniedException"
            refusal = {"__type": kind, "message": said}
            return 400, {"content-type": "application/x-amz-json-1.0"}, msgspec.json.encode(refusal)


def _signed(asked: Asked, url: str, headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a request to the engine, which has another address and other credentials."""
    kept = {name: value for name, value in headers.items() if name not in _OF_A_SIGNATURE}
    request = AWSRequest(asked.method, url, kept, asked.body)
    keys = Credentials(LOCAL_CREDENTIALS, LOCAL_CREDENTIALS)
    S3SigV4Auth(keys, "s3", LOCAL_REGION).add_auth(request)
    return dict(request.headers)


def _handler(service: str, engine: str | None, gate: Gate) -> type[BaseHTTPRequestHandler]:
    pool = urllib3.PoolManager(retries=False, maxsize=8)

    def forward(asked: Asked) -> Answered:
        headers = {name: value for name, value in asked.headers.items() if name not in _HOP_BY_HOP}
        url = f"{engine}{asked.path}"
        if asked.service == "s3":
            headers = _signed(asked, url, headers)
        answer = pool.request(
            asked.method,
            url,
            body=asked.body,
            headers=headers,
            decode_content=False,
        )
        return answer.status, answer.headers, answer.data

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(service, self.command, self.path, headers, body)
            self._send(*gate.answer(asked, forward))

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer  # noqa: N815 - http.server's names

        def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response(status)
            length = str(len(body))
            for name, value in headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
                elif self.command == "HEAD" and name.lower() == "content-length":
                    length = value  # that of the body that is not sent
            self.send_header("content-length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
