"""Column names: from any attribute name of DynamoDB to a name that Table Store accepts, and back.

Table Store accepts ASCII letters, digits and underscores, and no digit at the beginning. Each other
character becomes `_xHHHH_`, its code in four or eight hexadecimal digits. So `price.eur` becomes
`price_x002E_eur`. What already looks like such an escape is escaped, too, so the rule can be
reversed. The columns of the version check belong to this system, so an attribute with such a name
is escaped at its first letter.
"""

import re
from typing import Final

# The columns of the version check.
VERSION: Final = "lockstep_version"
AT: Final = "lockstep_at"
DELETED: Final = "lockstep_deleted"
PURGE_AT: Final = "lockstep_purge_at"
GUARD_COLUMNS: Final = (VERSION, AT, DELETED, PURGE_AT)

# https://www.alibabacloud.com/help/en/tablestore/limits-on-widecolumn-model
MAX_NAME_BYTES: Final = 255
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# An underscore that begins something like an escape, another character than the allowed ones, or a
# digit at the beginning.
_TO_ESCAPE = re.compile(r"_(?=x[0-9A-F]{4})|[^A-Za-z0-9_]|\A[0-9]")
_ESCAPE = re.compile(r"_x([0-9A-F]{8}|[0-9A-F]{4})_")
_LONGEST_SHORT = 0xFFFF


def escaped(name: str) -> str:
    """The column for an attribute. Different attributes get different columns."""
    if name in GUARD_COLUMNS:
        return _code(name[0]) + name[1:]
    return _TO_ESCAPE.sub(lambda found: _code(found[0]), name)


def unescaped(column: str) -> str:
    """The attribute for a column that `escaped` has made."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), column)


def flaw_in_name(column: str) -> str | None:
    """Say why Table Store refuses a column of this name; None if it does not."""
    if not _NAME.fullmatch(column):
        return "use ASCII letters, digits and underscores, and no digit at the beginning"
    if len(column) > MAX_NAME_BYTES:
        return f"{len(column)} characters, at most {MAX_NAME_BYTES}"
    return None


def _code(character: str) -> str:
    code = ord(character)
    return f"_x{code:04X}_" if code <= _LONGEST_SHORT else f"_x{code:08X}_"
