"""Audit and repair the index by the product's code, over clients without faults."""

from typing import TYPE_CHECKING, cast

import opensearchpy

from lockstep.audit.audit import audit
from lockstep.repair.repair import DifferingImage, Repair, differing_image
from lockstep.simulation.components import INDEX, TABLE
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.system import System
from lockstep.stores.corrections import Corrections
from lockstep.stores.index import IndexReader
from lockstep.stores.table import TableReader
from shared.clock import Clock

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


def repair_index(system: System) -> int:
    """Give the index what the table holds, as `lockstep audit --repair --apply` does.

    Returns:
        The number of images that differed.
    """
    time = system.time
    table = DynamoDB(TABLE)
    table.items = system.table.items
    client = cast("opensearchpy.OpenSearch", system.index.beside())
    items = TableReader(cast("DynamoDBClient", table), TABLE, whole=True)
    documents = IndexReader(client, INDEX, whole=True)
    clock = Clock(lambda: time.now, lambda: time.now, time.advance, system.conditions.draw)
    found: list[DifferingImage] = []
    audit(
        items,
        documents,
        quarantined_images=lambda: (),
        clock=clock,
        on_difference=lambda one: found.append(differing_image(one)),
    )
    for one in found:
        held = system.consumers["write_to_dynamodb"].store.stored_version(one.image_id)
        if held is not None:
            system.given_index.add((one.image_id, held))
    Repair(
        items,
        documents,
        index_sink=system.components.index(client),
        corrections=Corrections(client, INDEX),
        clock=clock,
    ).apply(found)
    return len(found)
