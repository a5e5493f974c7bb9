"""The filters beside the results: the values of each facet, and the years with their period.

One facet can be open: it shows all its values, and finds those that contain a text.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from functions.search_images.facets import (
    ATTRIBUTE_PREFIX,
    CONTENT_TYPE,
    TAG,
    UPLOADED_BY,
    FacetValue,
    FacetValues,
    is_facet,
)
from functions.search_images.links import (
    CONTAINS,
    FACET,
    YEAR,
    Link,
    Pairs,
    choice,
    form_fields,
    href,
    label_of,
    value_of,
    without,
)
from functions.search_images.search import SearchResult

MOST_BARS = 12
# How many years a bar may stand for.
_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
_LAST_YEAR = 10_000
_BAR_WIDTH = 100


class OpenFacet(msgspec.Struct, frozen=True):
    """The facet that shows all its values, and the text that they must contain."""

    name: str
    containing: str


class Facet(msgspec.Struct, frozen=True):
    """Values of a facet: each adds a filter or removes it.

    `more` opens the facet, `fewer` closes it. An open facet has a form that finds values: `fields`
    are its hidden fields, `containing` is the text. `cut` tells that it has still more values.
    """

    name: str
    label: str
    links: list[Link]
    more: str | None = None
    fewer: str | None = None
    fields: Pairs = ()
    containing: str = ""
    cut: bool = False

    @property
    def anchor(self) -> str:
        """The id of the facet on the page."""
        return f"facet-{self.name}"


class YearBar(msgspec.Struct, frozen=True):
    """Some years, with the width of their bar in percent. Without images, there is no link."""

    text: str
    href: str | None
    count: int
    width: int
    current: bool


class Years(msgspec.Struct, frozen=True):
    """The years of the images, and the form for a period. `fields` are its hidden fields."""

    bars: list[YearBar]
    first: str
    last: str
    start: str
    end: str
    fields: Pairs


class Panel(msgspec.Struct, frozen=True):
    """The filters of a search.

    `chosen` is the number of filters in use, `opened` tells whether a facet shows all its values.
    """

    facets: list[Facet]
    years: Years | None
    chosen: int
    opened: bool = False

    def __bool__(self) -> bool:
        return bool(self.facets or self.years)


def open_facet(pairs: Pairs) -> OpenFacet | None:
    """The facet that the parameters open."""
    name = value_of(pairs, FACET)
    if name is None or not is_facet(name):
        return None
    return OpenFacet(name, (value_of(pairs, CONTAINS) or "").strip())


def panel(
    pairs: Pairs,
    found: SearchResult,
    chosen: int,
    opened: OpenFacet | None = None,
    values: FacetValues | None = None,
) -> Panel:
    """The filters of a search.

    Args:
        pairs: the parameters of the search.
        found: its result.
        chosen: the number of filters in use.
        opened: the facet that is open.
        values: its values.
    """
    by_name: dict[str, Sequence[FacetValue]] = {
        TAG: found.facets.tags,
        **{f"{ATTRIBUTE_PREFIX}{name}": one for name, one in found.facets.attributes.items()},
        CONTENT_TYPE: found.facets.content_type,
        UPLOADED_BY: found.facets.uploaded_by,
    }
    facets = []
    for name, counts in by_name.items():
        if opened is not None and values is not None and name == opened.name:
            facets.append(_opened(pairs, opened, values))
        elif links := list(_links(pairs, name, counts)):
            facets.append(_closed(pairs, name, links, more=name in found.facets.more))
    years = _years(pairs, found.facets.year) if found.facets.year else None
    return Panel(facets, years, chosen, opened=any(facet.fewer for facet in facets))


def _closed(pairs: Pairs, name: str, links: list[Link], *, more: bool) -> Facet:
    facet = Facet(name, _label(name), links)
    if not more:
        return facet
    opens = f"{href([*pairs, (FACET, name)])}#{facet.anchor}"
    return msgspec.structs.replace(facet, more=opens)


def _opened(pairs: Pairs, opened: OpenFacet, values: FacetValues) -> Facet:
    name = opened.name
    closed = Facet(name, _label(name), list(_links(pairs, name, values.values)))
    return msgspec.structs.replace(
        closed,
        fewer=f"{href(pairs)}#{closed.anchor}",
        fields=[*form_fields(pairs), (FACET, name)],
        containing=opened.containing,
        cut=values.more,
    )


def _label(name: str) -> str:
    return "Tags" if name == TAG else label_of(name)


def _links(pairs: Pairs, name: str, counts: Iterable[FacetValue]) -> Iterator[Link]:
    for one in counts:
        if link := choice(pairs, (name,), one):
            yield link


def _years(pairs: Pairs, counts: Sequence[FacetValue]) -> Years:
    first, last = counts[0].value, counts[-1].value
    others = without(pairs, *YEAR)
    return Years(
        bars=list(_bars(pairs, {int(one.value): one.count for one in counts})),
        first=first,
        last=last,
        start=value_of(pairs, YEAR[0]) or "",
        end=value_of(pairs, YEAR[1]) or "",
        fields=form_fields(others),
    )


def _bars(pairs: Pairs, counts: Mapping[int, int]) -> Iterator[YearBar]:
    """The years in steps of as few years as fit, also those without images."""
    least, most = min(counts), max(counts)
    step = next(step for step in _STEPS if most // step - least // step < MOST_BARS)
    begins = range(least // step * step, most + 1, step)
    images = [sum(counts.get(year, 0) for year in range(one, one + step)) for one in begins]
    chosen = (value_of(pairs, YEAR[0]), value_of(pairs, YEAR[1]))
    others = without(pairs, *YEAR)
    for begin, count in zip(begins, images, strict=True):
        ends = (f"{begin:04}", f"{min(begin + step - 1, _LAST_YEAR):04}")
        current = chosen == ends
        period = zip(YEAR, ends, strict=True)
        yield YearBar(
            text=f"{begin}" if step == 1 else f"{begin}–{int(ends[1])}",  # noqa: RUF001  # a period
            href=href(others if current else [*others, *period]) if count or current else None,
            count=count,
            # The smallest bar is still seen.
            width=max(2, _BAR_WIDTH * count // max(images)) if count else 0,
            current=current,
        )
