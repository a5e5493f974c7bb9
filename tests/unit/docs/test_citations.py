"""Every document that a file of the repository cites is there."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import lockstep

ROOT = Path(__file__).parents[3]
ADDRESS = re.compile(r"https?://\S+")
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")
ANCHOR = re.compile(r"\]\(([^)\s#]*)#([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CITED = re.compile(r"(?<![\w./{}-])(?:[\w.-]+/)*[\w.-]+\.md\b|(?<![\w./{}-])docs/[\w./*-]*[\w*/]")
MODULE = re.compile(r"\b(?:lockstep|shared|doors|functions|benchmarks)(?:\.[a-z_]\w*)+\b(?![/-])")
FILE = re.compile(
    r"`((?:lockstep|functions|doors|shared|tests|benchmarks|tools|events|data)/[\w./*-]+)`"
)
# A file that tests write, and no document.
WRITTEN_BY_TESTS = "record.md"


def tracked() -> list[Path]:
    """The files of the repository, and those that will be once they are added."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607 - whichever git
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [file for name in listed.split("\0") if name and (file := ROOT / name).is_file()]


def citations() -> Iterator[tuple[Path, str]]:
    for file in tracked():
        try:
            text = ADDRESS.sub("", file.read_text())
        except UnicodeDecodeError:
            continue
        if file.suffix == ".md":
            for target in LINK.findall(text):
                yield file, target
            text = LINK.sub("]", text)
        for cited in CITED.findall(text):
            if cited != WRITTEN_BY_TESTS:
                yield file, cited


def test_every_document_that_is_cited_exists() -> None:
    found = list(citations())
    documents = {file.name for file in tracked() if file.suffix == ".md"}
    missing = sorted(
        f"{file.relative_to(ROOT)} cites {cited}"
        for file, cited in found
        if cited not in documents
        and not any(ROOT.glob(cited))
        and not (file.parent / cited).exists()
    )
    assert missing == []
    assert len(found) > 200


def test_every_module_that_a_document_names_exists() -> None:
    named = {
        (file.relative_to(ROOT), name)
        for file in tracked()
        if file.suffix == ".md"
        for name in MODULE.findall(file.read_text())
        if not name.endswith((".ndjson", ".toml"))
    }
    missing = sorted(f"{file} names {name}" for file, name in named if not names_code(name))
    assert missing == []


def names_code(name: str) -> bool:
    """Whether the first parts of the name are a module; what follows is something in it."""
    parts = name.split(".")
    if parts[0] == "lockstep" and parts[1] in lockstep.__all__:
        return True
    modules = [ROOT.joinpath(*parts[:length]) for length in range(2, len(parts) + 1)]
    found = [path for path in modules if path.with_suffix(".py").exists()]
    return bool(found) or (modules[-1] / "__main__.py").exists()


def test_every_anchor_that_a_link_names_exists() -> None:
    missing = [
        f"{file.relative_to(ROOT)}: {path}#{anchor}"
        for file in tracked()
        if file.suffix == ".md"
        for path, anchor in ANCHOR.findall(ADDRESS.sub("", file.read_text()))
        if anchor not in anchors_of(file.parent / path if path else file)
    ]
    assert missing == []


def anchors_of(document: Path) -> set[str]:
    """The headings, as GitHub makes anchors of them."""
    words = HEADING.findall(document.read_text())
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in words}


def test_every_file_that_a_document_names_exists() -> None:
    named = {
        (file.relative_to(ROOT), path)
        for file in tracked()
        if file.suffix == ".md"
        for path in FILE.findall(file.read_text())
    }
    missing = sorted(
        f"{file} names {path}" for file, path in named if not any(ROOT.glob(path.rstrip("/")))
    )
    assert missing == []
    assert len(named) > 100
