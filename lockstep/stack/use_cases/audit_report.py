"""The report of an audit of a stack: reads what the audit itself does not keep."""

import datetime as dt
from collections.abc import Iterable, Sequence

from lockstep.audit.audit import Audit
from lockstep.audit.recheck import Difference
from lockstep.quarantine.bucket import image_of, records
from lockstep.repair.repair import Repaired, RepairPlan
from lockstep.reports.content import (
    AuditedWith,
    DifferenceExample,
    Examples,
    Quarantined,
    QuarantinedImage,
    ReportContent,
)
from lockstep.reports.examples import image_examples
from lockstep.reports.gathering import Gathering
from lockstep.reports.image_audit import compared, image_report, with_repair
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.stores import index_reader, table_reader
from lockstep.stores.objects import BucketObjects
from lockstep.stores.readers import StoreUnreadableError
from shared.quarantine import QuarantinedRecord

# So many quarantined records are in a report.
MOST_RECORDS = 20


class ImageReport:
    """The report of an audit of images: gathers the differences while the audit finds them."""

    def __init__(
        self, clients: Clients, name: str, *, values: bool, since: dt.datetime | None
    ) -> None:
        """Begin without differences.

        Args:
            clients: the stack's.
            name: what the report calls the stack.
            values: as the option of the audit.
            since: as the option of the audit.
        """
        self._clients = clients
        self._name = name
        self._values = values
        self._since = since
        self._began = clients.clock.now()
        self._gathered = Gathering(self._began)

    def add(self, found: Difference) -> None:
        """Add a difference that the audit found."""
        self._gathered.add(found)

    def content(
        self, found: Audit, plan: RepairPlan | None, todo: Sequence[str] = ()
    ) -> ReportContent:
        """The report. It has no examples if a store does not answer any more.

        Args:
            found: the result of the audit.
            plan: what a repair would do.
            todo: what can be done next.
        """
        how = AuditedWith(
            self._name,
            self._clients.stack.region,
            whole_seconds(self._began),
            compared(found, values=self._values, since=self._since),
        )
        return image_report(
            how,
            found,
            self._gathered,
            examples=self._examples(),
            quarantined=_quarantined(_records(self._clients, self._gathered.quarantined)),
            plan=plan,
            todo=todo,
        )

    def with_repair(
        self, content: ReportContent, done: Repaired, after: Audit, todo: Sequence[str]
    ) -> ReportContent:
        """See `with_repair`."""
        return with_repair(content, done, after, todo)

    def _examples(self) -> Examples:
        now = self._clients.clock.now()
        table, index = table_reader(self._clients), index_reader(self._clients)
        some: list[DifferenceExample] = []
        unread = None
        try:
            some += image_examples(self._gathered.examples, table, index, now=now)
        except StoreUnreadableError as error:
            unread = str(error)
        return Examples(some, whole_seconds(now), unread)


def whole_seconds(now: float) -> dt.datetime:
    """The time without fractions of a second; `now` is in seconds since 1970."""
    return dt.datetime.fromtimestamp(int(now), dt.UTC)


def _records(clients: Clients, image_ids: set[str]) -> Iterable[tuple[str, QuarantinedRecord]]:
    """The quarantined records of these images. Reads the bucket only if there are any."""
    if not image_ids:
        return ()
    stack = clients.stack
    objects = BucketObjects(clients.s3, stack.bucket)
    held = records(objects, stack.table_mapping, stack.changes_stream)
    return (one for one in held if image_of(one[1]) in image_ids)


def _quarantined(found: Iterable[tuple[str, QuarantinedRecord]]) -> Quarantined:
    count = 0
    some: list[QuarantinedImage] = []
    for consumer, record in found:
        count += 1
        if len(some) < MOST_RECORDS:
            some.append(
                QuarantinedImage(
                    consumer,
                    image_of(record),
                    record.reason,
                    record.detail,
                    record.quarantined_at,
                )
            )
    return Quarantined(count, some)
