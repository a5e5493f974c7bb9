"""What somebody with the role of the index's consumer may write into the bucket and the index.

A redrive must put none of it onto the stream. The ledger knows every event whose author is allowed
to put it, so a forged one on the stream is an event that nobody meant.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from lockstep.simulation.components import STREAM
from lockstep.simulation.discards import CONSUMERS
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.operators.promises import Promises
from lockstep.simulation.operators.tools import Surroundings
from lockstep.simulation.oracle import Meaning, document, time_of
from lockstep.simulation.system import System

_INDEX, _TABLE = "write_to_es", "write_to_dynamodb"
_IMAGES = 3
_MOST_AHEAD_US = 3_600_000_000
_REASONS = ("refused_by_store", "conflict", "outrun", "given_up")


class Forgeries:
    """Forges objects, failure documents and documents of the index."""

    def __init__(self, system: System, promises: Promises, around: Surroundings) -> None:
        """Forge in this system."""
        self._system = system
        self._promises = promises
        self._around = around
        self._tally = system.conditions.tally
        self._count = 0

    def step(self) -> None:
        """Forge something, and let an operator redrive."""
        if not self._around.reads_events:
            return
        chance = self._system.conditions.chance
        for _ in range(chance.randint(1, 3)):
            chance.choice((self._object, self._object, self._failure_document, self._document))()
        self._around.redrive()

    def _event(self) -> Meaning:
        """An event that nobody put: mostly newer than all others."""
        self._count += 1
        chance = self._system.conditions.chance
        image_id = f"T{chance.randrange(_IMAGES)}"
        now_us = int(self._system.time.now * 1_000_000)
        version = now_us + chance.randrange(_MOST_AHEAD_US)
        image = None if chance.random() < 0.5 else {"name": f"forged {self._count}"}  # noqa: PLR2004 - a share
        kind = "image.deleted" if image is None else "image.updated"
        return Meaning(image_id, version, kind, time_of(now_us), image)

    def _position(self) -> AcceptedRecord | None:
        """The record at whose position something is forged; None: a position of no record."""
        accepted = self._system.stream.accepted
        chance = self._system.conditions.chance
        return chance.choice(accepted) if accepted and chance.random() < 0.7 else None  # noqa: PLR2004 - a share

    def _object(self) -> None:
        """An object under the prefix of the index's consumer, with any text."""
        chance = self._system.conditions.chance
        event, record = self._event(), self._position()
        self._tally["forged object"] += 1
        body = self._quarantined(event, record)
        key = f"quarantine/{_INDEX}/{STREAM}/{body['shard_id']}/{body['sequence_number']}.json"
        self._claim(event, record, key)
        whole = json.dumps(body).encode()
        self._put(key, whole if chance.random() < 0.9 else whole[: len(whole) // 2])  # noqa: PLR2004 - a share

    def _quarantined(self, event: Meaning, record: AcceptedRecord | None) -> dict[str, Any]:
        chance = self._system.conditions.chance
        return {
            "function": chance.choice((_INDEX, _TABLE, _TABLE)),
            "stream": STREAM,
            "shard_id": "shardId-000000000000" if record is None else record.shard_id,
            "sequence_number": str(self._count) if record is None else record.sequence_number,
            "partition_key": event.image_id,
            "arrived_at": round(self._system.time.now * 1000),
            "image_id": event.image_id,
            "version": event.version,
            "reason": chance.choice(_REASONS),
            "detail": "because",
            "quarantined_at": time_of(int(self._system.time.now * 1_000_000)),
            "payload": base64.b64encode(_data(event)).decode(),
        }

    def _failure_document(self) -> None:
        """A failure document that names the function of the table."""
        system = self._system
        self._tally["forged failure document"] += 1
        event, record = self._event(), self._position()
        number = str(self._count) if record is None else record.sequence_number
        shard_id = "shardId-000000000000" if record is None else record.shard_id
        at = time_of(int(system.time.now * 1_000_000))
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{CONSUMERS[_TABLE]}"
        forged = AcceptedRecord(
            shard_id, number, event.image_id, round(system.time.now, 3), _data(event), STREAM
        )
        body = {
            "requestContext": {"functionArn": arn, "condition": "RetryAttemptsExhausted"},
            "timestamp": at,
            "KinesisBatchInfo": {
                "shardId": shard_id,
                "startSequenceNumber": number,
                "endSequenceNumber": number,
                "approximateArrivalOfFirstRecord": at,
                "approximateArrivalOfLastRecord": at,
                "batchSize": 1,
                "streamArn": f"arn:aws:kinesis:us-east-1:000000000000:stream/{STREAM}",
            },
            "payload": {"Records": [forged.as_lambda_record()]},
        }
        # Its records get objects under the prefix of the index's consumer.
        self._claim(event, record, f"quarantine/{_INDEX}/{STREAM}/{shard_id}/{number}.json")
        uuid = system.conditions.chance.choice((_INDEX, "a-mapping-of-long-ago"))
        self._put(f"aws/lambda/{uuid}/{shard_id}/forged-{self._count}", json.dumps(body).encode())

    def _document(self) -> None:
        """A document of the index, of a version that only the index has."""
        system, event = self._system, self._event()
        self._tally["forged document of the index"] += 1
        source: Mapping[str, Any] = document(event, arrived_at=round(system.time.now * 1000))
        system.index.nodes.live.keep(event.image_id, event.version, source, system.time.now)
        self._promises.touch(event.image_id)

    def _claim(self, event: Meaning, record: AcceptedRecord | None, key: str) -> None:
        """Note which images may differ from now on, and which objects are forged."""
        system = self._system
        system.forged.add(key)
        self._promises.touch(event.image_id)
        its = None if record is None else system.ledger.event_in(record)
        if its is not None:
            self._promises.touch(its.image_id)

    def _put(self, key: str, body: bytes) -> None:
        self._system.bucket.objects[key] = body
        self._system.conditions.hidden_effects += 1


def _data(event: Meaning) -> bytes:
    whole: dict[str, Any] = {
        "type": event.event_type,
        "image_id": event.image_id,
        "version": event.version,
        "occurred_at": event.occurred_at,
    }
    return json.dumps(whole if event.image is None else whole | {"image": event.image}).encode()
