"""Stands for the package requests in the artifacts of the functions that use the index.

opensearch-py imports requests for a kind of connection that no function makes: `doors.opensearch`
uses the one on urllib3 (docs/decisions/2026-11-30-functions-import-what-they-need.md).
"""


class auth:  # noqa: N801 - the name of a module of requests
    """The one module of requests that opensearch-py uses when it is imported."""

    class AuthBase:
        """What its signer for requests derives from."""
