"""SECURITY.md: each limit that it claims names a test, and each test that it names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "SECURITY.md").read_text()
TEST = re.compile(r"\[(test_\w+)\]\((tests/[\w/]+\.py)\)")
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE))
ATTACKERS = [title for title in SECTIONS if title != "What is protected"]


def test_the_page_is_about_these_attackers() -> None:
    assert ATTACKERS == [
        "Malicious producer",
        "Stolen consumer role",
        "Hostile searcher",
        "Careless operator",
        "Replaced package",
        "Hijacked pipeline",
    ]


@pytest.mark.parametrize("attacker", ATTACKERS)
def test_each_limit_has_a_test_and_what_is_not_limited_is_said(attacker: str) -> None:
    head, rule, *rows = re.findall(r"^\|.*\|$", SECTIONS[attacker], re.MULTILINE)
    assert head.count("|") == rule.count("|") == 4
    assert rows
    assert [row for row in rows if not TEST.search(row.split("|")[3])] == []
    assert "**Not limited**: " in SECTIONS[attacker]


def test_each_test_that_it_names_exists() -> None:
    named = TEST.findall(PAGE)
    assert len(named) == len(re.findall(r"\btest_\w+\]", PAGE))
    missing = [
        f"{file}: {name}"
        for name, file in named
        if not re.search(rf"^ *def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
    ]
    assert missing == []
