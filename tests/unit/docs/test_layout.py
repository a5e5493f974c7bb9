"""Documents are wrapped, and each is in the index."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("data/*.md")]
WIDTH = 100
FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
# A table, an indented example, and a line that is one long link.
MAY_BE_LONG = re.compile(r" *\|.*|    .*|\s*[-(*]?\s*!?\[[^\]]*\]\([^)]*\)\S*")


def test_no_line_is_longer_than_the_editor_is_wide() -> None:
    too_long = [
        f"{document.relative_to(ROOT)}: {line}"
        for document in DOCUMENTS
        for line in FENCED.sub("", document.read_text()).splitlines()
        if len(line) > WIDTH and not MAY_BE_LONG.fullmatch(line)
    ]
    assert too_long == []


def test_the_index_lists_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/*/*.md")}
    listed = {page for page in pages if f"({page})" in index}
    # The decisions are listed in a page of their own, and the pages of the alarms, too.
    own = ("decisions/", "runbook/")
    assert {page for page in pages - listed if not page.startswith(own)} == set()
