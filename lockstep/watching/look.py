"""What is read of local and deployed stacks alike."""

import datetime as dt

from lockstep import quarantine
from lockstep.stack.clients import Clients
from lockstep.stores.objects import BucketObjects
from lockstep.watching.seen import SeenQuarantine


def counted_quarantine(clients: Clients) -> SeenQuarantine:
    """What waits in the bucket, by a listing; it reads no object."""
    stack = clients.stack
    now = dt.datetime.fromtimestamp(clients.clock.now(), dt.UTC)
    found = quarantine.count(BucketObjects(clients.s3, stack.bucket), stack.table_mapping, now)
    return SeenQuarantine(found.records, found.discarded, found.over_60_days)
