"""pip-audit, also where a mirror of PyPI has no pages of versions.

PyPI says on a page of each version which vulnerabilities that version has, and on the page of the
project those of its newest version (PyPI's JSON API). pip-audit asks for the pages of versions.
Some mirrors have only those of projects; they answer for each package whose newest version is
pinned. `make vulnerabilities` runs this with the Python of pip-audit.
"""

import sys
from typing import Any, Protocol

_NOT_FOUND = 404


class _Session(Protocol):
    """What pip-audit uses of a session of requests."""

    def get(self, url: str, timeout: int | None) -> Any: ...


class Pages:
    """Gets pages of PyPI. It stands for the session of pip-audit's `PyPIService`."""

    def __init__(self, session: _Session) -> None:
        self._session = session

    def get(self, url: str, timeout: int | None) -> Any:
        """The page of a version; if there is none, that of the project, if it is about the same."""
        answer = self._session.get(url=url, timeout=timeout)
        if answer.status_code != _NOT_FOUND:
            return answer
        project, version, last = url.rsplit("/", 2)
        page = self._session.get(url=f"{project}/{last}", timeout=timeout)
        is_newest = page.ok and page.json()["info"]["version"] == version
        return page if is_newest else answer


def main() -> None:
    """Run pip-audit with its own options. It fails if there is no answer for a package."""
    # Only the environment of pip-audit has it.
    from pip_audit import _cli  # noqa: PLC0415
    from pip_audit._service.pypi import PyPIService  # noqa: PLC0415

    unanswered: set[str] = set()

    class Service(PyPIService):  # type: ignore[misc]  # it is Any here
        session: Any

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.session = Pages(self.session)

        def query(self, spec: Any) -> Any:
            found, vulnerabilities = super().query(spec)
            if found.is_skipped():
                unanswered.add(found.name)
            return found, vulnerabilities

    _cli.PyPIService = Service
    _cli.audit()
    if unanswered:
        sys.exit(f"no answer for {len(unanswered)} packages: {', '.join(sorted(unanswered))}")


if __name__ == "__main__":
    main()
