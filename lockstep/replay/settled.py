"""A quarantine that leaves out what an operator has settled before."""

from botocore.exceptions import BotoCoreError, ClientError

from lockstep.quarantine.bucket import redriven_key
from lockstep.stores.objects import Objects
from shared.quarantine import Quarantine, QuarantinedRecord, QuarantineError


class QuarantineOfTheUnsettled:
    """Stores a record unless it was redriven: then it is settled already.

    `redriven` counts the records that were left out.
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
            QuarantineError: it is unknown whether the record is durable, or was redriven.
        """
        try:
            was_redriven = self._objects.read(redriven_key(record.key)) is not None
        except (BotoCoreError, ClientError) as error:
            raise QuarantineError(f"{redriven_key(record.key)}: {error}") from error
        if was_redriven:
            self.redriven += 1
        else:
            self._quarantine.put(record)
