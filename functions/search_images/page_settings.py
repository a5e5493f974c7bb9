"""What a deployment says about its page: title, colours, logo, and where pictures may come from."""

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import msgspec

from functions.search_images.colours import LEAST_CONTRAST, for_dark, is_colour, least_contrast
from functions.search_images.visible import shows
from shared.shortened import shortened

TITLE = "Find images"
LONGEST_TITLE = 60
MOST_HOSTS = 20
_LONGEST_QUOTED = 80
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# As a Content-Security-Policy writes a host: https://www.w3.org/TR/CSP3/#grammardef-host-source
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*(:[0-9]{{1,5}})?", re.IGNORECASE)
# Without what ends a source in a Content-Security-Policy, and without query and fragment, which it
# ignores.
_LOGO = re.compile(r"https://[A-Za-z0-9.:/_~%@!$&()*+=-]+", re.ASCII)
_VARIABLES: Mapping[str, str] = {
    "title": "PAGE_TITLE",
    "accent": "PAGE_ACCENT",
    "logo": "PAGE_LOGO",
    "picture_hosts": "PICTURE_HOSTS",
}


class PageSettings(msgspec.Struct, frozen=True):
    """The settings of the page, as the parameters of the stack have them; empty means the default.

    `accent` is one colour, or one for light and one for dark screens, with a comma between them.
    `logo` is the `https` address of a picture. `picture_hosts` are the hosts whose pictures the
    page shows, with commas between them; `*.example.org` stands for each host below example.org.
    """

    title: str = ""
    accent: str = ""
    logo: str = ""
    picture_hosts: str = ""


NO_SETTINGS = PageSettings()


def check_title(title: str) -> str:
    """The title, without blanks around it.

    Raises:
        ValueError: says what is expected.
    """
    title = " ".join(title.split())
    if len(title) > LONGEST_TITLE or (title and not shows(title)):
        raise ValueError(f"expected 1 to {LONGEST_TITLE} characters, got {_quoted(title)}")
    return title


def check_accent(accent: str) -> str:
    """The accent colour for light and for dark screens; the second one is computed if missing.

    Raises:
        ValueError: says what is expected, or which contrast is too low.
    """
    given = [one.strip().lower() for one in accent.split(",")] if accent.strip() else []
    if not given:
        return ""
    if len(given) > 2 or not all(map(is_colour, given)):  # noqa: PLR2004  # one for each theme
        raise ValueError(
            f"expected a colour such as #7a1f2b, or two (light,dark), got {_quoted(accent)}"
        )
    light, *rest = given
    (dark,) = rest or [for_dark(light)]
    for colour, theme, better in ((light, "light", "darker"), (dark, "dark", "lighter")):
        contrast, behind = least_contrast(colour, "light" if theme == "light" else "dark")
        if contrast < LEAST_CONTRAST:
            raise ValueError(
                f"{colour} has a contrast of {contrast:.1f} with the {theme} background {behind}, "
                f"but text needs {LEAST_CONTRAST}: choose a {better} colour"
            )
    return f"{light},{dark}"


def check_logo(logo: str) -> str:
    """The address of the logo.

    Raises:
        ValueError: says what is expected.
    """
    logo = logo.strip()
    if not logo:
        return ""
    if not (_LOGO.fullmatch(logo) and _HOST.fullmatch(urlsplit(logo).netloc)):
        raise ValueError(
            f"expected an address such as https://example.org/logo.svg, got {_quoted(logo)}"
        )
    return logo


def check_picture_hosts(hosts: str) -> str:
    """The hosts in lower case, each once.

    Raises:
        ValueError: says what is expected.
    """
    given = list(dict.fromkeys(one.strip().lower() for one in hosts.split(",") if one.strip()))
    if wrong := next((one for one in given if not _HOST.fullmatch(one)), None):
        raise ValueError(
            f"expected host names such as images.example.org or *.example.org, got {_quoted(wrong)}"
        )
    if len(given) > MOST_HOSTS:
        raise ValueError(f"{len(given)} hosts, at most {MOST_HOSTS}")
    return ",".join(given)


CHECKS: Mapping[str, Callable[[str], str]] = {
    "title": check_title,
    "accent": check_accent,
    "logo": check_logo,
    "picture_hosts": check_picture_hosts,
}


def settings_in(environment: Mapping[str, str], tell: Callable[[str], object]) -> PageSettings:
    """The settings in the environment of a function.

    A setting with a mistake has its default: the search must not stop because of a colour.

    Args:
        environment: the environment.
        tell: called with a line for each mistake.
    """
    found: dict[str, str] = {}
    for field, variable in _VARIABLES.items():
        try:
            found[field] = CHECKS[field](environment.get(variable, ""))
        except ValueError as error:
            tell(f"{variable}: {error}")
    return PageSettings(**found)


def variables(settings: PageSettings) -> dict[str, str]:
    """The environment of a function with these settings: what `settings_in` reads."""
    return {variable: getattr(settings, field) for field, variable in _VARIABLES.items()}


def _quoted(text: str) -> str:
    return shortened(" ".join(text.split()), _LONGEST_QUOTED)
