"""The steps of a shard, which its driver performs, and what becomes of a batch after a failure."""

import math
from typing import Literal

import msgspec

from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.windows import WindowView

type Condition = Literal["RetryAttemptsExhausted", "RecordAgeExceeded"]


class Read(msgspec.Struct, frozen=True):
    """Read at most `limit` records; then call `records_read` or `read_failed`."""

    limit: int


class Invoke(msgspec.Struct, frozen=True):
    """Invoke the function with these records; then call `invocation_ended` for this lane.

    Steps of other lanes may run during the invocation. `view` is set in tumbling windows only.
    """

    entries: tuple[BatchRecord, ...]
    lane: int = 0
    view: WindowView | None = None


class Discard(msgspec.Struct, frozen=True):
    """Discard these records: write the failure document, if there is an on-failure destination.

    Then call `discarded`; or call `discard_failed` if the write failed, and this step is repeated.
    Steps of other lanes may run during the write. `invocations` counts those of the last quota of
    retries. `request_id` is the last invocation's, None if the function was never invoked. Without
    records, the final invocation of a tumbling window is discarded; no record is lost.
    """

    entries: tuple[BatchRecord, ...]
    condition: Condition
    invocations: int
    request_id: str | None
    function_error: str | None
    lane: int = 0


class Advance(msgspec.Struct, frozen=True):
    """Save this sequence number as the checkpoint, durably; then call `checkpoint_saved`."""

    sequence_number: str


class Wait(msgspec.Struct, frozen=True):
    """Ask again at this time, in seconds since 1970, or when a running step has ended.

    `until` is infinite if there is nothing to do before a running step ends.
    """

    until: float


# Nothing to do before a running step ends.
BUSY = Wait(math.inf)


class Finished(msgspec.Struct, frozen=True):
    """The shard is closed and read to its end, and all records are settled."""


type Step = Read | Invoke | Discard | Advance | Wait | Finished


class Settled(msgspec.Struct, frozen=True):
    """The whole batch is settled."""


class Progressed(msgspec.Struct, frozen=True):
    """The first `done` records are settled; the other `left` continue at once with a new quota."""

    cause: str
    done: int
    left: int


class Halved(msgspec.Struct, frozen=True):
    """The batch is split in two halves, which does not count as a retry."""

    cause: str
    records: int


class Retrying(msgspec.Struct, frozen=True):
    """The same records are retried after `pause` seconds."""

    cause: str
    records: int
    pause: float


class RetriesExhausted(msgspec.Struct, frozen=True):
    """No retry is left: the records will be discarded."""

    cause: str
    records: int


type Turn = Settled | Progressed | Halved | Retrying | RetriesExhausted
