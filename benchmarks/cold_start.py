"""Count the instructions of cold starts: each function as it is packaged, and the tool.

    python -m benchmarks.cold_start [--artifacts FOLDER]

A cold start of a function is all that Python executes from its own start to the answer to a first
invocation, less `python -c pass`. The function runs from its built artifact, with the packages of
Lambda's runtime (boto3). The artifact is read-only in Lambda, so no bytecode is written into it.
The stores answer at once and do not count. The reference is `boto3.client("dynamodb")`.

It needs valgrind (Debian: `valgrind`), and `make .tools/sam.done .tools/lambda-runtime.done`.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple, override

import msgspec

from functions.write_to_es.aliases import alias_definitions
from functions.write_to_es.index import definition
from lockstep.stack.stack import LOCAL_REGION, Endpoints, Stack, write_local

ROOT = Path(__file__).parents[1]
RUNTIME = ROOT / ".tools" / "lambda-runtime"
SAM = ROOT / ".tools" / "sam" / "bin"
ALIAS = "images"
REFERENCE = "boto3.client"
CLICK, CLICK_AND_BOTO3 = "import click", "import click, boto3"
MILLION, MEGABYTE = 1_000_000, 1_000_000
_COUNT = re.compile(r"refs:\s+([\d,]+)")

# Argument 1: the artifact; 2: the handler; 3: the file of the event.
_INVOKE = """
import sys
sys.path.insert(0, sys.argv[1])
import importlib, json
class Context:
    function_name, memory_limit_in_mb, aws_request_id = "measured", 1769, "1"
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:measured"
    log_group_name = log_stream_name = "measured"
    get_remaining_time_in_millis = staticmethod(lambda: 60_000)
module, _, name = sys.argv[2].rpartition(".")
handle = getattr(importlib.import_module(module), name)
with open(sys.argv[3]) as event:
    print("answer:", json.dumps(handle(json.load(event), Context())))
"""


class Start(NamedTuple):
    """A function whose cold start is measured.

    `goal`: at most so many times the reference. `event` is a file in `events/`, or the event
    itself. `answers` is part of its answer.
    """

    goal: float
    function: str
    handler: str
    event: str | Mapping[str, Any]
    answers: str


STARTS: Mapping[str, Start] = {
    "writer": Start(
        1.15,
        "WriteToDynamodb",
        "functions.write_to_dynamodb.handler.handle",
        "upload.json",
        '"batchItemFailures": []',
    ),
    "indexer": Start(
        1.15,
        "WriteToEs",
        "functions.write_to_es.handler.handle",
        "upload.json",
        '"batchItemFailures": []',
    ),
    "search": Start(
        1.6,
        "SearchImages",
        "functions.search_images.handler.handle",
        "http/search.json",
        '"statusCode": 200',
    ),
    "on-deployment": Start(
        1.0,
        "IndexOnDeployment",
        "functions.write_to_es.index_on_deployment.handle",
        {
            "RequestType": "Update",
            "ResponseURL": "{stub}/cloudformation",
            "StackId": "stack",
            "RequestId": "1",
            "LogicalResourceId": "ImageIndex",
            "ResourceProperties": {},
        },
        "null",
    ),
}
# The largest zip in bytes, without bytecode.
ZIP_GOAL = 3 * MEGABYTE


class _Instant(BaseHTTPRequestHandler):
    """Answers as DynamoDB, OpenSearch and CloudFormation do, at once."""

    protocol_version = "HTTP/1.1"

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""

    def do_GET(self) -> None:
        """A read."""
        self._answer()

    def do_POST(self) -> None:
        """A write or a search."""
        self._answer()

    def do_PUT(self) -> None:
        """What CloudFormation gets."""
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind, found = _found(self.path.partition("?")[0], body)
        answer = msgspec.json.encode(found)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


def _found(path: str, body: bytes) -> tuple[str, Any]:
    """The content type and the answer to a request."""
    opensearch = "application/json; charset=UTF-8"
    if path == "/cloudformation":
        if b'"SUCCESS"' not in body:
            sys.exit(f"the function failed: {body.decode()}")
        return "text/plain", {}
    if path.endswith("/_bulk"):
        written = {"index": {"_index": f"{ALIAS}-000001", "status": 201}}
        return opensearch, {"errors": False, "items": [written] * (body.count(b"\n") // 2)}
    if path.endswith("/_search"):
        return opensearch, _hits(msgspec.json.decode(body))
    if path.startswith(f"/{ALIAS}"):
        settings = {**definition()["settings"], "number_of_shards": "1"}
        found = {
            "aliases": alias_definitions(ALIAS),
            "mappings": definition()["mappings"],
            "settings": {"index": settings},
        }
        return opensearch, {f"{ALIAS}-000001": found}
    if path == "/" and body:
        statements = msgspec.json.decode(body)["Statements"]
        return "application/x-amz-json-1.0", {"Responses": [{"TableName": ALIAS}] * len(statements)}
    version = {"number": "3.3.2", "distribution": "opensearch"}
    return opensearch, {
        "version": version,
        "tagline": "The OpenSearch Project: https://opensearch.org/",
    }


def _hits(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ten hits of a search, all with the words that were searched."""
    source = {
        "version": 1_795_244_460_500_000,
        "name": "St Catherine's Chapel, Dorset",
        "description": "A view of the chapel above the village, from the south.",
        "tags": ["landscape", "chapel"],
        "attributes": [{"name": "artist", "value": "William Daniell"}],
    }
    hits = [
        {
            "_index": f"{ALIAS}-000001",
            "_id": f"T{number:05}",
            "_score": 12.5,
            "_source": source,
            "sort": [12.5, f"T{number:05}"],
        }
        for number in range(10)
    ]
    words = str(asked.get("suggest", {}).get("text", "")).split()
    entries = []
    at = 0
    for word in words:
        entries.append({"text": word, "offset": at, "length": len(word), "options": []})
        at += len(word) + 1
    counted = {
        "doc_count_error_upper_bound": 0,
        "sum_other_doc_count": 0,
        "buckets": [{"key": "landscape", "doc_count": 10}],
    }
    return {
        "took": 1,
        "timed_out": False,
        "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
        "hits": {"total": {"value": 10, "relation": "eq"}, "max_score": 12.5, "hits": hits},
        "aggregations": dict.fromkeys(asked.get("aggs", {}), counted),
        "suggest": dict.fromkeys((asked.get("suggest", {}).keys() - {"text"}), entries),
    }


@contextmanager
def stores() -> Iterator[str]:
    """The address of stores that answer at once."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Instant)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def instructions(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    expected: str = "",
    folder: Path | None = None,
) -> int:
    """How many instructions a program of Python executes. Hashes do not depend on chance.

    Args:
        command: the interpreter and its arguments.
        environment: its environment.
        expected: what it must print.
        folder: where it runs.
    """
    counter = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run(
        [*counter, *command],
        cwd=folder,
        env={"PATH": os.defpath, "PYTHONHASHSEED": "0", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    found = _COUNT.search(done.stderr)
    if found is None or done.returncode or expected not in done.stdout:
        sys.exit(f"{command} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return int(found[1].replace(",", ""))


def compile_packages(python: Path) -> None:
    """Compile the packages of an environment, as an installer or a first run does."""
    lib = python.parents[1] / "lib"
    subprocess.run([python, "-m", "compileall", "-q", lib], capture_output=True, check=False)


def build(folder: Path) -> Path:
    """Build all functions, as a deployment does; return the folder with the artifacts."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(SAM), os.environ["PATH"]]),
        "SAM_CLI_TELEMETRY": "0",
        "AWS_REGION": LOCAL_REGION,
    }
    command: list[str | Path] = [SAM / "sam", "build", "--build-dir", folder]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    return folder


def cold_starts(artifacts: Path) -> Mapping[str, int]:
    """The instructions of each function's cold start, and of the reference."""
    python = RUNTIME / "bin" / "python"
    compile_packages(python)
    environment = {
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_REGION": LOCAL_REGION,
        "AWS_DEFAULT_REGION": LOCAL_REGION,
        "AWS_ACCESS_KEY_ID": "measured",
        "AWS_SECRET_ACCESS_KEY": "measured",
        "AWS_LAMBDA_FUNCTION_NAME": "measured",
        "POWERTOOLS_SERVICE_NAME": "measured",
        "POWERTOOLS_METRICS_NAMESPACE": "Lockstep/measured",
        "TABLE_NAME": ALIAS,
        "INDEX_ALIAS": ALIAS,
        "LIVE_ALIAS": f"{ALIAS}-live",
        "QUARANTINE_BUCKET": "quarantine",
        "OPENSEARCH_SIGNING": "yes",
    }
    nothing = instructions([python, "-s", "-c", "pass"], environment)
    client: list[str | Path] = [python, "-s", "-c", "import boto3; boto3.client('dynamodb')"]
    counts = {REFERENCE: instructions(client, environment) - nothing}
    with stores() as address, tempfile.TemporaryDirectory() as scratch:
        addresses = {"OPENSEARCH_ENDPOINT": address, "AWS_ENDPOINT_URL": address}
        for name, start in STARTS.items():
            event = Path(scratch) / "event.json"
            event.write_bytes(_event(start, address))
            artifact = artifacts / start.function
            invoke: list[str | Path] = [python, "-s", "-c", _INVOKE, artifact, start.handler, event]
            counted = instructions(invoke, {**environment, **addresses}, start.answers)
            counts[name] = counted - nothing
    return counts


def _event(start: Start, address: str) -> bytes:
    if isinstance(start.event, str):
        return (ROOT / "events" / start.event).read_bytes()
    return msgspec.json.encode(start.event).replace(b"{stub}", address.encode())


def zip_sizes(artifacts: Path) -> Mapping[str, tuple[int, int]]:
    """The bytes of each artifact's zip: without bytecode, and with it."""
    return {
        folder.name: (_zip_size(folder, bytecode=False), _zip_size(folder, bytecode=True))
        for folder in sorted(artifacts.iterdir())
        if folder.is_dir()
    }


def _zip_size(folder: Path, *, bytecode: bool) -> int:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and (bytecode or path.suffix != ".pyc"):
                name = zipfile.ZipInfo(str(path.relative_to(folder)))
                made.writestr(name, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return len(packed.getvalue())


def tool_starts() -> Mapping[str, int]:
    """The instructions of the tool's first answers, and of the imports to compare them with."""
    python = Path(sys.executable)
    compile_packages(python)
    with stores() as address, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        endpoints = Endpoints(kinesis=address, dynamodb=address, opensearch=address, s3=address)
        functions: dict[str, str] = {}
        stack = Stack(
            endpoints, ALIAS, ALIAS, ALIAS, ALIAS, LOCAL_REGION, functions, state=str(folder)
        )
        write_local(stack, folder)
        programs = {
            CLICK: ["-c", "import click"],
            CLICK_AND_BOTO3: ["-c", "import click, boto3"],
            "lockstep --help": ["-m", "lockstep", "--help"],
            "lockstep search --help": ["-m", "lockstep", "search", "--help"],
            "lockstep search TEXT": ["-m", "lockstep", "search", "chapel", "--state", scratch],
            "lockstep status --help": ["-m", "lockstep", "status", "--help"],
            "lockstep audit --help": ["-m", "lockstep", "audit", "--help"],
        }
        environment = {"PYTHONPATH": str(ROOT), "HOME": scratch}
        counts = {}
        for name, words in programs.items():
            # The first run compiles what was changed.
            subprocess.run(
                [python, *words], cwd=ROOT, env=environment, capture_output=True, check=True
            )
            counts[name] = instructions([python, *words], environment, folder=folder)
    return counts


def main() -> None:
    """Measure and print the tables, with the goals beside the figures."""
    parser = argparse.ArgumentParser(description="Count the instructions of cold starts.")
    parser.add_argument("--artifacts", type=Path, help="what `sam build` has built")
    given: Path | None = parser.parse_args().artifacts
    with tempfile.TemporaryDirectory() as scratch:
        artifacts = build(Path(scratch) / "build") if given is None else given
        counts = cold_starts(artifacts)
        reference = counts[REFERENCE]
        print(f"{'cold start':<26}{'million':>9}{'times':>7}{'goal':>7}")
        for name, count in counts.items():
            goal = STARTS[name].goal if name in STARTS else None
            print(
                f"{name:<26}{count / MILLION:>9,.0f}{count / reference:>7.2f}"
                f"{'' if goal is None else goal:>7}"
            )
        print(f"\n{'zip, MB':<26}{'without':>9}{'with bytecode':>15}")
        for name, (without, whole) in zip_sizes(artifacts).items():
            print(f"{name:<26}{without / MEGABYTE:>9.2f}{whole / MEGABYTE:>15.2f}")
    counts = tool_starts()
    print(f"\n{'the tool':<26}{'million':>9}{'click':>7}{'and boto3':>11}")
    for name, count in counts.items():
        print(
            f"{name:<26}{count / MILLION:>9,.0f}{count / counts[CLICK]:>7.2f}"
            f"{count / counts[CLICK_AND_BOTO3]:>11.2f}"
        )


if __name__ == "__main__":
    main()
