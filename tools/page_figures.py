"""Measure the search page in Chromium, on a local stack with 2,000 real images.

    python -m tools.page_figures [RUNS]

Each figure is the smallest of all runs; each run has a new profile, so nothing is in a cache. The
columns:

- requests, and their bytes on the wire with headers, without pictures of other hosts;
- first paint: when the first text or picture is painted;
- first result: when the first result, or the name of the image, is in the document;
- shift: the cumulative layout shift of the page, also after its pictures have come.

Times are milliseconds since the navigation began. Pictures are answered by this program.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from playwright.sync_api import Browser, Route, sync_playwright

from lockstep.stack.stack import read_local

DATA = Path(__file__).parents[1] / "data" / "tate-2000.ndjson"
RUNS = 5
SIZES = {"phone": (390, 844), "tablet": (768, 1024), "desktop": (1280, 900), "wide": (1920, 1080)}
PAGES = {"results": "/?q=river", "record": "/?image=D05526"}
PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="400" height="300"/>'
# Before the page runs: collect what the browser reports of its layout and of its first result.
COLLECT = """
window.measured = {shift: 0, result: 0};
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.measured.shift += entry.value;
}).observe({type: "layout-shift", buffered: true});
new MutationObserver(() => {
  if (!window.measured.result && document.querySelector(".card, .record h1"))
    window.measured.result = performance.now();
}).observe(document, {childList: true, subtree: true});
"""
READ = """() => {
  const all = [...performance.getEntriesByType("navigation"),
               ...performance.getEntriesByType("resource")]
    .filter((one) => new URL(one.name).origin === location.origin);
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  return {requests: all.length, bytes: all.reduce((sum, one) => sum + one.transferSize, 0),
          paint: paint ? paint.startTime : 0, ...window.measured};
}"""
SETTLED_MS = 500

type Figures = Mapping[str, float]


def measure(browser: Browser, site: str, path: str, size: tuple[int, int]) -> Figures:
    """Open the page once, with an empty profile."""

    def answer(route: Route) -> None:
        if route.request.url.startswith(site):
            route.continue_()
        else:
            route.fulfill(body=PICTURE, content_type="image/svg+xml")

    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height})
    try:
        context.route("**/*", answer)
        page = context.new_page()
        page.add_init_script(COLLECT)
        page.goto(site + path, wait_until="networkidle")
        page.wait_for_timeout(SETTLED_MS)
        found: Figures = page.evaluate(READ)
    finally:
        context.close()
    return found


def smallest(runs: Sequence[Figures]) -> Figures:
    """The smallest of each figure, but the largest shift."""
    return {name: (max if name == "shift" else min)(run[name] for run in runs) for name in runs[0]}


def lockstep(state: Path, *words: str) -> None:
    """Run a command of ours."""
    command = [sys.executable, "-m", "lockstep", *words, "--state", str(state)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def report(site: str, program: str, runs: int) -> None:
    """Print one line for each page and size."""
    print(f"{'page':<22}{'requests':>9}{'KB':>8}{'paint ms':>10}{'result ms':>11}{'shift':>8}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for page, path in PAGES.items():
            for name, size in SIZES.items():
                found = smallest([measure(browser, site, path, size) for _ in range(runs)])
                print(
                    f"{f'{page}, {name} {size[0]}':<22}{found['requests']:9.0f}"
                    f"{found['bytes'] / 1000:8.1f}{found['paint']:10.0f}{found['result']:11.0f}"
                    f"{found['shift']:8.3f}"
                )
        browser.close()


def main() -> None:
    """Start a stack, put the data, and measure."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    program = shutil.which("chromium")
    if program is None:
        sys.exit("no Chromium on this machine; on Debian, `apt-get install chromium`")
    with tempfile.TemporaryDirectory(prefix="lockstep-page-") as folder:
        state = Path(folder) / "state"
        try:
            lockstep(state, "up", "--detach")
            lockstep(state, "put", "--from", "tate", str(DATA))
            lockstep(state, "status", "--wait", "300")
            report(str(read_local(state).endpoints.search), program, runs)
        finally:
            lockstep(state, "down")


if __name__ == "__main__":
    main()
