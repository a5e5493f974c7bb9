"""Where the figures of a plan come from: measurements of this repository, limits and prices of AWS.

`measured.toml` and `prices.toml` have them, each with its source.
"""

import datetime as dt
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import msgspec

from lockstep.console.errors import UserError

_FOLDER = Path(__file__).parent

# Products and quotients of such figures are finite.
type Positive = Annotated[float, msgspec.Meta(ge=1e-9, le=1e15)]


class PricesError(UserError):
    """A file of prices is not valid. The message names the file and what is wrong."""


class MeasuredFigure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure of this repository.

    Attributes:
        value: in the unit of its name.
        page: the file of the repository that has it.
        pattern: finds it there; without a group, the number of its matches is the figure.
        meaning: what it is.
    """

    value: Annotated[float, msgspec.Meta(ge=0)]
    page: str
    pattern: str
    meaning: str


class Quoted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A price or a limit of AWS.

    Attributes:
        value: in the unit of its name.
        meaning: what it is.
        source: the address of the page that has it.
        checked: whether somebody compared it with that page.
        read_in: where it was read instead.
    """

    value: Positive
    meaning: str
    source: str
    checked: bool
    read_in: str = ""


class NodeType(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An instance type of a domain.

    Attributes:
        type: its name.
        vcpus: its processors.
        most_disk_gib: its largest gp3 disk.
        hour_dollars: what an hour of it costs.
        source: the address of the page that has the price.
        checked: whether somebody compared the price with that page.
    """

    type: str
    vcpus: Positive
    most_disk_gib: Positive
    hour_dollars: Positive
    source: str
    checked: bool


class PriceList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prices and limits of one region at one date.

    Attributes:
        as_of: the date.
        region: the region.
        prices: the prices, in dollars, by name.
        limits: the limits, by name.
        nodes: the instance types from which a plan chooses.
    """

    as_of: dt.date
    region: str
    prices: Mapping[str, Quoted]
    limits: Mapping[str, Quoted]
    nodes: Annotated[Sequence[NodeType], msgspec.Meta(min_length=1)]


@cache
def measured() -> Mapping[str, MeasuredFigure]:
    """The figures of this repository, by name."""
    file = _FOLDER / "measured.toml"
    return msgspec.convert(tomllib.loads(file.read_text("utf-8")), dict[str, MeasuredFigure])


@cache
def own_prices() -> PriceList:
    """The prices and limits that come with Lockstep."""
    return msgspec.convert(tomllib.loads((_FOLDER / "prices.toml").read_text("utf-8")), PriceList)


def read_prices(file: Path) -> PriceList:
    """The prices and limits of a file. It must have the names of `prices.toml`, and no others.

    Raises:
        PricesError: it is not such a file.
        OSError: it cannot be read.
    """
    try:
        tree = tomllib.loads(file.read_bytes().decode())
    except UnicodeDecodeError as error:
        raise PricesError(f"{file}: it is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise PricesError(f"{file}: {error}") from error
    try:
        given = msgspec.convert(tree, PriceList)
    except msgspec.ValidationError as error:
        raise PricesError(f"{file}: {_fault(tree) or error}") from error
    own = own_prices()
    for table, has, needs in (
        ("prices", given.prices, own.prices),
        ("limits", given.limits, own.limits),
    ):
        for name in needs.keys() - has.keys():
            raise PricesError(f"{file}: [{table}.{name}] is missing: {needs[name].meaning}")
        for name in has.keys() - needs.keys():
            raise PricesError(f"{file}: there is no [{table}.{name}]: remove it")
    for name, limit in given.limits.items():
        if name.endswith("_share") and limit.value >= 1:
            raise PricesError(f"{file}: [limits.{name}] must be below 1")
    return given


def _fault(tree: Mapping[str, Any]) -> str | None:
    """The first price or limit that is not valid; None if it is something else."""
    for table in ("prices", "limits"):
        entries = tree.get(table)
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            try:
                msgspec.convert(entry, Quoted)
            except msgspec.ValidationError as error:
                return f"[{table}.{name}]: {error}"
    return None
