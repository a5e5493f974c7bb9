"""`sam deploy` takes the file of `lockstep plan --write-parameters`; the template its values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lockstep.plan.parameters import STAGE
from tests.package.recorder import Recorder, recording
from tests.package.test_template_rules import refusals
from tests.package.tools import sam
from tests.unit.operator.command import lockstep

LOADS = (
    ("--events", 1, "--images", 100_000),
    # Provisioned capacity, several shards, and a domain that the template cannot create.
    ("--events", 20_000, "--images", 200_000_000, "--event-bytes", 900, "--retention", "14"),
)


@pytest.mark.parametrize("load", LOADS)
def test_sam_deploys_the_parameters_of_a_plan(
    template: Mapping[str, Any], tmp_path: Path, built: Path, load: tuple[object, ...]
) -> None:
    config = tmp_path / "planned.toml"
    assert lockstep("plan", *load, "--write-parameters", config).exit_code == 0
    with recording(Recorder()) as (recorder, url):
        arguments: list[str | Path] = ["deploy", "--template-file", built / "template.yaml"]
        arguments += ["--config-file", config, "--config-env", STAGE, "--stack-name", "museum"]
        # The bucket of SAM CLI needs a stack of its own.
        arguments += ["--no-resolve-s3", "--s3-bucket", "code"]
        arguments += ["--no-execute-changeset", "--no-confirm-changeset"]
        sam(*arguments, AWS_ENDPOINT_URL=url)
        deployed = recorder.parameters("museum")
    written = dict(
        line.strip(' ",').split("=", 1)
        for line in config.read_text().splitlines()
        if line.startswith("    ")
    )
    assert len(written) > 10
    assert written.items() <= deployed.items()
    assert refusals(template, **written) == []
