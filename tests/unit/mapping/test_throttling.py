"""Reserved concurrency on one machine: beyond it an invocation is throttled."""

from pathlib import Path

from lockstep.local.mapping.invocation import Function
from lockstep.local.mapping.pool import Pool
from lockstep.local.mapping.response import Throttled


def test_a_function_whose_concurrency_is_used_up_is_not_called(tmp_path: Path) -> None:
    """Beyond it an invocation is throttled.

    Rule: reserved concurrency.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
    """
    function = Function("f", "f", "f.handle", "arn:role", 3, 128, {}, reserved_concurrency=0)
    pool = Pool(function, "us-east-1", {}, root=tmp_path, log=tmp_path / "log")

    assert pool.invoke(b"{}", "request") == Throttled()
    assert not (tmp_path / "log").exists(), "no worker was started"
