"""Every document that a file of the repository cites is there."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
ADDRESS = re.compile(r"https?://\S+")
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")
CITED = re.compile(r"(?<![\w./{}-])(?:[\w.-]+/)*[\w.-]+\.md\b|(?<![\w./{}-])docs/[\w./*-]*[\w*/]")
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
