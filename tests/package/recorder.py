"""Stands for CloudFormation and S3 in a test of SAM CLI, and records what they are asked."""

import datetime as dt
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from samtranslator.yaml_helper import yaml_parse

from lockstep.web.addresses import HOST

_NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
_ARN = "arn:aws:cloudformation:us-east-1:123456789012"
# The stack with the bucket of SAM CLI, and its mark.
SAMS_STACK = "aws-sam-cli-managed-default"
_SAMS_TAG = "<member><Key>ManagedStackSource</Key><Value>AwsSamCli</Value></member>"


class Recorder:
    """Each change set counts as executed: its stack exists afterwards.

    `template` is the latest template that was uploaded, `uploaded` the path of each object. The
    answers are those of
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Operations.html
    """

    def __init__(self) -> None:
        self.template = ""
        self.uploaded: list[str] = []
        self._stacks: dict[str, dict[str, str]] = {}
        # The latest first, as CloudFormation lists them.
        self._events: dict[str, list[str]] = {}

    def parameters(self, stack: str) -> Mapping[str, str]:
        """The value of each parameter of a stack, after all change sets."""
        return self._stacks[stack]

    def outputs(self, stack: str) -> Mapping[str, str]:
        """The outputs of a stack that exists."""
        del stack
        return {}

    def answer(self, form: Mapping[str, str]) -> tuple[int, str]:
        """Status and body of CloudFormation's answer to a request."""
        action, stack = form["Action"], form["StackName"].rpartition(":stack/")[2].split("/")[0]
        if stack not in self._stacks and action != "CreateChangeSet":
            said = f"<Message>Stack with id {stack} does not exist</Message>"
            error = f"<Error><Type>Sender</Type><Code>ValidationError</Code>{said}</Error>"
            return 400, f'<ErrorResponse xmlns="{_NAMESPACE}">{error}</ErrorResponse>'
        inside = self._inside(action, stack, form)
        result = f"<{action}Result>{inside}</{action}Result>"
        return 200, f'<{action}Response xmlns="{_NAMESPACE}">{result}</{action}Response>'

    def answer_json(self, operation: str, body: Any) -> Any:
        """The answer of another service, which speaks JSON."""
        raise NotImplementedError(operation, body)

    def _inside(self, action: str, stack: str, form: Mapping[str, str]) -> str:
        """The result of a request about a stack that exists, or that a change set creates."""
        match action:
            case "DescribeStacks":
                inside = self._described(stack)
            case "DescribeStackEvents":
                inside = f"<StackEvents>{''.join(self._events[stack])}</StackEvents>"
            case "GetTemplate":
                inside = f"<TemplateBody>{escape(self.template)}</TemplateBody>"
            case "GetTemplateSummary":
                members = "".join(
                    f"<member><ParameterKey>{name}</ParameterKey></member>"
                    for name in self._stacks[stack]
                )
                inside = f"<Parameters>{members}</Parameters>"
            case "CreateChangeSet":
                if stack not in self._stacks:
                    self._events[stack] = [event(stack, "REVIEW_IN_PROGRESS")]
                self._stacks[stack] = self._after(stack, form)
                inside = f"<Id>{_ARN}:changeSet/one</Id><StackId>{_ARN}:stack/one</StackId>"
            case "DescribeChangeSet":
                inside = "<Status>CREATE_COMPLETE</Status><Changes/>"
            case "ExecuteChangeSet":
                self._events[stack].insert(0, event(stack, self._status(stack)))
                inside = ""
            case "DeleteStack":
                del self._stacks[stack], self._events[stack]
                inside = ""
            case _:
                raise NotImplementedError(action)
        return inside

    def _described(self, stack: str) -> str:
        outputs = "".join(
            f"<member><OutputKey>{key}</OutputKey>"
            f"<OutputValue>{escape(value)}</OutputValue></member>"
            for key, value in self.outputs(stack).items()
        )
        parameters = "".join(
            f"<member><ParameterKey>{key}</ParameterKey>"
            f"<ParameterValue>{escape(value)}</ParameterValue></member>"
            for key, value in self.parameters(stack).items()
        )
        return (
            f"<Stacks><member><StackName>{stack}</StackName>"
            f"<StackId>{_ARN}:stack/{stack}/one</StackId>"
            "<CreationTime>2026-11-29T00:00:00Z</CreationTime>"
            "<EnableTerminationProtection>false</EnableTerminationProtection>"
            f"<Tags>{_SAMS_TAG if stack == SAMS_STACK else ''}</Tags>"
            f"<StackStatus>{self._status(stack)}</StackStatus>"
            f"<Parameters>{parameters}</Parameters><Outputs>{outputs}</Outputs></member></Stacks>"
        )

    def _status(self, stack: str) -> str:
        """Of a stack that exists: it was created, or updated since."""
        was_created = any("CREATE_COMPLETE" in one for one in self._events.get(stack, ()))
        return "UPDATE_COMPLETE" if was_created else "CREATE_COMPLETE"

    def note(self, key: str, query: str, body: bytes) -> None:
        """Note an object that is put; with a query, it is a part of one."""
        if not query:
            self.uploaded.append(key)
        if key.endswith(".template"):
            self.template = body.decode()

    def _after(self, stack: str, form: Mapping[str, str]) -> dict[str, str]:
        """The value of each parameter: as the request says, the previous one, or the default."""
        declared = yaml_parse(self.template)["Parameters"]
        after = {name: str(its["Default"]) for name, its in declared.items()}
        before = self._stacks.get(stack, {})
        at = 1
        while name := form.get(f"Parameters.member.{at}.ParameterKey"):
            keeps = form.get(f"Parameters.member.{at}.UsePreviousValue") == "true"
            value = before[name] if keeps else form[f"Parameters.member.{at}.ParameterValue"]
            after[name] = value
            at += 1
        return after


def event(stack: str, status: str) -> str:
    now = dt.datetime.now(dt.UTC).isoformat()
    return (
        f"<member><StackId>{_ARN}:stack/{stack}/one</StackId><EventId>{now}</EventId>"
        f"<StackName>{stack}</StackName><LogicalResourceId>{stack}</LogicalResourceId>"
        f"<PhysicalResourceId>{_ARN}:stack/{stack}/one</PhysicalResourceId>"
        "<ResourceType>AWS::CloudFormation::Stack</ResourceType>"
        f"<Timestamp>{now}</Timestamp><ResourceStatus>{status}</ResourceStatus></member>"
    )


@contextmanager
def recording[R: Recorder](recorder: R) -> Iterator[tuple[R, str]]:
    """A recorder, and the URL at which it stands for both services."""
    server = ThreadingHTTPServer((HOST, 0), _handler(recorder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield recorder, f"http://{HOST}:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def multipart(recorder: Recorder, key: str, query: str) -> bytes:
    """The answer to the start or the end of an upload in parts: SAM CLI's way above 8 MB."""
    if query == "uploads":
        return b"<I><UploadId>one</UploadId></I>"
    recorder.uploaded.append(key)
    return b"<C><ETag>one</ETag></C>"


def _handler(recorder: Recorder) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self._body()
            if operation := self.headers.get("x-amz-target"):
                answer = recorder.answer_json(operation.rpartition(".")[2], json.loads(body))
                self._send(200, json.dumps(answer).encode())
                return
            address = urlsplit(self.path)
            if address.query:
                self._send(200, multipart(recorder, address.path, address.query))
                return
            form = parse_qs(body.decode(), keep_blank_values=True)
            status, answer = recorder.answer({name: values[0] for name, values in form.items()})
            self._send(status, answer.encode())

        def do_PUT(self) -> None:
            body = self._body()
            address = urlsplit(self.path)
            recorder.note(address.path, address.query, body)
            self._send(200, b"")

        def do_HEAD(self) -> None:
            """Nothing was uploaded before."""
            self._send(404, b"")

        def do_GET(self) -> None:
            """No bucket has anything that could be deleted."""
            self._send(200, b"<ListBucketResult></ListBucketResult>")

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("content-length", 0)))

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.send_header("content-type", "text/xml")
            self.send_header("etag", '"one"')
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
