"""Answers of DynamoDB that are whole."""

from typing import TYPE_CHECKING

from lockstep.console.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef, GetItemOutputTypeDef


class CutAnswerError(UserError):
    """An answer ended before its content, so it is unknown what is stored."""


def item_in(
    answer: "GetItemOutputTypeDef", table: str
) -> "Mapping[str, AttributeValueTypeDef] | None":
    """The item that a `get_item` found; None if there is none.

    The request must ask for the consumed capacity, which every whole answer has: an empty answer
    would read as "no such item".

    Raises:
        CutAnswerError: the answer is cut off.
    """
    if "ConsumedCapacity" not in answer:
        raise CutAnswerError(f"table {table}: an empty answer")
    return answer.get("Item")
