"""Filter criteria: which records match a mapping's FilterCriteria.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html; for Kinesis
https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-filtering.html, for a table's stream
https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-filtering.html
"""

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from shared.nesting import nests_too_deep
from shared.shortened import BriefError

# The highest quota that AWS grants.
MOST_FILTERS = 10
# A record is searched no deeper than its pattern. AWS documents no limit; this one keeps the search
# within Python's recursion limit, whatever the record is.
MOST_LEVELS = 100
_COMPARISONS = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TEXT_RULES = ("prefix", "suffix", "equals-ignore-case")
_OR = "$or"


class PatternError(BriefError):
    """A pattern is invalid for Lambda; the message says where and why."""


class FilterCriteria(msgspec.Struct, frozen=True):
    """The patterns of one mapping, one of which must match; made by `filters_from`.

    `whole_record`: they match a record as the function gets it, and not its data.
    """

    patterns: tuple[Mapping[str, Any], ...]
    whole_record: bool = False

    def match(self, data: bytes) -> bool:
        """Whether a record with this data is sent to the function.

        Data that is not JSON matches nothing, so the record is skipped silently, as in Lambda.
        This includes aggregated records, and JSON that is nested too deeply for the parser.

        Args:
            data: of the record, or the record itself, see `whole_record`.
        """
        if nests_too_deep(data):
            return False
        try:
            value = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        return any(_matches(pattern, value) for pattern in self.patterns)


def filters_from(criteria: object, *, of_table: bool) -> FilterCriteria | None:
    """Read a FilterCriteria property; None if it has no filters.

    Args:
        criteria: the property.
        of_table: the records are of a table's stream. Then patterns match the whole record.

    Raises:
        PatternError: it is not {Filters: [{Pattern: TEXT}]}, or a pattern is invalid.
    """
    listed = criteria.get("Filters", []) if isinstance(criteria, dict) else None
    if not isinstance(listed, list):
        raise PatternError("must be {Filters: [{Pattern: TEXT}, ...]}")
    if len(listed) > MOST_FILTERS:
        raise PatternError(f"has {len(listed)} filters, may have {MOST_FILTERS}")
    if not listed:
        return None
    patterns = tuple(_pattern(one, of_table=of_table) for one in listed)
    return FilterCriteria(patterns, whole_record=of_table)


def _pattern(value: object, *, of_table: bool) -> Mapping[str, Any]:
    text = value.get("Pattern") if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise PatternError(f"{value!r} has no Pattern, or its Pattern is not text")
    if nests_too_deep(text.encode()):
        raise PatternError(f"a pattern is nested deeper than {MOST_LEVELS} levels")
    try:
        pattern = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise PatternError(f"pattern {text} is not JSON: {error}") from None
    if of_table:
        _check(pattern, "record", MOST_LEVELS)
        whole: Mapping[str, Any] = pattern
        return whole
    if not isinstance(pattern, dict) or set(pattern) != {"data"}:
        raise PatternError(f"pattern {text} must have exactly one key, `data`")
    _check(pattern["data"], "data", MOST_LEVELS)
    data: Mapping[str, Any] = pattern["data"]
    return data


def _check(pattern: object, where: str, levels: int) -> None:
    """Check a pattern: nested objects, at most `levels` deep, with lists of rules as leaves."""
    if not levels:
        raise PatternError(f"{where}: nested deeper than {MOST_LEVELS} levels")
    if not isinstance(pattern, dict) or not pattern:
        raise PatternError(f"{where}: must be an object that names a field")
    for name, below in pattern.items():
        here = f"{where}.{name}"
        if name == _OR:
            if not isinstance(below, list) or not below:
                raise PatternError(f"{here}: must be a list of patterns")
            for choice in below:
                _check(choice, here, levels - 1)
        elif isinstance(below, list):
            if not below:
                raise PatternError(f"{here}: has no rule")
            for rule in below:
                _check_rule(rule, here)
        else:
            _check(below, here, levels - 1)


def _check_rule(rule: Any, where: str) -> None:
    match rule:
        case None | str() | int() | float():
            return
        case {"exists": bool()} if len(rule) == 1:
            return
        case {"numeric": [*comparison]} if len(rule) == 1 and _is_comparison(comparison):
            return
        case {"anything-but": but} if len(rule) == 1 and _is_exception(but):
            return
        case dict() if _is_text_rule(rule):
            return
    raise PatternError(f"{where}: not a rule: {msgspec.json.encode(rule).decode()}")


def _is_comparison(value: Sequence[object]) -> bool:
    """Whether it is one comparison or a range of two."""
    signs, bounds = value[::2], value[1::2]
    return (
        len(value) in {2, 4}
        and all(isinstance(sign, str) and sign in _COMPARISONS for sign in signs)
        and all(_is_number(bound) for bound in bounds)
    )


def _is_exception(value: object) -> bool:
    if isinstance(value, dict):
        return _is_text_rule(value)
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(isinstance(value, str) or _is_number(value) for value in values)


def _is_text_rule(rule: Mapping[str, object]) -> bool:
    return len(rule) == 1 and all(
        name in _TEXT_RULES and isinstance(text, str) for name, text in rule.items()
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _matches(pattern: Mapping[str, Any], value: object) -> bool:
    """Whether every field of the pattern matches; in a list, any item may match."""
    return any(_fields_match(pattern, one) for one in _each(value))


def _fields_match(pattern: Mapping[str, Any], value: object) -> bool:
    fields: Mapping[str, Any] = value if isinstance(value, dict) else {}
    return all(_field_matches(name, below, fields) for name, below in pattern.items())


def _field_matches(name: str, below: Any, fields: Mapping[str, Any]) -> bool:
    if name == _OR:
        return any(_fields_match(choice, fields) for choice in below)
    if isinstance(below, dict):
        return _matches(below, fields.get(name))
    found = _leaves(fields[name]) if name in fields else []
    return any(_satisfies(found, rule) for rule in below)


def _leaves(value: object) -> list[Any]:
    """The values of a field: for a list, those of its items. Objects and empty lists have none."""
    return [one for one in _each(value) if not isinstance(one, dict | list)]


def _each(value: object) -> Iterator[object]:
    """The value, or the items of a list with nested lists flattened. An empty list is itself.

    A record may nest lists to any depth, so this does not recurse.
    """
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, list) and one:
            left.extend(one)
        else:
            yield one


def _satisfies(found: Sequence[Any], rule: Any) -> bool:
    match rule:
        case {"exists": wanted}:
            return bool(found) is wanted
        case {"numeric": comparison}:
            return any(_compares(value, comparison) for value in found)
        case {"anything-but": dict() as but}:
            return any(not _text_matches(value, but) for value in found)
        case {"anything-but": but}:
            values = but if isinstance(but, list) else [but]
            return any(not any(_equal(value, one) for one in values) for value in found)
        case dict():
            return any(_text_matches(value, rule) for value in found)
    return any(_equal(value, rule) for value in found)


def _equal(one: object, other: object) -> bool:
    """Whether both are the same in JSON: 300 is not 300.0, and 1 is not true."""
    return type(one) is type(other) and one == other


def _compares(value: Any, comparison: Sequence[Any]) -> bool:
    return _is_number(value) and all(
        _COMPARISONS[sign](value, bound)
        for sign, bound in zip(comparison[::2], comparison[1::2], strict=True)
    )


def _text_matches(value: object, rule: Mapping[str, str]) -> bool:
    ((name, text),) = rule.items()
    if not isinstance(value, str):
        return False
    match name:
        case "prefix":
            return value.startswith(text)
        case "suffix":
            return value.endswith(text)
        case _:
            return value.casefold() == text.casefold()
