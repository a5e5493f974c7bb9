"""The report of an audit of a stack: reads what the audit itself does not keep."""

import datetime as dt
from collections.abc import Iterable, Sequence

from lockstep.audit.audit import Audit
from lockstep.quarantine.bucket import image_of, records
from lockstep.repair.repair import RepairPlan
from lockstep.reports.content import (
    AuditedWith,
    ImageExample,
    Quarantined,
    QuarantinedImage,
    ReportContent,
)
from lockstep.reports.examples import image_examples
from lockstep.reports.gathering import Gathering
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.stores import index_reader, table_reader
from lockstep.stores.objects import BucketObjects
from lockstep.stores.readers import StoreUnreadableError
from shared.quarantine import QuarantinedRecord

# So many quarantined records are in a report.
MOST_RECORDS = 20


def report_content(
    clients: Clients,
    how: AuditedWith,
    found: Audit,
    gathered: Gathering,
    *,
    plan: RepairPlan | None,
    todo: Sequence[str] = (),
) -> ReportContent:
    """The report of an audit. It has no examples if a store does not answer any more.

    Args:
        clients: the stack's.
        how: how the audit was made.
        found: its result.
        gathered: what its differences are.
        plan: what a repair would do.
        todo: what can be done next.
    """
    now, timeline = clients.clock.now(), gathered.timeline
    table, index = table_reader(clients), index_reader(clients)
    examples: list[ImageExample] = []
    unread = None
    try:
        examples += image_examples(gathered.examples, table, index, now=now)
    except StoreUnreadableError as error:
        unread = str(error)
    return ReportContent(
        how=how,
        audit=found,
        explained=dict(gathered.explained),
        examples=examples,
        examined=dt.datetime.fromtimestamp(int(now), dt.UTC),
        unread=unread,
        bars=list(timeline.bars()),
        width=timeline.width,
        arrival_unknown=timeline.unknown,
        quarantined=_quarantined(_records(clients, gathered.quarantined)),
        plan=plan,
        todo=todo,
    )


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
