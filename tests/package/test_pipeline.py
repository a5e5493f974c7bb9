"""The pipeline: its workflow, its steps as far as they need no account, and its rights."""

import copy
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from samtranslator.yaml_helper import yaml_parse

from lockstep.cli import main
from lockstep.local.mapping.intrinsics import Resolver
from tests.gate.evaluator import Call, allows, listed
from tests.gate.policies import EXAMPLE
from tests.package.pipelines import WORKFLOW, Account, Runner, Step, steps, workflow
from tests.package.recorder import recording
from tests.package.tools import ROOT, cfn_lint
from tests.unit.operator.command import commands_of
from tools.pipeline import MINUTES, TRIGGERS, Pipeline, PipelineError, settings_of
from tools.template.alarms import EVERY_ALARM, alarms
from tools.template.rendering import render

GUIDE = ROOT / "docs" / "guides" / "pipeline.md"
ROLES = ROOT / "template-pipeline.yaml"
STACK = "lockstep-prod"
ROLE = "arn:aws:iam::123456789012:role/cloudformation"
# Commits that were seen in the public repositories, by their tags.
SEEN = {
    "actions/checkout": ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/upload-artifact": ("bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "v7.0.0"),
    "actions/download-artifact": ("3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c", "v8.0.1"),
    "aws-actions/configure-aws-credentials": (
        "e6de054238d6b7531b4efff3b6587d9aade6a06c",
        "v6.2.3",
    ),
}
USES = re.compile(r"uses: (\S+?)@(\S+) # (\S+)")
# What is not played. Each target of `make` in it exists.
NOT_PLAYED = {
    ("lint", "Linters, types and layers"): "`make check` is a part of each run of the tests",
    ("lint", "The workflows"): "it checks this repository: a test below runs the same program",
    ("test", "Unit tests"): "`make check` is a part of each run of the tests",
    ("test", "All other tests"): "it would run this test",
    ("build", "Tools"): "it makes the tools with which the other steps are played",
    ("build", "Build"): "the fixture `built` builds, with the same command",
    ("plan", "Tools"): "it makes the tools with which the other steps are played",
    ("deploy", "Tools"): "it makes the tools with which the other steps are played",
    ("deploy", "Smoke test"): "tests/flow and tests/gate run both commands on a stack",
}

# The service of each type of resource, as IAM names it.
SERVICES = {
    "ApiGatewayV2": "apigateway",
    "Backup": "backup",
    "CloudWatch": "cloudwatch",
    "DynamoDB": "dynamodb",
    "Events": "events",
    "IAM": "iam",
    "Kinesis": "kinesis",
    "Lambda": "lambda",
    "Logs": "logs",
    "OpenSearchService": "es",
    "S3": "s3",
    "SNS": "sns",
    "SQS": "sqs",
}


def program(name: str) -> str:
    return shutil.which(name) or name


def is_target(name: str) -> bool:
    """Whether the Makefile makes this: by its name, or from a list of packages."""
    if tool := re.fullmatch(r"\.tools/(.+)\.done", name):
        return (ROOT / "requirements" / f"{tool[1]}.txt").is_file()
    pattern = re.escape(name.replace(".venv", "$(venv)"))
    return re.search(rf"^{pattern}:", (ROOT / "Makefile").read_text(), re.MULTILINE) is not None


def actionlint(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    words = [ROOT / ".tools" / "actionlint", "-shellcheck=", "-pyflakes=", *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)


def test_actionlint_finds_nothing_and_would_find_a_mistake(tmp_path: Path) -> None:
    found = actionlint()
    assert (found.stdout, found.returncode) == ("", 0)
    wrong = tmp_path / "pipeline.yml"
    wrong.write_text(WORKFLOW.read_text().replace("needs.plan.outputs.changes", "needs.plan.x"))
    assert actionlint(wrong).returncode == 1


def test_each_action_is_pinned_to_a_commit_that_was_seen() -> None:
    text = WORKFLOW.read_text()
    used = USES.findall(text)
    assert len(used) == text.count("uses:")
    assert {name: (commit, tag) for name, commit, tag in used} == SEEN
    for commit, _ in SEEN.values():
        assert re.fullmatch("[0-9a-f]{40}", commit)


def test_only_jobs_with_an_environment_get_a_token_and_none_has_a_secret() -> None:
    found, text = workflow(), WORKFLOW.read_text()
    assert found["permissions"] == {"contents": "read"}
    jobs = found["jobs"]
    tokens = {name for name, its in jobs.items() if "id-token" in its.get("permissions", {})}
    assert tokens == {name for name, its in jobs.items() if "environment" in its}
    assert tokens == {"plan", "deploy"}
    assert not re.search(r"secrets\.|aws-access-key-id|pull_request_target", text)
    # The token of the repository is not left where code of other people runs.
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")


def test_nothing_is_deployed_before_tests_plan_and_approval() -> None:
    jobs = workflow()["jobs"]
    assert jobs["build"]["needs"] == ["lint", "test"]
    assert (jobs["plan"]["needs"], jobs["deploy"]["needs"]) == ("build", "plan")
    assert "workflow_dispatch" in jobs["build"]["if"]
    assert "refs/heads/main" in jobs["build"]["if"]
    # The environment of a stage has reviewers, the one that plans has none.
    assert jobs["plan"]["environment"] == "${{ inputs.stage }}-plan"
    assert jobs["deploy"]["environment"] == "${{ inputs.stage }}"
    offered = workflow()[True]["workflow_dispatch"]["inputs"]["stage"]["options"]
    assert all(settings_of(one)["stack_name"] for one in offered)


def test_no_step_puts_an_expression_into_a_command() -> None:
    """Whoever names a branch or a stage could otherwise write commands."""
    assert [step.name for step in steps() if "${{" in step.run] == []


def test_each_step_is_played_or_listed_with_a_reason() -> None:
    found = {(step.job, step.name): step.run for step in steps()}
    assert len(found) == len(list(steps()))
    assert NOT_PLAYED.keys() <= found.keys()
    for step in NOT_PLAYED:
        for line in found[step].splitlines():
            words = line.split()
            if words[0] == "make":
                assert [one for one in words[1:] if not is_target(one)] == []
    build = found["build", "Build"].split("sam ")[1]
    assert build == "build --build-dir built"
    typed = re.findall(r"lockstep (.*) --stack \"\$stack\"", found["deploy", "Smoke test"])
    assert typed == ["smoke", "alarms check"]
    assert {one.split()[0] for one in typed} <= commands_of(main).keys()


@pytest.fixture
def account() -> Iterator[tuple[Account, str]]:
    with recording(Account()) as found:
        yield found


def test_the_steps_plan_and_deploy_a_stage(
    account: tuple[Account, str], built: Path, tmp_path: Path
) -> None:
    asked, url = account
    environment = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "pipeline",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SAM_CLI_TELEMETRY": "0",
    }
    values = {
        "inputs.stage": "prod",
        "inputs.alarms": "true",
        "github.run_id": "7",
        "github.run_attempt": "1",
        "vars.ARTIFACTS_BUCKET": "artifacts",
        "vars.CLOUDFORMATION_ROLE_ARN": ROLE,
    }
    runner = Runner(tmp_path, values, environment)
    shutil.copytree(built, tmp_path / "built")
    for step in steps():
        if (step.job, step.name) in NOT_PLAYED:
            continue
        if step.job == "deploy":
            said = workflow()["jobs"]["plan"]
            assert said["outputs"]["change-set"] == "${{ env.CHANGE_SET }}"
            runner.values["needs.plan.outputs.change-set"] = runner.resolved(
                said["env"]["CHANGE_SET"]
            )
        done = runner.run(step)
        assert done.returncode == 0, (step, done.stdout, done.stderr)
        if step.name == "Keep the file modes":
            shutil.rmtree(tmp_path / "built")
    assert runner.outputs == {"changes": "yes"}
    assert "Modify One (AWS::Lambda::Function)" in runner.summary.read_text()
    form = asked.change_sets[-1]
    assert (form["StackName"], form["ChangeSetName"]) == (STACK, "pipeline-7-1")
    assert form["TemplateURL"].endswith(f"/{STACK}/pipeline-7-1.template")
    assert form["RoleARN"] == ROLE
    assert asked.parameters(STACK)["OpenSearchInstanceCount"] == "3"
    assert asked.uploaded
    assert all(path.startswith(f"/artifacts/{STACK}/") for path in asked.uploaded)
    # The packaged template names the code that was uploaded.
    assert "s3://artifacts/" in asked.template
    assert asked.asked[-1] == "cloudformation:DescribeStacks"


@pytest.fixture
def packaged(tmp_path: Path) -> Path:
    """The template as it is: `sam package` changes only where the code is."""
    copied = tmp_path / "packaged.yaml"
    shutil.copy(ROOT / "template.yaml", copied)
    return copied


class Person:
    """Plans and deploys the stage `prod` in an account."""

    def __init__(self, account: Account, url: str, packaged: Path) -> None:
        def client(service: Any) -> Any:
            return boto3.client(
                service,
                "us-east-1",
                endpoint_url=url,
                aws_access_key_id="pipeline",
                aws_secret_access_key="secret",
            )

        self.account = account
        self.said: list[str] = []
        self.waited: list[float] = []
        self._pipeline = Pipeline(
            settings_of("prod"),
            cloudformation=client("cloudformation"),
            cloudwatch=client("cloudwatch"),
            s3=client("s3"),
            sleep=self.waited.append,
            say=self.said.append,
        )
        self.plan: Callable[..., bool] = partial(
            self._pipeline.plan, packaged, "one", bucket="artifacts", role=ROLE
        )
        self.deploy = partial(self._pipeline.deploy, "one")

    def has_deployed(self) -> None:
        """The stack exists, with its alarms."""
        self.plan(watches=True)
        self.deploy()
        self.account.alarms = {f"{STACK}-{one}": "OK" for one in (*TRIGGERS, "slow-table")}


@pytest.fixture
def person(account: tuple[Account, str], packaged: Path) -> Person:
    return Person(*account, packaged)


def test_a_new_stack_has_no_alarms_that_could_roll_it_back(person: Person) -> None:
    assert person.plan(watches=True)
    form = person.account.change_sets[-1]
    assert form["ChangeSetType"] == "CREATE"
    assert person.account.triggers == []
    assert form["RollbackConfiguration.MonitoringTimeInMinutes"] == "0"
    person.deploy()


def test_an_update_is_rolled_back_by_five_alarms_for_half_an_hour(person: Person) -> None:
    person.has_deployed()
    assert person.plan(watches=True)
    form = person.account.change_sets[-1]
    assert form["ChangeSetType"] == "UPDATE"
    arn = f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{STACK}-"
    assert person.account.triggers == [f"{arn}{one}" for one in TRIGGERS]
    assert form["RollbackConfiguration.MonitoringTimeInMinutes"] == "30"
    # What the file does not say keeps its value.
    kept = {
        form[name.replace("UsePreviousValue", "ParameterKey")]
        for name in form
        if name.endswith("UsePreviousValue")
    }
    assert "RetentionDays" in kept
    assert "OpenSearchInstanceCount" not in kept


def test_a_deployment_without_alarms_removes_those_of_the_last_one(person: Person) -> None:
    """CloudFormation keeps the triggers of a stack unless a change set has an empty list."""
    person.has_deployed()
    assert person.plan(watches=False)
    form = person.account.change_sets[-1]
    assert person.account.triggers == []
    assert "RollbackConfiguration.RollbackTriggers" in form
    assert form["RollbackConfiguration.MonitoringTimeInMinutes"] == "0"


def test_an_alarm_that_the_deployment_removes_does_not_watch_it(person: Person) -> None:
    person.has_deployed()
    person.account.changes = [("Remove", "AWS::CloudWatch::Alarm", f"{STACK}-lags-table")]
    assert person.plan(watches=True)
    assert [one.rpartition("-")[2] for one in person.account.triggers] == [
        *("index", "table", "index", "fails"),
    ]
    assert "cloudformation:DeleteChangeSet" in person.account.asked


def test_a_change_set_without_changes_is_deleted(person: Person) -> None:
    person.has_deployed()
    person.account.nothing = True
    assert not person.plan(watches=True)
    assert person.account.asked[-1] == "cloudformation:DeleteChangeSet"


def test_an_alarm_that_is_on_before_ends_the_deployment(person: Person) -> None:
    person.has_deployed()
    person.plan(watches=True)
    person.account.alarms[f"{STACK}-search-fails"] = "ALARM"
    with pytest.raises(PipelineError, match=f"{STACK}-search-fails: on already"):
        person.deploy()
    assert person.account.asked[-1] == "cloudwatch:DescribeAlarms"


def test_a_deployment_that_was_rolled_back_is_red_and_says_why(person: Person) -> None:
    person.has_deployed()
    person.plan(watches=True)
    person.account.ends = "UPDATE_ROLLBACK_COMPLETE"
    with pytest.raises(PipelineError, match="is UPDATE_ROLLBACK_COMPLETE"):
        person.deploy()
    assert person.said[-1] == f"{STACK}: The alarm is on"


def test_a_wrong_parameter_or_stage_is_told(person: Person, packaged: Path) -> None:
    packaged.write_text(packaged.read_text().replace("  TableDeletionProtection:", "  Other:", 1))
    with pytest.raises(PipelineError, match="the template has no parameter TableDeletion"):
        person.plan(watches=True)
    with pytest.raises(PipelineError, match="no stage 'production'"):
        settings_of("production")


def test_the_alarms_that_roll_back_are_pages_that_come_on_in_time(
    template: Mapping[str, Any],
) -> None:
    found = {one.name: one for one in alarms(render(template, EVERY_ALARM))}
    assert len(TRIGGERS) <= 5
    for name in TRIGGERS:
        alarm = found[name]
        assert alarm.severity == "page"
        (metric, *_) = alarm.metrics.values()
        # An age must first be reached.
        needs = alarm.threshold / 1000 if metric.name == "IteratorAge" else 0
        assert needs + alarm.periods * metric.period < MINUTES * 60, name
    pages = {one.name for one in found.values() if one.severity == "page"}
    table = set(re.findall(r"^\| `([a-z-]+)` \| (?:yes|no) \|", GUIDE.read_text(), re.MULTILINE))
    assert table == pages
    said = re.findall(r"^\| `([a-z-]+)` \| yes \|", GUIDE.read_text(), re.MULTILINE)
    assert set(said) == set(TRIGGERS)


@pytest.fixture(scope="module")
def roles() -> Mapping[str, Any]:
    """The template of the roles, with the stage `prod` of a repository."""
    found: dict[str, Any] = copy.deepcopy(yaml_parse(ROLES.read_text()))
    chosen = {"StackName": STACK, "Repository": "owner@1/name@2", "Environment": "prod"}
    for name, value in chosen.items():
        found["Parameters"][name]["Default"] = value
    return found


def properties(roles: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = Resolver(roles, EXAMPLE).value(
        roles["Resources"][name]["Properties"], name
    )
    return found


def test_cloudformation_accepts_the_template_of_the_roles(
    roles: Mapping[str, Any], tmp_path: Path
) -> None:
    assert cfn_lint(roles, tmp_path) == ""


@pytest.mark.parametrize(
    ("role", "environment"), [("PlanRole", "prod-plan"), ("DeployRole", "prod")]
)
def test_a_role_trusts_one_environment_of_one_repository(
    roles: Mapping[str, Any], role: str, environment: str
) -> None:
    (statement,) = properties(roles, role)["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Federated": "Provider"}
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    issuer = "token.actions.githubusercontent.com"
    assert statement["Condition"] == {
        "StringEquals": {
            f"{issuer}:aud": "sts.amazonaws.com",
            f"{issuer}:sub": f"repo:owner@1/name@2:environment:{environment}",
        }
    }


def documents(roles: Mapping[str, Any], role: str) -> list[Mapping[str, Any]]:
    return [one["PolicyDocument"] for one in properties(roles, role)["Policies"]]


def calls(asked: Account) -> set[Call]:
    """What the requests need, in IAM's words."""
    stack = f"arn:aws:cloudformation:us-east-1:000000000000:stack/{STACK}/one"
    return {
        Call(action, "*" if action.startswith("cloudwatch:") else stack) for action in asked.asked
    }


# Of a template with a transform, of the role that CloudFormation gets, and of `sam package`, which
# looks whether an object is there.
BESIDES = {
    Call(
        "cloudformation:CreateChangeSet",
        "arn:aws:cloudformation:us-east-1:aws:transform/Serverless-2016-10-31",
    ),
    Call(
        "iam:PassRole",
        "arn:aws:iam::000000000000:role/CloudFormationRole",
        (("iam:PassedToService", "cloudformation.amazonaws.com"),),
    ),
    Call("s3:GetObject", f"arn:aws:s3:::bucket/{STACK}/code"),
    Call("s3:ListBucket", "arn:aws:s3:::bucket"),
    Call("s3:PutObject", f"arn:aws:s3:::bucket/{STACK}/code"),
}


def test_each_role_has_the_rights_of_its_job_and_no_others(
    person: Person, roles: Mapping[str, Any]
) -> None:
    person.has_deployed()
    person.account.asked.clear()
    person.account.changes = [("Remove", "AWS::CloudWatch::Alarm", f"{STACK}-lags-table")]
    person.plan(watches=True)
    planning = calls(person.account) | BESIDES
    person.account.asked.clear()
    person.deploy()
    deploying = calls(person.account)
    for role, needs, other in (
        ("PlanRole", planning, deploying),
        ("DeployRole", deploying, planning),
    ):
        policies = documents(roles, role)
        assert [one for one in needs if not allows(policies, one)] == []
        actions = {
            action
            for document in policies
            for statement in document["Statement"]
            for action in listed(statement["Action"])
        }
        assert actions == {one.action for one in needs}, role
        assert any(not allows(policies, one) for one in other)
    plan, deploy = documents(roles, "PlanRole"), documents(roles, "DeployRole")
    (execute,) = (one for one in deploying if one.action.endswith("ExecuteChangeSet"))
    assert not allows(plan, execute)
    assert not any(allows(deploy, one) for one in planning if "CreateChangeSet" in one.action)
    elsewhere = execute.resource.replace(STACK, "another-stack")
    assert not allows(deploy, Call(execute.action, elsewhere))


def test_cloudformation_may_use_the_services_of_the_template_and_no_others(
    template: Mapping[str, Any], roles: Mapping[str, Any]
) -> None:
    kinds = {
        resource["Type"].split("::")[1]
        for resource in template["Resources"].values()
        if not resource["Type"].startswith("Custom::")
    }
    used = {SERVICES[one] for one in kinds - {"Cognito"}} | {"cognito-idp", "cognito-identity"}
    statements = [
        one for document in documents(roles, "CloudFormationRole") for one in document["Statement"]
    ]
    allowed = {action.partition(":")[0] for one in statements for action in listed(one["Action"])}
    # Keys, networks and a secret that are given; and what AWS Backup asks for.
    assert allowed == used | {"backup-storage", "ec2", "kms", "secretsmanager"}
    for statement in statements:
        if any(action.startswith("iam:") for action in listed(statement["Action"])):
            iam = [one for one in listed(statement["Resource"]) if ":iam:" in one]
            assert {one.rpartition("/")[2] for one in iam} == {f"{STACK}-*"}
            assert "*" not in listed(statement["Resource"])


def test_dependabot_looks_at_each_list_of_packages() -> None:
    found = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())
    assert found["version"] == 2
    places = {
        (one["package-ecosystem"], place)
        for one in found["updates"]
        for place in one.get("directories", [one.get("directory")])
    }
    listed_in_git = subprocess.run(
        [program("git"), "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    expected = {("github-actions", "/"), ("uv", "/")}
    for name, ecosystem in (("go.mod", "gomod"), ("package.json", "npm")):
        expected |= {
            (ecosystem, f"/{Path(one).parent}") for one in listed_in_git if Path(one).name == name
        }
    assert places == expected
    # The lists that `uv pip compile` made say so, by which Dependabot knows them.
    for compiled in (ROOT / "requirements").glob("*.txt"):
        assert re.search("uv .*pip compile", compiled.read_text().partition("==")[0])


def test_a_step_is_played_as_it_is_written(tmp_path: Path) -> None:
    runner = Runner(tmp_path, {"inputs.stage": "prod"}, {})
    assert runner.run(Step("lint", "wrong", "tools/no-such-program | cat")).returncode != 0
