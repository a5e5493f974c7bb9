"""Everything that is installed is pinned to one version, by the hashes of its files."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "requirements"
LISTS = sorted(FOLDER.glob("*.txt"))
FUNCTIONS = [one.parent.name for one in sorted(ROOT.glob("functions/*/__init__.py"))]
FUNCTIONS += ["pictures_to_events"]
PINNED = re.compile(
    r"^([a-z0-9.-]+)(?:\[[a-z0-9,-]+\])?==(\S+)(?: ; [^\\\n]+)? \\\n"
    r"((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
    re.MULTILINE,
)


def pinned(listed: Path) -> dict[str, tuple[str, str]]:
    return {name: (version, hashes) for name, version, hashes in PINNED.findall(listed.read_text())}


@pytest.mark.parametrize("listed", LISTS, ids=lambda listed: listed.stem)
def test_each_line_is_a_package_with_one_version_and_its_hashes(listed: Path) -> None:
    text = re.sub(r"^ *#.*\n", "", listed.read_text(), flags=re.MULTILINE)
    assert PINNED.sub("", text).strip() == ""
    assert pinned(listed)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_runs_the_packages_that_the_tests_run(function: str) -> None:
    tested = pinned(FOLDER / "run.txt")
    assert pinned(FOLDER / f"{function}.txt").items() <= tested.items()


def test_the_build_backend_and_what_it_needs_are_pinned() -> None:
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    versions = {name: version for name, (version, _) in pinned(FOLDER / "dev.txt").items()}
    assert required == [f"hatchling=={versions['hatchling']}"]
    # hatchling 1.27.0 requires these: its METADATA, without markers that no supported Python has.
    assert {"packaging", "pathspec", "pluggy", "trove-classifiers"} <= versions.keys()
    installs = re.findall(r"uv\) pip install(?:.*\\\n)*.*", (ROOT / "Makefile").read_text())
    assert len(installs) == 1
    assert "--build-constraints requirements/dev.txt" in installs[0]


def test_the_functions_are_built_for_the_runtime_and_the_architecture_of_the_template() -> None:
    template = (ROOT / "template.yaml").read_text()
    makefile = (ROOT / "functions" / "Makefile").read_text()
    runtime = re.findall(r"--python-version (\S+)", makefile)
    assert len(runtime) == 1
    assert [f"python{one}" for one in runtime] == re.findall(r"Runtime: (\S+)", template)
    (platforms,) = re.findall(r"--platform manylinux, (.*)\)", makefile)
    architectures = re.findall(r"Architectures: \[(\w+)\]", template)
    assert architectures == ["x86_64"]
    assert {one[-len("x86_64") :] for one in platforms.split()} == {"x86_64"}
