"""Take the screenshots of the search page for the guide: `python -m tools.screenshots`.

Writes docs/page-*.png. Needs Chromium and the real engines.
"""

import sys
from pathlib import Path

from functions.search_images.page_settings import NO_SETTINGS
from tests.page.browser import MISSING, PHONE, Circumstances, Visit, chromium, started
from tests.page.museum import Museum, query_side
from tests.real_images import indexed
from tests.serving import serving
from tools.engines import engines_for_tests

DOCS = Path(__file__).parents[1] / "docs"
SHOWN: dict[str, tuple[Circumstances, str]] = {
    "light": ({}, "/?q=richmnd"),
    "dark": ({"scheme": "dark"}, "/?q=castle&tag=river"),
    "phone": ({"size": PHONE}, "/?q=sunrise"),
    "record": ({}, "/?q=richmond+thames&image=D05526&at=2"),
}


def main() -> None:
    """Open the page with the 2,000 real records, and take each screenshot."""
    program = chromium()
    if program is None:
        sys.exit(MISSING)
    with engines_for_tests() as engine, indexed(engine("opensearch"), shards=1) as real:
        museum = Museum(engine("opensearch"), engine("dynamodb"), real)
        with serving(query_side(museum, NO_SETTINGS)) as site, started(program) as browser:
            for name, (circumstances, path) in SHOWN.items():
                visit = Visit(browser, site, **circumstances)
                page = visit.open(path)
                page.wait_for_load_state("networkidle")
                page.screenshot(path=DOCS / f"page-{name}.png")
                visit.close()


if __name__ == "__main__":
    main()
