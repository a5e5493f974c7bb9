"""Seeded bugs of the rows of a replica, and of their load."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, override

import msgspec

from functions.write_to_tablestore import names, values
from functions.write_to_tablestore.conversion import Conversion
from functions.write_to_tablestore.settings import ReplicaSettings, settings_in
from lockstep.simulation.replica.components import ReplicaComponents
from lockstep.stores.segments import SegmentPage
from lockstep.tablestore.load import Load
from lockstep.tablestore.progress import LoadCounts, LoadProgress
from shared.outcome import Applied
from shared.sink import write_all
from tests.simulation.rewired import rewired


def converting(conversion: type[Conversion]) -> ReplicaComponents:
    def settings(environment: Mapping[str, str]) -> ReplicaSettings:
        found = settings_in(environment)
        other = conversion(**msgspec.structs.asdict(found.conversion))
        return msgspec.structs.replace(found, conversion=other)

    return ReplicaComponents(settings_in=settings)


def cells(**other: Any) -> ReplicaComponents:
    """Other functions that make the cells of values."""

    class Other(Conversion, frozen=True):
        _cell = rewired(Conversion._cell, cell_of=rewired(values.cell_of, **other))  # noqa: SLF001

    return converting(Other)


def columns(escape: Callable[[str], str]) -> ReplicaComponents:
    """Other names of columns."""

    class Other(Conversion, frozen=True):
        column = rewired(Conversion.column, escaped=escape)

    return converting(Other)


def rounded(number: Any, _forced: Any, _unfit: Any) -> Any:
    integer = values.integer_in(number)
    return float(number) if integer is None else integer


def unsorted_set(value: Mapping[str, Any]) -> Any:
    match value:
        case {"SS": list(texts)}:
            return texts
        case {"NS": list(texts)}:
            return [values._json_number(values.number_in(one)) for one in texts]  # noqa: SLF001
        case _:
            return values._json_set(value)  # noqa: SLF001


def own_columns_not_escaped(name: str) -> str:
    return rewired(names.escaped, GUARD_COLUMNS=())(name)


def escapes_not_escaped(name: str) -> str:
    return rewired(names.escaped, _TO_ESCAPE=re.compile(r"[^A-Za-z0-9_]|\A[0-9]"))(name)


class NullsAreAlwaysEmpty(Conversion, frozen=True):
    @override
    def _cell(self, value: Mapping[str, Any], forced: Any) -> Any:
        cell = super()._cell(value, forced)
        return "" if cell is None else cell


class AColumnMore(Conversion, frozen=True):
    @override
    def columns_of(self, item: Mapping[str, Any]) -> Any:
        return super().columns_of({**item, "column": {"S": "added"}})


def loading(load: type[Load]) -> ReplicaComponents:
    return ReplicaComponents(load=load)


class AboveTheStream(Load):
    @override
    def _row(self, item: Mapping[str, Any]) -> Any:
        row = super()._row(item)
        label, _, number = row.version.partition("/")
        return msgspec.structs.replace(row, version=f"{label}/{'9' * len(number)}")


class BelowAnEarlierStream(Load):
    @override
    def _row(self, item: Mapping[str, Any]) -> Any:
        row = super()._row(item)
        return msgspec.structs.replace(row, version=f"0000{row.version[4:]}")


class DoesNotWaitForTheConsumer(Load):
    @override
    def run(self, begun: LoadProgress, read_all: Any = map) -> LoadProgress:
        run = rewired(Load.run, need_reading=lambda _: None)
        return run(self, begun, read_all)


def once(changes: Sequence[Any], sink: Any, _clock: Any) -> Iterator[Any]:
    for change, _ in zip(changes, write_all(changes, sink), strict=True):
        yield change, Applied()


class DoesNotReadTheAnswers(Load):
    @override
    def _load(self, items: Sequence[Mapping[str, Any]], before: LoadCounts) -> LoadCounts:
        return rewired(Load._load, settled=once)(self, items, before)  # noqa: SLF001


class SkipsTheLastItemOfAPage(Load):
    @override
    def _page(self, progress: LoadProgress, segment: int) -> SegmentPage:
        page = super()._page(progress, segment)
        if page.position is None:
            return page
        return msgspec.structs.replace(page, items=page.items[:-1])


WRONG: Mapping[str, ReplicaComponents] = {
    "replica's rows: numbers are rounded to a Double": cells(number_cell=rounded),
    "replica's rows: sets are not sorted": cells(
        _json=rewired(values._json, _json_set=unsorted_set)  # noqa: SLF001
    ),
    "replica's rows: sets of binaries without their lengths": cells(
        binary_set=lambda binaries: b"".join(sorted(binaries))
    ),
    "replica's rows: attributes named as our columns are not escaped": columns(
        own_columns_not_escaped
    ),
    "replica's rows: what looks like an escape is not escaped": columns(escapes_not_escaped),
    "replica's rows: NULLS is ignored": converting(NullsAreAlwaysEmpty),
    "replica's rows: a column more": converting(AColumnMore),
    "replica's load: versions above the stream": loading(AboveTheStream),
    "replica's load: versions below an earlier stream": loading(BelowAnEarlierStream),
    "replica's load: does not wait for the consumer": loading(DoesNotWaitForTheConsumer),
    "replica's load: the answers of the rows are not read": loading(DoesNotReadTheAnswers),
    "replica's load: the last item of a page is skipped": loading(SkipsTheLastItemOfAPage),
}
