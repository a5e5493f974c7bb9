"""Findings of checkov that are accepted, each with its reason: tools/template/exceptions.toml."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

EXCEPTIONS = Path(__file__).with_name("exceptions.toml")


class Finding(msgspec.Struct, frozen=True, order=True):
    """A check of checkov that a resource fails."""

    check: str
    resource: str


class Accepted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Findings that are accepted, and why."""

    check: str
    resources: list[str]
    reason: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    accepted: list[Accepted]


def accepted(file: Path = EXCEPTIONS) -> list[Accepted]:
    """The exceptions of a file."""
    return msgspec.toml.decode(file.read_bytes(), type=_File).accepted


def judged(found: Mapping[Finding, str], exceptions: Iterable[Accepted]) -> list[str]:
    """What is wrong: a line for each finding without exception, and each exception without finding.

    Args:
        found: what checkov says about each finding.
        exceptions: the accepted findings.
    """
    known = {Finding(one.check, name) for one in exceptions for name in one.resources}
    new = [f"{one.check} {one.resource}: {found[one]}" for one in sorted(found.keys() - known)]
    old = [
        f"{one.check} {one.resource}: checkov does not find this. Remove it from {EXCEPTIONS.name}."
        for one in sorted(known - found.keys())
    ]
    return new + old
