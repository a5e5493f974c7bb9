"""A client that answers what a test wrote down, and of what both streams make their answers."""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError


class Answering:
    """Answers, in order, what the test wrote down; keeps what was asked."""

    def __init__(self, *answers: Mapping[str, Any] | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def answer(**request: Any) -> Any:
            self.requests.append((operation, request))
            said = self.answers.pop(0)
            if isinstance(said, Exception):
                raise said
            return said

        return answer


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "said so"}}, "Operation")


def iterator(name: str) -> dict[str, str]:
    return {"ShardIterator": name}
