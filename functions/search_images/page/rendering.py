"""Renders the templates of the page, with their style and script.

The templates escape everything from the index, the table or the request. In addition, the content
security policy allows only the style and the script of the page, by their hashes.
"""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from functions.search_images.links import (
    AT,
    CURSOR,
    IMAGE,
    START,
    TEXT,
    Pairs,
    form_fields,
    value_of,
    without,
)
from functions.search_images.page.picture import on_the_web, placeholder

_HERE = Path(__file__).parent
# Each file has one subject. The order of the styles counts: a later rule wins.
_STYLES = ("page", "header", "results", "picture", "filters", "record", "footer")
_SCRIPTS = ("suggestions", "keys", "pictures")


def render(view: Literal["results", "record", "problem"], pairs: Pairs, **shown: object) -> str:
    """The whole page.

    Args:
        view: the template inside the frame of the page.
        pairs: the request's parameters.
        shown: the variables of the template.
    """
    return _template.render(
        view=view,
        pairs=pairs,
        text=query_text(pairs),
        # The form keeps the filters for a new search.
        kept=form_fields(without(pairs, TEXT, CURSOR, START, IMAGE, AT)),
        **shown,
    )


def page_title(text: str) -> str:
    """The title of a page: the text is isolated, because it may be written from right to left."""
    return f"\u2068{text}\u2069 · Find images"


def query_text(pairs: Pairs) -> str:
    """The text of the search."""
    return (value_of(pairs, TEXT) or "").strip()


def _together(folder: str, suffix: str, names: tuple[str, ...]) -> str:
    files = (_HERE / folder / f"{name}.{suffix}" for name in names)
    return "\n".join(file.read_text("utf-8") for file in files)


_style = _together("style", "css", _STYLES)
_script = f'"use strict";\n{_together("script", "js", _SCRIPTS)}'


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
    # Both are files of ours, which may contain quotes.
    made.globals |= {"style": Markup(_style), "script": Markup(_script)}  # noqa: S704
    made.globals["placeholder"] = placeholder
    made.tests["on_the_web"] = on_the_web
    return made


_template = _environment().get_template("page.html")


def _hash_of(inline: str) -> str:
    """The hash of the style or the script, for the policy."""
    digest = hashlib.sha256(inline.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


# Trusted Types: the script cannot convert text to markup.
POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src {_hash_of(_style)}",
        f"script-src {_hash_of(_script)}",
        "connect-src 'self'",
        "img-src http: https: data:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
# No caching, because a deleted image must disappear from the page at once.
HEADERS: Mapping[str, str] = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
