"""The programs behind the package tests: SAM CLI and AWS's Lambda runtime."""

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import urllib3

from lockstep.local.ports import free_ports
from lockstep.local.processes import Service, start, stop, wait_until_ready
from lockstep.stack.stack import LOCAL_REGION
from lockstep.web.addresses import HOST

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "template.yaml"
REPLICA_TEMPLATE = ROOT / "template-tablestore.yaml"
SAM = ROOT / ".tools" / "sam"
RUNTIME = ROOT / ".tools" / "lambda-runtime"

# By its name in template.yaml: the consumer's name, which is its folder's.
FUNCTIONS = {"WriteToDynamodb": "write_to_dynamodb", "WriteToEs": "write_to_es"}

_RIE_NAMES = {"x86_64": "aws-lambda-rie-x86_64", "aarch64": "aws-lambda-rie-arm64"}
_INVOCATIONS = "/2015-03-31/functions/function/invocations"
_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_REGION": LOCAL_REGION,
    "AWS_DEFAULT_REGION": LOCAL_REGION,
}


def cfn_lint(template: Mapping[str, Any], folder: Path) -> str:
    """What cfn-lint prints of a template, with its informational rules; empty if all is well."""
    rendered = folder / "rendered.json"
    rendered.write_bytes(msgspec.json.encode(template))
    run = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), "--include-checks", "I", "--", rendered],
        capture_output=True,
        text=True,
        check=False,
    )
    printed = run.stdout + run.stderr
    assert printed or run.returncode == 0
    return printed


def sam(*arguments: str | Path, **environment: str) -> str:
    """What SAM CLI prints; its own messages are in the error when it fails."""
    run = run_sam(*arguments, **environment)
    assert run.returncode == 0, run.stderr
    return run.stdout


def run_sam(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run SAM CLI in the repository, with the `python3` of its own environment first on PATH."""
    path = os.pathsep.join([str(SAM / "bin"), os.environ["PATH"]])
    return subprocess.run(
        [SAM / "bin" / "sam", *arguments],
        cwd=ROOT,
        env={**os.environ, **_CREDENTIALS, "SAM_CLI_TELEMETRY": "0", "PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def imports(artifact: Path, handler: str, *filters: str) -> set[str]:
    """What an import of the handler's module loads, with AWS's runtime and the artifact alone.

    A warning is an error, unless a filter says otherwise.
    """
    module = handler.rpartition(".")[0]
    program = (
        f"import sys; sys.path.insert(0, {str(artifact)!r}); import {module}; "
        "print(*sorted(sys.modules))"
    )
    run = subprocess.run(
        [RUNTIME / "bin" / "python", "-I", "-W", "error", *filters, "-c", program],
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


@contextmanager
def emulated(
    artifact: Path, handler: str, environment: Mapping[str, str], scratch: Path
) -> Iterator[Callable[[bytes], Any]]:
    """The artifact under AWS's runtime interface emulator and client: invocation in, answer out.

    It sees this environment and AWS's own variables, nothing else. Use from the main thread.
    """
    # The wheel carries it without its run bit, and is not ours to change.
    emulator = scratch / "aws-lambda-rie"
    (carried,) = SAM.glob(
        f"lib/*/site-packages/samcli/local/rapid/{_RIE_NAMES[platform.machine()]}"
    )
    emulator.write_bytes(carried.read_bytes())
    emulator.chmod(0o700)
    ports = free_ports(["invocations", "runtime"], {})
    service = Service(
        name=f"the emulator of {handler}",
        command=[
            str(emulator),
            "--runtime-interface-emulator-address",
            f"{HOST}:{ports['invocations']}",
            "--runtime-api-address",
            f"{HOST}:{ports['runtime']}",
            str(RUNTIME / "bin" / "python"),
            "-m",
            "awslambdaric",
            handler,
        ],
        folder=artifact,
        log=scratch / "emulator.log",
        port=ports["invocations"],
        environment={
            "PATH": os.defpath,
            "LAMBDA_TASK_ROOT": str(artifact),
            **_CREDENTIALS,
            **environment,
        },
    )
    url = f"http://{HOST}:{ports['invocations']}{_INVOCATIONS}"
    child = start(service)
    try:
        wait_until_ready([child], seconds=30)
        yield lambda event: msgspec.json.decode(
            urllib3.request("POST", url, body=event, retries=False, timeout=90).data
        )
    finally:
        stop([child])
