"""The ledger: what the author of each record meant by its data."""

import json
from dataclasses import replace
from typing import Any

from lockstep.simulation import oracle
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.interpretation import Interpretation, Poison
from lockstep.simulation.oracle import DELETED, Meaning
from lockstep.simulation.violation import ViolationError


class Ledger:
    """What each record means, as its author told. Nothing that the product encoded is decoded.

    The one exception is a version that the product chooses, when an operator corrects or chooses an
    event. It is read from the record, and the rest must be as the operator meant it.
    """

    def __init__(self) -> None:
        self._meant: dict[bytes, Interpretation] = {}
        self._settled: dict[str, list[Meaning]] = {}

    def note(self, data: bytes, meant: Interpretation) -> None:
        """Note what records with this data mean."""
        self._meant[data] = meant

    def note_produced(self, meant: Meaning) -> None:
        """Note an event whose record the producer writes."""
        self._meant[meant.data] = meant

    def note_settled(self, meant: Meaning) -> None:
        """Note an event that the product may put onto the stream with a version of its own."""
        self._settled.setdefault(meant.image_id, []).append(meant)

    def note_chosen(self, meant: Interpretation | None) -> None:
        """Note content that an operator chooses: it becomes an event with a new version."""
        if isinstance(meant, Meaning):
            kind = DELETED if meant.image is None else "image.updated"
            self.note_settled(replace(meant, event_type=kind))

    def meant_by(self, data: bytes) -> Interpretation:
        """What the author of this data meant, whatever its key and its arrival.

        Raises:
            ViolationError: nobody meant it, so a part of the product changed an event.
        """
        found = self._meant.get(data)
        if found is None:
            found = self._settlement(data)
            self._meant[data] = found
        return found

    def event_in(self, accepted: AcceptedRecord) -> Meaning | None:
        """The event in a record, whatever its key and its arrival; None if there is none."""
        meant = self.meant_by(accepted.data)
        return None if isinstance(meant, Poison) else meant

    def _settlement(self, data: bytes) -> Meaning:
        event = _event(data)
        for meant in self._settled.get(event["image_id"], ()):
            versioned = oracle.at_version(meant, event["version"])
            if versioned.data == data:
                return oracle.as_produced(versioned)
        raise ViolationError("I1", f"nobody meant the record {data!r}")


def _event(data: bytes) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except ValueError:
        event = None
    if not isinstance(event, dict) or not {"image_id", "version"} <= event.keys():
        raise ViolationError("I1", f"nobody meant the record {data!r}")
    return event
