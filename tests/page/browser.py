"""A browser as a person has it, that tells of everything it should not have seen."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol, TypedDict, Unpack
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Route, sync_playwright

type Scheme = Literal["dark", "light"]

PATIENCE_SECONDS = 60  # a busy machine is slow, not broken
WIDE, PHONE = (1280, 900), (360, 740)
MISSING = "no Chromium on this machine; on Debian, `apt-get install chromium`"
NAMES = ("chromium", "chromium-browser", "google-chrome")
# Stands for pictures elsewhere, which no test fetches.
PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"/>'


def chromium() -> str | None:
    """The program, if this machine has one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def started(program: str) -> Iterator[Browser]:
    """A browser without a window."""
    # Its sandbox does not work for root, as whom containers often run.
    words = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=words)
        try:
            yield browser
        finally:
            browser.close()


class Circumstances(TypedDict, total=False):
    """What is not the usual: a light screen, a wide one, script, and pictures that come.

    `bucket` is the address from which pictures are really fetched.
    In the system's colours a reader sees none of the page's own, backgrounds least of all.
    """

    scheme: Scheme
    colours: Literal["the page's", "the system's"]
    size: tuple[int, int]
    script: Literal["runs", "is off"]
    pictures: Literal["come", "are missing"]
    bucket: str


class Visit:
    """One person's visit to the page: an empty profile of its own.

    What is elsewhere is not fetched: pictures are answered here, anything else is refused and,
    like whatever the browser complains of, kept in `complaints`.
    """

    def __init__(
        self,
        browser: Browser,
        site: str,
        **circumstances: Unpack[Circumstances],
    ) -> None:
        self.site = site
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self._pictures = circumstances.get("pictures", "come")
        self._fetched = tuple(f"{one}/" for one in (site, circumstances.get("bucket")) if one)
        forced = circumstances.get("colours") == "the system's"
        width, height = circumstances.get("size", WIDE)
        self._context = browser.new_context(
            base_url=site,
            color_scheme=circumstances.get("scheme", "light"),
            forced_colors="active" if forced else "none",
            viewport={"width": width, "height": height},
            java_script_enabled=circumstances.get("script", "runs") == "runs",
            reduced_motion="reduce",
        )
        self._context.set_default_timeout(PATIENCE_SECONDS * 1_000)
        self._context.route("**/*", self._answer)
        self.page = self._context.new_page()
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self._hear("error", str(error)))
        self.page.on("dialog", self._refuse)

    def open(self, path: str = "/") -> Page:
        """The page at this path."""
        self.page.goto(path)
        return self.page

    def close(self) -> None:
        """The end of the visit."""
        self._context.close()

    def _listen(self, said: ConsoleMessage) -> None:
        # A page may be one that tells of a mistake; what it is made of must all be there.
        is_the_page = said.location["url"] == self.page.url
        if not (is_the_page and said.text.startswith("Failed to load resource")):
            self._hear(said.type, said.text)

    def _refuse(self, dialog: Dialog) -> None:
        self._hear("dialog", dialog.message)
        dialog.dismiss()

    def _hear(self, kind: str, said: str) -> None:
        if kind in {"error", "warning", "dialog"}:
            self.complaints.append(f"{kind}: {said}")

    def _answer(self, route: Route) -> None:
        request = route.request
        address = urlsplit(request.url)
        if request.url.startswith(self._fetched):
            route.continue_()
            return
        self.elsewhere.append(request.url)
        if request.resource_type != "image":
            self.complaints.append(f"asked for {request.url}")
            route.abort()
        elif self._pictures == "come":
            route.fulfill(body=PICTURE, content_type="image/svg+xml")
        else:
            route.fulfill(status=404, body=f"no {address.path}")


class Visiting(Protocol):
    """Begins a visit."""

    def __call__(self, **circumstances: Unpack[Circumstances]) -> Visit: ...


def texts(page: Page, selector: str) -> list[str]:
    """The texts of all that match, as they are read."""
    found: list[Any] = page.locator(selector).all_inner_texts()
    return [" ".join(str(text).split()) for text in found]
