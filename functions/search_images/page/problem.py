"""The page that says what is wrong, and what to do."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from functions.search_images.facets import ATTRIBUTE_PREFIX
from functions.search_images.invalid import ParameterProblem
from functions.search_images.links import TEXT, Pairs, without
from functions.search_images.page.rendering import PLAIN, Site

# Title and advice for each status. Without advice, the page shows the detail of the problem.
_PROBLEMS: Mapping[HTTPStatus, tuple[str, str]] = {
    HTTPStatus.BAD_REQUEST: ("This search is not valid", ""),
    HTTPStatus.NOT_FOUND: ("This image does not exist", "It may have been deleted."),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("Internal error", "The log contains the cause."),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "The images are not available now",
        "Try again in a moment.",
    ),
}


def problem_page(
    pairs: Pairs,
    status: HTTPStatus,
    detail: str,
    errors: Sequence[ParameterProblem] = (),
    site: Site = PLAIN,
) -> str:
    """The page that says what is wrong, and what to do.

    Args:
        pairs: the request's parameters.
        status: the status of the answer.
        detail: what is wrong.
        errors: the same by parameter. The next search omits these parameters, except the text.
        site: the frame of the page.
    """
    title, advice = _PROBLEMS.get(status, (status.phrase, detail))
    lines = [f"{one.parameter}: {one.detail}" for one in errors] or [advice or detail]
    wrong = {one.parameter for one in errors} - {TEXT}
    if ATTRIBUTE_PREFIX in wrong:  # too many attributes
        wrong |= {name for name, _ in pairs if name.startswith(ATTRIBUTE_PREFIX)}
    return site.render(
        "problem",
        without(pairs, *wrong),
        title=f"{title} · {site.title}",
        about=title,
        heading=title,
        advice=lines,
    )
