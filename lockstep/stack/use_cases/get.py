"""What a stack holds of one image now: both stores side by side, and its quarantined records."""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from opensearchpy.exceptions import OpenSearchException

from lockstep.audit.compare import DifferenceKind
from lockstep.console.errors import UserError
from lockstep.console.failures import message_of
from lockstep.images.held import HeldImage, SideBySide, side_by_side
from lockstep.quarantine.cases import Case, Wanted
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.quarantine import StackQuarantine
from lockstep.stack.use_cases.stores import index_reader, table_reader
from lockstep.stack.use_cases.trace import NotRead
from shared.sink import SinkError

GetResult = Literal["equal", "different", "deleted", "absent", "unknown"]

# What a source that cannot be read raises.
UNREADABLE = (UserError, SinkError, ClientError, BotoCoreError, OpenSearchException)


class FoundImage(msgspec.Struct, frozen=True):
    """What a stack holds of one image.

    `result` is `equal` if both stores have the same image, `deleted` if both have its tombstone,
    `absent` if neither has anything, and `unknown` if a store could not be read. `difference` is
    the kind of difference that `audit --values` names, and `differs` has the fields. `quarantine`
    has the records of the image in quarantine. `routed` names the documents of this ID that
    somebody wrote with a custom routing: a search finds them, so the stores are not equal.
    `not_read` says what could not be read, and why.
    """

    image_id: str
    result: GetResult
    difference: DifferenceKind | None
    differs: Sequence[str]
    table: HeldImage | None
    index: HeldImage | None
    quarantine: Sequence[Case]
    routed: Sequence[str]
    not_read: Sequence[NotRead]


def get(clients: Clients, image_id: str) -> FoundImage:
    """Read both stores and the quarantine. One that cannot be read does not stop the others.

    Args:
        clients: the stack's.
        image_id: the image; any text, because a refused event may have any.
    """
    not_read: list[NotRead] = []

    def tried[T](source: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except UNREADABLE as error:
            not_read.append(NotRead(source, message_of(error) or str(error)))
            return None

    items = tried("table", lambda: table_reader(clients).lookup_raw([image_id]))
    documents = tried("index", lambda: index_reader(clients).lookup_raw([image_id]))
    routed = None
    if documents is not None:  # otherwise, that was said already
        routed = tried("index", lambda: index_reader(clients).routed_names(image_id))
    found = tried("quarantine", lambda: StackQuarantine(clients).find(Wanted(image=image_id)))
    if found is not None:
        not_read += [NotRead("quarantine", f"{one.where}: {one.why}") for one in found.unreadable]
    both = side_by_side(
        (items or {}).get(image_id), (documents or {}).get(image_id), now=clients.clock.now()
    )
    known = items is not None and routed is not None
    return FoundImage(
        image_id,
        ("different" if routed else result_of(both)) if known else "unknown",
        both.difference if known else None,
        both.differs if known else [],
        both.table,
        both.index,
        [] if found is None else found.cases,
        routed or [],
        not_read,
    )


def result_of(both: SideBySide) -> GetResult:
    """The result for what both stores hold."""
    if both.difference is not None:
        return "different"
    states = {one.state for one in (both.table, both.index) if one is not None}
    if "image" in states:
        return "equal"
    return "deleted" if "tombstone" in states else "absent"
