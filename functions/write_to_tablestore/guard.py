"""The guard: the version of a row, and the columns that hold it.

A version is `LABEL/NUMBER`: the label of the table's stream, and the sequence number of the record.
The label is the time at which the stream was enabled. So a later stream has higher versions, and in
one stream the order of the records of an item is that of their sequence numbers. Versions are text,
and their order is that of text: the label has milliseconds, and the number 40 digits.
"""

import re
from typing import Final

# A sequence number has 21 to 40 digits
# (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_StreamRecord.html).
NUMBER_DIGITS: Final = 40
_LABEL = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z?")
_MILLISECOND_DIGITS = 3
_VERSION = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}/\d{40}", re.ASCII)


def normalized_label(label: str) -> str:
    """The label of a stream, with exactly three digits for milliseconds.

    Raises:
        ValueError: it is no label of a stream.
    """
    found = _LABEL.fullmatch(label)
    if found is None:
        raise ValueError(f"{label!r} is no label of a stream, such as 2026-11-30T01:23:45.678")
    fraction = (found[2] or "").ljust(_MILLISECOND_DIGITS, "0")[:_MILLISECOND_DIGITS]
    return f"{found[1]}.{fraction}"


def label_in(stream: str) -> str:
    """The label in the name of a stream: `TABLE/stream/LABEL`, the end of its ARN.

    Raises:
        ValueError: there is none.
    """
    return normalized_label(stream.rpartition("/")[2])


def version(label: str, sequence_number: str) -> str:
    """The version of a row.

    Args:
        label: the label of the stream, normalized.
        sequence_number: the record's.

    Raises:
        ValueError: it is no sequence number.
    """
    if not (sequence_number.isascii() and sequence_number.isdecimal()):
        raise ValueError(f"{sequence_number!r} is no sequence number")
    if len(sequence_number) > NUMBER_DIGITS:
        raise ValueError(f"a sequence number has at most {NUMBER_DIGITS} digits")
    return f"{label}/{sequence_number.zfill(NUMBER_DIGITS)}"


def lowest_version(label: str) -> str:
    """A version below each record of this stream, and above each of an earlier one."""
    return version(label, "0")


def label_of(found: object) -> str | None:
    """The label in what a row has as its version; None if that is no version."""
    return found.partition("/")[0] if isinstance(found, str) and _VERSION.fullmatch(found) else None
