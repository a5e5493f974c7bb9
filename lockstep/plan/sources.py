"""Where the figures of a plan come from: measurements of this repository, limits and prices of AWS.

`measured.toml` and `prices.toml` have them, each with its source.
"""

import datetime as dt
import math
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import msgspec

from lockstep.console.errors import UserError

_FOLDER = Path(__file__).parent

type Positive = Annotated[float, msgspec.Meta(gt=0)]


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
        given = msgspec.convert(tree, PriceList)
    except UnicodeDecodeError as error:
        raise PricesError(f"{file}: it is not UTF-8") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise PricesError(f"{file}: {error}") from error
    own = own_prices()
    for table, has, needs in (
        ("prices", given.prices, own.prices),
        ("limits", given.limits, own.limits),
    ):
        for name in needs.keys() - has.keys():
            raise PricesError(f"{file}: [{table}.{name}] is missing: {needs[name].meaning}")
        for name in has.keys() - needs.keys():
            raise PricesError(f"{file}: there is no [{table}.{name}]: remove it")
    if not all(map(math.isfinite, _numbers(tree))):
        raise PricesError(f"{file}: a number is not finite: write a finite one")
    return given


def _numbers(tree: Any) -> Sequence[float]:
    """All numbers with a decimal point in a decoded file."""
    match tree:
        case float():
            return [tree]
        case dict():
            return [number for one in tree.values() for number in _numbers(one)]
        case list():
            return [number for one in tree for number in _numbers(one)]
        case _:
            return []
