"""`--html FILE` of an audit: the report of it, for people."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from lockstep.console.terminal import notes
from lockstep.machine.files import replacing
from lockstep.reports.content import ReportContent
from lockstep.reports.page import html_of

LOCAL = "the local stack"


class AuditReport[Found, Difference, Plan, Done](Protocol):
    """The report of one kind of audit, and what that finds, plans and does."""

    def add(self, found: Difference) -> None:
        """Add a difference that the audit found."""
        ...

    def content(self, found: Found, plan: Plan | None, todo: Sequence[str]) -> ReportContent:
        """The report of the audit, with what a repair would do, and what can be done next."""
        ...

    def with_repair(
        self, content: ReportContent, done: Done, after: Found, todo: Sequence[str]
    ) -> ReportContent:
        """This report, with what a repair did, and the audit after it."""
        ...


class HtmlReport[Found, Difference, Plan, Done]:
    """The report of one audit, in a file. A repair writes it twice: before it begins, and after."""

    def __init__(
        self,
        report: AuditReport[Found, Difference, Plan, Done],
        replace: Callable[[bytes], None],
    ) -> None:
        """Begin without differences.

        Args:
            report: the report of the audit.
            replace: replaces the file.
        """
        self._report = report
        self._replace = replace
        self._content: ReportContent | None = None

    def add(self, found: Difference) -> None:
        """Add a difference that the audit found."""
        self._report.add(found)

    def write(self, found: Found, plan: Plan | None, todo: Sequence[str]) -> None:
        """Write the report of the audit.

        Args:
            found: the audit.
            plan: what a repair would do.
            todo: what can be done next.

        Raises:
            OSError: the file cannot be written.
        """
        with notes.status("writing the report"):
            self._content = self._report.content(found, plan, todo)
            self._replace(html_of(self._content))

    def write_repaired(self, done: Done, after: Found, todo: Sequence[str]) -> None:
        """Write the report again, with what a repair did. Call `write` before.

        Args:
            done: what the repair did.
            after: the audit after it.
            todo: what can be done next.

        Raises:
            OSError: the file cannot be written.
        """
        if self._content is not None:
            self._replace(html_of(self._report.with_repair(self._content, done, after, todo)))


@contextmanager
def html_report[Found, Difference, Plan, Done](
    file: Path, report: AuditReport[Found, Difference, Plan, Done]
) -> Iterator[HtmlReport[Found, Difference, Plan, Done]]:
    """The report in this file. It is known at once whether the file can be written.

    Raises:
        OSError: it cannot.
    """
    with replacing(file) as replace:
        yield HtmlReport(report, replace)
