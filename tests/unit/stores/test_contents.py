"""Lookups of single images: an answer that was cut off does not mean that there is no image."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pytest
from botocore.parsers import ResponseParserError

from lockstep.simulation.components import INDEX, TABLE, image_index, image_table
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.fakes.network import PERFECT, Connection, CutOffError, PartFailure
from lockstep.simulation.fakes.opensearch import OpenSearch
from lockstep.stores.contents import ContentLookup, index_lookup, table_lookup
from shared.sink import RequestFailedError
from tests.builders import change


class Scissors:
    """Every answer is cut, after this share of it."""

    def __init__(self, share: float) -> None:
        self._share = share

    def send[T](self, apply: Callable[[], T]) -> T:
        raise CutOffError(apply(), self._share)

    def part_failures(self, _: int, __: Sequence[str]) -> Mapping[int, PartFailure]:
        return {}


def in_table(line: Connection) -> ContentLookup:
    there = DynamoDB(TABLE)
    image_table(cast("Any", there)).send([change("T1", 7)])
    client = DynamoDB(TABLE, connection=line)
    client.items = there.items
    return table_lookup(cast("Any", client), TABLE, lambda: 0.0)


def in_index(line: Connection) -> ContentLookup:
    there = OpenSearch(INDEX)
    image_index(cast("Any", there)).send([change("T1", 7)])
    client = OpenSearch(INDEX, connection=line)
    client.documents = there.documents
    return index_lookup(cast("Any", client), INDEX, lambda: 0.0)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("lookup", [in_table, in_index])
def test_an_answer_that_was_cut_off_does_not_mean_absent(
    lookup: Callable[[Connection], ContentLookup], share: float
) -> None:
    found = lookup(PERFECT)("T1")
    assert found is not None
    assert found.version == 7
    assert lookup(PERFECT)("T0") is None
    with pytest.raises((RequestFailedError, ResponseParserError)):
        lookup(Scissors(share))("T0")
