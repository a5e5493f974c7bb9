"""Run checkov on rendered templates: `python -m tools.template.checkov`, in `make template`.

checkov has an environment of its own, because it pins many libraries. The exit code is 1 if it
finds what tools/template/exceptions.toml does not accept, or does not find what the file accepts.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import msgspec

from lockstep.local.mapping.translation import translated
from lockstep.stack.stack import LOCAL_REGION
from tools.template.choices import together
from tools.template.exceptions import Finding, accepted, judged
from tools.template.rendering import Resources, render
from tools.template.updates import TEMPLATE, TEMPLATES

_CHECKOV = TEMPLATE.parent / ".tools" / "checkov" / "bin" / "checkov"
_OPTIONS = ["--framework", "cloudformation", "--output", "json", "--compact", "--quiet"]
# checkov would ask a server for its guides, and send what it found there.
_OPTIONS += ["--skip-download", "--soft-fail"]


class _Failed(msgspec.Struct):
    check_id: str
    check_name: str
    resource: str


class _Results(msgspec.Struct):
    failed_checks: list[_Failed]


class _Summary(msgspec.Struct):
    parsing_errors: int


class _Report(msgspec.Struct):
    results: _Results
    summary: _Summary


def found_in(rendered: Iterable[Resources]) -> dict[Finding, str]:
    """What checkov finds in these resources, each finding once.

    Raises:
        RuntimeError: checkov cannot read what was rendered.
    """
    with tempfile.TemporaryDirectory() as folder:
        for number, resources in enumerate(rendered):
            document = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}
            Path(folder, f"{number}.json").write_bytes(msgspec.json.encode(document))
        run = subprocess.run(
            [_CHECKOV, "--directory", folder, *_OPTIONS],
            capture_output=True,
            check=True,
        )
    report = msgspec.json.decode(run.stdout, type=_Report)
    if report.summary.parsing_errors:
        raise RuntimeError(f"checkov cannot read all templates: {run.stderr.decode()}")
    return {
        Finding(one.check_id, one.resource.rpartition(".")[2]): one.check_name
        for one in report.results.failed_checks
    }


def main() -> int:
    """Print what is not accepted, and the accepted findings by number."""
    templates = [translated(file, LOCAL_REGION) for file in TEMPLATES]
    exceptions = accepted()
    found = found_in(render(one, chosen) for one in templates for chosen in together(one))
    wrong = judged(found, exceptions)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    print(
        f"checkov: {len(found)} findings, {len(wrong)} not as tools/template/exceptions.toml says"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
