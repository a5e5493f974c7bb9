"""The faults of a history, by name, and how often a run must hit each."""

from collections import Counter
from collections.abc import Mapping
from typing import Literal, get_args

# Records that no consumer accepts. Each kind is also a fault.
PoisonKind = Literal[
    "poison not_utf8",
    "poison not_json",
    "poison schema",
    "poison too_large",
    "poison aggregated",
    "poison partition_key",
    "poison version_ahead",
    "poison table_change",
    "poison conflict",
    "refused by the table",
    "condemned by the table",
    "refused by the index",
]

# What happens only if the index reads, or has read, the table's changes (routes.py).
RouteFault = Literal[
    "index from DynamoDBStreams",
    "index from KinesisDataStreamsForDynamoDB",
    "source changed to Kinesis",
    "source changed to DynamoDBStreams",
    "source changed to KinesisDataStreamsForDynamoDB",
    "old and new source at once",
    "index repaired after a change of its source",
    "change of the table out of order",
    "change of the table copied twice",
    "change of the table given up",
    "item removed by hand",
    "item of another program",
    "malformed item by hand",
    "tombstone that soon ends",
    "purge in the table's stream",
    "index down for a day",
]

Fault = Literal[
    "duplicate delivery",
    "replay of a prefix",
    "full replay from TRIM_HORIZON",
    "late replay of a deletion",
    "two mappings on one function",
    "second producer with another clock",
    "source that counts",
    "count goes back",
    "settled as stale",
    "settled as conflict",
    "settled as outrun",
    "batch of over 5 MiB for the index",
    "several batches of a shard in flight",
    "another invocation in the middle",
    "batch given up",
    "failure document not written",
    "given up, and redriven",
    "shard split",
    "shard merge",
    "reshard storm",
    "clock back",
    "clock ahead",
    "PutRecords failed in part",
    "PutRecords answer lost",
    "statement failed in a 200",
    "statement failed but applied",
    "bulk item failed in a 200",
    "bulk item failed but applied",
    "bulk item 409",
    "bulk item 429",
    "bulk item 500",
    "bulk item 503",
    "bulk item 504",
    "connection reset",
    "answer lost",
    "answer of the table cut at a byte",
    "answer of the index cut at a byte",
    "answer of the quarantine cut at a byte",
    "answer of the stream cut at a byte",
    "zombie request",
    "throttled request",
    "server error",
    "server error, but applied",
    "credentials for the table expired",
    "credentials for the index expired",
    "credentials for the quarantine expired",
    "credentials for the stream expired",
    "request of the table refused as a whole",
    "request of the index refused as a whole",
    "parameters in the URL ignored",
    "keys left unprocessed",
    "request slow by its size",
    "request timed out by its size",
    "crash before a request",
    "crash after a request",
    "crash between requests",
    "crash in a pause",
    "crash before the answer",
    "Lambda timeout",
    "table down",
    "index down",
    "quarantine down",
    "stream down",
    "alias missing",
    "OpenSearch restart",
    "redriven days later",
    "redrive broken off",
    "redrive killed",
    "two redrives at once",
    "corrected days later",
    "chosen days later",
    "too old to be redriven",
    "expired tombstone purged from the table",
    "expired tombstone purged from the index",
    "redriven from the stream",
    "pointed at records that are gone",
    "many records of one image",
    "forged object",
    "forged failure document",
    "forged document of the index",
    "retention changed",
    "chosen while the source went on",
    "records lost by the table's consumer",
    "records lost by the index's consumer",
    "losses acknowledged",
    "imported with a version",
    "imported without a version",
    "import broken off",
    "import killed",
    "import resumed",
    "replayed by an operator",
    "replay killed",
    "replay broken off",
    "audited",
    "audited, and a difference found",
    "audited while a consumer lagged",
    "audited while a store was unreadable",
    "audited after a loss",
    "audited while a consumer was off",
    "item harmed by hand",
    "document harmed by hand",
    "version of a document moved by hand",
    "repaired",
    "repaired in several passes",
    "repair broken off",
    "stopped by the safety limit",
    "two operators at once",
    "others at work during a command",
    "index won",
    "table won",
    "answer broken off",
    "operator killed",
    "table restored",
    "index restored",
    "guide followed to its end",
    "age an hour before its limit",
    "age an hour after its limit",
    "old event redriven, and read again",
    "old event redriven twice",
    "old event held back by its producer",
    "old event at random moments",
    "purged by an operator",
    "two purges at once",
    "rebuilt",
    "rebuilt months after an index was created",
    "rebuild killed",
    "rebuild broken off",
    "two rebuilds at once",
    "bulk in progress at a switch",
    "new index busy",
    "index lost",
    "alias moved",
    "index of another release",
    PoisonKind,
    RouteFault,
]

FAULTS: tuple[Fault, ...] = get_args(Fault)

# What happens only in the histories of a replica in Table Store (replica/).
ReplicaFault = Literal[
    "replica down",
    "row failed in a 200",
    "row failed but applied",
    "request of the replica refused as a whole",
    "answer of the replica cut at a byte",
    "AccessKey of the replica refused",
    "row refused by the replica",
    "request refused because of one row",
    "item that no row can hold",
    "key that no row can hold",
    "item removed",
    "item created again",
    "row that was there before",
    "old records delivered again",
    "removals delete the row",
    "item there before the stream",
    "change while no stream was enabled",
    "stream enabled anew",
    "older stream takes over",
    "loaded",
    "load resumed",
    "load killed",
    "changes during a load",
]
AnyFault = Literal[Fault, ReplicaFault]

# Far below the usual numbers. So a fault is below its floor only if it is no longer injected.
FLOORS_PER_THOUSAND: Mapping[AnyFault, int] = {
    **dict.fromkeys(FAULTS, 2),
    "many records of one image": 1,  # rare, to save time
    "poison too_large": 1,  # rare, to save time: 256 KiB each
    # One history of twelve has another route.
    **dict.fromkeys(
        (
            "purge in the table's stream",
            "source changed to Kinesis",
            "source changed to DynamoDBStreams",
            "source changed to KinesisDataStreamsForDynamoDB",
            "old and new source at once",
            "tombstone that soon ends",
            "change of the table out of order",
        ),
        1,
    ),
    # Rare: a fault, a second operator or a limit must come in the middle of one kind of command.
    **dict.fromkeys(
        (
            "import broken off",
            "two purges at once",
            "repair broken off",
            "answer broken off",
            "operator killed",
            "two operators at once",
            "repaired in several passes",
            "stopped by the safety limit",
            "late replay of a deletion",
            "chosen days later",
            "old event redriven, and read again",
            "old event redriven twice",
            "old event held back by its producer",
            "old event at random moments",
        ),
        1,
    ),
    "batch of over 5 MiB for the index": 1,  # one history of a thousand: it is slow
    "failure document not written": 1,  # rare: a discard while the bucket is down
    # One history of twenty has a rebuild.
    **dict.fromkeys(
        (
            "two rebuilds at once",
            "bulk in progress at a switch",
            "new index busy",
            "index lost",
            "alias moved",
            "index of another release",
            "keys left unprocessed",
        ),
        1,
    ),
    "rebuilt": 10,
    # Rare: few requests have many parts.
    "request of the table refused as a whole": 1,
    "request of the index refused as a whole": 1,
}


class Tally(Counter[AnyFault]):
    """How often each fault was hit."""


def minimums(histories: int, floors_per_thousand: Mapping[AnyFault, int]) -> dict[AnyFault, int]:
    """How often these histories must hit each fault."""
    return {fault: each * histories // 1000 for fault, each in floors_per_thousand.items()}


def missed(
    hit: Tally,
    histories: int,
    floors_per_thousand: Mapping[AnyFault, int] = FLOORS_PER_THOUSAND,
) -> dict[AnyFault, int]:
    """The faults that these histories hit less often than their floors, with the floors."""
    floors = minimums(histories, floors_per_thousand)
    return {fault: floor for fault, floor in floors.items() if hit[fault] < floor}
