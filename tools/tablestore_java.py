"""Alibaba's SDK of Table Store for Java, for tests.

`python -m tools.tablestore_java` resolves the library and writes its jars, with their SHA-256, into
`tests/contract/tablestore/java/pins.json`.
"""

from pathlib import Path

from tools.java_client import JavaClient

TABLE_STORE = JavaClient(
    "tablestore-java",
    "com.aliyun.openservices",
    "tablestore",
    "5.17.10",
    Path(__file__).parents[1] / "tests" / "contract" / "tablestore" / "java",
)

if __name__ == "__main__":
    TABLE_STORE.write_pins()
