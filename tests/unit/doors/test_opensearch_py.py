"""opensearch-py is imported without what it needs for other clients."""

import subprocess
import sys

IMPORT = "import sys; from doors.opensearch_py import import_opensearch_py; import_opensearch_py();"


def said(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_neither_aiohttp_nor_requests_is_loaded() -> None:
    loaded = said(
        f"{IMPORT} print([n for n in ('aiohttp', 'yarl', 'requests') if n in sys.modules])"
    )
    assert loaded == "[]"


def test_they_can_still_be_imported() -> None:
    assert said(f"{IMPORT} import requests, yarl, aiohttp; print(requests.Session.__name__)") == (
        "Session"
    )


def test_what_is_loaded_already_stays() -> None:
    program = f"import requests, aiohttp; {IMPORT} print(sys.modules['requests'] is requests)"
    assert said(program) == "True"


def test_the_client_is_that_of_opensearch_py() -> None:
    program = f"""{IMPORT}
from urllib3 import Timeout
from doors.opensearch import client
made = client("http://127.0.0.1:9200", None, None, timeout=Timeout(1))
print(type(made).__module__, made.transport.get_connection().host)"""
    assert said(program) == "opensearchpy.client http://127.0.0.1:9200"


def test_an_import_that_fails_hides_nothing() -> None:
    program = """
import sys
sys.modules["opensearchpy.client"] = None
from doors.opensearch_py import import_opensearch_py
try:
    import_opensearch_py()
except ImportError:
    import aiohttp, requests
    print(requests.Session.__name__)"""
    assert said(program) == "Session"
