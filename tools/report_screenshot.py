"""Take the screenshot of an audit's report for the guide: `python -m tools.report_screenshot`.

Writes docs/audit-report.png. Needs Chromium.
"""

import sys
import tempfile
from pathlib import Path

from tests.audited import report_page
from tests.page.browser import MISSING, chromium, started

FILE = Path(__file__).parents[1] / "docs" / "audit-report.png"
WIDTH, HEIGHT = 1000, 1250


def main() -> None:
    """Show the report of 300 real images, some of them harmed, and take the screenshot."""
    program = chromium()
    if program is None:
        sys.exit(MISSING)
    with tempfile.TemporaryDirectory() as folder, started(program) as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(report_page(Path(folder)).as_uri())
        page.screenshot(path=FILE)


if __name__ == "__main__":
    main()
