"""The Java clients of Kinesis for tests: the AWS SDK 2 and the Kinesis Client Library.

`python -m tools.kinesis_java` resolves the library and writes its jars, with their SHA-256, into
`tests/contract/kinesis/java/pins.json`.
"""

from pathlib import Path

from tools.java_client import JavaClient

KINESIS = JavaClient(
    "kinesis-java",
    "software.amazon.kinesis",
    "amazon-kinesis-client",
    "3.5.1",
    Path(__file__).parents[1] / "tests" / "contract" / "kinesis" / "java",
    # For records that a registry of schemas describes; we have none.
    left_out=("software.amazon.glue",),
)

if __name__ == "__main__":
    KINESIS.write_pins()
