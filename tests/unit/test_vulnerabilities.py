"""Which page of PyPI says what vulnerabilities a version has."""

from typing import Any

import pytest

from tools.vulnerabilities import Pages

VERSION = "https://index.example/pypi/six/1.17.0/json"
PROJECT = "https://index.example/pypi/six/json"


class Page:
    """A page, or the answer that there is none."""

    def __init__(self, version: str | None) -> None:
        self.status_code = 404 if version is None else 200
        self.ok = version is not None
        self._version = version

    def json(self) -> Any:
        return {"info": {"version": self._version}}


class Session:
    """PyPI, or a mirror of it."""

    def __init__(self, **pages: Page) -> None:
        self.pages = {VERSION: pages["of_version"], PROJECT: pages["of_project"]}

    def get(self, url: str, timeout: int | None) -> Page:
        assert timeout == 15
        return self.pages[url]


@pytest.mark.parametrize(
    ("of_version", "of_project", "answers"),
    [
        ("1.17.0", "2.0.0", VERSION),
        (None, "1.17.0", PROJECT),
        (None, "2.0.0", VERSION),
        (None, None, VERSION),
    ],
    ids=["PyPI", "newest version pinned", "older version pinned", "unknown package"],
)
def test_the_page_of_a_project_answers_only_for_its_newest_version(
    of_version: str | None, of_project: str | None, answers: str
) -> None:
    session = Session(of_version=Page(of_version), of_project=Page(of_project))
    assert Pages(session).get(url=VERSION, timeout=15) is session.pages[answers]
