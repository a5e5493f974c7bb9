"""A quarantine that leaves out what an operator has settled before."""

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from lockstep.quarantine.bucket import is_settled
from lockstep.stores.objects import Objects
from shared.quarantine import (
    TABLE_CONSUMER,
    Quarantine,
    QuarantinedRecord,
    QuarantineError,
)


class QuarantineOfTheUnsettled:
    """Stores a record unless it was redriven or discarded: then it is settled already.

    What the table's consumer had quarantined is settled for the index, too, which may be fed from
    the table: its event is on the stream again, or an operator chose what is stored, or discarded
    it. `redriven` counts the records that were left out.
    """

    def __init__(self, quarantine: Quarantine, objects: Objects) -> None:
        self._quarantine = quarantine
        self._objects = objects
        self.redriven = 0

    @property
    def longest_put(self) -> float:
        """See `Quarantine.longest_put`."""
        return self._quarantine.longest_put

    def put(self, record: QuarantinedRecord) -> None:
        """See `Quarantine.put`.

        Raises:
            QuarantineError: it is unknown whether the record is durable, or was settled.
        """
        of_table = msgspec.structs.replace(record, function=TABLE_CONSUMER)
        if any(self._was_settled(key) for key in {record.key, of_table.key}):
            self.redriven += 1
        else:
            self._quarantine.put(record)

    def _was_settled(self, key: str) -> bool:
        try:
            return is_settled(self._objects, key)
        except (BotoCoreError, ClientError) as error:
            raise QuarantineError(f"whether {key} was settled: {error}") from error
