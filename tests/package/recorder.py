"""Stands for CloudFormation and S3 in a test of `sam deploy`, and records what they are asked."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from samtranslator.yaml_helper import yaml_parse

from lockstep.web.addresses import HOST

_NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
_ARN = "arn:aws:cloudformation:us-east-1:123456789012"


class Recorder:
    """Each change set counts as executed: its stack exists afterwards.

    `template` is the latest template that was uploaded. The answers are those of
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Operations.html
    """

    def __init__(self) -> None:
        self.template = ""
        self._stacks: dict[str, dict[str, str]] = {}

    def parameters(self, stack: str) -> Mapping[str, str]:
        """The value of each parameter of a stack, after all change sets."""
        return self._stacks[stack]

    def answer(self, form: Mapping[str, str]) -> tuple[int, str]:
        """Status and body of CloudFormation's answer to a request."""
        action, stack = form["Action"], form["StackName"]
        match action:
            case "DescribeStacks" if stack not in self._stacks:
                said = f"<Message>Stack with id {stack} does not exist</Message>"
                error = f"<Error><Type>Sender</Type><Code>ValidationError</Code>{said}</Error>"
                return 400, f'<ErrorResponse xmlns="{_NAMESPACE}">{error}</ErrorResponse>'
            case "DescribeStacks":
                inside = (
                    f"<Stacks><member><StackName>{stack}</StackName>"
                    "<CreationTime>2026-11-29T00:00:00Z</CreationTime>"
                    "<StackStatus>CREATE_COMPLETE</StackStatus></member></Stacks>"
                )
            case "GetTemplateSummary":
                members = "".join(
                    f"<member><ParameterKey>{name}</ParameterKey></member>"
                    for name in self._stacks[stack]
                )
                inside = f"<Parameters>{members}</Parameters>"
            case "CreateChangeSet":
                self._stacks[stack] = self._after(stack, form)
                inside = f"<Id>{_ARN}:changeSet/one</Id><StackId>{_ARN}:stack/one</StackId>"
            case "DescribeChangeSet":
                inside = "<Status>CREATE_COMPLETE</Status><Changes/>"
            case _:
                raise NotImplementedError(action)
        result = f"<{action}Result>{inside}</{action}Result>"
        return 200, f'<{action}Response xmlns="{_NAMESPACE}">{result}</{action}Response>'

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


@contextmanager
def recording() -> Iterator[tuple[Recorder, str]]:
    """A recorder, and the URL at which it stands for both services."""
    recorder = Recorder()
    server = ThreadingHTTPServer((HOST, 0), _handler(recorder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield recorder, f"http://{HOST}:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(recorder: Recorder) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            form = parse_qs(self._body().decode())
            status, answer = recorder.answer({name: values[0] for name, values in form.items()})
            self._send(status, answer.encode())

        def do_PUT(self) -> None:
            body = self._body()
            if urlsplit(self.path).path.endswith(".template"):
                recorder.template = body.decode()
            self._send(200, b"")

        def do_HEAD(self) -> None:
            """Nothing was uploaded before."""
            self._send(404, b"")

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("content-length", 0)))

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.send_header("content-type", "text/xml")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
