"""The rebuild of a stack's index."""

import datetime as dt

from functions.write_to_es.index import definition_sha256
from functions.write_to_es.sink import ImageIndex
from lockstep.rebuild.export import Export
from lockstep.rebuild.indices import Indices
from lockstep.rebuild.parts import ImageSource, RebuildParts
from lockstep.rebuild.rebuild import Rebuild
from lockstep.rebuild.worker import this_worker
from lockstep.stack.clients import Clients
from lockstep.stack.stack import Stack
from lockstep.stack.use_cases.audit import AuditOptions, audit
from lockstep.stack.use_cases.consumers import written_until
from lockstep.stack.use_cases.stores import NO_LIMIT, pace, scanner
from lockstep.stores.index import IndexReader
from lockstep.stores.table import TableReader

OTHER_RELEASE = (
    "the deployed consumers have the index mapping of another release: a new index of this release "
    "may refuse their documents, and the consumer would stop. Use the command line of the deployed "
    "release; or add --before-deploying, and deploy this release directly after the rebuild"
)


def refusal(stack: Stack) -> str | None:
    """Why this release must not build the stack's index; None if it may.

    The consumers of a local stack are of this release.
    """
    deployed = stack.definition_sha256
    return None if deployed in {None, definition_sha256()} else OTHER_RELEASE


def rebuild(clients: Clients, *, rate: float | None, export: str | None = None) -> Rebuild:
    """The rebuild of the stack's index, ready to run; see `Rebuild`.

    Args:
        clients: the stack's.
        rate: read units a second, at most.
        export: the S3 location of an export of the table, to fill the new index from.
    """
    stack = clients.stack
    options = AuditOptions(rate=rate)
    indices = Indices(clients.opensearch, stack.index, stack.index_settings)
    now = dt.datetime.fromtimestamp(clients.clock.now(), dt.UTC)
    table = TableReader(clients.dynamodb, stack.table, scanner=scanner(clients), pace=pace(rate))
    items: ImageSource = (
        table if export is None else Export(clients.s3, export, stack.table, now=now)
    )
    return Rebuild(
        RebuildParts(
            indices=indices,
            items=items,
            table=table,
            index=lambda name: IndexReader(clients.opensearch, name),
            sink=ImageIndex(clients.opensearch, indices.building, longest_request=NO_LIMIT),
            audit=lambda progress: audit(clients, progress, options=options),
            settled=lambda: written_until(clients),
            clock=clients.clock,
            worker=this_worker(),
            refusal=refusal(stack),
        )
    )
