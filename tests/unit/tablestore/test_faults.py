"""Faults on demand: of requests, of rows, and of answers whose write took effect."""

import pytest
from tablestore import BatchWriteRowRequest, PutRowItem, Row, TableInBatchWriteRowItem

from lockstep.local.tablestore import faults
from lockstep.local.tablestore.errors import TableStoreError
from lockstep.local.tablestore.faults import Fault
from tests.unit.tablestore.client import IGNORE, TableStore, refusal

ALL = [one for one in vars(faults).values() if isinstance(one, TableStoreError)]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.code)
def test_a_request_fails_as_a_test_says(tablestore: TableStore, error: TableStoreError) -> None:
    tablestore.faults.operation, tablestore.faults.fault = "PutRow", Fault(error)
    assert refusal(tablestore.put, "a", one=1) == (error.status, error.code, error.message)
    assert tablestore.get("a") is None


def test_an_answer_is_lost_although_the_write_took_effect(tablestore: TableStore) -> None:
    tablestore.faults.operation = "PutRow"
    tablestore.faults.fault = Fault(faults.TIMEOUT, applied=True)
    for of_row in (None, "a"):
        tablestore.faults.row = of_row
        assert refusal(tablestore.put, "a", fault=str(of_row))[1] == "OTSTimeout"
        assert tablestore.get("a") == {"fault": str(of_row)}


def test_one_row_of_a_batch_fails(tablestore: TableStore) -> None:
    request = BatchWriteRowRequest()
    items = [PutRowItem(Row([("id", key)], [("one", 1)]), IGNORE) for key in "ab"]
    request.add(TableInBatchWriteRowItem("rows", items))
    tablestore.faults.operation, tablestore.faults.row = "PutRow", "a"
    tablestore.faults.fault = Fault(faults.ROW_CONFLICT)
    succeeded, failed = tablestore.client.batch_write_row(request).get_put()
    assert [one.index for one in succeeded] == [1]
    assert [(one.index, one.error_code) for one in failed] == [(0, "OTSRowOperationConflict")]
    assert tablestore.get("b") == {"one": 1}
