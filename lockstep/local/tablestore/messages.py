"""The protobuf messages of Table Store, as Alibaba's own SDK for Python has them.

The extra `tablestore` installs the SDK. Its import also loads its client.
"""

from typing import Any

from google.protobuf.message import DecodeError, Message
from tablestore.protobuf import table_store_filter_pb2 as filters
from tablestore.protobuf import table_store_pb2 as tables

__all__ = ["NotAMessageError", "filters", "parsed", "tables"]


class NotAMessageError(ValueError):
    """The bytes are not a message of this kind."""


def parsed(kind: Any, data: bytes) -> Any:
    """Read a message.

    Raises:
        NotAMessageError: the bytes are none of this kind, or a text in them is not UTF-8, which
            the library accepts.
    """
    try:
        message = kind.FromString(data)
    except DecodeError as error:
        raise NotAMessageError from error
    _check_texts(message)
    return message


def _check_texts(message: Message) -> None:
    for field, value in message.ListFields():
        values = value if field.label == field.LABEL_REPEATED else [value]
        if field.type == field.TYPE_STRING and not all(isinstance(one, str) for one in values):
            raise NotAMessageError
        if field.type == field.TYPE_MESSAGE:
            for one in values:
                _check_texts(one)
