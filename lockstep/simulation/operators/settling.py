"""Decide about cases as an operator does, and check what the commands make of the decisions."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Raw

from lockstep.quarantine.cases import Case, NeedsChoice
from lockstep.quarantine.records import event_bytes
from lockstep.quarantine.settlement import CannotSettleError, Settlement
from lockstep.simulation import oracle
from lockstep.simulation.oracle import Meaning
from lockstep.simulation.system import System
from lockstep.simulation.violation import ViolationError
from lockstep.stores.contents import ContentReader, MalformedContentError
from shared.quarantine import QuarantinedRecord

_CORRECTION: Mapping[str, Any] = {"type": "image.updated", "image": {"name": "mended"}}
_DELETION: Mapping[str, Any] = {"type": "image.deleted"}
_CHOICES: Sequence[Literal["this", "stored"]] = ("this", "stored")
# A new stamp leaves so many above the stored one free (docs/internals/invariants.md, Versions).
_FREE_STAMPS = 1_000
_SECOND_US = 1_000_000


class Settling:
    """The decisions of the operators of one system."""

    def __init__(self, system: System, stores: ContentReader, clock: Callable[[], float]) -> None:
        """`stores` reads what is stored, as the commands do; `clock` is the operator's."""
        self._system = system
        self._now = clock
        self._stores = stores

    def settle(self, case: Case, record: QuarantinedRecord) -> Settlement | None:
        """Choose one of two contents, or correct the event; None if the command refuses.

        Raises:
            ViolationError: the decision would undo a newer version, or follows a version that only
                the index has.
        """
        chance = self._system.conditions.chance
        chooses = isinstance(case.verdict, NeedsChoice) or case.of_index_only
        if chance.random() < 0.2:  # noqa: PLR2004 - an operator may also do the other
            chooses = not chooses
        try:
            if chooses:
                return self._chosen(case, record)
            return self._mended(case, record)
        except (CannotSettleError, MalformedContentError):
            return None

    def _chosen(self, case: Case, record: QuarantinedRecord) -> Settlement:
        what = self._system.conditions.chance.choice(_CHOICES)
        if not case.of_index_only:
            self._note_choice(what, case, record)
        settled = self._system.components.choose(
            what, case, event_bytes(record), self._stores, now=self._now()
        )
        self._check_version(settled)
        return settled

    def _mended(self, case: Case, record: QuarantinedRecord) -> Settlement:
        chance = self._system.conditions.chance
        intent = dict(_CORRECTION if chance.random() < 0.8 else _DELETION)  # noqa: PLR2004 - mostly
        intent["image_id"] = case.image
        named = self._named_version(case)
        if named is not None:
            intent["version"] = named
        self._note_correction(case, intent)
        event = Raw(msgspec.json.encode(intent))
        stored = case.image in self._system.table.items
        settled = self._system.components.correct(
            case, event_bytes(record), event, self._stores, now=self._now()
        )
        if named is not None and settled.event is not None:
            self._system.may_return.add((settled.event.image_id, settled.event.version))
        self._check_version(settled, named)
        if named is None and not stored:
            self._check_known(settled, record)
        self._check_undoes_nothing(settled, named)
        return settled

    def _note_choice(
        self, what: Literal["this", "stored"], case: Case, record: QuarantinedRecord
    ) -> None:
        """Note which content may become an event: that of the record, or of the table's item.

        None of a case that only the index has: then the index gets the table's content.
        """
        if case.of_index_only:
            return
        ledger = self._system.ledger
        if what == "this":
            ledger.note_chosen(ledger.meant_by(base64.b64decode(record.payload)))
            return
        item = self._system.table.items.get(case.image)
        if item is None:
            return
        ledger.note_chosen(self._system.meaning_of(item))
        if case.image in self._system.touched["write_to_dynamodb"]:
            ledger.note_chosen(_stated(item))

    def _note_correction(self, case: Case, intent: Mapping[str, Any]) -> None:
        """Note the corrected event: without a time, it occurred when its record arrived."""
        arrival = oracle.time_of(case.arrived_at * 1000)
        meant = Meaning(case.image, 0, intent["type"], arrival, intent.get("image"))
        self._system.ledger.note_settled(meant)

    def _named_version(self, case: Case) -> int | None:
        """The version that the operator writes into the event; mostly none."""
        chance = self._system.conditions.chance
        if chance.random() < 0.6:  # noqa: PLR2004 - mostly
            return None
        now = int(self._system.time.now * _SECOND_US)
        near = case.version or now
        return max(1, chance.choice((near, near - 1, near + 1, near + 1_000, now)))

    def _in_table(self, image_id: str) -> int:
        """The version that the table holds of an image by the operator's clock; 0: none."""
        item = self._system.table.items.get(image_id)
        if item is None:
            return 0
        expired = "expires_at" in item and int(item["expires_at"]["N"]) <= self._now()
        return 0 if expired else int(item.get("version", {}).get("N", "0"))

    def _check_version(self, settled: Settlement, named: int | None = None) -> None:
        """O5: a new version follows from the clock, the record and the table, not from the index.

        The index's role may write any version.
        """
        event = settled.event
        if event is None or event.version == named:
            return
        now = int(self._now() * _SECOND_US)
        # Two programs may stamp an image in the same microsecond: a conflict, which is no rule's.
        if event.version not in {settled.case.version, now}:
            self._system.chosen.add((event.image_id, event.version))
        known = max(settled.case.version or 0, named or 0, self._in_table(event.image_id))
        if event.version > max(now, known + 1 + _FREE_STAMPS):
            raise ViolationError(
                "O5", f"redrive: version {event.version} of {event.image_id} is only the index's"
            )

    def _check_known(self, settled: Settlement, record: QuarantinedRecord) -> None:
        """O5: if nothing shows how the source numbers versions, a correction makes none up.

        All later events of a source that counts would be lower than a stamp.
        """
        event = settled.event
        if event is None or event.image_id in self._system.table.items:
            return
        if b'"version"' not in base64.b64decode(record.payload):
            raise ViolationError(
                "O5", f"redrive: version {event.version} of {event.image_id} may outrun its source"
            )

    def _check_undoes_nothing(self, settled: Settlement, named: int | None) -> None:
        """O5: a correction does not undo what came after it, and is not dropped for no reason."""
        held = self._in_table(settled.case.image)
        asked = named or settled.case.version
        if asked is None:
            return
        if settled.event is not None and asked < held:
            raise ViolationError(
                "O5",
                f"redrive: the correction of version {asked} of {settled.case.image} undoes "
                f"version {held}",
            )
        if settled.event is None and asked >= held:
            raise ViolationError(
                "O1", f"redrive: the correction of version {asked} is dropped, {held} is stored"
            )


def _stated(item: Mapping[str, Any]) -> Meaning | None:
    """What an item says that was changed by hand; None if it says nothing that an event can say."""
    plain = {name: oracle.plain(value) for name, value in item.items()}
    try:
        return Meaning(
            plain["image_id"],
            int(plain["version"]),
            "image.updated",
            plain["occurred_at"],
            None if plain["deleted"] else plain["image"],
        )
    except (KeyError, TypeError, ValueError):
        return None
