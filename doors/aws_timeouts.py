"""Tells the timeouts of boto3 apart from its other failures."""

from botocore.exceptions import BotoCoreError, ConnectionClosedError, ReadTimeoutError

from doors.timeouts import sending_timed_out


def timed_out(error: BotoCoreError) -> bool:
    """Whether a request did not end in its time: no answer, or the server took it too slowly."""
    return isinstance(error, ReadTimeoutError) or (
        isinstance(error, ConnectionClosedError) and sending_timed_out(error.kwargs.get("error"))
    )
