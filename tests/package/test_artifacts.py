"""The artifacts of `sam build` hold what a function needs to run, and nothing of its neighbours."""

import tomllib
from pathlib import Path

import pytest

from tests.package.tools import FUNCTIONS, ROOT, imports

# Lambda takes 250 MB; a small artifact starts fast.
LARGEST_MB = {
    "WriteToDynamodb": 5,
    "WriteToEs": 10,
    "IndexOnDeployment": 10,
    "SearchImages": 11,
    "TableOnDeployment": 5,
}
HANDLERS = {
    "WriteToDynamodb": "functions.write_to_dynamodb.handler.handle",
    "WriteToEs": "functions.write_to_es.handler.handle",
    "IndexOnDeployment": "functions.write_to_es.index_on_deployment.handle",
    "SearchImages": "functions.search_images.handler.handle",
    "TableOnDeployment": "functions.write_to_dynamodb.table_on_deployment.handle",
}
# By its name in template.yaml: its folder.
FOLDERS = {**FUNCTIONS, "SearchImages": "search_images"}


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


@pytest.mark.parametrize(("function", "folder"), FOLDERS.items())
def test_an_artifact_holds_its_function_and_all_that_functions_share_unchanged(
    built: Path, function: str, folder: str
) -> None:
    ours = _files(ROOT / "functions" / folder)
    assert _files(built / function / "functions" / folder) == ours
    for package in ("doors", "shared"):
        files = _files(ROOT / package)
        del files["pyproject.toml"]
        assert _files(built / function / package) == files


@pytest.mark.parametrize(("function", "folder"), FOLDERS.items())
def test_an_artifact_holds_nothing_else_of_ours_and_no_boto3(
    built: Path, function: str, folder: str
) -> None:
    top = {path.name for path in (built / function).iterdir()}
    assert top.isdisjoint({"tests", "lockstep", "benchmarks", "boto3", "botocore"})
    assert {path.name for path in (built / function / "functions").iterdir()} == {folder}


def test_the_tables_artifact_has_no_package_of_the_index(built: Path) -> None:
    top = {path.name for path in (built / "WriteToDynamodb").iterdir()}
    assert top.isdisjoint({"opensearchpy", "requests"})


@pytest.mark.parametrize("function", HANDLERS)
def test_an_artifact_holds_no_grpc_and_no_protobuf(built: Path, function: str) -> None:
    top = {path.name.lower() for path in (built / function).iterdir()}
    assert not [name for name in top if name.startswith(("grpc", "google", "protobuf"))]
    assert not [name for name in top if name.startswith("opensearch_protobufs")]


@pytest.mark.parametrize(("function", "handler"), HANDLERS.items())
def test_a_handler_imports_from_the_artifact_alone(
    built: Path, function: str, handler: str
) -> None:
    loaded = imports(built / function, handler)
    assert "shared.event" in loaded or "shared.sink" in loaded


@pytest.mark.parametrize("function", HANDLERS)
def test_an_artifact_is_small(built: Path, function: str) -> None:
    size = sum(map(len, _files(built / function).values()))
    assert size < LARGEST_MB[function] * 1_000_000


def test_the_table_and_the_index_are_built_with_the_same_pinned_versions(built: Path) -> None:
    pinned = {
        line.strip().replace("-", "_").lower()
        for line in (ROOT / "requirements" / "functions.txt").read_text().splitlines()
        if "==" in line
    }
    for function in HANDLERS:
        installed = {
            path.name.removesuffix(".dist-info").replace("-", "==").lower()
            for path in (built / function).glob("*.dist-info")
        }
        assert installed - {"lockstep_shared==0.1.0", "lockstep_doors==0.1.0"} <= pinned


@pytest.mark.parametrize("package", ["doors", "shared"])
def test_a_package_is_built_here_with_the_version_that_it_requires(package: str) -> None:
    required = tomllib.loads((ROOT / package / "pyproject.toml").read_text())["build-system"]
    ours = (ROOT / "requirements" / "sam.in").read_text().splitlines()
    assert set(required["requires"]) <= set(ours)
