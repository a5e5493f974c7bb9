"""Keeps replaced documents in the bucket, so that `lockstep put` can bring them back."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from lockstep.stores.image_state import (
    Malformed,
    state_of_document,
)
from lockstep.stores.objects import Objects
from shared.change import Change, Put
from shared.event import InvalidEventError, decode

# Where replaced documents are kept. No consumer may write there (template.yaml).
REPLACED = "replaced/"
_RUN = "%Y-%m-%dT%H%M%S.%fZ"


class ReplacedDocument(msgspec.Struct, frozen=True):
    """A document that an answer kept: its ID, and the version that it states, if any."""

    image_id: str
    version: int | None


class _KeptLine(msgspec.Struct, frozen=True):
    """A line of a file: an event, or a document as OpenSearch returned it."""

    image_id: str | None = None
    version: Any = None
    id: str | None = msgspec.field(default=None, name="_id")
    source: dict[str, Any] = msgspec.field(default_factory=dict, name="_source")


def run_name(at: dt.datetime) -> str:
    """The name of a run that begins at this time, in UTC: a part of its keys."""
    return f"{at:{_RUN}}"


def replaced_at(key: str) -> dt.datetime:
    """When the run began that wrote the object with this key.

    Raises:
        ValueError: no run wrote it.
    """
    run = key.removeprefix(REPLACED).partition("/")[0]
    return dt.datetime.strptime(run, _RUN).replace(tzinfo=dt.UTC)


def replaced_in(body: bytes) -> Iterator[ReplacedDocument]:
    """The documents in an object.

    Raises:
        ValueError: a line is no event and no document.
    """
    for line in body.splitlines():
        found = msgspec.json.decode(line, type=_KeptLine)
        image_id = found.image_id if found.id is None else found.id
        if image_id is None:
            raise ValueError("a line names no image")
        version = found.version if found.id is None else found.source.get("version")
        yield ReplacedDocument(image_id, version if type(version) is int else None)


def event_in(change: Change) -> bytes:
    """The event with this effect, encoded: a line that `lockstep put` accepts.

    Raises:
        InvalidEventError: there is none.
    """
    fields: dict[str, Any] = {
        "type": change.event_type,
        "image_id": change.image_id,
        "version": change.version,
        "occurred_at": change.occurred_at,
    }
    if isinstance(change, Put):
        fields["image"] = msgspec.to_builtins(change.image)
    line = msgspec.json.encode(fields)
    decode(line)
    return line


def _event_of(document: Mapping[str, Any]) -> bytes | None:
    """The event that brings a document back; None if there is none."""
    stored = state_of_document(document)
    if isinstance(stored, Malformed):
        return None
    try:
        return event_in(stored.change)
    except InvalidEventError:
        return None


class Replaced:
    """Keeps replaced documents in the bucket, under one prefix for each run."""

    def __init__(self, objects: Objects, run: str) -> None:
        """Set up the keeping.

        Args:
            objects: the bucket.
            run: a name that no other run has.
        """
        self.prefix = f"{REPLACED}{run}/"
        self._objects = objects
        self._count = 0

    def keep(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Keep documents. Once this returns, they are durable.

        Those that are valid events go to `events-N.ndjson`, one event a line. The others go to
        `documents-N.ndjson` as OpenSearch returned them: no event can bring them back.

        Raises whatever the bucket's client raises.
        """
        events, others = [], []
        for document in documents:
            event = _event_of(document)
            if event is None:
                others.append(msgspec.json.encode(document))
            else:
                events.append(event)
        self._count += 1
        for name, lines in (("events", events), ("documents", others)):
            if lines:
                key = f"{self.prefix}{name}-{self._count:06}.ndjson"
                self._objects.write(key, b"".join(line + b"\n" for line in lines))
