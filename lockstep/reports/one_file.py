"""Pages in one HTML file: no script, nothing from elsewhere.

The templates escape all text. In addition, the policy in the file allows only the style, by its
hash. So the style must not contain data, and no element may have a `style` or `on...` attribute.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

_STYLE = Path(__file__).with_name("style.css").read_text("utf-8")


def page_template(name: str, filters: Mapping[str, Callable[..., str]]) -> Template:
    """A template of this folder, with the style and the policy that allows it.

    Args:
        name: the name of its file.
        filters: the filters that it uses.
    """
    made = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= filters
    made.globals |= {"style": Markup(_STYLE), "policy": _policy()}  # noqa: S704 - no data
    return made.from_string(Path(__file__).with_name(name).read_text("utf-8"))


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
