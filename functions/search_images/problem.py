"""Problems: what is wrong with a request or with us, as RFC 9457 says it."""

from http import HTTPStatus

import msgspec
from aws_lambda_powertools.event_handler import Response

CONTENT_TYPE = "application/problem+json"
# How long a store that does not answer is left alone, in seconds.
RETRY_AFTER = 5


class ParameterProblem(msgspec.Struct, frozen=True):
    """One parameter, and what is wrong with it."""

    parameter: str
    detail: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem's details. `errors` says it by parameter."""

    title: str
    status: int
    detail: str
    errors: list[ParameterProblem] = []
    # The status says it all: https://www.rfc-editor.org/rfc/rfc9457#section-4.2.1
    type: str = msgspec.field(default_factory=lambda: "about:blank")


class InvalidParametersError(Exception):
    """A request asks for something that there is not; says by parameter why."""

    def __init__(self, *errors: ParameterProblem) -> None:
        super().__init__("; ".join(f"{one.parameter}: {one.detail}" for one in errors))
        self.errors = list(errors)


def problem(
    status: HTTPStatus,
    detail: str,
    errors: list[ParameterProblem] = [],  # noqa: B006  # never changed
    headers: dict[str, str | list[str]] | None = None,
) -> Response[str]:
    """The answer that tells a problem."""
    body = Problem(title=status.phrase, status=status.value, detail=detail, errors=errors)
    return Response(
        status_code=status.value,
        content_type=CONTENT_TYPE,
        body=msgspec.json.encode(body).decode(),
        headers=headers,
    )


def unavailable(detail: str) -> Response[str]:
    """The answer when a store gives none; says when to try again."""
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": str(RETRY_AFTER)}
    )
