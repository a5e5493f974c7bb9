"""The artifacts of `sam build` hold what a function needs to run, and nothing of its neighbours."""

import re
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from tests.package.tools import FUNCTIONS, ROOT, imports

# The sources, packed: a small artifact starts fast. Bytecode almost doubles it
# (docs/decisions/2026-11-30-artifacts-have-bytecode.md).
LARGEST_ZIP_MB = {
    "WriteToDynamodb": 1.5,
    "WriteToEs": 3,
    "IndexOnDeployment": 3,
    "StackWatcher": 3,
    "SearchImages": 3,
    "TableOnDeployment": 1.5,
    "NightlyAudit": 3.5,
    # Pillow and the library that reads HEIC, each with its native code.
    "PicturesToEvents": 12,
    "MakeThumbnails": 14,
}
HANDLERS = {
    "WriteToDynamodb": "functions.write_to_dynamodb.handler.handle",
    "WriteToEs": "functions.write_to_es.handler.handle",
    "IndexOnDeployment": "functions.write_to_es.index_on_deployment.handle",
    "StackWatcher": "functions.write_to_es.watcher.handle",
    "SearchImages": "functions.search_images.handler.handle",
    "TableOnDeployment": "functions.write_to_dynamodb.table_on_deployment.handle",
    "NightlyAudit": "lockstep.nightly.handler.handle",
    "PicturesToEvents": "lockstep.pictures_to_events.handler.handle",
    "MakeThumbnails": "lockstep.make_thumbnails.handler.handle",
}
# By its name in template.yaml: its folder.
FOLDERS = {
    **FUNCTIONS,
    "IndexOnDeployment": "write_to_es",
    "StackWatcher": "write_to_es",
    "SearchImages": "search_images",
    "TableOnDeployment": "write_to_dynamodb",
}
PINNED = re.compile(r"^([a-z0-9-]+)==(\S+) ", re.MULTILINE)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


@pytest.mark.parametrize(("function", "folder"), FOLDERS.items())
def test_an_artifact_holds_its_function_and_all_that_functions_share_unchanged(
    built: Path, function: str, folder: str
) -> None:
    ours = files_of(ROOT / "functions" / folder)
    assert files_of(built / function / "functions" / folder) == ours
    for package in ("doors", "shared"):
        assert files_of(built / function / package) == files_of(ROOT / package)


@pytest.mark.parametrize(("function", "folder"), FOLDERS.items())
def test_an_artifact_holds_nothing_else_of_ours_and_no_boto3(
    built: Path, function: str, folder: str
) -> None:
    top = {path.name for path in (built / function).iterdir()}
    assert top.isdisjoint({"tests", "lockstep", "benchmarks", "boto3", "botocore", "bin"})
    assert {path.name for path in (built / function / "functions").iterdir()} == {folder}


def test_the_audits_artifact_holds_the_tool_as_far_as_it_needs_it(built: Path) -> None:
    artifact = built / "NightlyAudit"
    tool = files_of(artifact / "lockstep")
    whole = files_of(ROOT / "lockstep")
    assert tool.items() <= whole.items()
    assert not [one for one in tool if one.startswith(("local/", "simulation/", "commands/"))]
    for package in ("doors", "shared", "functions/write_to_es", "functions/write_to_dynamodb"):
        assert files_of(artifact / package) == files_of(ROOT / package)
    top = {path.name for path in artifact.iterdir()}
    assert top.isdisjoint({"tests", "benchmarks", "boto3", "botocore", "bin", "click", "rich"})


@pytest.mark.parametrize(
    ("function", "more"), [("PicturesToEvents", set()), ("MakeThumbnails", {"make_thumbnails"})]
)
def test_the_artifacts_of_pictures_hold_of_the_tool_what_reads_pictures_and_of_packages_too(
    built: Path, function: str, more: set[str]
) -> None:
    artifact = built / function
    tool, whole = files_of(artifact / "lockstep"), files_of(ROOT / "lockstep")
    assert tool.items() <= whole.items()
    parts = {one.partition("/")[0] for one in tool}
    assert parts == {"__init__.py", "console", "pictures", "pictures_to_events"} | more
    top = {path.name for path in artifact.iterdir()}
    assert top.isdisjoint({"functions", "tests", "boto3", "botocore", "bin", "opensearchpy"})
    listed = (ROOT / "requirements" / "pictures_to_events.txt").read_text()
    assert {path.stem.replace("_", "-") for path in artifact.glob("*.dist-info")} == {
        f"{name}-{version}" for name, version in PINNED.findall(listed)
    }


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


@pytest.mark.parametrize(
    ("function", "needless"),
    [
        ("WriteToEs", {"boto3", "s3transfer", "charset_normalizer", "requests.sessions"}),
        ("IndexOnDeployment", {"boto3", "s3transfer", "charset_normalizer", "requests.sessions"}),
        (
            "SearchImages",
            {
                *("boto3", "s3transfer", "jinja2", "charset_normalizer", "requests.sessions"),
                *("functions.search_images.page", "functions.search_images.openapi"),
            },
        ),
    ],
)
def test_a_handler_imports_nothing_that_only_few_invocations_need(
    built: Path, function: str, needless: set[str]
) -> None:
    loaded = imports(built / function, HANDLERS[function])
    assert "botocore" in loaded
    assert loaded.isdisjoint(needless)


@pytest.mark.parametrize(
    "function",
    HANDLERS.keys()
    - {"WriteToDynamodb", "TableOnDeployment", "PicturesToEvents", "MakeThumbnails"},
)
def test_a_stub_stands_for_requests(built: Path, function: str) -> None:
    stub = ROOT / "doors" / "requests_stub.py"
    assert (built / function / "requests.py").read_bytes() == stub.read_bytes()
    top = {path.name for path in (built / function).iterdir()}
    assert top.isdisjoint({"requests", "charset_normalizer", "idna"})


@pytest.mark.parametrize("function", HANDLERS)
def test_an_artifact_is_small(built: Path, function: str) -> None:
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as made:
        for name, content in files_of(built / function).items():
            made.writestr(name, content)
    assert len(packed.getvalue()) < LARGEST_ZIP_MB[function] * 1_000_000


@pytest.mark.parametrize(("function", "folder"), FOLDERS.items())
def test_an_artifact_holds_the_packages_that_are_pinned_and_no_other(
    built: Path, function: str, folder: str
) -> None:
    listed = (ROOT / "requirements" / f"{folder}.txt").read_text()
    pinned = {f"{name}-{version}" for name, version in PINNED.findall(listed)}
    installed = {
        path.name.removesuffix(".dist-info").replace("_", "-").lower()
        for path in (built / function).glob("*.dist-info")
    }
    assert installed == pinned
