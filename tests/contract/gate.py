"""The gate: what IAM does before the services, for engines that ask nobody who they are.

It tells each call in IAM's words, lets through what a policy of template.yaml allows, and refuses
the rest as AWS does.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec
import urllib3

from lockstep.stack.stack import Endpoints, Stack
from lockstep.web.addresses import HOST

_HOP_BY_HOP = frozenset({"connection", "content-length", "host", "transfer-encoding"})


class Call(NamedTuple):
    """What was asked, in IAM's words: an action, and a resource without its account."""

    action: str
    resource: str


class Gate:
    """Lets through what `lets` says; `asked` and `refused` say what came."""

    def __init__(self, allowed: Sequence[Call]) -> None:
        self.asked: set[Call] = set()
        self.refused: set[Call] = set()
        self.lets = allowed

    def lets_through(self, calls: Sequence[Call]) -> bool:
        """Whether all of what one request asks is allowed."""
        self.asked.update(calls)
        refused = [call for call in calls if not any(_covers(one, call) for one in self.lets)]
        self.refused.update(refused)
        return not refused

    def used(self) -> set[Call]:
        """Of what is allowed, what was asked for."""
        return {one for one in self.lets if any(_covers(one, call) for call in self.asked)}

    @contextmanager
    def before(self, stack: Stack) -> Iterator[Stack]:
        """The same stack, with every service behind this gate."""
        urls: dict[str, str] = {}
        with ExitStack() as open_gates:
            for service in ("dynamodb", "kinesis", "opensearch", "s3"):
                engine = getattr(stack.endpoints, service)
                urls[service] = open_gates.enter_context(self.before_one(service, engine))
            yield msgspec.structs.replace(stack, endpoints=Endpoints(**urls))

    @contextmanager
    def before_one(self, service: str, engine: str) -> Iterator[str]:
        """The URL of one engine, behind this gate."""
        server = ThreadingHTTPServer((HOST, 0), _handler(service, engine, self))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _covers(allowed: Call, call: Call) -> bool:
    return allowed.action == call.action and fnmatchcase(call.resource, allowed.resource)


def allowed(template: Mapping[str, Any], policy: str, stack: Stack) -> Sequence[Call]:
    """What a managed policy of the template allows in this stack, with a key of its own."""
    document = template["Resources"][policy]["Properties"]["PolicyDocument"]
    found = []
    for listed in document["Statement"]:
        statement = listed["Fn::If"][1] if "Fn::If" in listed else listed
        assert statement["Effect"] == "Allow"
        for action in _listed(statement["Action"]):
            found += [Call(action, _resource(one, stack)) for one in _listed(statement["Resource"])]
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _resource(resource: Any, stack: Stack) -> str:
    names = {
        "ImageTable": stack.table,
        "ImageStream": stack.stream,
        "QuarantineBucket": stack.bucket,
    }
    match resource:
        case {"Fn::GetAtt": [str(name), "Arn"]}:
            return names[name]
        case {"Fn::Sub": str(text)}:
            return text.replace("${QuarantineBucket.Arn}", stack.bucket)
        case {"Fn::Sub": [str(text), {"Domain": _}]}:
            return text.removeprefix("${Domain}/").replace("${IndexAlias}", stack.index)
        case {"Ref": str(name)}:
            return name
        case _:
            return str(resource)


def _calls(service: str, method: str, url: str, target: str, body: bytes) -> Sequence[Call]:
    """What a request asks for."""
    path = urlsplit(url).path.removeprefix("/")
    if service == "opensearch":
        return [Call(f"es:ESHttp{method.capitalize()}", path)]
    if service == "s3":
        bucket, _, key = path.partition("/")
        if key:
            return [Call(f"s3:{method.capitalize()}Object", f"{bucket}/{key}")]
        listing = method == "GET" and "list-type" in parse_qs(urlsplit(url).query)
        return [Call("s3:ListBucket" if listing else f"s3:{method.capitalize()}Bucket", bucket)]
    operation = target.rpartition(".")[2]
    request = msgspec.json.decode(body)
    if operation == "BatchExecuteStatement":
        verbs = {one["Statement"].split()[0].capitalize() for one in request["Statements"]}
        return [Call(f"dynamodb:PartiQL{verb}", "the table") for verb in sorted(verbs)]
    named = request.get("TableName") or request.get("StreamName")
    names = [named] if named else list(request["RequestItems"])
    return [Call(f"{service}:{operation}", name) for name in names]


def _refusal(service: str, calls: Sequence[Call]) -> tuple[int, str, bytes]:
    """Status, type and body of the answer to who may not."""
    said = f"User is not authorized to perform: {', '.join(call.action for call in calls)}"
    if service == "s3":
        body = f"<Error><Code>AccessDenied</Code><Message>{said}</Message></Error>"
        return 403, "application/xml", body.encode()
    if service == "opensearch":
        return 403, "application/json", msgspec.json.encode({"Message": said})
    kind = "com.amazon.coral.service#AccessDeniedException"
    return 400, "application/x-amz-json-1.0", msgspec.json.encode({"__type": kind, "message": said})


def _handler(service: str, engine: str, gate: Gate) -> type[BaseHTTPRequestHandler]:
    pool = urllib3.PoolManager(retries=False)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            target = self.headers.get("x-amz-target", "")
            calls = _calls(service, self.command, self.path, target, body)
            if not gate.lets_through(calls):
                status, kind, refusal = _refusal(service, calls)
                self._send(status, {"content-type": kind}, refusal)
                return
            headers = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in _HOP_BY_HOP
            }
            answer = pool.request(
                self.command, engine + self.path, body=body, headers=headers, decode_content=False
            )
            self._send(answer.status, answer.headers, answer.data)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer  # noqa: N815 - http.server's names

        def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
