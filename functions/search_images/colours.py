"""The colours of the page that follow from the accent colour, and their contrast.

Contrast is the ratio that WCAG 2.2 defines: 1 for equal colours, 21 for black on white
(https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio).
"""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

type Theme = Literal["light", "dark"]
type _Rgb = tuple[float, ...]

# WCAG's level AA for text: https://www.w3.org/TR/WCAG22/#contrast-minimum
LEAST_CONTRAST = 4.5
# As in page/style/page.css: --paper and --card.
BACKGROUNDS: Mapping[Theme, tuple[str, str]] = {
    "light": ("#faf9f6", "#ffffff"),
    "dark": ("#171614", "#201f1c"),
}
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
# How much of the accent is in the background of tags.
_TINT = 0.1
_STEPS = 50


class Palette(msgspec.Struct, frozen=True):
    """The colours of one theme: of links and buttons, of text on them, and of tags behind text."""

    accent: str
    on_accent: str
    tint: str


def is_colour(text: str) -> bool:
    """Whether this is a colour of six hexadecimal digits: `#175e5b`."""
    return _COLOUR.fullmatch(text) is not None


def palette(accent: str, theme: Theme) -> Palette:
    """The colours that belong to this accent."""
    _, card = BACKGROUNDS[theme]
    on_accent = max("#ffffff", "#000000", key=lambda ink: contrast(ink, accent))
    return Palette(accent, on_accent, _mixed(card, accent, _TINT))


def least_contrast(accent: str, theme: Theme) -> tuple[float, str]:
    """The lowest contrast of the accent with a background of the theme, and that background."""
    behind = (*BACKGROUNDS[theme], palette(accent, theme).tint)
    return min((contrast(accent, one), one) for one in behind)


def for_dark(accent: str) -> str:
    """The accent, mixed with as little white as a dark background needs."""
    mixed = (_mixed(accent, "#ffffff", step / _STEPS) for step in range(_STEPS + 1))
    return next(one for one in mixed if least_contrast(one, "dark")[0] >= LEAST_CONTRAST)


def contrast(one: str, other: str) -> float:
    """The contrast of two colours."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    linear = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4  # noqa: PLR2004  # sRGB
        for part in _rgb(colour)
    )
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def _mixed(one: str, other: str, share: float) -> str:
    """The first colour with this share of the second."""
    parts = zip(_rgb(one), _rgb(other), strict=True)
    return "#" + "".join(f"{round(255 * (a + (b - a) * share)):02x}" for a, b in parts)


def _rgb(colour: str) -> _Rgb:
    return tuple(int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
