"""Import opensearch-py without the packages that it imports for clients that nobody makes here.

It imports requests, and aiohttp with yarl if they are there, for kinds of connections that
`doors.opensearch` does not use. With them it takes twice as long. An artifact of a function has
none of them (`doors.requests_stub`); an environment of the tool may have all, for other libraries.
"""

import sys
from importlib import import_module
from types import ModuleType

from doors import requests_stub


def import_opensearch_py() -> None:
    """Import opensearch-py, if nobody did. Other libraries may import aiohttp and requests."""
    if "opensearchpy" in sys.modules:
        return
    absent: dict[str, ModuleType | None] = {"aiohttp": None, "yarl": None}
    absent["requests"] = requests_stub
    ours = {name: module for name, module in absent.items() if name not in sys.modules}
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]  # None: it cannot be imported
    modules.update(ours)
    try:
        import_module("opensearchpy")
    finally:
        for name in ours:
            del modules[name]
