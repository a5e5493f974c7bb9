"""The Makefile: its help is complete, and no test is left out of the groups."""

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
RECIPES = dict(re.findall(r"^([a-z-]+):.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE))
DECISION = (ROOT / "docs/decisions/2026-11-29-make-test-is-a-part.md").read_text("utf-8")
GROUPS = re.findall(r"\$\(pytest\).* \$\(([a-z-]+)\)$", MAKEFILE, re.MULTILINE)


def make(*arguments: str) -> str:
    """What make prints, called as a user calls it."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        [shutil.which("make") or "make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_help_has_a_line_for_each_target() -> None:
    listed = [line.split(maxsplit=1) for line in make("help").splitlines()]
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)", MAKEFILE, re.MULTILINE)
    assert phony
    assert {name for name, _ in listed} == set(phony[1].replace("\\\n", " ").split())
    assert all(line.endswith(".") for _, line in listed)


def test_each_test_file_is_in_one_group() -> None:
    shown = make(
        "--eval", "show: ; @$(foreach group," + " ".join(GROUPS) + ",echo $($(group));)", "show"
    )
    groups = [line.split() for line in shown.splitlines()]
    assert len(groups) == len(GROUPS)

    def in_group(file: str, paths: list[str]) -> bool:
        return any(file.startswith(path) for path in paths) and not any(
            file.startswith(path.removeprefix("--ignore=")) for path in paths if path[0] == "-"
        )

    for path in (ROOT / "tests").rglob("test_*.py"):
        file = str(path.relative_to(ROOT))
        assert sum(in_group(file, paths) for paths in groups) == 1, file


def run_by(target: str) -> set[str]:
    """The groups that a target runs, with those of the fast part."""
    return {*f"{RECIPES[target]} {RECIPES['check']}".split()} & {*GROUPS}


def test_every_group_runs_before_a_change_is_merged_but_two_of_the_night() -> None:
    assert {*GROUPS} - run_by("test-all") == {"roles", "client-library"}
    merged = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert merged[-1] == "make test-all PYTEST=--no-skips"


def test_the_shorter_run_leaves_out_the_groups_that_its_decision_names() -> None:
    named = re.search(r"(?ms)^- \*\*`make test` leaves out (.*?)\.\*\*", DECISION)
    assert named
    left_out = run_by("test-all") - run_by("test")
    assert left_out == {*re.findall(r"`([a-z-]+)`", named[1])}


def _python(folder: Path, *, has_pip: bool) -> Path:
    """A folder whose `python3` has pip, or not."""
    folder.mkdir()
    (folder / "python3").write_text(f"#!/bin/sh\nexit {0 if has_pip else 1}\n")
    (folder / "python3").chmod(0o700)
    return folder


def _would_build(*path: Path) -> subprocess.CompletedProcess[str]:
    make = shutil.which("make")
    assert make is not None
    command = [make, "-n", "-f", "functions/Makefile", "build-WriteToEs", "ARTIFACTS_DIR=x"]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={"PATH": os.pathsep.join(map(str, path))},
        capture_output=True,
        text=True,
        check=False,
    )


def test_functions_are_built_by_the_first_python_that_has_pip(tmp_path: Path) -> None:
    """An active environment that uv made has none."""
    without = _python(tmp_path / "environment", has_pip=False)
    pips = [_python(tmp_path / name, has_pip=True) for name in ("first", "second")]
    built = _would_build(without, *pips)
    assert built.stdout.startswith(f'"{pips[0]}/python3" -m pip install')


def test_without_any_pip_one_line_says_what_to_do(tmp_path: Path) -> None:
    refused = _would_build(_python(tmp_path / "environment", has_pip=False))
    assert refused.returncode != 0
    assert "No python3 on PATH has pip. Install pip" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_bytecode_is_made_by_a_python_of_the_runtimes_version(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    # It has pip, and is not 3.13.
    (other / "python3").write_text('#!/bin/sh\n[ "$1" = -m ]\n')
    (other / "python3").chmod(0o700)
    fitting = _python(tmp_path / "fitting", has_pip=True)
    (fitting / "python3").rename(fitting / "python3.13")
    built = _would_build(other, fitting)
    assert built.stdout.startswith(f'"{other}/python3" -m pip install')
    assert f'"{fitting}/python3.13" -I -m compileall' in built.stdout
    built = _would_build(other)
    assert built.returncode == 0
    assert "compileall" not in built.stdout
    assert "No python3.13 on PATH: build-WriteToEs has no bytecode" in built.stdout
