"""Seeded bugs of the consumer that writes to Table Store: its sink, its versions, its delivery."""

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, override

from tablestore import ComparatorType, Condition, Row, UpdateRowItem

from functions.write_to_tablestore import guard
from functions.write_to_tablestore.changes import _change, changes_by
from functions.write_to_tablestore.connect import MISCONFIGURED, REFUSED, REQUEST_SECONDS
from functions.write_to_tablestore.deliver_rows import _RowBatch, deliver_rows
from functions.write_to_tablestore.requests import RowError, as_sent
from functions.write_to_tablestore.rows import RowChange, RowPut, columns_of
from functions.write_to_tablestore.sink import ReplicaTable, _Missing
from lockstep.simulation.replica.components import REPLICA, ReplicaComponents, replica_table
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Refused, Stale
from shared.sink import RequestRefusedError, RequestTimedOutError
from tests.simulation.rewired import rewired


def sink(table: type[ReplicaTable]) -> ReplicaComponents:
    return ReplicaComponents(
        sink=lambda client, conversion, deletions: table(
            client,
            REPLICA,
            conversion.key_columns,
            longest_request=REQUEST_SECONDS,
            deletions=deletions,
        )
    )


def delivering(batch: type[_RowBatch]) -> ReplicaComponents:
    return ReplicaComponents(deliver=rewired(deliver_rows, _RowBatch=batch))


def versions(**other: Callable[..., str]) -> ReplicaComponents:
    """Other functions of the guard, in the changes of the stream."""
    its = {"version": guard.version, "label_in": guard.label_in} | other
    return ReplicaComponents(
        changes_by=rewired(changes_by, _change=rewired(_change, guard=SimpleNamespace(**its)))
    )


class _OtherCondition(ReplicaTable):
    """A table whose condition on the version is another one."""

    @staticmethod
    def condition(condition: Condition) -> Condition | None:
        raise NotImplementedError

    @override
    def _item(self, change: RowChange, expected: str) -> Any:
        item = super()._item(change, expected)
        if item.condition.get_column_condition() is not None:
            item.condition = self.condition(item.condition)
        return item


class EqualVersionsPass(_OtherCondition):
    @staticmethod
    @override
    def condition(condition: Condition) -> Condition:
        condition.get_column_condition().set_comparator(ComparatorType.LESS_EQUAL)
        return condition


class WithoutCondition(_OtherCondition):
    @staticmethod
    @override
    def condition(condition: Condition) -> Condition:
        return Condition("IGNORE")


class RowsWithoutAVersionFail(_OtherCondition):
    @staticmethod
    @override
    def condition(condition: Condition) -> Condition:
        condition.get_column_condition().set_pass_if_missing(False)
        return condition


class OldColumnsStay(ReplicaTable):
    """An update writes the columns of the item, and does not remove those of the old one."""

    @override
    def _item(self, change: RowChange, expected: str) -> Any:
        item = super()._item(change, expected)
        if not isinstance(change, RowPut):
            return item
        columns = {"PUT": as_sent(columns_of(change))}
        return UpdateRowItem(Row(as_sent(change.key), columns), item.condition)

    @override
    def _write(self, client: Any, changes: Sequence[RowChange], expected: str) -> Any:
        return super()._write(_UpdatesAsPuts(client), changes, expected)


class _UpdatesAsPuts:
    """A client whose answers have the updates among the puts."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def batch_write_row(self, request: Any) -> Any:
        answer = self._client.batch_write_row(request)
        for table, rows in answer.table_of_update.items():
            answer.table_of_put.setdefault(table, []).extend(rows)
        return answer


class AnswersOfRowsAreNotRead(ReplicaTable):
    @override
    def _write(self, client: Any, changes: Sequence[RowChange], expected: str) -> Any:
        answers = super()._write(client, changes, expected)
        return [Applied() if isinstance(one, Failed | Refused) else one for one in answers]


class OtherAnswerOfARow(ReplicaTable):
    """A table that reads the error of a row differently."""

    def other(self, outcome: Outcome) -> Outcome:
        raise NotImplementedError

    @override
    def _read_error(self, error: RowError) -> Any:
        read = super()._read_error(error)
        return self.other(read) if isinstance(read, Failed | Refused) else read


class AThrottledRowIsWritten(OtherAnswerOfARow):
    @override
    def other(self, outcome: Outcome) -> Outcome:
        return Applied() if isinstance(outcome, Failed) else outcome


class AThrottledRowIsRefused(OtherAnswerOfARow):
    @override
    def other(self, outcome: Outcome) -> Outcome:
        return Refused(outcome.detail) if isinstance(outcome, Failed) else outcome


class ARefusedRowIsTriedForEver(OtherAnswerOfARow):
    @override
    def other(self, outcome: Outcome) -> Outcome:
        return Failed(outcome.detail) if isinstance(outcome, Refused) else outcome


class OtherComparison(ReplicaTable):
    """A table that compares a change with the stored row differently."""

    def other(self, outcome: Outcome) -> Outcome:
        raise NotImplementedError

    @override
    def _compare(self, change: RowChange, columns: Any) -> Outcome | _Missing:
        compared = super()._compare(change, columns)
        return compared if isinstance(compared, _Missing) else self.other(compared)


class EqualVersionsAreAConflict(OtherComparison):
    @override
    def other(self, outcome: Outcome) -> Outcome:
        return Conflict("other content") if isinstance(outcome, Duplicate) else outcome


class AStaleChangeIsHeldBack(OtherComparison):
    @override
    def other(self, outcome: Outcome) -> Outcome:
        return Failed("the row is newer") if isinstance(outcome, Stale) else outcome


class AFailedConditionIsRefused(OtherComparison):
    @override
    def other(self, outcome: Outcome) -> Outcome:
        return Refused("the condition failed")


class ATimeoutIsSuccess(ReplicaTable):
    @override
    def send(self, changes: Sequence[RowChange], within: float | None = None) -> Sequence[Outcome]:
        try:
            return super().send(changes, within)
        except RequestTimedOutError:
            return [Applied()] * len(changes)


class ARefusedRequestRefusesAllItsRows(_RowBatch):
    @override
    def _send_in_time(self, request: Sequence[RowChange]) -> Sequence[Outcome]:
        try:
            return super()._send_in_time(request)
        except RequestRefusedError as error:
            return [Refused(str(error))] * len(request)


class TheFirstChangeOfABatchWins(_RowBatch):
    @override
    def write(self, keys: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        return super().write({key: candidates[::-1] for key, candidates in keys.items()})


def auth_failed_refuses() -> ReplicaComponents:
    """OTSAuthFailed is about the row, so the records go to quarantine."""

    class Table(ReplicaTable):
        @override
        def send(
            self, changes: Sequence[RowChange], within: float | None = None
        ) -> Sequence[Outcome]:
            try:
                return super().send(changes, within)
            except Exception as error:
                if any(code in str(error) for code in MISCONFIGURED - REFUSED):
                    return [Refused(str(error))] * len(changes)
                raise

        @override
        def check(self) -> None:
            if self._kinds is None:
                super().check()

    return sink(Table)


def without_padding(label: str, number: str) -> str:
    return f"{label}/{number}"


def without_label(_label: str, number: str) -> str:
    return guard.version("2026-11-21T08:00:00.000", number)


def setting_of_the_label_ignored(conversion: Any, _label: str | None) -> Any:
    return changes_by(conversion, None)


WRONG: Mapping[str, ReplicaComponents] = {
    "replica: equal versions pass": sink(EqualVersionsPass),
    "replica: no condition on the version": sink(WithoutCondition),
    "replica: a row without a version fails the condition": sink(RowsWithoutAVersionFail),
    "replica: columns of the old item stay": sink(OldColumnsStay),
    "replica: a removal deletes the row": ReplicaComponents(
        sink=lambda client, conversion, _: replica_table(client, conversion, "row")
    ),
    "replica: the answers of the rows are not read": sink(AnswersOfRowsAreNotRead),
    "replica: a throttled row counts as written": sink(AThrottledRowIsWritten),
    "replica: a throttled row is refused": sink(AThrottledRowIsRefused),
    "replica: a refused row is tried for ever": sink(ARefusedRowIsTriedForEver),
    "replica: equal versions are a conflict": sink(EqualVersionsAreAConflict),
    "replica: a stale change is held back": sink(AStaleChangeIsHeldBack),
    "replica: a failed condition is a refusal": sink(AFailedConditionIsRefused),
    "replica: a request that timed out counts as written": sink(ATimeoutIsSuccess),
    "replica: OTSAuthFailed refuses the rows": auth_failed_refuses(),
    "replica: a refused request refuses all its rows": delivering(ARefusedRequestRefusesAllItsRows),
    "replica: the first change of an item in a batch wins": delivering(TheFirstChangeOfABatchWins),
    "replica: sequence numbers without padding": versions(version=without_padding),
    "replica: the label is no part of the version": versions(version=without_label),
    "replica: the setting STREAM_LABEL is ignored": ReplicaComponents(
        changes_by=setting_of_the_label_ignored
    ),
    "replica: a tombstone ends a day too early": ReplicaComponents(
        changes_by=rewired(
            changes_by,
            _change=rewired(_change, end_of_tombstone=lambda at: at // 1000 + 120 * 86_400),
        )
    ),
}
