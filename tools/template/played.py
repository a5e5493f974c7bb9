"""Which alarms have no test that causes their trouble, and why.

Each other alarm is played: `tests/flow/test_alarms.py` causes its trouble on a local stack, sees it
go on, plays the commands of its page, and sees it go off. Of these, a test holds the name, the
dimensions and the unit of each metric against what AWS's pages list.
"""

from collections.abc import Mapping

BY_NAME_ONLY: Mapping[str, str] = {
    "table-throttled": "DynamoDB Local throttles no request and has no metrics",
    "skewed": "a shard would have to get 150,000 records in five minutes, three times. "
    "A test evaluates the alarm over lines of a log",
    "pictures-fail": "a local stack keeps the notifications of its pictures in a file, not in SQS",
    "pictures-late": "a local stack has no SQS",
    "pictures-set-aside": "a local stack has no SQS",
    "thumbnails-fail": "a local stack draws thumbnails in a process, not in Lambda",
    "thumbnails-late": "a local stack has no SQS",
    "thumbnails-set-aside": "a local stack has no SQS",
    "purge-fails": "a local stack has no schedule that runs the purge",
    "domain-storage": "the disk of the machine would have to be nearly full",
    "domain-cpu": "the processor of the machine would have to be busy for 45 minutes",
    "domain-memory": "the heap of the engine would have to be full, and the engine would end",
}
"""The reason, by the name of the alarm without the name of its stack."""
