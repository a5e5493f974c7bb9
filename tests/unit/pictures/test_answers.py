"""Answers of DynamoDB that end too early."""

import pytest

from lockstep.pictures.bucket.answers import CutAnswerError, item_in


def test_an_answer_without_an_item_is_whole_if_it_says_what_it_cost() -> None:
    assert item_in({"ConsumedCapacity": {}}, "rows") is None  # type: ignore[typeddict-item]


def test_an_empty_answer_does_not_mean_that_there_is_no_item() -> None:
    with pytest.raises(CutAnswerError, match="table rows: an empty answer"):
        item_in({}, "rows")  # type: ignore[typeddict-item]
