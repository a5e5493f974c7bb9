"""A stack for commands that never come to ask it."""

from pathlib import Path

import pytest

from lockstep.stack.stack import Endpoints, Stack, write_local


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A stack that says where it is, and is not there."""
    nowhere = "http://127.0.0.1:9"
    stack = Stack(
        endpoints=Endpoints(nowhere, nowhere, nowhere, nowhere),
        stream="s",
        table="t",
        index="i",
        bucket="b",
        region="us-east-1",
        functions={},
        state=str(tmp_path),
    )
    write_local(stack, tmp_path)
    return tmp_path
