"""`sam build` refuses a package whose content is not the one that was pinned."""

import re
import shutil
from pathlib import Path

import pytest

from tests.package.tools import ROOT, TEMPLATE, run_sam


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What `sam build` reads, to change it."""
    shutil.copy(TEMPLATE, tmp_path)
    for folder in ("doors", "functions", "requirements", "shared"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


@pytest.mark.parametrize(
    ("function", "pins", "package"),
    [
        ("WriteToDynamodb", "write_to_dynamodb", "jmespath"),
        ("WriteToEs", "write_to_es", "events"),
        ("SearchImages", "search_images", "markupsafe"),
    ],
)
def test_a_package_with_another_hash_is_not_built(
    copy: Path, function: str, pins: str, package: str
) -> None:
    listed = copy / "requirements" / f"{pins}.txt"
    listed.write_text(_with_other_hashes(listed.read_text(), package))
    run = run_sam(
        *("build", function, "--template-file", copy / "template.yaml"),
        *("--build-dir", copy / "build"),
    )
    assert run.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in run.stderr
    assert f"{package}==" in run.stderr


def test_a_package_without_a_hash_is_not_built(copy: Path) -> None:
    listed = copy / "requirements" / "write_to_dynamodb.txt"
    listed.write_text(f"{listed.read_text()}six==1.17.0\n")
    run = run_sam(
        *("build", "WriteToDynamodb", "--template-file", copy / "template.yaml"),
        *("--build-dir", copy / "build"),
    )
    assert run.returncode != 0
    assert "six" in run.stderr
    assert "hash" in run.stderr


def _with_other_hashes(listed: str, package: str) -> str:
    """The list, with one digit changed in each hash of the package: one for each of its files."""
    entry = re.compile(rf"^{package}==.*\n(?: +--hash=.*\n)+", re.MULTILINE)
    (found,) = entry.findall(listed)
    other = re.sub(
        r"(?<=sha256:)[0-9a-f]", lambda digit: format(15 - int(digit[0], 16), "x"), found
    )
    return listed.replace(found, other)
