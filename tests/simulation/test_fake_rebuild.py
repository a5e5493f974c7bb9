"""The fakes of OpenSearch and DynamoDB pass the contract tests of the rebuild."""

import time
from typing import Any, cast, override

import opensearchpy
import pytest

from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.fakes.network import PERFECT
from lockstep.simulation.fakes.opensearch import OpenSearch
from tests.contract.rebuild import test_rebuild
from tests.contract.rebuild.place import CrashError, Place

ALIAS = "images"
# They need a bucket, a whole local stack, or a routing, which the fake has not.
ON_THE_ENGINE = {
    "test_an_index_filled_from_an_export_equals_the_current_table",
    "test_a_document_with_a_routing_is_not_copied_and_keeps_the_old_index",
}

globals().update(
    {
        name: test
        for name, test in vars(test_rebuild).items()
        if name.startswith("test_") and name not in ON_THE_ENGINE
    }
)


class Reading(OpenSearch):
    """A client that notes the ids of the documents that its searches return."""

    read: list[str]

    @override
    def send(self, apply: Any) -> Any:
        answer = super().send(apply)
        for one in answer.get("responses", [answer]):
            self.read += [hit["_id"] for hit in one.get("hits", {}).get("hits", [])]
        return answer


class Mortal:
    """A connection that ends after so many changes."""

    def __init__(self, changes: int, state: Any) -> None:
        self._left = changes
        self._state = state

    def send(self, apply: Any) -> Any:
        before = self._state()
        answer = apply()
        self._left -= self._state() != before
        if self._left == 0:
            raise CrashError
        return answer

    part_failures = PERFECT.part_failures


class FakePlace(Place):
    """A place on the fakes."""

    fake: OpenSearch

    def __init__(self) -> None:
        began = time.time()
        self.fake = OpenSearch(ALIAS, now=lambda: began)
        super().__init__(ALIAS, DynamoDB(ALIAS), cast("opensearchpy.OpenSearch", self.fake))

    @override
    def reading(self, read: list[str]) -> opensearchpy.OpenSearch:
        client = Reading(ALIAS, cluster=self.fake.nodes)
        client.read = read
        return cast("opensearchpy.OpenSearch", client)

    @override
    def mortal(self, changes: int) -> opensearchpy.OpenSearch:
        return cast("opensearchpy.OpenSearch", self.fake.beside(Mortal(changes, self._state)))

    def _state(self) -> Any:
        return [
            (name, one.aliases, one.mappings, one.settings)
            for name, one in self.fake.nodes.indices.items()
        ], len(self.fake.journal)


@pytest.fixture
def place() -> Place:
    return FakePlace()


class TestSeveralShards(test_rebuild.TestSeveralShards):
    pass


class TestWrongAliases(test_rebuild.TestWrongAliases):
    pass


class TestNoIndex(test_rebuild.TestNoIndex):
    test_a_local_stack_starts_with_a_wrong_alias_so_that_it_can_be_set = None  # type: ignore[assignment]  # needs a stack


class TestAnotherRelease(test_rebuild.TestAnotherRelease):
    test_a_local_stack_starts_with_it_so_that_it_can_be_rebuilt = None  # type: ignore[assignment]  # needs a stack
