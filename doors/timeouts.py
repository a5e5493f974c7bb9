"""Tells timeouts apart from the other failures of a request."""

from urllib3.exceptions import ProtocolError


def sending_timed_out(error: object) -> bool:
    """Whether the server took the bytes of a request too slowly.

    urllib3 applies its connect timeout to sending, too, and reports a lost connection then.
    """
    return isinstance(error, ProtocolError) and any(
        isinstance(one, TimeoutError) for one in error.args
    )
