"""The set-up where something is missing: it finds a way, or says in one line what to install."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
VERSION = platform.python_version().rpartition(".")[0]
FITS, OTHER_VERSION, NOT_SELECTED = "exit 0", "exit 1", "exit 127"

type Machine = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Runs a script where only these commands are on PATH, each by the shell code that it runs."""

    def run(script: str, *arguments: str, **commands: str) -> "subprocess.CompletedProcess[str]":
        path = tmp_path / "bin"
        path.mkdir()
        for tool in ("dirname", "rm"):
            (path / tool).symlink_to(shutil.which(tool) or tool)
        for name, code in commands.items():
            command = path / name.replace("_", ".")
            command.write_text(f"#!/bin/sh\n{code}\n", "utf-8")
            command.chmod(0o700)
        return subprocess.run(
            [TOOLS / script, *arguments],
            cwd=tmp_path,
            env={"PATH": str(path), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def assert_one_line(run: "subprocess.CompletedProcess[str]", *says: str) -> None:
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    for text in says:
        assert text in run.stderr


def test_the_first_python_that_works_in_a_supported_version_is_taken(
    machine: Machine, tmp_path: Path
) -> None:
    run = machine(
        *("make-venv", "uv", ".venv", "3.13 3.12"),
        uv='echo "$@"',
        python3=OTHER_VERSION,
        python3_13=NOT_SELECTED,
        python3_12=FITS,
    )
    assert run.stdout == f"venv --quiet --clear --python {tmp_path}/bin/python3.12 .venv\n"


def test_a_version_managers_pythons_are_found(machine: Machine, tmp_path: Path) -> None:
    python = tmp_path / ".pyenv" / "versions" / "3.12.1" / "bin" / "python3"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    run = machine("make-venv", "uv", ".venv", VERSION, uv='echo "$@"', python3=NOT_SELECTED)
    assert f"--python {python} " in run.stdout


def test_without_a_python_uv_downloads_one(machine: Machine) -> None:
    run = machine("make-venv", "uv", ".venv", "3.13 3.12", uv='echo "$@"', python3=OTHER_VERSION)
    assert run.stdout == "venv --quiet --clear --managed-python --python 3.13 .venv\n"


def test_no_python_and_no_download_is_one_line(machine: Machine) -> None:
    run = machine("make-venv", "uv", ".venv", "3.13 3.12", uv="echo cannot download >&2; exit 2")
    assert_one_line(run, "3.13 3.12", "PYTHON=/path/to/python3")


@pytest.mark.parametrize("python", [sys.executable, "/nowhere/python3"])
def test_a_named_python_of_another_version_is_one_line(machine: Machine, python: str) -> None:
    run = machine("make-venv", "uv", ".venv", "3.8 3.9", python, python3=FITS)
    assert_one_line(run, f"PYTHON={python}", "3.8 3.9")


def test_a_named_python_is_taken(machine: Machine) -> None:
    run = machine("make-venv", "uv", ".venv", VERSION, sys.executable, uv='echo "$@"', python3=FITS)
    assert f"--python {sys.executable} " in run.stdout


@pytest.mark.parametrize(
    "commands",
    [{}, {"python3": "echo ensurepip is not available; exit 1"}],
    ids=["none", "no venv"],
)
def test_a_python_without_venv_is_one_line(machine: Machine, commands: dict[str, str]) -> None:
    assert_one_line(machine("bring-uv", ".tools/uv", **commands), "apt install python3-venv")
