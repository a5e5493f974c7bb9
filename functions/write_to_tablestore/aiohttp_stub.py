"""Stands for aiohttp in the artifact of the function that writes to Table Store.

The SDK imports aiohttp for its asynchronous client, which the function never makes
(docs/decisions/2026-11-30-the-sdk-of-table-store-is-trimmed.md).
"""


class ClientTimeout:
    """What the SDK imports by name."""
