"""A report of an audit of real images that somebody harmed, in stores in memory."""

import datetime as dt
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import msgspec

from lockstep.audit.audit import Audit
from lockstep.commands.audit import ways_out
from lockstep.producing.producer import Stamp
from lockstep.producing.sources import BadLine, read_events
from lockstep.repair.repair import RepairPlan, differing_image
from lockstep.reports.content import (
    AuditedWith,
    Examples,
    Quarantined,
    QuarantinedImage,
    ReportContent,
)
from lockstep.reports.examples import image_examples
from lockstep.reports.gathering import Gathering
from lockstep.reports.image_audit import compared, image_report
from lockstep.reports.page import html_of
from lockstep.source_files.converters import load_mapping
from lockstep.stream.losses import Loss
from shared.change import Change, Put, change_from
from shared.event import encode
from tests.builders import record
from tests.unit.audit.stand import NOW, STAMP, Stand, a_change, a_document, an_item, lying

TATE = Path(__file__).parents[1] / "data" / "tate-2000.ndjson"
BEGAN = dt.datetime.fromtimestamp(NOW, dt.UTC)
# Names as images have them, and as an attacker writes them.
NAMES = (
    "北斎 神奈川沖浪裏",
    "لوحة البحر עם טקסט",
    "<script>document.title='harmed'</script>",
    '"><img src=x onerror=alert(1)>',
    "\u202egnp.live\u202c {{ 7 * 7 }}",
    "\u200b",
)


def real(count: int) -> list[Change]:
    """So many real images that arrived in the days before the audit."""
    events = read_events(TATE.read_bytes().splitlines(), Stamp(), load_mapping("tate"))
    changes: list[Change] = []
    for number, event in enumerate(islice(events, count)):
        assert not isinstance(event, BadLine)
        its_own = msgspec.structs.replace(event, version=STAMP + number)
        arrived_at = int((NOW - (count - number) * 997) * 1000)
        changes.append(change_from(its_own, record(encode(its_own), arrived_at=arrived_at)))
    return changes


def harmed(names: Sequence[str] = NAMES) -> Stand:
    """Both stores with real images; every kind of difference has a few."""
    stand = Stand()
    images = real(300)
    stand.write(*images)
    for number, change in enumerate(images):
        assert isinstance(change, Put)
        _harm(stand, number % 40, change)
    for number, name in enumerate(names):
        image_id = f"named-{number}"
        change = a_change(STAMP, name, image_id=image_id)
        other = a_change(STAMP, None if number % 2 else "Another name", image_id=image_id)
        stand.dynamodb.items[image_id] = an_item(change)
        stand.opensearch.documents[image_id] = a_document(other)
    return stand


def _harm(stand: Stand, how: int, change: Put) -> None:
    """Harm one image in one store, or leave it as it is."""
    documents, items = stand.opensearch.documents, stand.dynamodb.items
    image_id, older = change.image_id, msgspec.structs.replace(change, version=change.version - 9)
    if how in {1, 2, 3}:
        del documents[image_id]
    elif how == 4:
        del items[image_id]
    elif how == 7:
        items[image_id] = an_item(older)
    elif how == 10:
        items[image_id] = {**an_item(change), "version": {"S": "two"}}
    elif how in {5, 6, 8, 9}:
        documents[image_id] = {
            5: a_document(older),
            6: a_document(older),
            8: a_document(lying(change)),
            9: a_document(change, change.version + 9),
        }[how]


def report_of(stand: Stand, *, plan_it: bool = True) -> ReportContent:
    """The report of an audit of these stores, with quarantined records and a loss."""
    gathered, found = gathered_of(stand)
    images = [differing_image(one) for one in stand.audited()[1]]
    plan = stand.repair.plan(images, images=found.table) if plan_it else None
    return content_of(stand, found, gathered, plan)


def gathered_of(stand: Stand) -> tuple[Gathering, Audit]:
    """An audit, and what a report gathers of its differences."""
    gathered = Gathering(stand.at)
    found, differences = stand.audited()
    for one in differences:
        gathered.add(one)
    return gathered, found


def content_of(
    stand: Stand, found: Audit, gathered: Gathering, plan: RepairPlan | None
) -> ReportContent:
    """The report of this audit."""
    lost = Loss("write_to_es", BEGAN - dt.timedelta(days=2), BEGAN - dt.timedelta(days=1), 3)
    held = QuarantinedImage(
        "write_to_es", "D00045", "refused_by_store", "the index refused it", "2026-11-20T10:00:00Z"
    )
    audit = msgspec.structs.replace(found, losses=(lost,), unknown_since=lost.since)
    how = AuditedWith("museum", "eu-central-1", BEGAN, compared(audit, values=True, since=None))
    some = list(image_examples(gathered.examples, stand.table, stand.index, now=stand.at))
    return image_report(
        how,
        audit,
        gathered,
        examples=Examples(some, BEGAN),
        quarantined=Quarantined(1, [held]),
        plan=plan,
        todo=list(ways_out(audit, plan, "museum", Path())),
    )


def report_page(folder: Path) -> Path:
    """The file of such a report."""
    file = folder / "audit.html"
    file.write_bytes(html_of(report_of(harmed())))
    return file
