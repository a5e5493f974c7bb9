"""Renders the templates of the page, with their style and script.

The templates escape everything from the index, the table or the request. In addition, the content
security policy allows only the style and the script of the page, by their hashes, and only pictures
of the hosts in the settings.
"""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from functions.search_images.colours import Palette, Theme, palette
from functions.search_images.links import (
    AT,
    CONTAINS,
    CURSOR,
    FACET,
    IMAGE,
    START,
    TEXT,
    Pairs,
    form_fields,
    value_of,
    without,
)
from functions.search_images.page.picture import Elsewhere, InBucket, ShownPicture
from functions.search_images.page_settings import NO_SETTINGS, TITLE, PageSettings
from functions.search_images.picture_links import PictureLinks

# A new search begins without these.
_OF_A_PAGE = (TEXT, CURSOR, START, IMAGE, AT, FACET, CONTAINS)
_HERE = Path(__file__).parent
# Each file has one subject. The order of the styles counts: a later rule wins.
_STYLES = ("page", "header", "results", "picture", "filters", "help", "record", "footer")
_SCRIPTS = ("suggestions", "keys", "filters", "pictures", "copying")
# The accent in style/page.css, for the icon.
_ACCENT = "#175e5b"
# A description is shown under a shared link, which has little room.
LONGEST_DESCRIPTION = 200


def _together(folder: str, suffix: str, names: tuple[str, ...]) -> str:
    files = (_HERE / folder / f"{name}.{suffix}" for name in names)
    return "\n".join(file.read_text("utf-8") for file in files)


_style = _together("style", "css", _STYLES)
_script = f'"use strict";\n{_together("script", "js", _SCRIPTS)}'


class Site:
    """The frame of every page: what the settings of the stack make of style, policy and title.

    `headers` belong to every answer. `pictures` makes links to the stack's own pictures; None: it
    has no pictures.
    """

    def __init__(self, settings: PageSettings, pictures: PictureLinks | None = None) -> None:
        self.pictures = pictures
        self.title = settings.title or TITLE
        self.picture_hosts = [one for one in settings.picture_hosts.split(",") if one]
        self._logo = settings.logo
        colours = settings.accent.split(",") if settings.accent else []
        self._accent = colours[0] if colours else _ACCENT
        self._style = _style + (_own_colours(*colours) if colours else "")
        own = () if pictures is None else pictures.sources
        self.headers = _headers(_policy(self._style, [*own, *self.picture_hosts, self._logo]))

    def render(
        self,
        view: Literal["results", "record", "problem"],
        pairs: Pairs,
        *,
        title: str,
        about: str,
        **shown: object,
    ) -> str:
        """The whole page.

        Args:
            view: the template inside the frame of the page.
            pairs: the request's parameters.
            title: the title of the page, without that of the site.
            about: what is on the page, for those who get a link to it.
            shown: the other variables of the template.
        """
        return _template.render(
            view=view,
            pairs=pairs,
            text=query_text(pairs),
            title=title,
            about=about,
            # The form keeps the filters for a new search.
            kept=form_fields(without(pairs, *_OF_A_PAGE)),
            site=self.title,
            own_title=self.title != TITLE,
            logo=self._logo,
            accent=self._accent,
            # Both are files of ours and checked colours. They may contain quotes.
            style=Markup(self._style),  # noqa: S704
            script=Markup(_script),  # noqa: S704
            **shown,
        )

    def titled(self, text: str) -> str:
        """The title of a page: the text is isolated, because its script may be right to left."""
        return f"\u2068{text}\u2069 · {self.title}"


def query_text(pairs: Pairs) -> str:
    """The text of the search."""
    return (value_of(pairs, TEXT) or "").strip()


def shortly(text: str) -> str:
    """The text in one line, cut for a description."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_DESCRIPTION else f"{line[: LONGEST_DESCRIPTION - 1]}…"


def _own_colours(light: str, dark: str) -> str:
    """The rules that replace the accent of style/page.css."""
    return (
        f"\n{_rule(light, 'light')}\n"
        f"@media (prefers-color-scheme: dark) {{ {_rule(dark, 'dark')} }}\n"
    )


def _rule(accent: str, theme: Theme) -> str:
    its: Palette = palette(accent, theme)
    return f":root {{ --accent: {its.accent}; --on-accent: {its.on_accent}; --tint: {its.tint}; }}"


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.tests |= {
        "shown": lambda picture: isinstance(picture, ShownPicture),
        "elsewhere": lambda picture: isinstance(picture, Elsewhere),
        "in_bucket": lambda picture: isinstance(picture, InBucket),
    }
    return made


_template = _environment().get_template("page.html")


def _hash_of(inline: str) -> str:
    """The hash of the style or the script, for the policy."""
    digest = hashlib.sha256(inline.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _policy(style: str, pictures: list[str]) -> str:
    """The content security policy. Trusted Types: the script cannot convert text to markup."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {_hash_of(style)}",
            f"script-src {_hash_of(_script)}",
            "connect-src 'self'",
            " ".join(["img-src data:", *filter(None, pictures)]),
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _headers(policy: str) -> Mapping[str, str]:
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        # No caching, because a deleted image must disappear from the page at once.
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


# The page without settings.
PLAIN = Site(NO_SETTINGS)
