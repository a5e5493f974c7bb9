"""The guide of a deployment, word for word: each command prints what the guide says.

`pytest tests/package/test_deploying.py --accept` writes into the guide what they print now.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from lockstep.stack.stack import LOCAL_REGION
from tests.nights.guide import Player, Typed, read_guide, rewrite
from tests.package.account import AWS_CLI, Account, account
from tests.package.tools import ROOT, run_sam

GUIDE = ROOT / "docs" / "guides" / "deploying.md"
# In this order a system lives.
SECTIONS = (
    "From clone to deployed",
    "The first image",
    "Readers of some images",
    "Stages",
    "Upgrade",
    "Roll back",
    "Restore",
    "Remove the stack",
)
_GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    **{f"GIT_{who}_NAME": "somebody" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "somebody@example.com" for who in ("AUTHOR", "COMMITTER")},
}


_CODE = re.compile(
    r"^ *```(?P<language>\w*)\n(?P<block>.*?)^ *```|`(?P<span>[^`]+)`", re.DOTALL | re.MULTILINE
)
_PROGRAMS = ("aws ", "git ", "lockstep ", "make ", "python ", "sam ")
_WORD = re.compile(r"[a-z][a-z0-9.-]*")
_END = {"|", "&&", ">", "#"}


class Command(NamedTuple):
    """A command by its names and options, without values: those differ from stack to stack."""

    names: tuple[str, ...]
    options: frozenset[str]

    def __str__(self) -> str:
        return " ".join([*self.names, *sorted(self.options)])


# What needs an account of AWS, or is not for a test to run. All else in the guide is played.
NOT_PLAYED = {
    "aws cloudformation continue-update-rollback --stack-name": "it acts on a failed rollback only",
    "aws cloudwatch get-metric-data": "it shows when CloudWatch has a metric",
    "aws ec2 authorize-security-group-ingress --group-id --port --protocol --source-group": (
        "it changes a VPC of the account"
    ),
    "aws iam create-service-linked-role --aws-service-name": "it changes the account",
    "aws s3 rm": "the guide says what it does not do",
    "aws s3api put-bucket-lifecycle-configuration --bucket --lifecycle-configuration": (
        "S3Proxy has no lifecycle"
    ),
    "lockstep page": "it runs until Ctrl-C: tests/page and tests/gate run it",
    "lockstep plan": "it asks no stack: tests/unit/plan runs it",
    "lockstep rebuild --apply": "it waits for metrics for minutes: tests/gate runs it",
    "lockstep smoke": "tests/flow/test_local_stack.py and tests/gate run it",
    "lockstep smoke --token-file": "it needs a stack that takes tokens",
    "lockstep status --hot": "it reads CloudWatch Logs: tests/gate runs it",
    "lockstep status --wait": "it waits for metrics for minutes: tests/gate runs it",
    "python benchmarks.tombstones": "a benchmark, which measures for minutes",
    "sam deploy --guided": "the guide says what it would write; it asks for each parameter",
    "sam deploy --region": "the guide means another partition, which needs an account there",
    "sam local invoke": "tests/package/test_sam_local.py runs it",
    "sam logs --name --stack-name": "it reads CloudWatch Logs",
    "sam sync": "the guide says not to use it",
}


def command_in(line: str) -> Command | None:
    """The command in a line of code, if it begins with one."""
    if not line.startswith(_PROGRAMS):
        return None
    words = shlex.split(line, comments=True)
    end = next((at for at, word in enumerate(words) if word in _END), len(words))
    words = [word for word in words[:end] if word != "-m"]
    depth = 3 if words[0] == "aws" or words[1] == "local" else 2
    names: list[str] = []
    for word in words[:depth]:
        if not _WORD.fullmatch(word):
            break
        names.append(word)
    options = {word.partition("=")[0] for word in words if re.fullmatch("--?[a-z].*", word)}
    return Command(tuple(names), frozenset(options - {"--stack"}))


def lines_of(code: re.Match[str]) -> Iterator[str]:
    """The lines of a block, or of a span; one that ends within quotes goes on in the next."""
    begun = ""
    for line in (code["block"] or " ".join(code["span"].split())).replace("\\\n", " ").splitlines():
        begun += line.strip()
        if not begun.startswith(_PROGRAMS) or begun.count("'") % 2 == 0:
            yield begun
            begun = ""


def test_what_the_guide_names_is_played_or_listed_with_a_reason() -> None:
    steps = [step for steps in read_guide(GUIDE).values() for step in steps]
    played = {command_in(step.command) for step in steps if isinstance(step, Typed)} - {None}
    assert len(played) > 15
    others: set[Command] = set()
    for code in _CODE.finditer(GUIDE.read_text()):
        if code["language"] != "console":
            found = map(command_in, lines_of(code))
            others |= {one for one in found if one is not None and len(one.names) > 1}
    # A command without options is the command as such.
    names = {one.names for one in played if one is not None}
    left = {one for one in others - played if one.options or one.names not in names}
    assert {str(one) for one in left} == NOT_PLAYED.keys()


@pytest.mark.parametrize("listed", [one for one in NOT_PLAYED if one.startswith("sam ")])
def test_sam_cli_has_the_options_of_what_is_not_played(listed: str) -> None:
    names = [word for word in listed.split()[1:] if not word.startswith("-")]
    told = run_sam(*names, "--help")
    assert told.returncode == 0
    options = [word for word in listed.split() if word.startswith("-")]
    assert [one for one in options if one not in told.stdout] == []


@pytest.mark.parametrize("listed", [one for one in NOT_PLAYED if one.startswith("aws ")])
def test_aws_cli_accepts_what_is_not_played(listed: str) -> None:
    """It checks names, options and values by its models, and sends nothing."""
    (line,) = (
        line
        for code in _CODE.finditer(GUIDE.read_text())
        for line in lines_of(code)
        if str(command_in(line)) == listed
    )
    words = [*shlex.split(line)[1:], "--generate-cli-skeleton", "output"]
    told = subprocess.run(
        [AWS_CLI / "bin" / "aws", *words, "--region", LOCAL_REGION],
        capture_output=True,
        text=True,
        check=False,
    )
    # The answer that it makes up may be wrong, which it says as well.
    said = ["Invalid choice"]
    if "--" in listed:  # the guide may name a command without what it needs
        said += ["Unknown options", "arguments are required", "Unknown parameter"]
    assert [one for one in said if one in told.stderr] == []


class Origin:
    """The repository as it is here, with what was not committed yet, for a person who clones it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in _git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").split():
            target = folder / name
            if (ROOT / name).is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target)
        _git(folder, "init", "--quiet", "--initial-branch=main")
        self.first = self._commit("a release")

    def release(self) -> None:
        """Make another release, which says something else in the code of a function."""
        code = self.folder / "functions" / "write_to_es" / "handler.py"
        code.write_text(code.read_text() + "\n# The next release.\n")
        self._commit("the next release")

    def _commit(self, subject: str) -> str:
        _git(self.folder, "add", "--all")
        _git(self.folder, "commit", "--quiet", "--message", subject)
        return _git(self.folder, "rev-parse", "HEAD").strip()


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(
        command, env=os.environ | _GIT, stdout=subprocess.PIPE, check=True, text=True
    ).stdout


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with account(tmp_path_factory.mktemp("account")) as found:
        yield found


# Most of it waits for engines that start, and for SAM CLI.
@pytest.mark.timeout(1_800)
def test_a_system_lives_as_the_guide_says(
    person: Account, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    accepts = request.config.getoption("--accept")
    origin = Origin(tmp_path / "origin")
    player = Player(
        tmp_path,
        {"release": origin.release},
        environment=person.at(tmp_path / "lockstep"),
        names={
            "URL": str(origin.folder),
            "PREVIOUS": origin.first,
            "TABLE": person.clients.stack.table,
            # DynamoDB Local has no regions.
            "REGION:ACCOUNT": "ddblocal:000000000000",
            "BUCKET": person.clients.stack.bucket,
        },
        typed="y\n" * 3,
        accepts=accepts,
    )
    sections = read_guide(GUIDE)
    assert {*SECTIONS} == sections.keys()
    for title in SECTIONS:
        player.play(sections[title])
    if accepts:
        rewrite(GUIDE, player.printed)
