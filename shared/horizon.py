"""How long a record may be redriven, and how long a tombstone stays.

They are constants. If they followed from settings, a change of a setting could end a tombstone
before the last record that it must stop (docs/internals/invariants.md, Deletions).
"""

import datetime as dt
from typing import Final

# A quarantined record may be put back under its own version until it is this old.
QUARANTINE_AGE: Final = dt.timedelta(days=90)
# A stream may keep a record this long. Kinesis allows 365 days; status and audit warn about more.
LONGEST_RETENTION: Final = dt.timedelta(days=30)
# A tombstone stays this long after the arrival of its record. The last day is for versions ahead.
HORIZON: Final = QUARANTINE_AGE + LONGEST_RETENTION + dt.timedelta(days=1)

# A table may be restored this far back. A deletion may reach the table a whole retention after the
# index, whose tombstone then expires that much earlier.
RESTORABLE: Final = HORIZON - LONGEST_RETENTION


def end_of_tombstone(arrived_at: int) -> int:
    """When the tombstone of a deletion expires, in seconds since 1970.

    Args:
        arrived_at: the arrival of the deletion's record, in milliseconds since 1970.
    """
    return arrived_at // 1000 + _HORIZON_SECONDS


_HORIZON_SECONDS = int(HORIZON.total_seconds())
