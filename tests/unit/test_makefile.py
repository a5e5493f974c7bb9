"""The Makefile: its help is complete, and no test is left out of the groups."""

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
RECIPES = dict(re.findall(r"^([a-z-]+):.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE))
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


def test_make_test_runs_every_group_but_two_of_the_night() -> None:
    run = set(f"{RECIPES['test']} {RECIPES['check']}".split())
    assert set(GROUPS) - run == {"roles", "client-library"}
