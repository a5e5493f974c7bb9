"""The results as files, downloaded from the page in a real browser."""

import csv
import json

import pytest
from playwright.sync_api import expect

from tests.page.browser import MISSING, Circumstances, Visiting, chromium

pytestmark = [pytest.mark.skip(MISSING)] if chromium() is None else []


@pytest.mark.parametrize("circumstances", [{}, {"script": "is off"}], ids=["script", "no script"])
def test_the_results_are_downloaded_as_files_also_without_script(
    visiting: Visiting, circumstances: Circumstances
) -> None:
    page = visiting(**circumstances).open("/?q=castle&tag=river&start=25")
    total = int(page.locator("main h1").inner_text().split()[0])
    with page.expect_download() as begun:
        page.get_by_role("link", name="CSV", exact=True).click()
    assert begun.value.suggested_filename == "images.csv"
    with begun.value.path().open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    with page.expect_download() as begun:
        page.get_by_role("link", name="NDJSON", exact=True).click()
    lines = [json.loads(line) for line in begun.value.path().read_text("utf-8").splitlines()]
    assert len(rows) == len(lines) == total
    assert [row["image_id"] for row in rows] == [line["image_id"] for line in lines]


def test_a_page_with_more_results_than_fit_says_how_to_get_all(visiting: Visiting) -> None:
    page = visiting().open("/")
    downloads = page.locator(".downloads")
    expect(downloads).to_contain_text("Download the first 1,000 results")
    expect(downloads).to_contain_text("lockstep search --csv writes all")
    with page.expect_download() as begun:
        page.get_by_role("link", name="CSV", exact=True).click()
    assert begun.value.suggested_filename == "images-part.csv"
