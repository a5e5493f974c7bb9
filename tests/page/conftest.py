"""A browser, and the page over the 2,000 real records."""

from collections.abc import Iterator
from typing import Unpack

import pytest
from playwright.sync_api import Browser

from tests.page.browser import MISSING, Circumstances, Visit, Visiting, chromium, started
from tests.page.museum import Museum, query_side
from tests.real_images import RealImages
from tests.serving import serving


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = chromium()
    assert program is not None, MISSING
    with started(program) as browser:
        yield browser


@pytest.fixture(scope="session")
def museum(
    opensearch_endpoint: str, dynamodb_endpoint: str, real_images: RealImages
) -> Iterator[Museum]:
    made = Museum(opensearch_endpoint, dynamodb_endpoint, real_images)
    yield made
    made.delete_index()


@pytest.fixture(scope="session")
def site(museum: Museum) -> Iterator[str]:
    with serving(query_side(museum)) as address:
        yield address


@pytest.fixture
def visiting(browser: Browser, site: str) -> Iterator[Visiting]:
    """Begins visits. At the end the browser must have nothing to complain of in any of them."""
    visits: list[Visit] = []

    def begin(**circumstances: Unpack[Circumstances]) -> Visit:
        visits.append(Visit(browser, site, **circumstances))
        return visits[-1]

    yield begin
    for visit in visits:
        visit.close()
    assert [complaint for visit in visits for complaint in visit.complaints] == []


@pytest.fixture
def visit(visiting: Visiting) -> Visit:
    return visiting()
