"""Discards quarantined records of a stack: what that means for an audit, and who does it."""

import getpass
import os
from collections.abc import Collection, Mapping, Sequence
from itertools import batched

import msgspec

from lockstep.quarantine.cases import Case, FoundCases
from lockstep.quarantine.forecast import Forecast, forecast
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.stores import index_reader, table_reader
from lockstep.stores.entry import Entry, entry_of
from lockstep.stores.readers import LOOKUP, WholeLookup

# The longest ID of a document; the key of an item may be longer.
# https://docs.opensearch.org/latest/api-reference/document-apis/index-document/
_LONGEST_ID = 512


class PlannedDiscard(msgspec.Struct, frozen=True):
    """A record that would be discarded, and what an audit says of its image then."""

    case: Case
    then: Forecast


def plan(clients: Clients, cases: Sequence[Case], found: FoundCases) -> list[PlannedDiscard]:
    """What an audit says of each image once these of the found cases are discarded.

    It looks the images up in both stores, and writes nothing.
    """
    chosen = {case.id for case in cases}
    explained = {one.image for one in found.cases if not one.of_index_only and one.id not in chosen}
    # A record that is no event has its partition key, which may be no ID at all.
    images = {one.image for one in cases if 0 < len(one.image.encode()) <= _LONGEST_ID}
    table, index = _entries(table_reader(clients), images), _entries(index_reader(clients), images)
    now = clients.clock.now()
    return [
        PlannedDiscard(
            one,
            forecast(
                table.get(one.image),
                index.get(one.image),
                now=now,
                explained=one.image in explained,
            ),
        )
        for one in cases
    ]


def person(clients: Clients) -> str:
    """Who runs the command: the ARN of the caller on AWS, the name of the user on one machine.

    AWS tells the ARN to whoever has credentials, without any right:
    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
    """
    if clients.stack.state is None:
        arn: str = clients.sts.get_caller_identity()["Arn"]
        return arn
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may have no name for its user
        return f"user {os.getuid()}"


def _entries(reader: WholeLookup, images: Collection[str]) -> Mapping[str, Entry]:
    return {
        image_id: entry_of(image_id, stored)
        for some in batched(sorted(images), LOOKUP)
        for image_id, stored in reader.lookup_whole(some).items()
    }
