"""What must be stored, and what quarantined, once both functions have had every sample."""

import base64
from collections.abc import Iterable, Mapping

import msgspec

from lockstep.audit.entry import Entry
from lockstep.audit.stores import IndexEntries, TableEntries
from lockstep.connect import Clients
from lockstep.quarantine import keys
from lockstep.sam import env_vars
from lockstep.stack import CONSUMERS, Stack
from shared.event import InvalidEventError, digest
from shared.quarantine import QuarantinedRecord
from shared.record import event_in, from_lambda
from tests.sample_events import FOLDER, invocations

# No tombstone of a sample must run out while a test looks at it, whatever the year.
HORIZON_DAYS = "36500"

type Contents = Mapping[str, tuple[int, str | None]]
"""By image id: version and digest; a tombstone has none."""

type SetAside = set[tuple[str, str, str, bytes]]
"""Function, sequence number, reason and payload of what lies in quarantine."""


def names() -> list[str]:
    """The sample invocations, in an order in which they make sense one after the other."""
    return list(invocations())


def invocation(name: str) -> bytes:
    """A sample as it lies in `events/`."""
    return (FOLDER / name).read_bytes()


def environments(stack: Stack) -> Mapping[str, Mapping[str, str]]:
    """What `lockstep status --env-vars` says, with a horizon that no test reaches."""
    return {
        function: {**variables, "HORIZON_DAYS": HORIZON_DAYS}
        for function, variables in env_vars(stack).items()
    }


def expected() -> tuple[Contents, SetAside]:
    """By the rules, from the records alone: the highest version wins, the first among equals."""
    contents: dict[str, tuple[int, str | None]] = {}
    set_aside: SetAside = set()
    for record in (from_lambda(one) for batch in invocations().values() for one in batch):
        reason: str | None = None
        try:
            event = event_in(record)
        except InvalidEventError as invalid:
            reason = invalid.reason
        else:
            its_digest = digest(event.image) if event.image else None
            stored, its_content = contents.get(event.image_id, (0, None))
            if event.version > stored:
                contents[event.image_id] = (event.version, its_digest)
            elif event.version == stored and its_digest != its_content:
                reason = "conflict"
        if reason is not None:
            for function in CONSUMERS:
                set_aside.add((function, record.sequence_number, reason, record.data))
    return contents, set_aside


def in_table(stack: Stack) -> Contents:
    return _contents(TableEntries(Clients(stack).dynamodb, stack.table).all())


def in_index(stack: Stack) -> Contents:
    client = Clients(stack).opensearch
    client.indices.refresh(index=stack.index)
    return _contents(IndexEntries(client, stack.index).all())


def in_quarantine(stack: Stack) -> SetAside:
    client = Clients(stack).s3
    records = [
        msgspec.json.decode(
            client.get_object(Bucket=stack.bucket, Key=key)["Body"].read(), type=QuarantinedRecord
        )
        for key in keys(client, stack.bucket)
    ]
    return {
        (one.function, one.sequence_number, one.reason, base64.b64decode(one.payload))
        for one in records
    }


def _contents(entries: Iterable[Entry]) -> Contents:
    found = list(entries)
    assert [one for one in found if one.malformed or one.guard != one.version] == []
    return {one.image_id: (one.version, one.digest) for one in found}
