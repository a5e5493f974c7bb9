"""What a deployment says about its page: what is refused, and what the page makes of the rest."""

import base64
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.search_images.colours import (
    BACKGROUNDS,
    LEAST_CONTRAST,
    contrast,
    for_dark,
    palette,
)
from functions.search_images.page.rendering import PLAIN, Site
from functions.search_images.page.results import results_page
from functions.search_images.page_settings import (
    CHECKS,
    PageSettings,
    check_accent,
    check_logo,
    check_picture_hosts,
    check_title,
    settings_in,
    variables,
)
from tests.unit.search_images.test_page import Parsed, found, hit

COLOURS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


def test_the_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == contrast("#ffffff", "#000000") == 21
    assert contrast("#777777", "#777777") == 1
    assert round(contrast("#777777", "#ffffff"), 2) == 4.48  # the usual example of too little


@given(COLOURS)
def test_an_accent_that_is_taken_can_be_read_on_each_background(colour: str) -> None:
    try:
        light, dark = check_accent(colour).split(",")
    except ValueError:
        return
    for accent, behind in ((light, BACKGROUNDS["light"]), (dark, BACKGROUNDS["dark"])):
        assert min(contrast(accent, one) for one in behind) >= LEAST_CONTRAST
    for its in (palette(light, "light"), palette(dark, "dark")):
        assert contrast(its.accent, its.tint) >= LEAST_CONTRAST
        assert contrast(its.accent, its.on_accent) >= LEAST_CONTRAST


@given(COLOURS)
def test_any_colour_becomes_light_enough_for_a_dark_screen(colour: str) -> None:
    assert check_accent(f"#175e5b,{for_dark(colour)}")


@pytest.mark.parametrize(
    ("setting", "given", "said"),
    [
        (
            "accent",
            "#ffcc00",
            (
                "#ffcc00 has a contrast of 1.4 with the light background #faf9f6, "
                "but text needs 4.5: choose a darker colour"
            ),
        ),
        ("accent", "#7a1f2b,#333333", "#333333 has a contrast of 1.3 with the dark background"),
        ("accent", "red", "expected a colour such as #7a1f2b, or two (light,dark), got red"),
        ("accent", "#123456,#abcdef,#000000", "expected a colour such as"),
        ("title", "x" * 61, "expected 1 to 60 characters"),
        ("title", "\u200b", "expected 1 to 60 characters"),
        ("logo", "http://example.org/logo.svg", "expected an address such as https://example.org/"),
        ("logo", "https://example.org/a b.svg", "expected an address"),
        ("logo", "https://example.org/a;script-src *", "expected an address"),
        ("logo", "https://user@example.org/a.svg", "expected an address"),
        ("logo", "data:image/svg+xml,<svg/>", "expected an address"),
        ("picture_hosts", "https://example.org", "expected host names such as images.example.org"),
        ("picture_hosts", "*", "expected host names"),
        ("picture_hosts", "a.example;script-src 'unsafe-inline'", "expected host names"),
        ("picture_hosts", "a.example 'self'", "expected host names"),
        ("picture_hosts", ",".join(f"h{at}.example" for at in range(21)), "21 hosts, at most 20"),
    ],
)
def test_each_mistake_is_one_clear_line(setting: str, given: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as told:
        CHECKS[setting](given)
    assert len(str(told.value).splitlines()) == 1


def test_what_is_right_is_taken_as_it_is_meant() -> None:
    assert check_title("  Museum   of Ships ") == "Museum of Ships"
    assert check_accent(" #7A1F2B , #f0a0aa") == "#7a1f2b,#f0a0aa"
    assert check_logo("https://example.org/a/logo-2.svg") == "https://example.org/a/logo-2.svg"
    assert (
        check_picture_hosts("A.example, *.b.example:8443,a.example") == "a.example,*.b.example:8443"
    )
    assert [check("") for check in CHECKS.values()] == [""] * 4


def test_a_function_with_a_mistake_in_a_setting_tells_it_and_works() -> None:
    told: list[str] = []
    settings = settings_in({"PAGE_ACCENT": "#ffcc00", "PAGE_TITLE": "Museum"}, told.append)
    assert settings == PageSettings(title="Museum")
    (line,) = told
    assert line.startswith("PAGE_ACCENT: #ffcc00 has a contrast of 1.4")


def test_a_function_gets_the_settings_of_its_stack() -> None:
    its = PageSettings("Museum", "#7a1f2b,#f0a0aa", "https://m.example/l.svg", "a.example")
    assert settings_in(variables(its), pytest.fail) == its


def test_the_page_has_title_logo_and_colours_and_its_policy_allows_them() -> None:
    logo = "https://museum.example/logo.svg"
    site = Site(PageSettings("Museum <1>", "#7a1f2b,#f0a0aa", logo))
    html = results_page([("q", "x")], found(hit()), site=site)
    page = Parsed(html)
    assert page.links["Museum <1>"] == "?"
    assert "1 found: \u2068x\u2069 · Museum <1>" in page.text
    assert "Museum <1>: This page finds" in " ".join(page.text.split())
    (picture,) = page.named("img")
    assert (picture["src"], picture["alt"]) == (logo, "")
    policy = site.headers["Content-Security-Policy"]
    assert f"img-src data: {logo};" in policy
    (style,) = re.findall("<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}';" in policy
    assert "--accent: #7a1f2b;" in style
    assert "--accent: #f0a0aa;" in style
    assert "%237a1f2b" in html, "the icon"
    assert policy != PLAIN.headers["Content-Security-Policy"]


def test_the_backgrounds_are_those_of_the_style() -> None:
    html = results_page([], found(hit()))
    for paper, card in BACKGROUNDS.values():
        assert f"--paper: {paper}; --card: {card};" in html
