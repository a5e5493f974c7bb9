"""How long a stack keeps tombstones."""

import datetime as dt

from lockstep.stack.clients import Clients
from lockstep.stack.stack import LATENESS


def horizon(clients: Clients) -> dt.timedelta:
    """The stream's retention, the quarantine age and the lateness of producers, added up."""
    answer = clients.kinesis.describe_stream_summary(StreamName=clients.stack.stream)
    hours = answer["StreamDescriptionSummary"]["RetentionPeriodHours"]
    return dt.timedelta(hours=hours, days=clients.stack.quarantine_days) + LATENESS
