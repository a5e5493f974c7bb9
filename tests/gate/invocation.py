"""The context of an invocation, as Lambda gives it to a function."""

import time

from aws_lambda_powertools.utilities.typing import LambdaContext


class Invocation(LambdaContext):
    """An invocation that has a minute left, unless said otherwise."""

    _function_name = "function"
    _memory_limit_in_mb = 512
    _invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:function"
    _aws_request_id = "request"

    def __init__(self, seconds: float = 60) -> None:
        self._ends = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:  # type: ignore[override]  # static there
        return round((self._ends - time.monotonic()) * 1000)
