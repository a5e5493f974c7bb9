"""Development programs stay out of the product, and benchmarks need no tests."""

import ast
import subprocess
import sys
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path

import pytest

from tools.engines import quick_folder

ROOT = Path(__file__).parents[2]


@cache
def imported_by(path: Path) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                found.update(name.name for name in names)
            case ast.ImportFrom(module=str(module), names=names):
                found.update(f"{module}.{name.name}" for name in names)
    return frozenset(found)


def of_ours(name: str) -> Path | None:
    """The module's file, below the repository; for a name in a module, that module's."""
    parts = name.split(".")
    for end in (len(parts), len(parts) - 1):
        path = ROOT.joinpath(*parts[:end]).with_suffix(".py")
        if end and path.exists():
            return path
    return None


def imported_at_last(begin: Path) -> set[str]:
    """Whatever these modules import of ours, and what that imports, and so on."""
    names: set[str] = set()
    waiting = [begin]
    while waiting:
        new = imported_by(waiting.pop()) - names
        names |= new
        waiting += [path for path in map(of_ours, new) if path is not None]
    return names


def packages(names: AbstractSet[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("benchmarks/**/*.py")), ids=lambda path: path.stem
)
def test_a_benchmark_imports_no_tests_not_even_through_tools(path: Path) -> None:
    assert "tests" not in packages(imported_at_last(path))


def test_an_import_of_tests_is_found_through_another_module() -> None:
    assert "tests" in packages(imported_at_last(ROOT / "tools" / "screenshots.py"))
    assert "tests.builders.record" in imported_at_last(ROOT / "tools" / "screenshots.py")


@pytest.mark.parametrize("package", ["shared", "doors", "functions", "lockstep"])
def test_the_product_imports_no_development_program(package: str) -> None:
    paths = list(ROOT.glob(f"{package}/**/*.py"))
    assert paths
    for path in paths:
        assert packages(imported_by(path)).isdisjoint({"benchmarks", "tests", "tools"}), path


@pytest.mark.parametrize("name", ["model", "relevance"])
def test_a_tool_with_options_has_a_help(name: str) -> None:
    command = [sys.executable, "-m", f"tools.{name}", "--help"]
    helped = subprocess.check_output(command, text=True, cwd=ROOT)
    assert helped.startswith(f"usage: python -m tools.{name} ")


def test_engines_use_a_file_system_in_memory_only_if_it_has_room(tmp_path: Path) -> None:
    assert quick_folder(tmp_path, least=1) == tmp_path
    assert quick_folder(tmp_path, least=2**62) is None
    assert quick_folder(tmp_path / "none", least=1) is None
