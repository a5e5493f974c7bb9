"""A rebuild that fails before it copies anything leaves no index; one that has copied resumes."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from opensearchpy import OpenSearch, Transport
from opensearchpy.exceptions import ConnectionError as OpenSearchConnectionError

from lockstep.rebuild.indices import AnotherRebuildError, Indices, RebuildState
from lockstep.rebuild.parts import ImageSource
from lockstep.rebuild.rebuild import Rebuild
from lockstep.rebuild.worker import RebuildWorker
from lockstep.stores.readers import StoreUnreadableError
from lockstep.stores.table import WholePage
from shared.sink import RequestFailedError
from tests.contract.rebuild.place import Place, RealPlace, a_change

UNREADABLE = StoreUnreadableError("the table does not answer")


class FailingSource:
    """The table, which fails when it is counted, or after so many pages."""

    def __init__(self, table: ImageSource, *, pages: int | None = None) -> None:
        self.name = table.name
        self._table = table
        self._pages = pages

    def count(self) -> int:
        if self._pages is None:
            raise UNREADABLE
        return self._table.count()

    def pages(self, position: str | None) -> Iterator[WholePage]:
        for number, page in enumerate(self._table.pages(position)):
            if number == self._pages:
                raise UNREADABLE
            yield page
        raise UNREADABLE


def indices(place: Place) -> list[str]:
    return list(place.client.indices.get(index=f"{place.alias}-*"))


def fails(place: Place, source: Callable[[ImageSource], ImageSource]) -> None:
    parts = place.parts()
    with pytest.raises(StoreUnreadableError):
        place.run(msgspec.structs.replace(parts, items=source(parts.items)))


@pytest.mark.parametrize("pages", [None, 0])
def test_the_new_index_is_deleted_if_the_table_cannot_be_read(
    place: Place, pages: int | None
) -> None:
    place.write(a_change("T1", 1))
    fails(place, lambda table: FailingSource(table, pages=pages))
    assert indices(place) == [place.old]
    assert Rebuild(place.parts()).plan().stage == "begin"


def test_what_was_copied_stays_for_the_next_run(place: Place) -> None:
    place.write(a_change("T1", 1))
    fails(place, lambda table: FailingSource(table, pages=1))
    assert indices(place) == [place.old, place.new]
    assert Rebuild(place.parts()).plan().stage == "go_on"
    assert place.rebuild().audit.result == "equal"


class LosingTransport(Transport):
    """Loses the answer to the creation of an index."""

    def perform_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        answer = super().perform_request(method, url, *args, **kwargs)
        if method == "PUT" and url.count("/") == 1:
            raise OpenSearchConnectionError("N/A", "connection lost", None)
        return answer


def test_the_new_index_is_deleted_if_the_answer_to_its_creation_is_lost(
    place: RealPlace, opensearch_endpoint: str
) -> None:
    client = OpenSearch([opensearch_endpoint], max_retries=0, transport_class=LosingTransport)
    with pytest.raises(RequestFailedError, match="connection lost"):
        place.run(place.parts(client=client))
    assert indices(place) == [place.old]


def test_an_index_of_another_worker_stays(place: Place) -> None:
    another = RebuildState(replaces=place.old, worker=RebuildWorker("elsewhere", 1, 0.0))

    class TakenOver(FailingSource):
        def count(self) -> int:
            Indices(place.client, place.alias).save_state(place.new, another)
            raise UNREADABLE

    fails(place, TakenOver)
    assert indices(place) == [place.old, place.new]


def test_an_index_that_a_deployment_creates_at_that_moment_stays(place: Place) -> None:
    parts = place.parts()
    read = parts.indices.read

    def read_late() -> Any:
        view = read()
        place.client.indices.create(index=place.new, ignore=400)
        return view

    parts.indices.read = read_late  # type: ignore[method-assign]
    with pytest.raises(AnotherRebuildError, match="was just created"):
        place.run(parts)
    assert indices(place) == [place.old, place.new]
