"""Lint both templates in each combination of parameters: `make template` prints a table.

Each combination is rendered, so that the linter sees what CloudFormation would create. The exit
code is 1 if the linter finds something.
"""

import sys
from collections.abc import Mapping

import msgspec
from cfnlint.api import lint
from cfnlint.config import ManualArgs

from lockstep.local.mapping.translation import translated
from lockstep.stack.stack import LOCAL_REGION
from tools.template.choices import choices_of, together
from tools.template.rendering import Resources, Template, render
from tools.template.updates import TEMPLATES


def findings(resources: Resources) -> list[str]:
    """What cfn-lint finds in rendered resources, with its informational rules."""
    document = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}
    text = msgspec.json.encode(document).decode()
    found = lint(text, config=ManualArgs(include_checks=["I"], regions=["us-east-1"]))
    return [f"{one.rule.id} {one.message} ({'/'.join(map(str, one.path or ()))})" for one in found]


def main() -> int:
    """Print a line for each combination, and what the linter finds."""
    total = 0
    for file in TEMPLATES:
        template = translated(file, LOCAL_REGION)
        print(f"{file.name}\nresources  findings  parameters")
        for chosen in _combinations(template):
            resources = render(template, chosen)
            found = findings(resources)
            total += len(found)
            said = " ".join(f"{name}={value}" for name, value in chosen.items()) or "(defaults)"
            print(f"{len(resources):9}  {len(found):8}  {said}", *found, sep="\n  ", flush=True)
    print(f"{total} findings")
    return 1 if total else 0


def _combinations(template: Template) -> list[Mapping[str, str]]:
    return [*together(template), *(choice.after for choice in choices_of(template))]


if __name__ == "__main__":
    sys.exit(main())
