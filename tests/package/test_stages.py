"""The stages of samconfig.toml, as SAM CLI deploys them: what reaches CloudFormation."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.package.recorder import Recorder, recording
from tests.package.test_template_rules import refusals
from tests.package.tools import ROOT, TEMPLATE, sam

CONFIG = ROOT / "samconfig.toml"
STAGES = ("default", "dev", "stage", "prod")
# Of OpenSearch Service, in characters:
# https://docs.aws.amazon.com/opensearch-service/latest/APIReference/API_CreateDomain.html
DOMAIN_NAME = re.compile("[a-z][a-z0-9-]{2,27}")


def _deploy_settings(stage: str) -> Mapping[str, Any]:
    settings: Mapping[str, Any] = tomllib.loads(CONFIG.read_text())[stage]["deploy"]["parameters"]
    return settings


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_a_stack_of_its_own_that_the_template_accepts(
    template: Mapping[str, Any], stage: str
) -> None:
    settings = _deploy_settings(stage)
    assert [_deploy_settings(one)["stack_name"] for one in STAGES].count(
        settings["stack_name"]
    ) == 1
    assert DOMAIN_NAME.fullmatch(f"{settings['stack_name']}-images")
    chosen = dict(one.split("=", 1) for one in settings.get("parameter_overrides", []))
    for name, value in chosen.items():
        declared = template["Parameters"][name]
        assert value in map(str, declared.get("AllowedValues", [value]))
    assert refusals(template, **chosen) == []


def test_production_survives_an_instance_and_a_mistake() -> None:
    chosen = _deploy_settings("prod")["parameter_overrides"]
    assert {"OpenSearchInstanceCount=3", "TableDeletionProtection=yes"} <= set(chosen)


def test_a_parameter_is_changed_in_the_file_because_the_command_line_is_undone(
    tmp_path: Path, built: Path
) -> None:
    config = tmp_path / "samconfig.toml"
    config.write_text(CONFIG.read_text())
    arguments: list[str | Path] = ["deploy", "--template-file", built / "template.yaml"]
    arguments += ["--config-file", config]
    arguments += ["--config-env", "prod", "--no-execute-changeset", "--no-confirm-changeset"]
    # The bucket of SAM CLI needs a stack of its own.
    arguments += ["--no-resolve-s3", "--s3-bucket", "code"]
    with recording(Recorder()) as (recorder, url):

        def deployed(*more: str) -> tuple[str, str]:
            sam(*arguments, *more, AWS_ENDPOINT_URL=url)
            after = recorder.parameters("lockstep-prod")
            return after["OpenSearchInstanceCount"], after["RetentionDays"]

        assert deployed() == ("3", "7")
        assert recorder.parameters("lockstep-prod")["TableDeletionProtection"] == "yes"

        in_file = '    "OpenSearchInstanceCount=3",\n'
        prod = config.read_text().rpartition("[prod.")[2]
        changed = prod.replace(in_file, in_file + '    "RetentionDays=14",\n')
        config.write_text(config.read_text().replace(prod, changed))
        assert deployed() == ("3", "14")

        assert deployed("--parameter-overrides", "RetentionDays=30") == ("3", "30")

        # The file's value is back. A line that is gone changes nothing: the stack keeps its value.
        config.write_text(config.read_text().replace(changed, changed.replace(in_file, "")))
        assert deployed() == ("3", "14")

        # CloudFormation accepts no YAML aliases. The template has some; what is uploaded has none.
        assert _has_aliases(TEMPLATE.read_text())
        assert not _has_aliases(recorder.template)


def _has_aliases(text: str) -> bool:
    return any(isinstance(token, yaml.AliasToken | yaml.AnchorToken) for token in yaml.scan(text))
