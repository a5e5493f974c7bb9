"""Error answers, as problem details (RFC 9457)."""

from http import HTTPStatus

import msgspec
from aws_lambda_powertools.event_handler import Response

from functions.search_images.invalid import ParameterProblem

CONTENT_TYPE = "application/problem+json"
# If a store does not answer, a client may retry after this many seconds.
RETRY_AFTER = 5


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Problem details. `errors` has one entry for each invalid parameter."""

    title: str
    status: int
    detail: str
    errors: list[ParameterProblem] = []
    # No meaning besides the status: https://www.rfc-editor.org/rfc/rfc9457#section-4.2.1
    type: str = msgspec.field(default_factory=lambda: "about:blank")


def problem(
    status: HTTPStatus,
    detail: str,
    errors: list[ParameterProblem] = [],  # noqa: B006  # never changed
    headers: dict[str, str | list[str]] | None = None,
) -> Response[str]:
    """The answer with these problem details."""
    body = Problem(title=status.phrase, status=status.value, detail=detail, errors=errors)
    return Response(
        status_code=status.value,
        content_type=CONTENT_TYPE,
        body=msgspec.json.encode(body).decode(),
        headers=headers,
    )


def unavailable(detail: str) -> Response[str]:
    """The answer when a store does not answer; says when to retry."""
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": str(RETRY_AFTER)}
    )
