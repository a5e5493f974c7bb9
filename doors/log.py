"""The log of the functions: each line is one JSON object (docs/guides/logs.md)."""

import logging
import os
from collections.abc import Mapping
from typing import Any, TextIO

import msgspec
from aws_lambda_powertools import Logger

# The stack whose function writes the line.
STACK_NAME = "STACK_NAME"
# A function has it. Lambda would write the warnings of these libraries as plain text.
_LAMBDA = "AWS_LAMBDA_FUNCTION_NAME"
_LIBRARIES = ("botocore", "opensearch", "urllib3")

_encode = msgspec.json.Encoder(enc_hook=str).encode


def new_logger(service: str | None = None, stream: TextIO | None = None) -> Logger:
    """The logger of a function. Lines name the stack and the service, in JSON, with UTC times.

    Args:
        service: None: the variable POWERTOOLS_SERVICE_NAME says it.
        stream: where the lines go; None: the standard output, which Lambda reads.
    """
    logger = Logger(
        service=service,
        stream=stream,
        utc=True,
        use_rfc3339=True,
        json_serializer=_line,
        json_deserializer=_message,
        stack=os.environ.get(STACK_NAME),
    )
    if _LAMBDA in os.environ:
        for name in _LIBRARIES:
            library = logging.getLogger(name)
            library.handlers[:] = logger.handlers
            library.propagate = False
    return logger


def _message(text: Any) -> Any:
    """The message as it is. Powertools would try to read each as JSON, and none is."""
    return text


def _line(fields: Mapping[str, Any]) -> str:
    return _encode(fields).decode()
