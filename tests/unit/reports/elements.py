"""What a report contains: its text, and its elements."""

import re
from html import unescape
from html.parser import HTMLParser

from lockstep.reports.content import ReportContent
from lockstep.reports.page import html_of


class Elements(HTMLParser):
    """All elements with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def words(content: ReportContent) -> str:
    """The text of the report."""
    page = re.sub(r"<style>.*?</style>|<wbr>", "", html_of(content).decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub("<[^>]+>", " ", page)).split())
