"""`lockstep audit --html FILE`: the report of an audit, for people."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from lockstep.audit.audit import Audit
from lockstep.audit.recheck import Difference
from lockstep.console.terminal import notes
from lockstep.machine.files import replacing
from lockstep.repair.repair import Repaired, RepairPlan
from lockstep.reports.content import AuditedWith, ReportContent
from lockstep.reports.gathering import Gathering
from lockstep.reports.page import html_of
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.audit_report import report_content

LOCAL = "the local stack"


class HtmlReport:
    """The report of one audit, in a file. A repair writes it twice: before it begins, and after."""

    def __init__(
        self, clients: Clients, how: AuditedWith, replace: Callable[[bytes], None]
    ) -> None:
        """Begin a report without differences.

        Args:
            clients: the stack's.
            how: how the audit is made.
            replace: replaces the file.
        """
        self._clients = clients
        self._how = how
        self._replace = replace
        self._gathered = Gathering(clients.clock.now())
        self._content: ReportContent | None = None

    def add(self, found: Difference) -> None:
        """Add a difference that the audit found."""
        self._gathered.add(found)

    def write(self, found: Audit, plan: RepairPlan | None, todo: Sequence[str]) -> None:
        """Write the report of the audit.

        Args:
            found: the audit.
            plan: what a repair would do.
            todo: what can be done next.

        Raises:
            OSError: the file cannot be written.
        """
        with notes.status("writing the report"):
            self._content = report_content(
                self._clients, self._how, found, self._gathered, plan=plan, todo=todo
            )
            self._replace(html_of(self._content))

    def write_repaired(self, done: Repaired, after: Audit, todo: Sequence[str]) -> None:
        """Write the report again, with what a repair did. Call `write` before.

        Args:
            done: what the repair did.
            after: the audit after it.
            todo: what can be done next.

        Raises:
            OSError: the file cannot be written.
        """
        if self._content is not None:
            both = msgspec.structs.replace(self._content, repaired=done, after=after, todo=todo)
            self._replace(html_of(both))


@contextmanager
def html_report(
    file: Path, clients: Clients, name: str | None, *, values: bool, since: dt.datetime | None
) -> Iterator[HtmlReport]:
    """The report in this file. It is known at once whether the file can be written.

    Raises:
        OSError: it cannot.
    """
    began = dt.datetime.fromtimestamp(int(clients.clock.now()), dt.UTC)
    how = AuditedWith(name or LOCAL, clients.stack.region, began, values, since)
    with replacing(file) as replace:
        yield HtmlReport(clients, how, replace)
