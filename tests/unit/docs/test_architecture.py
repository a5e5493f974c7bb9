"""The files that docs/internals/architecture.md names are there, and it names every package.

A class name names one thing, in the whole product.
"""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "internals" / "architecture.md").read_text()
PARTS = ("lockstep", "functions", "doors", "shared", "tests", "docs", "events", "tools")
NAMED = re.compile(rf"(?:{'|'.join(PARTS)})/[\w./*-]*|\b[\w.-]+\.(?:toml|yaml)\b")


def test_every_file_that_it_names_exists() -> None:
    named = set(NAMED.findall(PAGE))
    assert {name for name in named if not any(ROOT.glob(name))} == set()
    assert len(named) > 40


def test_it_describes_every_package_of_the_tool() -> None:
    packages = {f"lockstep/{file.parent.name}/" for file in ROOT.glob("lockstep/*/__init__.py")}
    assert {package for package in packages if f"`{package}`" not in PAGE} == set()


def test_no_two_classes_have_the_same_name() -> None:
    names = Counter(
        name
        for part in ("shared", "doors", "functions", "lockstep")
        for file in ROOT.glob(f"{part}/**/*.py")
        for name in re.findall(r"^class (\w+)", file.read_text(), re.MULTILINE)
    )
    assert [name for name, count in names.items() if count > 1] == []
    assert len(names) > 400


def test_no_package_gives_a_name_of_one_of_its_modules_to_something_else() -> None:
    """An import of the module would replace it, so its meaning would depend on what ran before."""
    wrong = {
        f"{file.parent.relative_to(ROOT)}: {name}"
        for part in ("shared", "doors", "functions", "lockstep")
        for file in ROOT.glob(f"{part}/**/__init__.py")
        for source, names in re.findall(r"^from (\S+) import (.+)$", file.read_text(), re.MULTILINE)
        if source != ".".join(file.parent.relative_to(ROOT).parts)  # then they are the modules
        for name in re.split(r",\s*", names)
        if (file.parent / f"{name}.py").exists()
    }
    assert wrong == set()
