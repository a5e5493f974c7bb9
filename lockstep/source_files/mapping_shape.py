"""Check of what a mapping file consists of: each message names the field and what to write."""

import re
import tomllib
from typing import Any, Literal, get_args

from lockstep.source_files.field_rules import FieldRule
from lockstep.source_files.mapped_ids import Rule

Rest = Literal["refuse", "attributes", "ignore"]

_TEXT, _TEXTS, _FLAG, _TABLE = (
    "a text in quotes",
    'a list of texts: ["a", "b"]',
    "true or false",
    "a table",
)
_SETTINGS = {
    "fields": (_TABLE,),
    "defaults": (_TABLE,),
    "ignore": (_TEXTS,),
    "absent": (_TEXTS,),
    "normalize_names": (_FLAG,),
    "more_tags": (_TEXT,),
}
_OPTIONS = {"to": (_TEXT, _TEXTS), "split": (_TEXT,), "formats": (_TEXTS,), "zone": (_TEXT,)}
_MAY_BE_NULL = frozenset({"more_tags", "split", "zone"})  # in JSON

_NAMES = (
    'write NAME = "FIELD", with quotes around a name that has other signs than A-Z, a-z, 0-9, _ '
    'and -: "Height (cm)" = "attributes.height"'
)
# By a part of the message of tomllib: what to do.
_TOML_WORDS = (
    ("after a key", _NAMES),
    ("for a key part", _NAMES),
    ("Invalid statement", _NAMES),
    ("Invalid value", 'write a text in double quotes: "name"'),
    ("Cannot overwrite", "a name is there twice: keep one of them"),
    ("Cannot declare", "a table is there twice: keep one of them"),
    ("Unescaped", r"write a text with a backslash in single quotes: '\N'"),
    ("Unterminated", "a text has no quotation mark at its end: add it"),
    ("Unclosed", "a bracket is not closed: close it"),
    ("Expected newline", "write one setting per line, and nothing after it"),
)
_PLACE = re.compile(r" \(at (?:(line \d+, column \d+)|end of document)\)")


def toml_fault(error: tomllib.TOMLDecodeError) -> str:
    """Where a file is not TOML, and what to write."""
    said = str(error)
    place = _PLACE.search(said)
    if (do := next((do for part, do in _TOML_WORDS if part in said), None)) is None:
        return said
    return f"{(place and place[1]) or 'end of the file'}: {do}"


def check_shape(tree: dict[str, Any], settings: tuple[str, ...]) -> None:
    """Check the names in a mapping file, and the kinds of their values.

    Args:
        tree: the mapping file, decoded.
        settings: the names that may be at its top.

    Raises:
        ValueError: a name or a value is wrong.
    """
    for name in tree:
        if name not in settings:
            raise ValueError(f"there is no setting `{name}`: use {', '.join(settings)}")
    for name, kinds in _SETTINGS.items():
        _check_kind(f"`{name}`", name, tree, kinds)
    if "fields" not in tree:
        raise ValueError("there is no table [fields]: add it")
    if "rest" in tree and tree["rest"] not in get_args(Rest):
        raise ValueError(f"`rest` is {tree['rest']!r}: use {_either(get_args(Rest))}")
    for target, value in tree.get("defaults", {}).items():
        _check_default(target, value)
    for field, said in tree["fields"].items():
        if _is_setting(field, said, settings):
            raise ValueError(f"`{field}` is under [fields]: write it above [fields]")
        _check_field(field, said)


def _check_kind(what: str, name: str, said: dict[str, Any], kinds: tuple[str, ...]) -> None:
    value = said.get(name)
    if name not in said or (value is None and name in _MAY_BE_NULL):
        return
    kind = {str: _TEXT, bool: _FLAG, dict: _TABLE}.get(type(value))
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        kind = _TEXTS
    if kind not in kinds:
        raise ValueError(f"{what} must be {' or '.join(kinds)}")


def _check_default(target: str, value: Any) -> None:
    items = value if isinstance(value, list) else [value]
    if not isinstance(value, list) and isinstance(value, int) and not isinstance(value, bool):
        return
    if not all(isinstance(item, str) for item in items):
        raise ValueError(
            f"[defaults]: the value of `{target}` must be a text in quotes, an integer, or a list "
            "of texts"
        )


def _is_setting(field: str, said: Any, settings: tuple[str, ...]) -> bool:
    """Whether this is a setting after [fields]: TOML reads it as a field."""
    if field == "rest":
        return said in get_args(Rest)
    return field in settings and not isinstance(said, str | dict)


def _check_field(field: str, said: Any) -> None:
    if isinstance(said, str):
        return
    if not isinstance(said, dict):
        message = f'field `{field}`: write the event field in quotes: "name"'
        raise ValueError(message)  # noqa: TRY004 - the user's mistake, like the others
    if "to" not in said:
        inner = next(iter(said), "NAME")
        raise ValueError(
            f"field `{field}` lacks `to`; for a field inside an object, write its name in quotes: "
            f'"{field}.{inner}" = ...'
        )
    options = FieldRule.__struct_fields__
    for option in said:
        if option not in options:
            message = f"field `{field}`: there is no option `{option}`: use {', '.join(options)}"
            raise ValueError(message)
    for option, kinds in _OPTIONS.items():
        _check_kind(f"field `{field}`: `{option}`", option, said, kinds)
    if said.get("id") not in (None, *get_args(Rule)):
        raise ValueError(f"field `{field}`: `id` is {said['id']!r}: use {_either(get_args(Rule))}")


def _either(values: tuple[str, ...]) -> str:
    *most, last = (f'"{value}"' for value in values)
    return f"{', '.join(most)} or {last}"
