"""The artifacts hold bytecode, so that a cold start compiles nothing."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from tests.package import samples
from tests.package.test_artifacts import HANDLERS
from tests.package.tools import ROOT, SAM, emulated, imports

REPLICA = "functions.write_to_tablestore.handler.handle"
# The second word of a file of bytecode: Python does not compare it with its source (PEP 552).
UNCHECKED = (1).to_bytes(4, "little")


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made("WriteToTablestore", tmp_path_factory.mktemp("replica"))


def made(function: str, folder: Path) -> Path:
    """The artifact that the target of a function makes in an empty folder."""
    make = shutil.which("make")
    assert make is not None
    done = subprocess.run(
        [make, "--file=functions/Makefile", f"build-{function}", f"ARTIFACTS_DIR={folder}"],
        cwd=ROOT,
        env={"PATH": f"{SAM / 'bin'}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def without_sources(artifact: Path, folder: Path) -> Path:
    """A copy whose modules cannot be compiled."""
    copy = shutil.copytree(artifact, folder / "copy")
    for source in copy.rglob("*.py"):
        source.write_text("this is not Python\n")
    return copy


def assert_compiled(artifact: Path) -> None:
    sources = [*artifact.rglob("*.py")]
    assert sources
    for source in sources:
        bytecode = Path(importlib.util.cache_from_source(str(source), optimization=""))
        # The tests may run another Python than Lambda.
        (found,) = bytecode.parent.glob(f"{source.stem}.cpython-*.pyc")
        assert found.name == f"{source.stem}.cpython-313.pyc"
        head = found.read_bytes()[:8]
        assert head[4:] == UNCHECKED, source
    assert (
        b"/var/task/shared/event.py"
        in next(artifact.glob("shared/__pycache__/event.*.pyc")).read_bytes()
    )


@pytest.mark.parametrize("function", HANDLERS)
def test_each_module_of_an_artifact_has_bytecode_for_the_runtime(
    built: Path, function: str
) -> None:
    assert_compiled(built / function)


def test_each_module_of_the_replicas_artifact_has_bytecode_for_the_runtime(replica: Path) -> None:
    assert_compiled(replica)


@pytest.mark.parametrize(("function", "handler"), HANDLERS.items())
def test_a_handler_imports_without_a_look_at_the_sources(
    built: Path, tmp_path: Path, function: str, handler: str
) -> None:
    copy = without_sources(built / function, tmp_path)
    assert handler.rpartition(".")[0] in imports(copy, handler)


def test_the_replicas_handler_imports_without_a_look_at_the_sources(
    replica: Path, tmp_path: Path
) -> None:
    copy = without_sources(replica, tmp_path)
    # The native parts of its SDK are not in the artifact.
    filters = ("-W", "ignore::ImportWarning")
    assert REPLICA.rpartition(".")[0] in imports(copy, REPLICA, *filters)


def test_the_runtime_of_lambda_answers_from_the_bytecode(built: Path, tmp_path: Path) -> None:
    copy = without_sources(built / "SearchImages", tmp_path)
    request = msgspec.json.decode(samples.invocation("http/search.json"))
    request |= {"rawPath": "/openapi.json", "rawQueryString": ""}
    request["requestContext"]["http"]["path"] = "/openapi.json"
    with emulated(copy, HANDLERS["SearchImages"], {}, tmp_path) as invoke:
        answer = invoke(msgspec.json.encode(request))
    assert answer["statusCode"] == 200
    assert msgspec.json.decode(answer["body"])["openapi"]


def test_the_same_sources_make_the_same_bytes(built: Path, tmp_path: Path) -> None:
    again = made("WriteToEs", tmp_path)
    assert contents(again) == contents(built / "WriteToEs")


def contents(artifact: Path) -> dict[Path, bytes]:
    """Each file. SAM CLI and `make` build in different folders."""
    return {
        path.relative_to(artifact): path.read_bytes()
        for path in artifact.rglob("*")
        if path.is_file()
    }
