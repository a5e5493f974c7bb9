"""The wheel, installed in an empty environment and used from a user's own project."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest

from tests.package.tools import ROOT
from tools.wheel import MovedNameError, rewritten

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
    *command: str | Path, folder: Path, code: int = 0, seconds: float = 300
) -> subprocess.CompletedProcess[str]:
    """A program in a folder; it sees no environment that was activated."""
    hidden = {"VIRTUAL_ENV", "PYTHONPATH"}
    done = subprocess.run(
        command,
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
    """Run uv: the one on PATH if it works, else the one that the Makefile brought."""
    found = shutil.which("uv")
    if found is None or subprocess.run([found, "-V"], capture_output=True, check=False).returncode:
        found = str(Path(sys.executable).with_name("uv"))
    run(found, *words, folder=ROOT)


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
    uv("build", "--wheel", "--out-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def complete(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with all that Lockstep can do."""
    return environment(tmp_path_factory.mktemp("complete"), wheel, "")


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
    found = run(complete / "python", "-W", "error", "-c", IMPORT_ALL, folder=project).stdout.split()
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
    assert (found["put"], found["table"], found["index"]) == (2000, 2000, 2000)
    assert found["audit"] == "equal"
    assert found["search"]["hits"]


def test_a_missing_file_is_one_line_before_anything_is_started(
    complete: Path, project: Path
) -> None:
    (template,) = complete.parent.glob("lib/*/site-packages/lockstep/_bundle/template.yaml")
    aside = template.rename(template.with_suffix(".aside"))
    try:
        up = run(complete / "lockstep", "up", folder=project, code=2, seconds=30)
    finally:
        aside.rename(template)
    assert up.stderr == f"Error: {template} is missing: install Lockstep again\n"
    assert not (project / ".lockstep").exists()


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
